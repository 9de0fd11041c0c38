/* SPDX-License-Identifier: Apache-2.0 */
/* Chains with one fault each: every one has its own code and names its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unit/attest_fixture.h"

static void expect_at(const struct fixture *f, int64_t time_ms, enum cv_attest_code code,
                      const char *field)
{
    struct cv_attest_policy policy;
    struct cv_attest_document doc;
    struct cv_attest_error err;
    struct cv_buf bytes;

    fixture_document(&bytes, f);
    fixture_policy(&policy, f);
    policy.time_ms = time_ms;
    enum cv_attest_code got = cv_attest_verify(&doc, bytes.p, bytes.n, &policy, &err);
    if (got != code || strcmp(err.field, field) != 0)
        fail_msg("got %s about '%s' (%s), expected %s about '%s'", cv_attest_code_name(got),
                 err.field, err.message, cv_attest_code_name(code), field);
    if (got != CV_ATTEST_OK)
        assert_null(doc.module_id.p);
    cv_buf_free(&bytes);
}

static void expect(const struct fixture *f, enum cv_attest_code code, const char *field)
{
    expect_at(f, 0, code, field);
}

static void bent(const struct fixture_bend *bend, enum cv_attest_code code, const char *field)
{
    struct fixture f;

    fixture_make(&f, bend);
    expect(&f, code, field);
    fixture_free(&f);
}

static void good_chain(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f, NULL);
    expect(&f, CV_ATTEST_OK, "");
    fixture_free(&f);
}

static void roots(void **state)
{
    struct fixture f, other;
    struct cv_attest_policy policy;
    struct cv_attest_error err;
    struct cv_buf doc;

    (void)state;
    fixture_make(&f, NULL);
    fixture_make(&other, NULL); /* the same names, other keys */
    fixture_document(&doc, &f);
    cv_attest_policy_init(&policy); /* AWS's */
    assert_int_equal(cv_attest_verify(NULL, doc.p, doc.n, &policy, &err), CV_ATTEST_ERR_ROOT);
    assert_string_equal(err.field, "cabundle[0]");
    assert_int_equal(cv_attest_verify(NULL, doc.p, doc.n, NULL, NULL), CV_ATTEST_ERR_ROOT);
    fixture_policy(&policy, &other);
    assert_int_equal(cv_attest_verify(NULL, doc.p, doc.n, &policy, &err), CV_ATTEST_ERR_ROOT);
    /* The root's fingerprint alone is enough, and the certificate as PEM too. */
    cv_attest_policy_init(&policy);
    unsigned n = 32;
    assert_int_equal(X509_digest(f.cert[F_ROOT], EVP_sha256(), policy.root_sha256, &n), 1);
    assert_int_equal(cv_attest_verify(NULL, doc.p, doc.n, &policy, &err), CV_ATTEST_OK);
    policy.root = (const uint8_t *)"no certificate";
    policy.root_len = 14;
    assert_int_equal(cv_attest_verify(NULL, doc.p, doc.n, &policy, &err), CV_ATTEST_ERR_ARGUMENT);
    /* A policy of zeros trusts nobody. */
    memset(&policy, 0, sizeof policy);
    assert_int_equal(cv_attest_verify(NULL, doc.p, doc.n, &policy, &err), CV_ATTEST_ERR_ARGUMENT);
    cv_buf_free(&doc);

    /* Another root put in the place of the right one. */
    f.bundle[0] = cv_buf_view(&other.der[F_ROOT]);
    expect(&f, CV_ATTEST_ERR_ROOT, "cabundle[0]");
    fixture_free(&other);
    fixture_free(&f);
}

static void order(void **state)
{
    struct fixture f;
    struct cv_bytes kept[4];

    (void)state;
    fixture_make(&f, NULL);
    memcpy(kept, f.bundle, sizeof kept);

    f.bundle[1] = kept[2];
    f.bundle[2] = kept[1];
    expect(&f, CV_ATTEST_ERR_CHAIN, "cabundle[1]");
    /* root last, as some expect it */
    for (size_t i = 0; i < 4; i++)
        f.bundle[i] = kept[3 - i];
    expect(&f, CV_ATTEST_ERR_ROOT, "cabundle[0]");
    memcpy(f.bundle, kept, sizeof kept);

    for (size_t gone = 0; gone < 4; gone++) {
        f.bundle_count = 0;
        for (size_t i = 0; i < 4; i++) {
            if (i != gone)
                f.bundle[f.bundle_count++] = kept[i];
        }
        if (gone == 0)
            expect(&f, CV_ATTEST_ERR_ROOT, "cabundle[0]");
        else if (gone == 3)
            expect(&f, CV_ATTEST_ERR_CHAIN, "certificate");
        else
            expect(&f, CV_ATTEST_ERR_CHAIN, gone == 1 ? "cabundle[1]" : "cabundle[2]");
    }
    memcpy(f.bundle, kept, sizeof kept);
    f.bundle_count = 4;
    f.bundle[f.bundle_count++] = kept[3];
    expect(&f, CV_ATTEST_ERR_CHAIN, "cabundle[4]");
    f.bundle[0] = f.bundle[1] = kept[0];
    memcpy(f.bundle + 2, kept + 1, 3 * sizeof kept[0]);
    expect(&f, CV_ATTEST_ERR_CHAIN, "cabundle");
    fixture_free(&f);
}

static void other_leaves(void **state)
{
    struct fixture f, other;
    struct cv_buf der;
    EVP_PKEY *key;

    (void)state;
    fixture_make(&f, NULL);
    fixture_make(&other, NULL);
    /* The leaf of a document under another chain, whose names are the same. */
    f.leaf = cv_buf_view(&other.der[F_LEAF]);
    expect(&f, CV_ATTEST_ERR_CHAIN, "certificate");
    /* That of another enclave of the same instance. */
    X509 *sibling = fixture_sibling(&f, F_LEAF, &key);
    cv_buf_init(&der, 4096);
    assert_int_equal(cv_local_certificate_der(&der, sibling), 0);
    f.leaf = cv_buf_view(&der);
    expect(&f, CV_ATTEST_ERR_SIGNATURE, "signature");
    f.signer = key;
    expect(&f, CV_ATTEST_OK, "");
    /* A CA's certificate with its key. */
    f.leaf = cv_buf_view(&f.der[F_INSTANCE]);
    f.signer = f.key[F_INSTANCE];
    f.bundle_count = 3;
    expect(&f, CV_ATTEST_ERR_CONSTRAINT, "certificate");
    cv_buf_free(&der);
    X509_free(sibling);
    EVP_PKEY_free(key);
    fixture_free(&other);
    fixture_free(&f);
}

static void times(void **state)
{
    struct fixture f;
    int64_t end = FIXTURE_NOW_MS + 3 * FIXTURE_HOUR_MS; /* the leaf's, both */
    int64_t begin = FIXTURE_NOW_MS - FIXTURE_HOUR_MS;

    (void)state;
    fixture_make(&f, NULL);
    expect_at(&f, begin, CV_ATTEST_OK, "");
    expect_at(&f, begin - 1, CV_ATTEST_ERR_NOT_YET_VALID, "certificate");
    expect_at(&f, begin - 1000, CV_ATTEST_ERR_NOT_YET_VALID, "certificate");
    expect_at(&f, end, CV_ATTEST_OK, "");
    expect_at(&f, end + 999, CV_ATTEST_OK, "");
    expect_at(&f, end + 1000, CV_ATTEST_ERR_EXPIRED, "certificate");
    expect_at(&f, 1, CV_ATTEST_ERR_NOT_YET_VALID, "cabundle[0]");
    expect_at(&f, INT64_MAX, CV_ATTEST_ERR_EXPIRED, "cabundle[0]");
    fixture_free(&f);

    /* Each certificate counts, the root too. */
    for (int level = F_ROOT; level <= F_LEAF; level++) {
        static const char *const names[] = {"cabundle[0]", "cabundle[1]", "cabundle[2]",
                                            "cabundle[3]", "certificate"};
        bent(&(struct fixture_bend){.level = level,
                                    .profile = -1,
                                    .not_after_ms = FIXTURE_NOW_MS - 1000},
             CV_ATTEST_ERR_EXPIRED, names[level]);
        bent(&(struct fixture_bend){.level = level,
                                    .profile = -1,
                                    .not_before_ms = FIXTURE_NOW_MS + 1000},
             CV_ATTEST_ERR_NOT_YET_VALID, names[level]);
        bent(&(struct fixture_bend){.level = level, .profile = -1, .not_after_ms = FIXTURE_NOW_MS},
             CV_ATTEST_OK, "");
    }
}

static void rules(void **state)
{
    EVP_PKEY *stranger = cv_local_key_new();

    (void)state;
    /* A leaf's certificate cannot issue. */
    bent(&(struct fixture_bend){.level = F_INSTANCE, .profile = CV_LOCAL_LEAF},
         CV_ATTEST_ERR_CONSTRAINT, "cabundle[3]");
    /* Path lengths: 0 above one more CA, 1 above two. */
    bent(&(struct fixture_bend){.level = F_ZONAL, .profile = CV_LOCAL_INSTANCE},
         CV_ATTEST_ERR_CONSTRAINT, "cabundle[2]");
    bent(&(struct fixture_bend){.level = F_REGIONAL, .profile = CV_LOCAL_ZONAL},
         CV_ATTEST_ERR_CONSTRAINT, "cabundle[1]");
    bent(&(struct fixture_bend){.level = F_ROOT, .profile = CV_LOCAL_INSTANCE},
         CV_ATTEST_ERR_CONSTRAINT, "cabundle[0]");
    /* The enclave's own must not be a CA. */
    bent(&(struct fixture_bend){.level = F_LEAF, .profile = CV_LOCAL_INSTANCE},
         CV_ATTEST_ERR_CONSTRAINT, "certificate");
    bent(&(struct fixture_bend){.level = F_LEAF, .profile = CV_LOCAL_ROOT},
         CV_ATTEST_ERR_CONSTRAINT, "certificate");
    /* Right names, wrong signature. */
    bent(&(struct fixture_bend){.level = F_LEAF, .profile = -1, .issuer_key = stranger},
         CV_ATTEST_ERR_CHAIN, "certificate");
    bent(&(struct fixture_bend){.level = F_ZONAL, .profile = -1, .issuer_key = stranger},
         CV_ATTEST_ERR_CHAIN, "cabundle[2]");
    /* An enclave's key is on P-384. */
    bent(&(struct fixture_bend){.level = F_LEAF, .profile = -1, .curve = "P-256"},
         CV_ATTEST_ERR_CERTIFICATE, "certificate");
    EVP_PKEY_free(stranger);
}

static void malformed_certificates(void **state)
{
    struct fixture f;
    uint8_t bytes[1024];

    (void)state;
    fixture_make(&f, NULL);
    for (size_t i = 0; i < 5; i++) {
        static const char *const names[] = {"cabundle[0]", "cabundle[1]", "cabundle[2]",
                                            "cabundle[3]", "certificate"};
        struct cv_bytes *slot = i < 4 ? &f.bundle[i] : &f.leaf;
        struct cv_bytes kept = *slot;
        memcpy(bytes, kept.p, kept.n);
        bytes[kept.n] = 0;
        *slot = CV_BYTES(bytes, kept.n + 1); /* a byte after it */
        expect(&f, CV_ATTEST_ERR_CERTIFICATE, names[i]);
        *slot = CV_BYTES(bytes, kept.n - 1); /* a byte less */
        expect(&f, CV_ATTEST_ERR_CERTIFICATE, names[i]);
        *slot = CV_BYTES_LIT("0");
        expect(&f, CV_ATTEST_ERR_CERTIFICATE, names[i]);
        *slot = kept;
    }
    expect(&f, CV_ATTEST_OK, "");
    fixture_free(&f);
}

/* Every byte of every certificate, changed, in a document that is signed anew:
 * the chain itself must refuse it (or, for the leaf, its key no longer fit). */
static void changed_certificates(void **state)
{
    struct fixture f;
    struct cv_attest_policy policy;
    uint8_t bytes[1024];

    (void)state;
    fixture_make(&f, NULL);
    fixture_policy(&policy, &f);
    for (size_t i = 0; i < 5; i++) {
        struct cv_bytes *slot = i < 4 ? &f.bundle[i] : &f.leaf;
        struct cv_bytes kept = *slot;
        memcpy(bytes, kept.p, kept.n);
        *slot = CV_BYTES(bytes, kept.n);
        /* A prime stride, with another start for each certificate. */
        for (size_t at = i; at < kept.n; at += 7) {
            struct cv_buf doc;
            bytes[at] ^= 0x01;
            fixture_document(&doc, &f);
            enum cv_attest_code got = cv_attest_verify(NULL, doc.p, doc.n, &policy, NULL);
            if (got < CV_ATTEST_ERR_FIELD)
                fail_msg("certificate %zu, byte %zu: %s", i, at, cv_attest_code_name(got));
            cv_buf_free(&doc);
            bytes[at] ^= 0x01;
        }
        *slot = kept;
    }
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_chain),
        cmocka_unit_test(roots),
        cmocka_unit_test(order),
        cmocka_unit_test(other_leaves),
        cmocka_unit_test(times),
        cmocka_unit_test(rules),
        cmocka_unit_test(malformed_certificates),
        cmocka_unit_test(changed_certificates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
