/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/cv_test.h"

#include "aws/error.h"
#include "aws/retry.h"

static void decode(struct cv_aws_error *e, int status, const char *body, const char *type)
{
    struct cv_http_message m;
    cv_http_message_init(&m, 100000);
    m.status = status;
    m.headers[0] = (struct cv_http_header){"x-amzn-RequestId", "req-1"};
    m.headers[1] = (struct cv_http_header){"x-amzn-ErrorType", type};
    m.nheaders = type != NULL ? 2 : 1;
    assert_int_equal(cv_buf_append_str(&m.body, body), 0);
    cv_aws_error_decode(e, &m);
    cv_http_message_free(&m);
}

static void shapes(void **state)
{
    static const struct {
        int status;
        const char *body, *type, *code, *message;
        enum cv_aws_error_class class;
        int ours;
    } t[] = {
        {400, "{\"__type\":\"AccessDeniedException\",\"Message\":\"no\"}", NULL,
         "AccessDeniedException", "no", CV_AWS_FINAL, CV_ERR_DENIED},
        {400, "{\"__type\":\"InvalidCiphertextException\"}", NULL, "InvalidCiphertextException", "",
         CV_AWS_FINAL, CV_ERR_REMOTE},
        {400,
         "{\"__type\":\"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException\",\"message\":\"m\"}",
         NULL, "ResourceNotFoundException", "m", CV_AWS_FINAL, CV_ERR_NOT_FOUND},
        {400, "{\"message\":\"slow\"}", "ThrottlingException:http://x", "ThrottlingException",
         "slow", CV_AWS_THROTTLE, CV_ERR_THROTTLED},
        {500, "{\"__type\":\"KMSInternalException\"}", NULL, "KMSInternalException", "",
         CV_AWS_TRANSIENT, CV_ERR_REMOTE},
        {400, "{\"__type\":\"ExpiredTokenException\"}", NULL, "ExpiredTokenException", "",
         CV_AWS_CREDENTIALS, CV_ERR_DENIED},
        {400,
         "{\"__type\":\"InvalidSignatureException\",\"message\":\"Signature expired: 1 is now earlier than 2\"}",
         NULL, "InvalidSignatureException", "Signature expired: 1 is now earlier than 2",
         CV_AWS_CLOCK_SKEW, CV_ERR_DENIED},
        {400,
         "{\"__type\":\"InvalidSignatureException\",\"message\":\"The request signature we calculated does not match\"}",
         NULL, "InvalidSignatureException", "The request signature we calculated does not match",
         CV_AWS_FINAL, CV_ERR_DENIED},
        {403,
         "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>a &lt;b&gt; &amp;amp;</Message></Error>",
         NULL, "AccessDenied", "a <b> &amp;", CV_AWS_FINAL, CV_ERR_DENIED},
        {403,
         "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code><Message>x</Message></Error></ErrorResponse>",
         NULL, "InvalidClientTokenId", "x", CV_AWS_CREDENTIALS, CV_ERR_DENIED},
        {503, "<html>down</html>", NULL, "", "<html>down</html>", CV_AWS_TRANSIENT, CV_ERR_REMOTE},
        {502, "", NULL, "", "", CV_AWS_TRANSIENT, CV_ERR_REMOTE},
        {404, "", NULL, "", "", CV_AWS_FINAL, CV_ERR_NOT_FOUND},
        {400, "{\"__type\":\"bad name\\nX\"}", NULL, "bad", "", CV_AWS_FINAL, CV_ERR_REMOTE},
        {400, "{\"__type\":7}", NULL, "", "", CV_AWS_FINAL, CV_ERR_REMOTE},
        {429, "[]", NULL, "", "[]", CV_AWS_THROTTLE, CV_ERR_THROTTLED},
        {400, "\x01\xff", NULL, "", "\\x01\\xff", CV_AWS_FINAL, CV_ERR_REMOTE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct cv_aws_error e;
        char text[600];
        decode(&e, t[i].status, t[i].body, t[i].type);
        assert_string_equal(e.code, t[i].code);
        assert_string_equal(e.message, t[i].message);
        assert_string_equal(e.request_id, "req-1");
        assert_int_equal(cv_aws_error_classify(&e), t[i].class);
        assert_int_equal(cv_aws_error_code(&e), t[i].ours);
        assert_non_null(strstr(cv_aws_error_format(text, sizeof text, &e), "request id req-1"));
    }
}

static void dates(void **state)
{
    int64_t ms;
    (void)state;
    assert_int_equal(cv_http_date_parse(&ms, "Sun, 06 Nov 1994 08:49:37 GMT"), 0);
    assert_true(ms == 784111777000);
    static const char *const bad[] = {
        "",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun, 06 Nov 1994 28:49:37 GMT",
        "Sun, 06 anF 1994 08:49:37 GMT",
        "Sun, 66 Nov 1994 08:49:37 GMT",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(cv_http_date_parse(&ms, bad[i]), CV_ERR_INVALID);
}

static void backoff_and_bucket(void **state)
{
    struct cv_http_message m;
    struct cv_aws_bucket b;
    bool varied = false;
    (void)state;
    cv_http_message_init(&m, 10);
    for (unsigned i = 0; i < 200; i++) {
        int64_t w = cv_aws_backoff(i % 12, 1000, NULL);
        assert_in_range(w, 0, CV_AWS_BACKOFF_MAX - 1);
        if (i % 12 == 0)
            assert_in_range(w, 0, 999);
        varied = varied || w != cv_aws_backoff(i % 12, 1000, NULL);
    }
    assert_true(varied);
    m.nheaders = 1;
    m.headers[0] = (struct cv_http_header){"Retry-After", "3"};
    assert_in_range(cv_aws_backoff(0, 10, &m), 3000, 3000);
    m.headers[0] = (struct cv_http_header){"x-amz-retry-after", "700"};
    assert_in_range(cv_aws_backoff(0, 10, &m), 700, 700);
    m.headers[0] = (struct cv_http_header){"Retry-After", "999999"};
    assert_in_range(cv_aws_backoff(0, 10, &m), CV_AWS_HINT_MAX, CV_AWS_HINT_MAX);
    m.headers[0] = (struct cv_http_header){"Retry-After", "soon"};
    assert_in_range(cv_aws_backoff(0, 10, &m), 0, 10);
    cv_aws_bucket_init(&b);
    for (int i = 0; i < CV_AWS_TOKENS / CV_AWS_RETRY_COST; i++)
        assert_true(cv_aws_bucket_take(&b, CV_AWS_RETRY_COST));
    assert_false(cv_aws_bucket_take(&b, CV_AWS_RETRY_COST));
    cv_aws_bucket_give(&b, CV_AWS_RETRY_COST);
    assert_true(cv_aws_bucket_take(&b, CV_AWS_RETRY_COST));
    cv_aws_bucket_give(&b, 10000);
    assert_int_equal(b.tokens, CV_AWS_TOKENS);
    cv_aws_bucket_destroy(&b);
    cv_http_message_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes),
        cmocka_unit_test(dates),
        cmocka_unit_test(backoff_and_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
