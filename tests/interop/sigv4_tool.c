/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signs requests for tests/interop/test_sigv4.py, which recomputes them. One
 * JSON object a line on standard input: {"method", "path", "query": [[n, v] …],
 * "headers": [[n, v] …], "body": base64, "region", "service", "date", "id",
 * "secret", "token"}; one line out: {"target", "authorization"}. And endpoints
 * for test_endpoints.py: {"endpoint": service, "region", "fips", "dual"}; out {"host"}.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/endpoint.h"
#include "aws/sigv4.h"
#include "json/json.h"

#define MAX 40

static const char *text(const json_t *o, const char *key)
{
    const char *v = json_string_value(json_object_get(o, key));
    return v != NULL ? v : "";
}

static size_t pairs(struct cv_aws_param out[MAX], const json_t *list)
{
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n && i < MAX; i++) {
        const json_t *p = json_array_get(list, i);
        out[i].name = json_string_value(json_array_get(p, 0));
        out[i].value = json_string_value(json_array_get(p, 1));
    }
    return n < MAX ? n : MAX;
}

static int answer(const json_t *in)
{
    CV_AWS_CREDENTIALS_AUTO struct cv_aws_credentials creds = CV_AWS_CREDENTIALS_INIT;
    CV_CLEANUP(cv_buf_free) struct cv_buf body, target, auth;
    struct cv_aws_param query[MAX], named[MAX];
    struct cv_http_header headers[MAX];
    struct cv_sigv4_request r = {
        .method = text(in, "method"), .path = text(in, "path"), .query = query, .headers = headers};
    cv_buf_init(&body, 1u << 20);
    cv_buf_init(&target, 65536);
    cv_buf_init(&auth, 65536);
    r.nquery = pairs(query, json_object_get(in, "query"));
    r.nheaders = pairs(named, json_object_get(in, "headers"));
    for (size_t i = 0; i < r.nheaders; i++)
        headers[i] = (struct cv_http_header){named[i].name, named[i].value};
    if (cv_json_get_base64(in, "body", &body, NULL) != 0)
        return 1;
    r.body = cv_buf_view(&body);
    if (cv_aws_credentials_set(&creds, cv_bytes_str(text(in, "id")),
                               cv_bytes_str(text(in, "secret")), cv_bytes_str(text(in, "token")), 0,
                               "test", NULL) != 0 ||
        cv_sigv4_sign(&auth, &creds, text(in, "region"), text(in, "service"), text(in, "date"), &r,
                      NULL) != 0 ||
        cv_aws_encode_target(&target, r.path, query, r.nquery) != 0)
        return 1;
    printf("{\"target\":\"%s\",\"authorization\":\"%s\"}\n", (char *)target.p, (char *)auth.p);
    return fflush(stdout) != 0;
}

static int endpoint(const json_t *in)
{
    struct cv_aws_endpoint e;
    char host[CV_AWS_HOST_MAX] = "";
    unsigned flags = (json_is_true(json_object_get(in, "fips")) ? CV_AWS_FIPS : 0u) |
                     (json_is_true(json_object_get(in, "dual")) ? CV_AWS_DUALSTACK : 0u);
    if (cv_aws_endpoint_compute(&e, text(in, "endpoint"), text(in, "region"), flags, NULL) == 0)
        (void)cv_aws_endpoint_host(host, &e);
    printf("{\"host\":\"%s\"}\n", host);
    return fflush(stdout) != 0;
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    int rc = 0;
    while (rc == 0 && (n = getline(&line, &size, stdin)) > 0) {
        CV_JSON_AUTO json_t *in = NULL;
        rc = cv_json_parse_object(&in, CV_BYTES(line, (size_t)n), 1u << 20, "input", NULL) != 0 ||
             (json_object_get(in, "endpoint") != NULL ? endpoint(in) : answer(in));
    }
    free(line);
    return rc;
}
