/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/cv_test.h"

#include <stdlib.h>

#include "aws/sigv4.h"

static struct cv_aws_credentials creds;

static int setup(void **state)
{
    (void)state;
    /* The example key of AWS's documentation. */
    return cv_aws_credentials_set(&creds, CV_BYTES_LIT("AKIDEXAMPLE"),
                                  CV_BYTES_LIT("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                                  CV_BYTES(NULL, 0), 0, "test", NULL);
}

static int teardown(void **state)
{
    (void)state;
    cv_aws_credentials_free(&creds);
    return 0;
}

static void signs(const struct cv_sigv4_request *r, const char *service, const char *signature)
{
    struct cv_buf out;
    struct cv_error err;
    cv_error_clear(&err);
    cv_buf_init(&out, 4096);
    assert_code(cv_sigv4_sign(&out, &creds, "us-east-1", service, "20150830T123600Z", r, &err), 0,
                &err);
    if (strstr((char *)out.p, signature) == NULL)
        fail_msg("%s does not hold %s", (char *)out.p, signature);
    cv_buf_free(&out);
}

/* Of AWS's published Signature Version 4 test suite: get-vanilla,
 * post-vanilla, get-vanilla-query-order-key-case. */
static void published_vectors(void **state)
{
    struct cv_http_header h[] = {{"Host", "example.amazonaws.com"}};
    struct cv_aws_param q[] = {{"Param2", "value2"}, {"Param1", "value1"}};
    struct cv_sigv4_request r = {.method = "GET", .path = "/", .headers = h, .nheaders = 1};
    (void)state;
    signs(&r, "service",
          "Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
          "SignedHeaders=host;x-amz-date, "
          "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
    r.method = "POST";
    signs(&r, "service", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
    r.method = "GET";
    r.query = q;
    r.nquery = 2;
    signs(&r, "service", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500");
}

static void target(const char *path, const struct cv_aws_param *q, size_t n, const char *expected)
{
    struct cv_buf out;
    cv_buf_init(&out, 1024);
    assert_int_equal(cv_aws_encode_target(&out, path, q, n), 0);
    assert_string_equal((char *)out.p, expected);
    cv_buf_free(&out);
}

static void targets(void **state)
{
    struct cv_aws_param q[] = {{"b", ""}, {"a b", "x/y=z"}, {"a", "2"}, {"a", "10"}};
    (void)state;
    target("/", NULL, 0, "/");
    target("/k/a b+c=d%25'(1)*!~\xc3\xa9", NULL, 0, "/k/a%20b%2Bc%3Dd%2525%27%281%29%2A%21~%C3%A9");
    target("//a/./../b", NULL, 0, "//a/./../b");
    target("/", q, 4, "/?a=10&a=2&a%20b=x%2Fy%3Dz&b=");
}

static void unlawful(void **state)
{
    struct cv_http_header twice[] = {{"Host", "h"}, {"host", "h"}};
    struct cv_sigv4_request r = {.method = "GET", .path = "/", .headers = twice, .nheaders = 2};
    struct cv_buf out;
    (void)state;
    cv_buf_init(&out, 4096);
    assert_int_equal(cv_sigv4_sign(&out, &creds, "r", "s", "20150830T123600Z", &r, NULL),
                     CV_ERR_INVALID);
    r.nheaders = 1;
    assert_int_equal(cv_sigv4_sign(&out, &creds, "r", "s", "20150830", &r, NULL), CV_ERR_INTERNAL);
    cv_buf_free(&out);
}

/* What was signed is what the checking side expects, for every odd request. */
static void signer_and_checker_agree(void **state)
{
    static const char *const paths[] = {"/", "/a b/c+d", "/%41//x/../y", "/\xe2\x82\xac=&?"};
    static const char *const services[] = {"kms", "s3"};
    struct cv_aws_param q[] = {{"z", "1 2"}, {"a", "&=+%"}, {"list-type", ""}};
    (void)state;
    for (size_t i = 0; i < 8; i++) {
        const char *service = services[i / 4];
        struct cv_http_header h[] = {{"Host", "h.example"}, {"X-Amz-Meta-A", "  two   spaces "}};
        struct cv_sigv4_request r = {
            .method = "PUT",
            .path = paths[i % 4],
            .query = q,
            .nquery = 3,
            .headers = h,
            .nheaders = 2,
            .body = CV_BYTES_LIT("body"),
        };
        struct cv_buf auth, tgt;
        struct cv_http_message m;
        char hex[CV_SHA256_HEX];
        cv_buf_init(&auth, 4096);
        cv_buf_init(&tgt, 4096);
        cv_http_message_init(&m, 100);
        assert_int_equal(
            cv_sigv4_sign(&auth, &creds, "eu-west-1", service, "20261129T062512Z", &r, NULL), 0);
        assert_int_equal(cv_aws_encode_target(&tgt, r.path, q, 3), 0);
        m.method = "PUT";
        m.target = (char *)tgt.p;
        m.headers[0] = h[0];
        m.headers[1] = h[1];
        m.headers[2] = (struct cv_http_header){"x-amz-date", "20261129T062512Z"};
        m.nheaders = 3;
        assert_int_equal(cv_buf_append_str(&m.body, "body"), 0);
        assert_int_equal(cv_sigv4_expected(hex, cv_secret_view(&creds.secret_access_key),
                                           "eu-west-1", service, "20261129T062512Z",
                                           "host;x-amz-date;x-amz-meta-a", &m, NULL),
                         0);
        assert_non_null(strstr((char *)auth.p, hex));
        assert_int_equal(cv_sigv4_expected(hex, cv_secret_view(&creds.secret_access_key),
                                           "eu-west-1", service, "20261129T062512Z", "x-amz-date",
                                           &m, NULL),
                         CV_ERR_INVALID);
        m.headers[3] = (struct cv_http_header){
            "x-amz-content-sha256",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"};
        m.nheaders = 4;
        assert_int_equal(cv_sigv4_expected(hex, cv_secret_view(&creds.secret_access_key),
                                           "eu-west-1", service, "20261129T062512Z", "host", &m,
                                           NULL),
                         CV_ERR_CRYPTO);
        cv_buf_free(&auth);
        cv_buf_free(&tgt);
        cv_http_message_free(&m);
    }
}

static void credentials(void **state)
{
    struct cv_aws_credentials c = CV_AWS_CREDENTIALS_INIT, d = CV_AWS_CREDENTIALS_INIT;
    struct cv_error err;
    (void)state;
    cv_error_clear(&err);
    assert_code(cv_aws_credentials_set(&c, CV_BYTES_LIT(""), CV_BYTES_LIT("s"), CV_BYTES(NULL, 0),
                                       0, "x", &err),
                CV_ERR_INVALID, &err);
    assert_code(cv_aws_credentials_set(&c, CV_BYTES_LIT("a/b"), CV_BYTES_LIT("s"),
                                       CV_BYTES(NULL, 0), 0, "x", &err),
                CV_ERR_INVALID, &err);
    assert_code(cv_aws_credentials_set(&c, CV_BYTES_LIT("a"), CV_BYTES_LIT("s\n"),
                                       CV_BYTES(NULL, 0), 0, "x", &err),
                CV_ERR_INVALID, &err);
    assert_code(cv_aws_credentials_set(&c, CV_BYTES_LIT("a"), CV_BYTES_LIT("s"),
                                       CV_BYTES_LIT("t\r\nX: y"), 0, "x", &err),
                CV_ERR_INVALID, &err);
    unsetenv("AWS_SESSION_TOKEN");
    unsetenv("AWS_SECURITY_TOKEN");
    unsetenv("AWS_CREDENTIAL_EXPIRATION");
    setenv("AWS_ACCESS_KEY_ID", "", 1);
    unsetenv("AWS_SECRET_ACCESS_KEY");
    assert_code(cv_aws_credentials_from_env(&c, &err), CV_ERR_NOT_FOUND, &err);
    setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
    assert_code(cv_aws_credentials_from_env(&c, &err), CV_ERR_CONFIG, &err);
    assert_says(&err, "AWS_SECRET_ACCESS_KEY");
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    setenv("AWS_SECURITY_TOKEN", "old", 1);
    setenv("AWS_CREDENTIAL_EXPIRATION", "2026-11-29T06:25:12Z", 1);
    assert_code(cv_aws_credentials_from_env(&c, &err), 0, &err);
    assert_int_equal(c.session_token.n, 3);
    assert_true(c.expires_ms == 1795933512000);
    assert_int_equal(cv_aws_credentials_copy(&d, &c), 0);
    assert_true(cv_secret_equal(&c.secret_access_key, &d.secret_access_key));
    assert_string_equal(d.source, "environment");
    cv_aws_credentials_free(&c);
    cv_aws_credentials_free(&d);
    cv_aws_credentials_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors), cmocka_unit_test(targets),
        cmocka_unit_test(unlawful),          cmocka_unit_test(signer_and_checker_agree),
        cmocka_unit_test(credentials),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
