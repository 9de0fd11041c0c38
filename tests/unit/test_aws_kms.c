/* SPDX-License-Identifier: Apache-2.0 */
/* The KMS client over the stream transport against a scripted KMS. */
#include "unit/cv_test.h"

#include "aws/kms.h"
#include "unit/fake_http.h"
#include "unit/pki.h"

#define ARN "arn:aws:kms:us-east-1:111122223333:key/771dfdac-e8e9-4f40-9747-f56d0911fce4"
#define OK_ENCRYPT      \
    "{\"KeyId\":\"" ARN \
    "\",\"CiphertextBlob\":\"AQID\",\"EncryptionAlgorithm\":\"SYMMETRIC_DEFAULT\"}"
#define OK_DECRYPT "{\"KeyId\":\"" ARN "\",\"Plaintext\":\"c2VjcmV0\"}"
#define OK_ATTESTED "{\"KeyId\":\"" ARN "\",\"Plaintext\":null,\"CiphertextForRecipient\":\"Q01T\"}"

static char ca_file[] = "/tmp/cv-kms-ca-XXXXXX";

static int make_ca(void **state)
{
    struct pki_cert ca = pki_make(NULL, "CA", NULL, -100, 100000);
    struct cv_buf pem;
    int fd = mkstemp(ca_file);
    (void)state;
    pki_cert_pem(&pem, &ca);
    int rc = fd < 0 || write(fd, pem.p, pem.n) != (ssize_t)pem.n;
    close(fd);
    cv_buf_free(&pem);
    pki_free(&ca);
    return rc;
}

static int remove_ca(void **state)
{
    (void)state;
    return unlink(ca_file);
}

/* Steps of a script. */
#define OK                                \
    {                                     \
        .status = 200, .body = OK_ENCRYPT \
    }
#define THROTTLE                                                                     \
    {                                                                                \
        .status = 400,                                                               \
        .body = "{\"__type\":\"ThrottlingException\",\"message\":\"Rate exceeded\"}" \
    }

struct fixture {
    struct fake_http server;
    struct cv_aws_transport *transport;
    struct cv_aws_provider *provider;
    struct cv_kms *kms;
    struct cv_kms_result r;
    struct cv_error err;
};

static void start(struct fixture *f, const struct fake_step *steps, size_t n)
{
    CV_AWS_CREDENTIALS_AUTO struct cv_aws_credentials c = CV_AWS_CREDENTIALS_INIT;
    struct cv_aws_endpoint e;
    memset(f, 0, sizeof *f);
    cv_error_clear(&f->err);
    assert_int_equal(fake_start(&f->server, steps, n), 0);
    assert_code(cv_aws_stream_new(&f->transport, &f->server.l.addr, ca_file, &f->err), 0, &f->err);
    assert_int_equal(cv_aws_credentials_set(&c, CV_BYTES_LIT("AKIDEXAMPLE"), CV_BYTES_LIT("secret"),
                                            CV_BYTES_LIT("token"), 0, "test", NULL),
                     0);
    assert_int_equal(cv_aws_provider_static(&f->provider, &c, NULL), 0);
    assert_int_equal(cv_aws_endpoint_parse(&e, "http://kms.us-east-1.amazonaws.com", true, NULL),
                     0);
    struct cv_kms_config config = {
        .region = "us-east-1",
        .endpoint = &e,
        .transport = f->transport,
        .provider = f->provider,
        .attempt_ms = 300,
        .retry_base_ms = 5,
    };
    assert_int_equal(cv_kms_new(&f->kms, &config, NULL), 0);
    cv_kms_result_init(&f->r);
}

static void stop(struct fixture *f)
{
    fake_stop(&f->server);
    fake_free(&f->server);
    cv_kms_result_free(&f->r);
    cv_kms_free(&f->kms);
    cv_aws_transport_free(&f->transport);
    cv_aws_provider_free(&f->provider);
}

static int encrypt(struct fixture *f)
{
    return cv_kms_encrypt(f->kms, "alias/x", CV_BYTES_LIT("plain"), NULL, &f->r, cv_deadline(5000),
                          &f->err);
}

static unsigned documents;

static int document(void *ctx, struct cv_buf *out, struct cv_error *err)
{
    (void)ctx, (void)err;
    return cv_buf_printf(out, "doc%u", ++documents);
}

static int unwrap(void *ctx, struct cv_secret *out, struct cv_bytes cms, struct cv_error *err)
{
    (void)ctx;
    if (!cv_bytes_equal_str(cms, "CMS"))
        return cv_error_set(err, CV_ERR_CRYPTO, "wrong CMS");
    return cv_secret_copy(out, "opened!", 7);
}

static const struct cv_kms_recipient recipient = {NULL, document, unwrap};

static void the_request_is_what_kms_wants(void **state)
{
    static const struct fake_step steps[] = {
        {.status = 200, .body = OK_ENCRYPT},
        {.status = 200, .body = OK_DECRYPT},
        {.status = 200, .body = OK_ATTESTED},
    };
    struct cv_aws_param pairs[] = {{"purpose", "a\"b\\c"}, {"n", ""}};
    struct cv_kms_context context = {pairs, 2};
    struct fixture f;
    (void)state;
    documents = 0;
    start(&f, steps, 3);
    assert_code(cv_kms_encrypt(f.kms, "alias/x", CV_BYTES_LIT("plain"), &context, &f.r,
                               cv_deadline(5000), &f.err),
                0, &f.err);
    assert_string_equal(f.r.key_id, ARN);
    assert_int_equal(f.r.ciphertext.n, 3);
    assert_string_equal(f.r.request_id, "fake-id");
    assert_code(cv_kms_decrypt(f.kms, ARN, CV_BYTES_LIT("\1\2\3"), NULL, NULL, &f.r,
                               cv_deadline(5000), &f.err),
                0, &f.err);
    assert_int_equal(f.r.plaintext.n, 6);
    assert_memory_equal(f.r.plaintext.p, "secret", 6);
    assert_int_equal(f.r.ciphertext.n, 0);
    assert_code(cv_kms_decrypt(f.kms, NULL, CV_BYTES_LIT("\1\2\3"), NULL, &recipient, &f.r,
                               cv_deadline(5000), &f.err),
                0, &f.err);
    assert_memory_equal(f.r.plaintext.p, "opened!", 7);
    fake_stop(&f.server);
    assert_string_equal(f.server.amz_target[0], "TrentService.Encrypt");
    assert_string_equal(f.server.target[0], "/");
    assert_string_equal(f.server.token[0], "token");
    assert_non_null(strstr(
        f.server.authorization[0],
        "/us-east-1/kms/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target,"));
    assert_string_equal(
        f.server.body[0],
        "{\"KeyId\":\"alias/x\",\"Plaintext\":\"cGxhaW4=\",\"EncryptionContext\":{\"purpose\":\"a\\\"b\\\\c\",\"n\":\"\"}}");
    assert_string_equal(f.server.body[1], "{\"KeyId\":\"" ARN "\",\"CiphertextBlob\":\"AQID\"}");
    assert_string_equal(
        f.server.body[2],
        "{\"CiphertextBlob\":\"AQID\",\"Recipient\":{\"KeyEncryptionAlgorithm\":\"RSAES_OAEP_SHA_256\",\"AttestationDocument\":\"ZG9jMQ==\"}}");
    assert_int_equal(f.server.connections, 1); /* kept alive */
    stop(&f);
}

static void generate_requests(void **state)
{
    static const struct fake_step steps[] = {
        {.status = 200,
         .body = "{\"KeyId\":\"" ARN
                 "\",\"CiphertextBlob\":\"AQID\",\"Plaintext\":\"MDEyMzQ1Njc4OWFiY2RlZg==\"}"},
        {.status = 200, .body = "{\"Plaintext\":\"AAAA\"}"},
        {.status = 200,
         .body = "{\"KeyMetadata\":{\"Arn\":\"" ARN
                 "\",\"Enabled\":true,\"KeySpec\":\"SYMMETRIC_DEFAULT\"}}"},
    };
    struct fixture f;
    (void)state;
    start(&f, steps, 3);
    assert_code(
        cv_kms_generate_data_key(f.kms, ARN, 16, NULL, NULL, &f.r, cv_deadline(5000), &f.err), 0,
        &f.err);
    assert_int_equal(f.r.plaintext.n, 16);
    assert_int_equal(f.r.ciphertext.n, 3);
    assert_code(cv_kms_generate_random(f.kms, 3, NULL, &f.r, cv_deadline(5000), &f.err), 0, &f.err);
    assert_int_equal(f.r.plaintext.n, 3);
    assert_code(cv_kms_describe_key(f.kms, "alias/x", &f.r, cv_deadline(5000), &f.err), 0, &f.err);
    assert_string_equal(f.r.key_id, ARN);
    assert_true(f.r.enabled);
    fake_stop(&f.server);
    assert_string_equal(f.server.body[0], "{\"KeyId\":\"" ARN "\",\"KeySpec\":\"AES_128\"}");
    assert_string_equal(f.server.body[1], "{\"NumberOfBytes\":3}");
    assert_string_equal(f.server.amz_target[2], "TrentService.DescribeKey");
    stop(&f);
}

/* Steps that end well, and how many requests that takes. */
static void retries(void **state)
{
    static const struct {
        struct fake_step steps[3];
        size_t n;
    } t[] = {
        {{THROTTLE, THROTTLE, OK}, 3},
        {{{.status = 500, .body = "{\"__type\":\"KMSInternalException\"}"}, OK}, 2},
        {{{.status = 503, .body = "<html>busy</html>"}, OK}, 2},
        {{{.status = 502}, {.status = 504}, OK}, 3},
        {{{.status = 200, .body = "{\"KeyId\":", .mode = FAKE_HALF}, OK}, 2},
        {{{.mode = FAKE_CLOSE}, OK}, 2},
        {{{.mode = FAKE_STALL}, OK}, 2},
        {{{.mode = FAKE_RAW, .body = "HTTP/1.1 20"}, OK}, 2},
        {{{.status = 400,
           .body =
               "{\"__type\":\"InvalidSignatureException\",\"message\":\"Signature expired: a is now earlier than b\"}",
           .header = {"Date", "Sun, 06 Nov 2033 08:49:37 GMT"}},
          OK},
         2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct fixture f;
        start(&f, t[i].steps, t[i].n);
        assert_code(encrypt(&f), 0, &f.err);
        assert_int_equal(f.server.requests, t[i].n);
        if (i == 8) {
            /* The clock was corrected, for the next call too. */
            assert_memory_equal(f.server.date[0], "20", 2);
            assert_memory_equal(f.server.date[1], "20331106T08", 11);
        }
        stop(&f);
    }
}

static void final_errors(void **state)
{
    static const struct {
        struct fake_step step;
        int code;
        const char *says;
    } t[] = {
        {{.status = 400,
          .body =
              "{\"__type\":\"AccessDeniedException\",\"Message\":\"not authorized to perform kms:Encrypt\"}"},
         CV_ERR_DENIED,
         "KMS Encrypt: AccessDeniedException (HTTP 400, request id fake-id): not authorized"},
        {{.status = 400, .body = "{\"__type\":\"NotFoundException\"}"},
         CV_ERR_NOT_FOUND,
         "NotFoundException"},
        {{.status = 400, .body = "{\"__type\":\"ValidationException\"}"},
         CV_ERR_REMOTE,
         "ValidationException"},
        {{.status = 400, .body = "{\"__type\":\"UnrecognizedClientException\"}"},
         CV_ERR_DENIED,
         "UnrecognizedClientException"},
        {{.status = 403, .body = "<html>proxy says no</html>"}, CV_ERR_DENIED, "proxy says no"},
        {{.status = 302, .body = ""}, CV_ERR_REMOTE, "HTTP 302"},
        {{.mode = FAKE_RAW, .body = "SSH-2.0-OpenSSH_9\r\n\r\n\r\n"},
         CV_ERR_PROTOCOL,
         "malformed HTTP"},
        {{.status = 200, .body = "not json"}, CV_ERR_PROTOCOL, "no JSON object"},
        {{.status = 200, .body = "[]"}, CV_ERR_PROTOCOL, "no JSON object"},
        {{.status = 200, .body = "{\"CiphertextBlob\":\"AQID\"}"}, CV_ERR_PROTOCOL, "no KeyId"},
        {{.status = 200, .body = "{\"KeyId\":7,\"CiphertextBlob\":\"AQID\"}"},
         CV_ERR_PROTOCOL,
         "no KeyId"},
        {{.status = 200, .body = "{\"KeyId\":\"" ARN "\"}"}, CV_ERR_PROTOCOL, "no CiphertextBlob"},
        {{.status = 200, .body = "{\"KeyId\":\"" ARN "\",\"CiphertextBlob\":\"AQI\"}"},
         CV_ERR_PROTOCOL,
         "no CiphertextBlob"},
        {{.status = 200,
          .body = "{\"KeyId\":\"" ARN "\",\"KeyId\":\"x\",\"CiphertextBlob\":\"AQID\"}"},
         CV_ERR_PROTOCOL,
         "no JSON object"},
        {{.status = 200, .body = ""}, CV_ERR_PROTOCOL, "no JSON object"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct fake_step steps[2] = {t[i].step, {.status = 200, .body = OK_ENCRYPT}};
        struct fixture f;
        start(&f, steps, 2);
        assert_code(encrypt(&f), t[i].code, &f.err);
        assert_says(&f.err, t[i].says);
        assert_says(&f.err, "KMS Encrypt");
        assert_int_equal(f.server.requests, 1);
        assert_int_equal(f.r.ciphertext.n, 0);
        stop(&f);
    }
}

/* A Recipient was sent: nothing but its CMS is accepted. */
static void attested_replies(void **state)
{
    static const struct {
        const char *body;
        int code;
        const char *says;
    } t[] = {
        {"{\"KeyId\":\"" ARN "\",\"Plaintext\":\"c2VjcmV0\"}", CV_ERR_PROTOCOL,
         "Plaintext although a Recipient"},
        {"{\"KeyId\":\"" ARN "\",\"Plaintext\":\"c2VjcmV0\",\"CiphertextForRecipient\":\"Q01T\"}",
         CV_ERR_PROTOCOL, "Plaintext although a Recipient"},
        {"{\"KeyId\":\"" ARN "\",\"Plaintext\":[1],\"CiphertextForRecipient\":\"Q01T\"}",
         CV_ERR_PROTOCOL, "Plaintext although a Recipient"},
        {"{\"KeyId\":\"" ARN "\"}", CV_ERR_PROTOCOL, "no CiphertextForRecipient"},
        {"{\"KeyId\":\"" ARN "\",\"CiphertextForRecipient\":\"\"}", CV_ERR_PROTOCOL,
         "no CiphertextForRecipient"},
        {"{\"KeyId\":\"" ARN "\",\"CiphertextForRecipient\":\"!!!!\"}", CV_ERR_PROTOCOL,
         "no CiphertextForRecipient"},
        {"{\"KeyId\":\"" ARN "\",\"CiphertextForRecipient\":\"AAAA\"}", CV_ERR_CRYPTO,
         "opening CiphertextForRecipient"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct fake_step steps[2] = {{.status = 200, .body = t[i].body},
                                     {.status = 200, .body = OK_ATTESTED}};
        struct fixture f;
        start(&f, steps, 2);
        assert_code(cv_kms_decrypt(f.kms, NULL, CV_BYTES_LIT("x"), NULL, &recipient, &f.r,
                                   cv_deadline(5000), &f.err),
                    t[i].code, &f.err);
        assert_says(&f.err, t[i].says);
        assert_int_equal(f.r.plaintext.n, 0);
        assert_null(f.r.plaintext.p);
        assert_int_equal(f.server.requests, 1);
        stop(&f);
    }
    /* A wrong length of a data key. */
    struct fake_step step = {
        .status = 200,
        .body = "{\"KeyId\":\"" ARN
                "\",\"CiphertextBlob\":\"AQID\",\"CiphertextForRecipient\":\"Q01T\"}"};
    struct fixture f;
    start(&f, &step, 1);
    assert_code(
        cv_kms_generate_data_key(f.kms, ARN, 32, NULL, &recipient, &f.r, cv_deadline(5000), &f.err),
        CV_ERR_PROTOCOL, &f.err);
    assert_says(&f.err, "wrong length");
    assert_int_equal(f.r.plaintext.n, 0);
    stop(&f);
}

static void a_fresh_document_for_each_attempt(void **state)
{
    static const struct fake_step steps[] = {
        {.status = 500},
        {.status = 400, .body = "{\"__type\":\"ThrottlingException\"}"},
        {.status = 200, .body = OK_ATTESTED},
    };
    struct fixture f;
    (void)state;
    documents = 0;
    start(&f, steps, 3);
    assert_code(cv_kms_decrypt(f.kms, NULL, CV_BYTES_LIT("x"), NULL, &recipient, &f.r,
                               cv_deadline(5000), &f.err),
                0, &f.err);
    fake_stop(&f.server);
    assert_non_null(strstr(f.server.body[0], "ZG9jMQ=="));
    assert_non_null(strstr(f.server.body[1], "ZG9jMg=="));
    assert_non_null(strstr(f.server.body[2], "ZG9jMw=="));
    stop(&f);
}

static void gives_up(void **state)
{
    static const struct fake_step steps[] = {THROTTLE, THROTTLE, THROTTLE, THROTTLE};
    static const struct fake_step stall[] = {
        {.mode = FAKE_STALL}, {.mode = FAKE_STALL}, {.mode = FAKE_STALL}};
    struct fixture f;
    (void)state;
    start(&f, steps, 4);
    assert_code(encrypt(&f), CV_ERR_THROTTLED, &f.err);
    assert_says(&f.err, "after 3 attempts");
    assert_string_equal(f.r.aws.code, "ThrottlingException");
    assert_int_equal(f.server.requests, 3);
    stop(&f);
    /* The caller's deadline ends it, whatever the attempts' own. */
    start(&f, stall, 3);
    int64_t t = cv_now_ms();
    assert_code(cv_kms_encrypt(f.kms, "k", CV_BYTES_LIT("p"), NULL, &f.r, cv_deadline(100), &f.err),
                CV_ERR_TIMEOUT, &f.err);
    assert_in_range(cv_now_ms() - t, 90, 2000);
    assert_int_equal(f.r.aws.status, 0);
    stop(&f);
}

static void an_idle_connection_that_was_closed_is_replaced(void **state)
{
    static const struct fake_step steps[] = {
        {.status = 200, .body = OK_ENCRYPT, .mode = FAKE_IDLE},
        {.status = 200, .body = OK_ENCRYPT, .mode = FAKE_IDLE},
    };
    struct fixture f;
    struct cv_aws_stats stats;
    (void)state;
    start(&f, steps, 2);
    assert_code(encrypt(&f), 0, &f.err);
    assert_code(encrypt(&f), 0, &f.err);
    cv_aws_client_stats(cv_kms_client(f.kms), &stats);
    assert_int_equal(stats.attempts, 2);
    assert_int_equal(f.server.connections, 2);
    stop(&f);
}

static void expired_credentials_are_renewed_once(void **state)
{
    static const struct fake_step expired = {
        .status = 400,
        .body =
            "{\"__type\":\"ExpiredTokenException\",\"message\":\"The security token included in the request is expired\"}"};
    const struct fake_step steps[] = {expired, expired, expired};
    struct fixture f;
    (void)state;
    start(&f, steps, 3);
    assert_code(encrypt(&f), CV_ERR_DENIED, &f.err);
    assert_says(&f.err, "ExpiredTokenException");
    assert_int_equal(f.server.requests, 1); /* there were no others to try */
    stop(&f);
}

static void nothing_unlawful_is_sent(void **state)
{
    static uint8_t big[CV_KMS_CIPHERTEXT_MAX + 1];
    struct cv_aws_param twice[] = {{"a", "1"}, {"a", "2"}}, bad[] = {{"a", "\xff"}};
    struct cv_kms_context c2 = {twice, 2}, cb = {bad, 1};
    struct fixture f;
    (void)state;
    start(&f, NULL, 0);
    int64_t d = cv_deadline(1000);
    assert_int_equal(cv_kms_encrypt(f.kms, "", CV_BYTES_LIT("p"), NULL, &f.r, d, NULL),
                     CV_ERR_INVALID);
    assert_int_equal(cv_kms_encrypt(f.kms, "k", CV_BYTES(NULL, 0), NULL, &f.r, d, NULL),
                     CV_ERR_INVALID);
    assert_int_equal(cv_kms_encrypt(f.kms, "k", CV_BYTES(big, 4097), NULL, &f.r, d, NULL),
                     CV_ERR_INVALID);
    assert_int_equal(cv_kms_decrypt(f.kms, NULL, CV_BYTES(big, 6145), NULL, NULL, &f.r, d, NULL),
                     CV_ERR_INVALID);
    assert_int_equal(cv_kms_generate_random(f.kms, 1025, NULL, &f.r, d, NULL), CV_ERR_INVALID);
    assert_int_equal(cv_kms_encrypt(f.kms, "k", CV_BYTES_LIT("p"), &c2, &f.r, d, NULL),
                     CV_ERR_INVALID);
    assert_int_equal(cv_kms_encrypt(f.kms, "k", CV_BYTES_LIT("p"), &cb, &f.r, d, NULL),
                     CV_ERR_INVALID);
    assert_int_equal(f.server.connections, 0);
    stop(&f);
}

static void nobody_listens(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, NULL, 0);
    fake_stop(&f.server);
    assert_code(encrypt(&f), CV_ERR_IO, &f.err);
    assert_says(&f.err, "refused");
    assert_says(&f.err, "tcp:127.0.0.1:");
    stop(&f);
}

static void names_of_keys(void **state)
{
    char region[CV_AWS_REGION_MAX + 1];
    (void)state;
    assert_true(cv_kms_key_matches(ARN, ARN));
    assert_true(cv_kms_key_matches(ARN, "771dfdac-e8e9-4f40-9747-f56d0911fce4"));
    assert_false(cv_kms_key_matches(ARN, "alias/x"));
    assert_false(cv_kms_key_matches(ARN, ""));
    assert_false(cv_kms_key_matches(ARN, "771dfdac"));
    assert_int_equal(cv_kms_arn_region(region, ARN), 0);
    assert_string_equal(region, "us-east-1");
    assert_int_equal(cv_kms_arn_region(region, "arn:aws-us-gov:kms:us-gov-west-1:1:key/x"), 0);
    assert_string_equal(region, "us-gov-west-1");
    static const char *const bad[] = {"",
                                      "x",
                                      "arn:aws:s3:us-east-1:1:key/x",
                                      "arn:aws:kms:",
                                      "arn:aws:kms::1:key/x",
                                      "arn:aws:kms:A/B:1:key/x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(cv_kms_arn_region(region, bad[i]), CV_ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_request_is_what_kms_wants),
        cmocka_unit_test(generate_requests),
        cmocka_unit_test(retries),
        cmocka_unit_test(final_errors),
        cmocka_unit_test(attested_replies),
        cmocka_unit_test(a_fresh_document_for_each_attempt),
        cmocka_unit_test(gives_up),
        cmocka_unit_test(an_idle_connection_that_was_closed_is_replaced),
        cmocka_unit_test(expired_credentials_are_renewed_once),
        cmocka_unit_test(nothing_unlawful_is_sent),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(names_of_keys),
    };
    return cmocka_run_group_tests(tests, make_ca, remove_ca);
}
