/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/cv_test.h"

#include "aws/endpoint.h"

/* Hosts as in botocore's endpoints.json. */
static void computed(void **state)
{
    static const struct {
        const char *service, *region;
        unsigned flags;
        const char *host;
    } t[] = {
        {"kms", "us-west-2", 0, "kms.us-west-2.amazonaws.com"},
        {"kms", "us-west-2", CV_AWS_FIPS, "kms-fips.us-west-2.amazonaws.com"},
        {"kms", "us-west-2", CV_AWS_DUALSTACK, "kms.us-west-2.api.aws"},
        {"kms", "us-west-2", CV_AWS_DUALSTACK | CV_AWS_FIPS, "kms-fips.us-west-2.api.aws"},
        {"kms", "cn-north-1", 0, "kms.cn-north-1.amazonaws.com.cn"},
        {"kms", "us-gov-west-1", 0, "kms.us-gov-west-1.amazonaws.com"},
        {"kms", "us-iso-east-1", 0, "kms.us-iso-east-1.c2s.ic.gov"},
        {"kms", "us-isob-east-1", 0, "kms.us-isob-east-1.sc2s.sgov.gov"},
        {"dynamodb", "eu-central-1", 0, "dynamodb.eu-central-1.amazonaws.com"},
        {"s3", "eu-central-1", CV_AWS_DUALSTACK, "s3.dualstack.eu-central-1.amazonaws.com"},
        {"s3", "eu-central-1", CV_AWS_DUALSTACK | CV_AWS_FIPS,
         "s3-fips.dualstack.eu-central-1.amazonaws.com"},
        {"s3", "cn-north-1", 0, "s3.cn-north-1.amazonaws.com.cn"},
        {"sts", "mx-central-1", 0, "sts.mx-central-1.amazonaws.com"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct cv_aws_endpoint e;
        char host[CV_AWS_HOST_MAX];
        assert_int_equal(cv_aws_endpoint_compute(&e, t[i].service, t[i].region, t[i].flags, NULL),
                         0);
        assert_string_equal(cv_aws_endpoint_host(host, &e), t[i].host);
        assert_true(e.tls && e.port == 443 && !e.custom);
    }
    static const char *const bad[] = {"",    "US-EAST-1", "us.east", "us-east-1/",
                                      "-us", "us-",       "us east", "a@b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cv_aws_endpoint e;
        assert_int_equal(cv_aws_endpoint_compute(&e, "kms", bad[i], 0, NULL), CV_ERR_INVALID);
    }
    struct cv_aws_endpoint e;
    assert_int_equal(cv_aws_endpoint_compute(&e, "kms", "us-iso-east-1", CV_AWS_DUALSTACK, NULL),
                     CV_ERR_UNSUPPORTED);
    assert_string_equal(cv_aws_partition("us-gov-east-1"), "aws-us-gov");
}

static void given(void **state)
{
    static const struct {
        const char *url, *host, *prefix;
        unsigned port;
    } t[] = {
        {"https://kms.example", "kms.example", "", 443},
        {"https://kms.example/", "kms.example", "", 443},
        {"https://127.0.0.1:8443", "127.0.0.1:8443", "", 8443},
        {"https://[::1]:8443/a/b/", "[::1]:8443", "/a/b", 8443},
        {"http://localhost:4566", "localhost:4566", "", 4566},
    };
    static const char *const bad[] = {
        "",
        "kms.example",
        "ftp://x",
        "https://",
        "https://u:p@x",
        "https://x?y",
        "https://x/#y",
        "https://x/a b",
        "https://x:0",
        "https://x:99999",
        "https://x/../y",
        "https://x//y",
        "https://x y",
        "https://::1",
        "https:///x",
    };
    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct cv_aws_endpoint e;
        char host[CV_AWS_HOST_MAX];
        assert_int_equal(cv_aws_endpoint_parse(&e, t[i].url, true, NULL), 0);
        assert_string_equal(cv_aws_endpoint_host(host, &e), t[i].host);
        assert_string_equal(e.prefix, t[i].prefix);
        assert_int_equal(e.port, t[i].port);
        assert_true(e.custom);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cv_aws_endpoint e;
        struct cv_error err;
        cv_error_clear(&err);
        assert_code(cv_aws_endpoint_parse(&e, bad[i], true, &err), CV_ERR_INVALID, &err);
        assert_says(&err, "endpoint");
    }
    struct cv_aws_endpoint e;
    assert_int_equal(cv_aws_endpoint_parse(&e, "http://localhost", false, NULL), CV_ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(computed), cmocka_unit_test(given)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
