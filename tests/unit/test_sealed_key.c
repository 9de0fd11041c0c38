/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/hex.h"
#include "sealed/key.h"
#include "unit/mutate.h"
#include "unit/rpc_vectors.h"

static json_t *vectors;
static uint8_t private_key[CV_SEALED_PRIVATE_LEN], data_key[CV_SEALED_DATA_KEY_LEN];

static size_t from_hex(uint8_t *out, size_t cap, json_t *v, const char *name)
{
    size_t n;
    const char *hex = rpc_vectors_text(v, name);
    assert_non_null(hex);
    assert_int_equal(cv_hex_decode(out, cap, &n, cv_bytes_str(hex)), 0);
    return n;
}

static int load(void **state)
{
    (void)state;
    vectors = rpc_vectors_load("CV_VECTORS", "sealed-key.json");
    assert_non_null(vectors);
    from_hex(private_key, sizeof private_key, vectors, "private_key");
    from_hex(data_key, sizeof data_key, vectors, "data_key");
    return 0;
}

static int unload(void **state)
{
    (void)state;
    json_decref(vectors);
    return 0;
}

/* Blob number I of the vectors into OUT, and its scheme and public key. */
static void blob_at(struct cv_buf *out, size_t i, enum cv_scheme *scheme, uint8_t *pub,
                    size_t *pub_n)
{
    json_t *entry = json_array_get(json_object_get(vectors, "blobs"), i);
    assert_int_equal(
        cv_scheme_from_rpc_name(scheme, cv_bytes_str(rpc_vectors_text(entry, "scheme"))), 0);
    *pub_n = from_hex(pub, CV_PUBLIC_KEY_MAX, entry, "public_key");
    rpc_vectors_bytes(out, entry);
}

static void test_vectors(void **state)
{
    (void)state;
    uint8_t salt[64], wrapped[64], pub[CV_PUBLIC_KEY_MAX], opened[CV_SEALED_PRIVATE_LEN];
    size_t salt_n = from_hex(salt, sizeof salt, vectors, "salt");
    size_t wrapped_n = from_hex(wrapped, sizeof wrapped, vectors, "wrapped");
    struct cv_bytes cmk = cv_bytes_str(rpc_vectors_text(vectors, "cmk"));
    assert_int_equal(json_array_size(json_object_get(vectors, "blobs")), CV_SCHEME_COUNT);
    for (size_t i = 0; i < CV_SCHEME_COUNT; i++) {
        struct cv_buf blob, made;
        struct cv_sealed_header h, parsed;
        struct cv_error err;
        cv_buf_init(&blob, CV_SEALED_BLOB_MAX);
        cv_buf_init(&made, CV_SEALED_BLOB_MAX);
        size_t pub_n;
        blob_at(&blob, i, &h.scheme, pub, &pub_n);
        h.public_key = CV_BYTES(pub, pub_n);
        h.cmk = cmk;
        h.wrapped = CV_BYTES(wrapped, wrapped_n);
        h.salt = CV_BYTES(salt, salt_n);
        assert_int_equal(cv_sealed_key_seal_with_salt(&made, &h, private_key, data_key, &err), 0);
        assert_true(cv_bytes_equal(cv_buf_view(&made), cv_buf_view(&blob)));
        assert_int_equal(cv_sealed_key_version(cv_buf_view(&blob)), 2);
        assert_int_equal(cv_sealed_key_parse(&parsed, cv_buf_view(&blob), &err), 0);
        assert_int_equal(parsed.scheme, h.scheme);
        assert_true(cv_bytes_equal(parsed.cmk, cmk));
        assert_true(cv_bytes_equal(parsed.wrapped, h.wrapped));
        assert_true(cv_bytes_equal(parsed.public_key, h.public_key));
        assert_int_equal(cv_sealed_key_open(opened, cv_buf_view(&blob), data_key, &err), 0);
        assert_memory_equal(opened, private_key, sizeof opened);
        cv_buf_free(&blob);
        cv_buf_free(&made);
    }
}

static void test_salt_is_random(void **state)
{
    (void)state;
    struct cv_buf a, b;
    struct cv_sealed_header h;
    struct cv_error err;
    uint8_t pub[CV_PUBLIC_KEY_MAX], opened[CV_SEALED_PRIVATE_LEN];
    size_t n;
    cv_buf_init(&a, CV_SEALED_BLOB_MAX);
    cv_buf_init(&b, CV_SEALED_BLOB_MAX);
    blob_at(&a, 0, &h.scheme, pub, &n);
    h.public_key = CV_BYTES(pub, n);
    h.cmk = CV_BYTES_LIT("arn:aws:kms:eu-west-1:111122223333:key/x");
    h.wrapped = CV_BYTES_LIT("w");
    h.salt = CV_BYTES(NULL, 0);
    cv_buf_reset(&a);
    assert_int_equal(cv_sealed_key_seal(&a, &h, private_key, data_key, &err), 0);
    assert_int_equal(cv_sealed_key_seal(&b, &h, private_key, data_key, &err), 0);
    assert_int_equal(a.n, b.n);
    assert_memory_not_equal(a.p, b.p, a.n);
    assert_int_equal(cv_sealed_key_open(opened, cv_buf_view(&b), data_key, &err), 0);
    cv_buf_free(&a);
    cv_buf_free(&b);
}

static void refuse(void *ctx, const uint8_t *p, size_t n, const char *what)
{
    uint8_t opened[CV_SEALED_PRIVATE_LEN], zero[sizeof opened] = {0};
    struct cv_error err;
    (void)ctx;
    if (cv_sealed_key_open(opened, CV_BYTES(p, n), data_key, &err) == 0)
        fail_msg("%s: opens", what);
    assert_memory_equal(opened, zero, sizeof zero);
    assert_true(err.count > 0);
}

static void test_changed_blobs_do_not_open(void **state)
{
    (void)state;
    uint8_t pub[CV_PUBLIC_KEY_MAX], opened[CV_SEALED_PRIVATE_LEN];
    for (size_t i = 0; i < CV_SCHEME_COUNT; i++) {
        struct cv_buf blob;
        struct cv_error err;
        enum cv_scheme scheme;
        size_t n;
        cv_buf_init(&blob, CV_SEALED_BLOB_MAX);
        blob_at(&blob, i, &scheme, pub, &n);
        mutate_all(blob.p, blob.n, refuse, NULL);
        assert_int_equal(cv_buf_append_u8(&blob, 0), 0);
        refuse(NULL, blob.p, blob.n, "one byte more");
        blob.n--;
        uint8_t other[CV_SEALED_DATA_KEY_LEN];
        memcpy(other, data_key, sizeof other);
        other[31] ^= 1;
        assert_int_equal(cv_sealed_key_open(opened, cv_buf_view(&blob), other, &err),
                         CV_ERR_CRYPTO);
        cv_buf_free(&blob);
    }
}

static void test_parts_that_do_not_fit(void **state)
{
    (void)state;
    static const char long_arn[CV_SEALED_ARN_MAX + 2] = "arn:";
    uint8_t pub[CV_PUBLIC_KEY_MAX] = {2}, big[CV_SEALED_WRAPPED_MAX + 1] = {1};
    struct cv_buf out;
    cv_buf_init(&out, CV_SEALED_BLOB_MAX);
    const struct cv_sealed_header good = {
        .scheme = CV_SCHEME_P256,
        .public_key = CV_BYTES(pub, 33),
        .cmk = CV_BYTES_LIT("arn:aws:kms:eu-west-1:111122223333:key/x"),
        .wrapped = CV_BYTES(big, CV_SEALED_WRAPPED_MAX),
    };
    assert_int_equal(cv_sealed_key_seal(&out, &good, private_key, data_key, NULL), 0);
    struct cv_sealed_header h = good;
    h.public_key.n = 32;
    assert_int_equal(cv_sealed_key_seal(&out, &h, private_key, data_key, NULL), CV_ERR_INVALID);
    h = good;
    h.cmk = CV_BYTES(long_arn, sizeof long_arn - 1);
    assert_int_equal(cv_sealed_key_seal(&out, &h, private_key, data_key, NULL), CV_ERR_INVALID);
    h.cmk = CV_BYTES_LIT("alias/x");
    assert_int_equal(cv_sealed_key_seal(&out, &h, private_key, data_key, NULL), CV_ERR_INVALID);
    h = good;
    h.wrapped.n++;
    assert_int_equal(cv_sealed_key_seal(&out, &h, private_key, data_key, NULL), CV_ERR_INVALID);
    h.wrapped.n = 0;
    assert_int_equal(cv_sealed_key_seal(&out, &h, private_key, data_key, NULL), CV_ERR_INVALID);
    cv_buf_free(&out);
}

static void test_version(void **state)
{
    (void)state;
    assert_int_equal(cv_sealed_key_version(CV_BYTES_LIT("CVS")), 1);
    assert_int_equal(cv_sealed_key_version(CV_BYTES_LIT("")), 1);
    assert_int_equal(cv_sealed_key_version(CV_BYTES_LIT("\x01\x02\x02\x00x")), 1);
    assert_int_equal(cv_sealed_key_version(CV_BYTES_LIT("CVSK\x03")), 2);
    struct cv_sealed_header h;
    struct cv_error err;
    assert_int_equal(cv_sealed_key_parse(&h, CV_BYTES_LIT("CVSK\x03\x01"), &err),
                     CV_ERR_UNSUPPORTED);
    assert_int_equal(cv_sealed_key_parse(&h, CV_BYTES_LIT("CVSK\x02\x05"), &err),
                     CV_ERR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_salt_is_random),
        cmocka_unit_test(test_changed_blobs_do_not_open),
        cmocka_unit_test(test_parts_that_do_not_fit),
        cmocka_unit_test(test_version),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
