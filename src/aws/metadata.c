/* SPDX-License-Identifier: Apache-2.0 */
/* Plain requests to the endpoints that know this machine, and IMDSv2. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/config_private.h"
#include "common/clock.h"

#define IMDS_TTL "21600" /* seconds, the longest */

int cv_aws_metadata_call(struct cv_aws_config *c, const struct cv_aws_metadata *r,
                         struct cv_http_message *m, int64_t deadline, struct cv_error *err)
{
    char host[CV_AWS_HOST_MAX], target[1200];
    struct cv_http_header headers[3] = {
        {"Host", cv_aws_endpoint_host(host, r->endpoint)},
        {"User-Agent", "claviger"},
        r->header,
    };
    struct cv_http_request req = {
        .method = r->method,
        .target = target,
        .headers = headers,
        .nheaders = r->header.name != NULL ? 3 : 2,
    };
    int rc = CV_ERR_INTERNAL;
    snprintf(target, sizeof target, "%s%s", r->endpoint->prefix, r->target);
    for (unsigned i = 0; i < r->attempts; i++) {
        int64_t mine = cv_deadline(r->timeout_ms);
        if (i > 0)
            cv_sleep_ms(r->sleep_ms);
        cv_http_message_free(m);
        rc = c->direct->ops->exchange(c->direct, r->endpoint, &req, m,
                                      mine < deadline ? mine : deadline, err);
        if ((rc == 0 && m->status < 500) || cv_now_ms() >= deadline)
            break;
    }
    return rc;
}

static unsigned number(const struct cv_aws_config *c, const char *env, const char *key,
                       unsigned max)
{
    const char *v = cv_aws_setting(c, env, key);
    unsigned n = 1;
    return v != NULL && cv_aws_number(&n, v, 1, max) ? n : 1;
}

static int imds_endpoint(const struct cv_aws_config *c, struct cv_aws_endpoint *out,
                         struct cv_error *err)
{
    const char *url =
        cv_aws_setting(c, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "ec2_metadata_service_endpoint");
    const char *mode = cv_aws_setting(c, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
                                      "ec2_metadata_service_endpoint_mode");
    const char *off = cv_aws_env("AWS_EC2_METADATA_DISABLED");
    if (off != NULL && strcasecmp(off, "true") == 0)
        return cv_error_set(err, CV_ERR_NOT_FOUND,
                            "IMDS is switched off by AWS_EC2_METADATA_DISABLED");
    if (url == NULL)
        url = mode != NULL && strcasecmp(mode, "ipv6") == 0 ? "http://[fd00:ec2::254]"
                                                            : "http://169.254.169.254";
    return cv_aws_endpoint_parse(out, url, true, err) == 0 ? 0 : CV_ERR_CONFIG;
}

static struct cv_aws_metadata imds_request(const struct cv_aws_config *c,
                                           const struct cv_aws_endpoint *e)
{
    return (struct cv_aws_metadata){
        .endpoint = e,
        .timeout_ms = 1000 * (int64_t)number(c, "AWS_METADATA_SERVICE_TIMEOUT",
                                             "metadata_service_timeout", 60),
        .attempts =
            number(c, "AWS_METADATA_SERVICE_NUM_ATTEMPTS", "metadata_service_num_attempts", 10),
        .sleep_ms = 200,
    };
}

/* Nothing answers: this is no EC2 instance, or it has no metadata. */
static bool unreachable(int code)
{
    return code == CV_ERR_IO || code == CV_ERR_TIMEOUT || code == CV_ERR_NOT_FOUND ||
           code == CV_ERR_CLOSED;
}

static int fetch_token(struct cv_aws_config *c, const struct cv_aws_endpoint *e, int64_t deadline,
                       struct cv_error *err)
{
    struct cv_aws_metadata r = imds_request(c, e);
    struct cv_http_message m;
    cv_http_message_init(&m, CV_AWS_TOKEN_MAX);
    r.method = "PUT";
    r.target = "/latest/api/token";
    r.header = (struct cv_http_header){"x-aws-ec2-metadata-token-ttl-seconds", IMDS_TTL};
    int rc = cv_aws_metadata_call(c, &r, &m, deadline, err);
    if (unreachable(rc)) {
        cv_error_wrap(err, "IMDS does not answer");
        rc = CV_ERR_NOT_FOUND;
    } else if (rc == 0 && m.status != 200) {
        rc = cv_error_set(err, CV_ERR_DENIED, "IMDS gives no IMDSv2 token (HTTP %d)", m.status);
    } else if (rc == 0 && (m.body.n == 0 || strpbrk((const char *)m.body.p, "\r\n \t") != NULL)) {
        rc = cv_error_set(err, CV_ERR_PROTOCOL, "IMDS gave a malformed token");
    }
    if (rc == 0) {
        memcpy(c->imds_token, m.body.p, m.body.n);
        c->imds_token[m.body.n] = '\0';
    }
    cv_http_message_free(&m);
    return rc;
}

static int get_locked(struct cv_aws_config *c, const char *path, struct cv_http_message *m,
                      int64_t deadline, struct cv_error *err)
{
    struct cv_aws_endpoint e;
    int rc = imds_endpoint(c, &e, err);
    if (rc != 0)
        return rc;
    struct cv_aws_metadata r = imds_request(c, &e);
    r.method = "GET";
    r.target = path;
    for (int round = 0; round < 2; round++) {
        if (c->imds_token[0] == '\0' && (rc = fetch_token(c, &e, deadline, err)) != 0)
            return rc;
        r.header = (struct cv_http_header){"x-aws-ec2-metadata-token", c->imds_token};
        rc = cv_aws_metadata_call(c, &r, m, deadline, err);
        if (rc != 0) {
            cv_error_wrap(err, "IMDS");
            return rc == CV_ERR_NOT_FOUND ? CV_ERR_IO : rc;
        }
        if (m->status != 401)
            return 0;
        /* The token is no longer good: once more with a new one. */
        cv_wipe(c->imds_token, sizeof c->imds_token);
    }
    return cv_error_set(err, CV_ERR_DENIED, "IMDS refuses its own token");
}

int cv_aws_imds_get(struct cv_aws_config *c, const char *path, struct cv_http_message *m,
                    int64_t deadline, struct cv_error *err)
{
    pthread_mutex_lock(&c->imds_lock);
    int rc = get_locked(c, path, m, deadline, err);
    pthread_mutex_unlock(&c->imds_lock);
    return rc;
}

#define ROLE_PATH "/latest/meta-data/iam/security-credentials/"

/* The first line of the list, which may become a path. */
static int role_name(char *out, size_t size, const struct cv_http_message *m)
{
    static const char lawful[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+=,.@_-";
    const char *s = m->body.n > 0 ? (const char *)m->body.p : "";
    size_t n = strspn(s, lawful);
    if (n == 0 || n >= size || (s[n] != '\0' && s[n] != '\n' && s[n] != '\r'))
        return CV_ERR_PROTOCOL;
    memcpy(out, s, n);
    out[n] = '\0';
    return 0;
}

int cv_aws_source_imds(struct cv_aws_config *c, struct cv_aws_credentials *out, int64_t deadline,
                       struct cv_error *err)
{
    struct cv_http_message m;
    char role[129], path[256], source[CV_AWS_SOURCE_MAX];
    cv_http_message_init(&m, 65536);
    int rc = cv_aws_imds_get(c, ROLE_PATH, &m, deadline, err);
    if (rc == 0 && m.status == 404)
        rc = cv_error_set(err, CV_ERR_NOT_FOUND, "IMDS: the instance has no role");
    else if (rc == 0 && m.status != 200)
        rc = cv_error_set(err, CV_ERR_REMOTE, "IMDS: asking for the role gave HTTP %d", m.status);
    else if (rc == 0 && role_name(role, sizeof role, &m) != 0)
        rc = cv_error_set(err, CV_ERR_PROTOCOL, "IMDS: the role's name is malformed");
    if (rc == 0) {
        snprintf(path, sizeof path, "%s%s", ROLE_PATH, role);
        snprintf(source, sizeof source, "IMDS, role %s", role);
        rc = cv_aws_imds_get(c, path, &m, deadline, err);
        if (rc == 0 && m.status != 200)
            rc = cv_error_set(err, CV_ERR_REMOTE, "IMDS: credentials of role %s gave HTTP %d", role,
                              m.status);
        if (rc == 0)
            rc = cv_aws_credentials_from_json(out, cv_buf_view(&m.body), source, err);
    }
    cv_http_message_free(&m);
    return rc;
}
