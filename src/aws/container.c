/* SPDX-License-Identifier: Apache-2.0 */
/* The container credential provider (ECS, EKS Pod Identity). */
#include <stdio.h>
#include <string.h>
#include <arpa/inet.h>

#include "aws/config_private.h"
#include "common/file.h"
#include "transport/resolve.h"

#define AUTHORIZATION_MAX 16384

/* Where a token may travel in the clear: this machine, and the endpoints that
 * ECS and EKS put beside it. */
static bool trusted_address(const char *host)
{
    static const char *const fixed[] = {"169.254.170.2", "169.254.170.23"};
    struct in_addr v4;
    struct in6_addr v6, eks;
    for (size_t i = 0; i < 2; i++)
        if (strcmp(host, fixed[i]) == 0)
            return true;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    if (inet_pton(AF_INET6, host, &v6) != 1)
        return false;
    return IN6_IS_ADDR_LOOPBACK(&v6) ||
           (inet_pton(AF_INET6, "fd00:ec2::23", &eks) == 1 && IN6_ARE_ADDR_EQUAL(&v6, &eks));
}

/* A plain-http name is good when all its addresses are; the first of them is
 * then connected to, so that no second look-up can say otherwise. */
static int check_plain(struct cv_aws_endpoint *e, int64_t deadline, struct cv_error *err)
{
    struct cv_resolved r;
    int rc = cv_resolve(&r, e->host, e->port, CV_RESOLVE_ANY, deadline, err);
    for (size_t i = 0; rc == 0 && i < r.n; i++)
        if (!trusted_address(r.addr[i].host))
            rc = cv_error_set(err, CV_ERR_CONFIG,
                              "AWS_CONTAINER_CREDENTIALS_FULL_URI is plain http to %s, which is "
                              "neither this machine nor a container endpoint",
                              r.addr[i].host);
    if (rc == 0)
        snprintf(e->host, sizeof e->host, "%s", r.addr[0].host);
    return rc;
}

/* Splits URL into endpoint and target. */
static int parse_full(struct cv_aws_endpoint *e, char *target, size_t size, const char *url,
                      struct cv_error *err)
{
    char base[512];
    const char *slashes = strstr(url, "://");
    const char *path = slashes != NULL ? strchr(slashes + 3, '/') : NULL;
    size_t n = path != NULL ? (size_t)(path - url) : strlen(url);
    if (n >= sizeof base || (path != NULL && strlen(path) >= size))
        return cv_error_set(err, CV_ERR_CONFIG, "AWS_CONTAINER_CREDENTIALS_FULL_URI is too long");
    memcpy(base, url, n);
    base[n] = '\0';
    snprintf(target, size, "%s", path != NULL ? path : "/");
    return cv_aws_endpoint_parse(e, base, true, err) == 0 ? 0 : CV_ERR_CONFIG;
}

/* The Authorization header's value; NULL-length when none is asked for. */
static int authorization(struct cv_buf *out, struct cv_error *err)
{
    const char *file = cv_aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *token = cv_aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    if (file != NULL) {
        if (cv_file_read(out, file, err) != 0) {
            cv_error_wrap(err, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
            return CV_ERR_CONFIG;
        }
        while (out->n > 0 && (out->p[out->n - 1] == '\n' || out->p[out->n - 1] == '\r'))
            out->p[--out->n] = '\0';
        if (out->n == 0)
            return cv_error_set(err, CV_ERR_CONFIG,
                                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE is empty");
    } else if (token != NULL && cv_buf_append_str(out, token) != 0) {
        return cv_error_set(err, CV_ERR_CONFIG, "AWS_CONTAINER_AUTHORIZATION_TOKEN is too long");
    }
    for (size_t i = 0; i < out->n; i++)
        if (out->p[i] < 0x20 || out->p[i] == 0x7f)
            return cv_error_set(err, CV_ERR_CONFIG,
                                "the container's authorization token has a line break");
    return 0;
}

int cv_aws_source_container(struct cv_aws_config *c, struct cv_aws_credentials *out,
                            int64_t deadline, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf auth;
    const char *relative = cv_aws_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = cv_aws_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    struct cv_aws_endpoint e;
    struct cv_http_message m;
    char target[1024];
    int rc;
    cv_buf_init(&auth, AUTHORIZATION_MAX);
    if (relative == NULL && full == NULL)
        return cv_error_set(err, CV_ERR_NOT_FOUND, "no container endpoint is set");
    if (relative != NULL) {
        if (*relative != '/' || strlen(relative) >= sizeof target)
            return cv_error_set(err, CV_ERR_CONFIG,
                                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is no path");
        snprintf(target, sizeof target, "%s", relative);
        rc = cv_aws_endpoint_parse(&e, "http://169.254.170.2", true, err);
    } else {
        rc = parse_full(&e, target, sizeof target, full, err);
        if (rc == 0 && !e.tls)
            rc = check_plain(&e, deadline, err);
    }
    if (rc == 0)
        rc = authorization(&auth, err);
    if (rc != 0)
        return rc == CV_ERR_NOT_FOUND ? CV_ERR_CONFIG : rc;
    struct cv_aws_metadata r = {
        .endpoint = &e,
        .method = "GET",
        .target = target,
        .timeout_ms = 2000,
        .attempts = 3,
        .sleep_ms = 1000,
    };
    if (auth.n > 0)
        r.header = (struct cv_http_header){"Authorization", (const char *)auth.p};
    cv_http_message_init(&m, 65536);
    rc = cv_aws_metadata_call(c, &r, &m, deadline, err);
    if (rc == CV_ERR_NOT_FOUND)
        rc = CV_ERR_IO; /* it was asked for: it is not absent */
    if (rc == 0 && m.status != 200)
        rc = cv_error_set(err, CV_ERR_REMOTE, "the endpoint answered HTTP %d", m.status);
    if (rc == 0)
        rc = cv_aws_credentials_from_json(out, cv_buf_view(&m.body), "container endpoint", err);
    if (rc != 0)
        cv_error_wrap(err, "container credentials");
    cv_http_message_free(&m);
    return rc;
}
