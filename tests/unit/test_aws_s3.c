/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of objects, and where they are asked for. */
#include "unit/cv_test.h"

#include <stdlib.h>

#include "aws/s3.h"
#include "common/clock.h"

static void addresses(void **state)
{
    static const struct {
        const char *text, *bucket, *key, *version;
    } good[] = {
        {"s3://abc/k", "abc", "k", ""},
        {"s3://my-bucket.2/a/b c/d", "my-bucket.2", "a/b c/d", ""},
        {"s3://abc/k?versionId=v/1+=", "abc", "k", "v/1+="},
        {"s3://abc//k", "abc", "/k", ""},
        {"s3://abc/k?x=y", "abc", "k?x=y", ""},
        {"s3://abc/\xe2\x82\xac", "abc", "\xe2\x82\xac", ""},
    };
    static const char *const bad[] = {
        "",
        "s3:",
        "s3://",
        "s3://abc",
        "s3://abc/",
        "s3://ab/k",
        "s3:///k",
        "S3://abc/k",
        "https://abc/k",
        "s3://ABC/k",
        "s3://-abc/k",
        "s3://abc-/k",
        "s3://a..b/k",
        "s3://a_b/k",
        "s3://abc/?versionId=x",
        "s3://abc/k?versionId=",
        "s3://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/k",
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct cv_s3_uri u;
        struct cv_error err;
        cv_error_clear(&err);
        assert_code(cv_s3_uri_parse(&u, good[i].text, &err), 0, &err);
        assert_string_equal(u.bucket, good[i].bucket);
        assert_string_equal(u.key, good[i].key);
        assert_string_equal(u.version, good[i].version);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cv_s3_uri u;
        assert_int_equal(cv_s3_uri_parse(&u, bad[i], NULL), CV_ERR_INVALID);
    }
    char *longest = malloc(2000);
    memset(longest, 'k', 2000);
    memcpy(longest, "s3://abc/", 9);
    struct cv_s3_uri u;
    longest[9 + CV_S3_KEY_MAX] = '\0';
    assert_int_equal(cv_s3_uri_parse(&u, longest, NULL), 0);
    longest[9 + CV_S3_KEY_MAX] = 'k';
    longest[10 + CV_S3_KEY_MAX] = '\0';
    assert_int_equal(cv_s3_uri_parse(&u, longest, NULL), CV_ERR_INVALID);
    free(longest);
}

/* A transport that notes where a request would have gone. */
static char host[300], target[2100];

static int note(struct cv_aws_transport *t, const struct cv_aws_endpoint *e,
                const struct cv_http_request *r, struct cv_http_message *m, int64_t deadline,
                struct cv_error *err)
{
    (void)t, (void)m, (void)deadline;
    snprintf(host, sizeof host, "%s", e->host);
    snprintf(target, sizeof target, "%s", r->target);
    for (size_t i = 0; i < r->nheaders; i++)
        if (strcmp(r->headers[i].name, "Host") == 0)
            assert_string_equal(r->headers[i].value, host);
    return cv_error_set(err, CV_ERR_DENIED, "noted");
}

static void goes_to(const char *region, const char *endpoint, const char *uri, const char *where,
                    const char *what)
{
    static const struct cv_aws_transport_ops ops = {note, NULL};
    struct cv_aws_transport t = {&ops};
    struct cv_aws_endpoint e;
    struct cv_aws_client_config config = {.service = "s3", .region = region, .transport = &t};
    struct cv_aws_client *s3;
    struct cv_http_message m;
    struct cv_s3_uri u;
    if (endpoint != NULL) {
        assert_int_equal(cv_aws_endpoint_parse(&e, endpoint, false, NULL), 0);
        config.endpoint = &e;
    }
    assert_int_equal(cv_aws_client_new(&s3, &config, NULL), 0);
    assert_int_equal(cv_s3_uri_parse(&u, uri, NULL), 0);
    assert_int_equal(cv_s3_get(s3, &u, &m, NULL, cv_deadline(1000), NULL), CV_ERR_DENIED);
    cv_http_message_free(&m);
    cv_aws_client_free(&s3);
    assert_string_equal(host, where);
    assert_string_equal(target, what);
}

static void virtual_hosts_and_paths(void **state)
{
    (void)state;
    goes_to("eu-west-1", NULL, "s3://abc/a b/c", "abc.s3.eu-west-1.amazonaws.com", "/a%20b/c");
    goes_to("eu-west-1", NULL, "s3://a.b.c/k", "s3.eu-west-1.amazonaws.com", "/a.b.c/k");
    goes_to("cn-north-1", NULL, "s3://abc/k?versionId=x+/", "abc.s3.cn-north-1.amazonaws.com.cn",
            "/k?versionId=x%2B%2F");
    goes_to("eu-west-1", "https://s3.example/base", "s3://abc/./k", "s3.example", "/base/abc/./k");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(addresses),
                                       cmocka_unit_test(virtual_hosts_and_paths)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
