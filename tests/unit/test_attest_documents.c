/* SPDX-License-Identifier: Apache-2.0 */
/* Whole documents: ours in tests/vectors/attestation, and AWS's, where a folder
 * with real ones is named by CV_SHARED. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "claviger/attest.h"
#include "common/file.h"
#include "common/hex.h"

struct sample {
    const char *file;
    const char *root; /* NULL = AWS's, by its fingerprint */
    /* window of all its certificates, seconds; as Python's cryptography reads them */
    int64_t from, to;
    bool debug;
    enum cv_attest_code code; /* under that root, with debug mode allowed */
    struct cv_buf bytes;
    struct cv_buf root_bytes;
};

static struct sample ours[] = {
    {"definite-nulls.cbor", "root.pem", 1795935410, 1795946213, false, CV_ATTEST_OK, {0}, {0}},
    {"indefinite-all-fields.cbor",
     "root.pem",
     1795935410,
     1795946213,
     false,
     CV_ATTEST_OK,
     {0},
     {0}},
    {"tagged-signed-image.cbor", "root.pem", 1795935410, 1795946213, false, CV_ATTEST_OK, {0}, {0}},
    {"longest-fields.cbor", "root.pem", 1795935410, 1795946213, false, CV_ATTEST_OK, {0}, {0}},
    {"debug.cbor", "root.pem", 1795935410, 1795946213, true, CV_ATTEST_OK, {0}, {0}},
    {"other-root.cbor", "other-root.pem", 1795935410, 1795946213, false, CV_ATTEST_OK, {0}, {0}},
};
static struct sample real[] = {
    {"anjuna-2021-prod-nulls.cbor", NULL, 1616018515, 1616029315, false, CV_ATTEST_OK, {0}, {0}},
    {"anjuna-2021-prod-rsa2048-pubkey.cbor",
     NULL,
     1616601982,
     1616612782,
     false,
     CV_ATTEST_OK,
     {0},
     {0}},
    {"anjuna-2024-debug-rsa2048-pubkey.cbor",
     NULL,
     1706120054,
     1706130857,
     true,
     CV_ATTEST_OK,
     {0},
     {0}},
    {"blocky-2024-prod-1024-byte-fields.cbor",
     NULL,
     1725719856,
     1725730659,
     false,
     CV_ATTEST_OK,
     {0},
     {0}},
    {"evervault-2022-prod-pcr8-nonce.cbor",
     NULL,
     1665651479,
     1665662282,
     false,
     CV_ATTEST_OK,
     {0},
     {0}},
    {"veracruz-2022-prod-userdata-nonce.cbor",
     NULL,
     1668034317,
     1668045120,
     false,
     CV_ATTEST_OK,
     {0},
     {0}},
    {"veracruz-2022-BADSIG.cbor",
     NULL,
     1668034317,
     1668045120,
     false,
     CV_ATTEST_ERR_SIGNATURE,
     {0},
     {0}},
};
#define OURS (sizeof ours / sizeof ours[0])
#define REAL (sizeof real / sizeof real[0])
static bool have_real;

static bool load(struct sample *s, const char *dir)
{
    char path[4096];

    cv_buf_init(&s->bytes, CV_ATTEST_MAX_DOCUMENT);
    cv_buf_init(&s->root_bytes, 8192);
    if (cv_path_join(path, sizeof path, dir, s->file) != 0 ||
        cv_file_read(&s->bytes, path, NULL) != 0)
        return false;
    return s->root == NULL || (cv_path_join(path, sizeof path, dir, s->root) == 0 &&
                               cv_file_read(&s->root_bytes, path, NULL) == 0);
}

static void policy_for(struct cv_attest_policy *policy, const struct sample *s)
{
    cv_attest_policy_init(policy);
    policy->allow_debug = true;
    if (s->root != NULL) {
        policy->root = s->root_bytes.p;
        policy->root_len = s->root_bytes.n;
    }
}

static void expect(const struct sample *s, const struct cv_attest_policy *policy,
                   enum cv_attest_code code)
{
    struct cv_attest_error err;
    struct cv_attest_document doc;

    enum cv_attest_code got = cv_attest_verify(&doc, s->bytes.p, s->bytes.n, policy, &err);
    if (got != code)
        fail_msg("%s: got %s (%s), expected %s", s->file, cv_attest_code_name(got), err.message,
                 cv_attest_code_name(code));
}

/* Good at its own time and throughout its window, refused a second outside. */
static void windows(const struct sample *s)
{
    struct cv_attest_policy policy;

    policy_for(&policy, s);
    expect(s, &policy, s->code);
    policy.time_ms = s->from * 1000;
    expect(s, &policy, s->code);
    policy.time_ms = s->to * 1000;
    expect(s, &policy, s->code);
    policy.time_ms = (s->from - 1) * 1000;
    expect(s, &policy, CV_ATTEST_ERR_NOT_YET_VALID);
    policy.time_ms = (s->to + 1) * 1000;
    expect(s, &policy, CV_ATTEST_ERR_EXPIRED);
}

static void roots_and_debug(const struct sample *s, const struct sample *stranger)
{
    struct cv_attest_policy policy;

    policy_for(&policy, s);
    if (s->code == CV_ATTEST_OK) {
        policy.allow_debug = false;
        expect(s, &policy, s->debug ? CV_ATTEST_ERR_DEBUG : CV_ATTEST_OK);
    }
    policy_for(&policy, stranger);
    expect(s, &policy, CV_ATTEST_ERR_ROOT);
}

/* Changes bytes START, START+STEP, … by MASK: none may be accepted. */
static void flips(const struct sample *s, size_t start, size_t step, uint8_t mask)
{
    struct cv_attest_policy policy;
    uint8_t *copy = malloc(s->bytes.n);

    assert_non_null(copy);
    memcpy(copy, s->bytes.p, s->bytes.n);
    policy_for(&policy, s);
    for (size_t i = start; i < s->bytes.n; i += step) {
        copy[i] ^= mask;
        if (cv_attest_verify(NULL, copy, s->bytes.n, &policy, NULL) == CV_ATTEST_OK)
            fail_msg("%s: accepted with byte %zu changed", s->file, i);
        copy[i] ^= mask;
    }
    free(copy);
}

static void truncations(const struct sample *s)
{
    struct cv_attest_policy policy;

    policy_for(&policy, s);
    for (size_t n = 0; n < s->bytes.n; n++) {
        if (cv_attest_verify(NULL, s->bytes.p, n, &policy, NULL) == CV_ATTEST_OK)
            fail_msg("%s: accepted when cut to %zu bytes", s->file, n);
    }
}

/* The signature and the payload of two documents that are both good. */
static void exchanged_parts(const struct sample *a, const struct sample *b)
{
    struct cv_attest_policy policy;
    uint8_t *copy = malloc(a->bytes.n);

    assert_non_null(copy);
    memcpy(copy, a->bytes.p, a->bytes.n);
    memcpy(copy + a->bytes.n - 96, b->bytes.p + b->bytes.n - 96, 96);
    policy_for(&policy, a);
    assert_int_equal(cv_attest_verify(NULL, copy, a->bytes.n, &policy, NULL),
                     CV_ATTEST_ERR_SIGNATURE);
    memset(copy + a->bytes.n - 96, 0, 96);
    assert_int_equal(cv_attest_verify(NULL, copy, a->bytes.n, &policy, NULL),
                     CV_ATTEST_ERR_SIGNATURE);
    memset(copy + a->bytes.n - 96, 0xFF, 96);
    assert_int_equal(cv_attest_verify(NULL, copy, a->bytes.n, &policy, NULL),
                     CV_ATTEST_ERR_SIGNATURE);
    free(copy);
}

static void our_documents(void **state)
{
    (void)state;
    for (size_t i = 0; i < OURS; i++) {
        windows(&ours[i]);
        roots_and_debug(&ours[i], &ours[i == OURS - 1 ? 0 : OURS - 1]);
        truncations(&ours[i]);
        exchanged_parts(&ours[i], &ours[(i + 1) % OURS]);
    }
}

static void our_documents_changed(void **state)
{
    (void)state;
    flips(&ours[0], 0, 1, 0x01);
    for (size_t i = 0; i < OURS; i++)
        flips(&ours[i], i, 37, (uint8_t)(1U << (i + 2)));
}

static void real_documents(void **state)
{
    (void)state;
    if (!have_real)
        skip();
    for (size_t i = 0; i < REAL; i++) {
        windows(&real[i]);
        roots_and_debug(&real[i], &ours[0]);
        truncations(&real[i]);
        if (real[i].code == CV_ATTEST_OK)
            exchanged_parts(&real[i], &real[(i + 1) % 6]);
    }
}

static void real_documents_changed(void **state)
{
    (void)state;
    if (!have_real)
        skip();
    flips(&real[4], 0, 1, 0x80);
    for (size_t i = 0; i < REAL - 1; i++)
        flips(&real[i], i, 37, 0x01);
}

static void expectations(void **state)
{
    const struct sample *s = &ours[1]; /* indefinite-all-fields.cbor */
    static const uint8_t other[48] = {1};
    struct cv_attest_policy policy;
    struct cv_attest_document doc;
    struct cv_attest_error err;

    (void)state;
    policy_for(&policy, s);
    assert_int_equal(cv_attest_verify(&doc, s->bytes.p, s->bytes.n, &policy, NULL), CV_ATTEST_OK);

    assert_int_equal(cv_attest_expect_pcr(&policy, 0, doc.pcr[0].p, 48), CV_ATTEST_OK);
    assert_int_equal(cv_attest_expect_pcr(&policy, 3, doc.pcr[3].p, 48), CV_ATTEST_OK);
    cv_attest_expect_nonce(&policy, "nonce", 5);
    cv_attest_expect_user_data(&policy, "user", 4);
    cv_attest_expect_public_key(&policy, doc.public_key.p, doc.public_key.n);
    cv_attest_expect_module_id(&policy, "i-0123456789abcdef0-enc0123456789abcdef");
    policy.now_ms = (int64_t)doc.timestamp_ms + 5000;
    policy.max_age_ms = 5000;
    expect(s, &policy, CV_ATTEST_OK);

    policy.max_age_ms = 4999;
    expect(s, &policy, CV_ATTEST_ERR_TOO_OLD);
    policy.now_ms = (int64_t)doc.timestamp_ms - 60001;
    expect(s, &policy, CV_ATTEST_ERR_FUTURE);
    policy.now_ms++;
    expect(s, &policy, CV_ATTEST_OK);
    cv_attest_expect_module_id(&policy, "i-0123456789abcdef0");
    expect(s, &policy, CV_ATTEST_ERR_MODULE_ID);
    cv_attest_expect_public_key(&policy, doc.public_key.p, doc.public_key.n - 1);
    expect(s, &policy, CV_ATTEST_ERR_PUBLIC_KEY);
    cv_attest_expect_user_data(&policy, "user ", 5);
    expect(s, &policy, CV_ATTEST_ERR_USER_DATA);
    cv_attest_expect_nonce(&policy, NULL, 0); /* must be empty or absent */
    expect(s, &policy, CV_ATTEST_ERR_NONCE);
    cv_attest_expect_nonce(&policy, "noncf", 5);
    expect(s, &policy, CV_ATTEST_ERR_NONCE);
    assert_int_equal(cv_attest_expect_pcr(&policy, 3, other, 48), CV_ATTEST_ERR_ARGUMENT);
    assert_int_equal(cv_attest_expect_pcr(&policy, 15, other, 48), CV_ATTEST_OK);
    assert_int_equal(cv_attest_verify(&doc, s->bytes.p, s->bytes.n, &policy, &err),
                     CV_ATTEST_ERR_PCR);
    assert_string_equal(err.field, "pcrs[15]");
    assert_non_null(strstr(err.message, "0000; expected 0100"));
    policy_for(&policy, s);
    assert_int_equal(cv_attest_expect_pcr(&policy, 16, other, 48), CV_ATTEST_OK);
    expect(s, &policy, CV_ATTEST_ERR_PCR);

    /* An empty nonce that is present is an empty nonce; null is none. */
    policy_for(&policy, &ours[2]);
    cv_attest_expect_nonce(&policy, NULL, 0);
    expect(&ours[2], &policy, CV_ATTEST_OK);
    expect(&ours[0], &policy, CV_ATTEST_OK);
    cv_attest_expect_nonce(&policy, "x", 1);
    expect(&ours[0], &policy, CV_ATTEST_ERR_NONCE);
}

static void arguments(void **state)
{
    struct cv_attest_policy policy;
    uint8_t value[64] = {0};

    (void)state;
    policy_for(&policy, &ours[0]);
    assert_int_equal(cv_attest_expect_pcr(&policy, 32, value, 48), CV_ATTEST_ERR_ARGUMENT);
    assert_int_equal(cv_attest_expect_pcr(&policy, 0, value, 20), CV_ATTEST_ERR_ARGUMENT);
    assert_int_equal(cv_attest_expect_pcr(&policy, 0, NULL, 48), CV_ATTEST_ERR_ARGUMENT);
    policy.max_age_ms = 1; /* without the present time */
    expect(&ours[0], &policy, CV_ATTEST_ERR_ARGUMENT);
    policy_for(&policy, &ours[0]);
    policy.time_ms = -1;
    expect(&ours[0], &policy, CV_ATTEST_ERR_ARGUMENT);
    assert_int_equal(cv_attest_verify(NULL, NULL, 1, NULL, NULL), CV_ATTEST_ERR_ARGUMENT);
    assert_int_equal(cv_attest_verify(NULL, NULL, 0, NULL, NULL), CV_ATTEST_ERR_SIZE);
}

static void certificates(void **state)
{
    struct cv_attest_document doc;
    struct cv_attest_certificate cert;
    struct cv_attest_policy policy;

    (void)state;
    policy_for(&policy, &ours[0]);
    assert_int_equal(cv_attest_verify(&doc, ours[0].bytes.p, ours[0].bytes.n, &policy, NULL),
                     CV_ATTEST_OK);
    assert_int_equal(cv_attest_certificate_read(&cert, doc.certificate.p, doc.certificate.n, NULL),
                     CV_ATTEST_OK);
    assert_non_null(strstr(cert.subject, "CN=i-0123456789abcdef0-enc0123456789abcdef"));
    assert_false(cert.ca);
    assert_int_equal(cert.not_before_ms, ours[0].from * 1000);
    assert_int_equal(cert.not_after_ms, ours[0].to * 1000);
    assert_int_equal(cv_attest_certificate_read(&cert, doc.cabundle[3].p, doc.cabundle[3].n, NULL),
                     CV_ATTEST_OK);
    assert_true(cert.ca);
    assert_int_equal(cert.path_len, 0);
    assert_int_equal(strlen(cert.serial), 32);
    assert_int_equal(cv_attest_certificate_read(&cert, "x", 1, NULL), CV_ATTEST_ERR_CERTIFICATE);
}

static int setup(void **state)
{
    const char *vectors = getenv("CV_VECTORS"), *shared = getenv("CV_SHARED");
    char dir[4096];

    (void)state;
    if (vectors == NULL || cv_path_join(dir, sizeof dir, vectors, "attestation") != 0)
        return -1;
    for (size_t i = 0; i < OURS; i++) {
        if (!load(&ours[i], dir)) {
            fprintf(stderr, "cannot read %s in %s\n", ours[i].file, dir);
            return -1;
        }
    }
    have_real = shared != NULL && cv_path_join(dir, sizeof dir, shared, "attestation-docs") == 0;
    for (size_t i = 0; i < REAL; i++)
        have_real = load(&real[i], have_real ? dir : "/nonexistent") && have_real;
    if (!have_real)
        fprintf(stderr,
                "skipping AWS's documents: CV_SHARED names no folder with attestation-docs\n");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < OURS; i++) {
        cv_buf_free(&ours[i].bytes);
        cv_buf_free(&ours[i].root_bytes);
    }
    for (size_t i = 0; i < REAL; i++) {
        cv_buf_free(&real[i].bytes);
        cv_buf_free(&real[i].root_bytes);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_documents),  cmocka_unit_test(our_documents_changed),
        cmocka_unit_test(real_documents), cmocka_unit_test(real_documents_changed),
        cmocka_unit_test(expectations),   cmocka_unit_test(arguments),
        cmocka_unit_test(certificates),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
