/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>
#include <openssl/pem.h>

#include "common/hex.h"
#include "sealed/config.h"
#include "unit/mutate.h"

static struct cv_error err;

struct hex {
    uint8_t p[4096];
    size_t n;
};

static struct hex unhex(const json_t *o, const char *key)
{
    struct hex h = {.n = 0};
    const char *text = json_string_value(json_object_get(o, key));
    assert_non_null(text);
    assert_int_equal(cv_hex_decode(h.p, sizeof h.p, &h.n, cv_bytes_str(text)), 0);
    return h;
}

static json_t *load(const char *env, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", getenv(env) != NULL ? getenv(env) : "", name);
    return json_load_file(path, 0, NULL);
}

static void pairs_of(struct cv_s3ec_pairs *p, const json_t *o, const char *prefix)
{
    const char *name;
    json_t *value;
    p->n = 0;
    json_object_foreach ((json_t *)(uintptr_t)o, name, value) {
        char full[128];
        snprintf(full, sizeof full, "%s%s", prefix, name);
        assert_int_equal(cv_s3ec_pairs_add(p, full, json_string_value(value), true), 0);
    }
}

static void open_case(const struct cv_s3ec_pairs *meta, const struct hex *key,
                      const struct hex *body, const struct hex *want)
{
    struct cv_s3ec_meta m;
    CV_SECRET_AUTO struct cv_secret out = CV_SECRET_INIT;
    assert_int_equal(cv_s3ec_meta_parse(&m, meta, &err), 0);
    assert_int_equal(
        cv_s3ec_open(&m, CV_BYTES(key->p, key->n), CV_BYTES(body->p, body->n), &out, &err), 0);
    assert_int_equal(out.n, want->n);
    assert_true(want->n == 0 || memcmp(out.p, want->p, want->n) == 0);
    cv_s3ec_meta_free(&m);
}

/* Objects made by make_s3ec.py open, and are made again byte for byte. */
static void test_known_answers(void **state)
{
    (void)state;
    json_t *doc = load("CV_VECTORS", "s3ec.json");
    assert_non_null(doc);
    struct hex key = unhex(doc, "key"), edk = unhex(doc, "edk");
    size_t i;
    json_t *one;
    json_array_foreach (json_object_get(doc, "cases"), i, one) {
        struct hex body = unhex(one, "body"), plain = unhex(one, "plaintext");
        struct hex nonce = unhex(one, "nonce");
        struct cv_s3ec_pairs meta, user, emitted = {.n = 0};
        pairs_of(&meta, json_object_get(one, "meta"), i % 2 != 0 ? "X-Amz-Meta-" : "");
        open_case(&meta, &key, &body, &plain);
        pairs_of(&user, json_object_get(one, "context"), "");
        struct cv_s3ec_meta m = {.format = nonce.n == 28 ? CV_S3EC_V3 : CV_S3EC_V2};
        cv_buf_init(&m.edk, CV_S3EC_MAX_EDK);
        assert_int_equal(cv_buf_append(&m.edk, edk.p, edk.n), 0);
        assert_int_equal(cv_s3ec_context(&m.context, &user, m.format, &err), 0);
        struct cv_buf out;
        cv_buf_init(&out, CV_S3EC_MAX_BODY);
        assert_int_equal(cv_s3ec_seal_with(&m, key.p, CV_BYTES(nonce.p, nonce.n),
                                           CV_BYTES(plain.p, plain.n), &out, &err),
                         0);
        assert_int_equal(out.n, body.n);
        assert_memory_equal(out.p, body.p, out.n);
        assert_int_equal(cv_s3ec_meta_emit(&emitted, &m, &err), 0);
        assert_int_equal(emitted.n, meta.n);
        for (size_t k = 0; k < emitted.n; k++) {
            const char *name = emitted.pair[k].name;
            if (strcmp(name, "x-amz-t") != 0 && strcmp(name, "x-amz-matdesc") != 0) {
                assert_string_equal(emitted.pair[k].value, cv_s3ec_pairs_get(&meta, name));
            }
        }
        open_case(&emitted, &key, &body, &plain);
        cv_s3ec_meta_free(&m);
        cv_buf_free(&out);
        cv_s3ec_pairs_free(&meta);
        cv_s3ec_pairs_free(&user);
        cv_s3ec_pairs_free(&emitted);
    }
    json_decref(doc);
}

/* Objects that the official Python client was seen to open. */
static void test_shared_known_answers(void **state)
{
    (void)state;
    json_t *doc = load("CV_SHARED", "vectors/s3ec-kat.json");
    if (doc == NULL) {
        print_message("SKIPPED: no shared vectors\n");
        skip();
    }
    struct hex key = unhex(doc, "pdk_hex"), plain = unhex(doc, "pt_hex");
    const char *const names[] = {"v2", "v3"};
    for (size_t i = 0; i < 2; i++) {
        json_t *one = json_object_get(doc, names[i]);
        struct hex body = unhex(one, "body_hex");
        struct cv_s3ec_pairs meta;
        pairs_of(&meta, json_object_get(one, "meta"), "");
        open_case(&meta, &key, &body, &plain);
        cv_s3ec_pairs_free(&meta);
    }
    json_decref(doc);
}

static void make(struct cv_s3ec_pairs *meta, struct cv_buf *body, enum cv_s3ec_format format,
                 const char *const *context, size_t count)
{
    static const uint8_t key[32] = {1, 2, 3};
    struct cv_s3ec_pairs user = {.n = 0};
    for (size_t i = 0; i < count; i += 2) {
        assert_int_equal(cv_s3ec_pairs_add(&user, context[i], context[i + 1], false), 0);
    }
    struct cv_s3ec_meta m = {.format = format};
    cv_buf_init(&m.edk, CV_S3EC_MAX_EDK);
    cv_buf_init(body, CV_S3EC_MAX_BODY);
    assert_int_equal(cv_buf_append(&m.edk, "wrapped", 7), 0);
    assert_int_equal(cv_s3ec_context(&m.context, &user, format, &err), 0);
    assert_int_equal(cv_s3ec_seal(&m, key, CV_BYTES_LIT("plaintext"), body, &err), 0);
    meta->n = 0;
    assert_int_equal(cv_s3ec_meta_emit(meta, &m, &err), 0);
    cv_s3ec_meta_free(&m);
    cv_s3ec_pairs_free(&user);
}

static void test_every_bit_of_the_body(void **state)
{
    (void)state;
    static const uint8_t key[32] = {1, 2, 3};
    for (int format = CV_S3EC_V2; format <= CV_S3EC_V3; format++) {
        struct cv_s3ec_pairs meta;
        struct cv_buf body;
        make(&meta, &body, (enum cv_s3ec_format)format, NULL, 0);
        struct cv_s3ec_meta m;
        assert_int_equal(cv_s3ec_meta_parse(&m, &meta, &err), 0);
        CV_SECRET_AUTO struct cv_secret out = CV_SECRET_INIT;
        struct cv_bytes k = CV_BYTES(key, 32);
        for (size_t bit = 0; bit < 8 * body.n; bit++) {
            body.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_equal(cv_s3ec_open(&m, k, cv_buf_view(&body), &out, &err), CV_ERR_CRYPTO);
            assert_null(out.p);
            body.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        for (size_t n = 0; n < body.n; n++) {
            assert_int_not_equal(cv_s3ec_open(&m, k, CV_BYTES(body.p, n), &out, &err), 0);
        }
        uint8_t other[32] = {1, 2, 4};
        assert_int_equal(cv_s3ec_open(&m, CV_BYTES(other, 32), cv_buf_view(&body), &out, &err),
                         CV_ERR_CRYPTO);
        assert_int_equal(strstr(cv_error_top(&err), "committed") != NULL, format == CV_S3EC_V3);
        m.message_id[0] ^= 1;
        m.iv[0] ^= 1;
        assert_int_equal(cv_s3ec_open(&m, k, cv_buf_view(&body), &out, &err), CV_ERR_CRYPTO);
        assert_int_equal(cv_s3ec_open(&m, CV_BYTES(key, 16), cv_buf_view(&body), &out, &err),
                         CV_ERR_CRYPTO);
        cv_s3ec_meta_free(&m);
        cv_s3ec_pairs_free(&meta);
        cv_buf_free(&body);
    }
}

struct change {
    enum cv_s3ec_format format;
    const char *name, *value; /* NULL: taken away */
    int code;
};

static void test_metadata_refusals(void **state)
{
    (void)state;
    static const struct change changes[] = {
        {CV_S3EC_V2, "x-amz-key", "AAAA", CV_ERR_INVALID},
        {CV_S3EC_V2, "x-amz-3", "AAAA", CV_ERR_INVALID},
        {CV_S3EC_V2, "x-amz-key-v2", NULL, CV_ERR_NOT_FOUND},
        {CV_S3EC_V2, "x-amz-key-v2", "A", CV_ERR_INVALID},
        {CV_S3EC_V2, "x-amz-key-v2", "", CV_ERR_INVALID},
        {CV_S3EC_V2, "x-amz-cek-alg", "AES/CBC/PKCS5Padding", CV_ERR_UNSUPPORTED},
        {CV_S3EC_V2, "x-amz-cek-alg", NULL, CV_ERR_UNSUPPORTED},
        {CV_S3EC_V2, "x-amz-wrap-alg", "AES/GCM", CV_ERR_UNSUPPORTED},
        {CV_S3EC_V2, "x-amz-wrap-alg", NULL, CV_ERR_UNSUPPORTED},
        {CV_S3EC_V2, "x-amz-tag-len", "96", CV_ERR_INVALID},
        {CV_S3EC_V2, "x-amz-tag-len", NULL, CV_ERR_INVALID},
        {CV_S3EC_V2, "x-amz-iv", "AAAAAAAAAAAAAAAA", CV_ERR_INVALID},
        {CV_S3EC_V2, "x-amz-iv", "AQEBAQEBAQEBAQ==", CV_ERR_INVALID},
        {CV_S3EC_V2, "x-amz-matdesc", "{}", CV_ERR_INVALID},
        {CV_S3EC_V2, "x-amz-matdesc", NULL, CV_ERR_INVALID},
        {CV_S3EC_V2, "x-amz-matdesc", "{\"aws:x-amz-cek-alg\":\"115\"}", CV_ERR_INVALID},
        {CV_S3EC_V2, "x-amz-matdesc", "[]", CV_ERR_INVALID},
        {CV_S3EC_V2, "x-amz-matdesc", "{\"a\":1}", CV_ERR_INVALID},
        {CV_S3EC_V3, "x-amz-c", "116", CV_ERR_UNSUPPORTED},
        {CV_S3EC_V3, "x-amz-w", "02", CV_ERR_UNSUPPORTED},
        {CV_S3EC_V3, "x-amz-3", NULL, CV_ERR_NOT_FOUND},
        {CV_S3EC_V3, "x-amz-i", NULL, CV_ERR_INVALID},
        {CV_S3EC_V3, "x-amz-d", "AAAA", CV_ERR_INVALID},
        {CV_S3EC_V3, "x-amz-t", "{\"aws:x-amz-cek-alg\":\"AES/GCM/NoPadding\"}", CV_ERR_INVALID},
        {CV_S3EC_V3, "x-amz-t", "{\"a\":\"1\",\"a\":\"2\"}", CV_ERR_INVALID},
        {CV_S3EC_V3, "x-amz-key-v2", "AAAA", CV_ERR_INVALID},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct cv_s3ec_pairs meta, changed = {.n = 0};
        struct cv_buf body;
        struct cv_s3ec_meta m;
        make(&meta, &body, changes[i].format, NULL, 0);
        for (size_t k = 0; k < meta.n; k++) {
            if (strcmp(meta.pair[k].name, changes[i].name) != 0) {
                assert_int_equal(
                    cv_s3ec_pairs_add(&changed, meta.pair[k].name, meta.pair[k].value, true), 0);
            }
        }
        if (changes[i].value != NULL) {
            assert_int_equal(cv_s3ec_pairs_add(&changed, changes[i].name, changes[i].value, true),
                             0);
        }
        int rc = cv_s3ec_meta_parse(&m, &changed, &err);
        if (rc != changes[i].code) {
            fail_msg("%s=%s gives %d", changes[i].name, changes[i].value, rc);
        }
        cv_s3ec_meta_free(&m);
        cv_s3ec_pairs_free(&meta);
        cv_s3ec_pairs_free(&changed);
        cv_buf_free(&body);
    }
}

static void test_context_rules(void **state)
{
    (void)state;
    static const char *const bad[][2] = {{"aws:x-amz-cek-alg", "115"},
                                         {"aws:other", "x"},
                                         {"kms_cmk_id", "x"},
                                         {"", "x"},
                                         {"a", "\xc3\xa9"},
                                         {"a\n", "x"}};
    for (size_t i = 0; i < 6; i++) {
        struct cv_s3ec_pairs user = {.n = 0}, out = {.n = 0};
        assert_int_equal(cv_s3ec_pairs_add(&user, bad[i][0], bad[i][1], false), 0);
        assert_int_equal(cv_s3ec_context(&out, &user, CV_S3EC_V3, &err), CV_ERR_INVALID);
        cv_s3ec_pairs_free(&user);
        cv_s3ec_pairs_free(&out);
    }
}

static void test_instruction_file(void **state)
{
    (void)state;
    for (int format = CV_S3EC_V2; format <= CV_S3EC_V3; format++) {
        struct cv_s3ec_pairs meta, object = {.n = 0};
        struct cv_buf body, json;
        cv_buf_init(&json, CV_CONFIG_MAX_JSON);
        make(&meta, &body, (enum cv_s3ec_format)format, NULL, 0);
        struct cv_s3ec_meta m;
        assert_int_equal(cv_s3ec_meta_parse(&m, &meta, &err), 0);
        assert_int_equal(cv_s3ec_instruction_emit(&object, &json, &m, &err), 0);
        assert_int_equal(object.n, format == CV_S3EC_V3 ? 3 : 0);
        assert_true(cv_s3ec_needs_instruction(&object));
        assert_false(cv_s3ec_needs_instruction(&meta));
        cv_s3ec_meta_free(&m);
        assert_int_equal(cv_s3ec_meta_parse(&m, &object, &err), CV_ERR_NOT_FOUND);
        cv_s3ec_meta_free(&m);
        assert_int_equal(cv_s3ec_instruction_parse(&object, cv_buf_view(&json), &err), 0);
        assert_int_equal(cv_s3ec_meta_parse(&m, &object, &err), 0);
        cv_s3ec_meta_free(&m);
        assert_int_not_equal(cv_s3ec_instruction_parse(&object, cv_buf_view(&json), &err), 0);
        cv_s3ec_pairs_free(&object);
        assert_int_not_equal(
            cv_s3ec_instruction_parse(&object, CV_BYTES_LIT("{\"x-amz-c\":\"115\"}"), &err), 0);
        cv_s3ec_pairs_free(&object);
        cv_s3ec_pairs_free(&meta);
        cv_buf_free(&body);
        cv_buf_free(&json);
    }
}

/* ---- container ---- */

static void unpack(void *ctx, const uint8_t *p, size_t n, const char *what)
{
    unsigned *accepted = ctx;
    struct cv_s3ec_pairs pairs;
    struct cv_bytes body;
    (void)what;
    *accepted += cv_config_unpack(&pairs, &body, CV_BYTES(p, n), &err) == 0;
    cv_s3ec_pairs_free(&pairs);
}

static void test_container(void **state)
{
    (void)state;
    struct cv_s3ec_pairs meta, again;
    struct cv_buf body, file;
    struct cv_bytes view;
    cv_buf_init(&file, CV_S3EC_MAX_BODY);
    make(&meta, &body, CV_S3EC_V3, NULL, 0);
    assert_int_equal(cv_config_pack(&file, &meta, cv_buf_view(&body), &err), 0);
    assert_int_equal(cv_config_unpack(&again, &view, cv_buf_view(&file), &err), 0);
    assert_true(cv_bytes_equal(view, cv_buf_view(&body)));
    assert_int_equal(again.n, meta.n);
    for (size_t i = 0; i < meta.n; i++) {
        assert_string_equal(again.pair[i].value, meta.pair[i].value);
    }
    unsigned accepted = 0;
    mutate_truncations(file.p, file.n - body.n + CV_S3EC_TAG_LEN, unpack, &accepted);
    assert_int_equal(accepted, 0);
    mutate_bit_flips(file.p, file.n, unpack, &accepted);
    cv_s3ec_pairs_free(&again);
    cv_s3ec_pairs_free(&meta);
    cv_buf_free(&body);
    cv_buf_free(&file);
}

/* ---- rules ---- */

static char *public_key(EVP_PKEY *key, struct cv_buf *pem)
{
    uint8_t *der = NULL;
    int n = i2d_PUBKEY(key, &der);
    static char text[512];
    cv_base64_encode(text, der, (size_t)n);
    OPENSSL_free(der);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    char *p;
    long len = BIO_get_mem_data(bio, &p);
    cv_buf_init(pem, 4096);
    assert_int_equal(cv_buf_append(pem, p, (size_t)len), 0);
    BIO_free(bio);
    return text;
}

static int check(const struct cv_s3ec_pairs *meta, const struct cv_buf *body,
                 const struct cv_config_expect *expect)
{
    struct cv_s3ec_meta m;
    uint64_t version;
    int rc = cv_s3ec_meta_parse(&m, meta, &err);
    if (rc == 0) {
        rc = cv_config_check(&m, meta, cv_buf_view(body), expect, &version, &err);
    }
    cv_s3ec_meta_free(&m);
    return rc;
}

static void test_publisher(void **state)
{
    (void)state;
    EVP_PKEY *const keys[] = {EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"),
                              EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256")};
    EVP_PKEY *stranger = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    for (size_t i = 0; i < 2; i++) {
        struct cv_s3ec_pairs meta;
        struct cv_buf body, pem, other_pem;
        struct cv_config_expect expect = {.any_context = true};
        make(&meta, &body, CV_S3EC_V3, NULL, 0);
        expect.publisher_key = public_key(keys[i], &pem);
        assert_int_equal(check(&meta, &body, &expect), CV_ERR_CRYPTO); /* not signed */
        assert_int_equal(cv_config_sign(&meta, cv_buf_view(&body), cv_buf_view(&pem), &err), 0);
        assert_int_equal(check(&meta, &body, &expect), 0);
        assert_int_not_equal(cv_config_sign(&meta, cv_buf_view(&body), cv_buf_view(&pem), &err), 0);
        body.p[0] ^= 1;
        assert_int_equal(check(&meta, &body, &expect), CV_ERR_CRYPTO);
        body.p[0] ^= 1;
        for (size_t k = 0; k < meta.n; k++) { /* each of the metadata is covered */
            char *value = meta.pair[k].value;
            value[0] = value[0] == 'B' ? 'C' : 'B';
            assert_int_equal(
                cv_config_verify(&meta, cv_buf_view(&body), expect.publisher_key, &err),
                CV_ERR_CRYPTO);
            cv_s3ec_pairs_free(&meta);
            cv_buf_free(&body);
            make(&meta, &body, CV_S3EC_V3, NULL, 0);
            assert_int_equal(cv_config_sign(&meta, cv_buf_view(&body), cv_buf_view(&pem), &err), 0);
        }
        expect.publisher_key = public_key(stranger, &other_pem);
        assert_int_equal(check(&meta, &body, &expect), CV_ERR_CRYPTO);
        cv_buf_free(&pem);
        cv_buf_free(&other_pem);
        cv_s3ec_pairs_free(&meta);
        cv_buf_free(&body);
        EVP_PKEY_free(keys[i]);
    }
    EVP_PKEY_free(stranger);
}

static void test_version_and_context(void **state)
{
    (void)state;
    static const char *const context[] = {"app", "server", "stage", "prod", CV_CONFIG_VERSION, "7"};
    static const char *const want[] = {"stage=prod", "app=server"}, *const other[] = {"app=other"};
    static const char *const less[] = {"app=server"};
    struct cv_s3ec_pairs meta;
    struct cv_buf body;
    make(&meta, &body, CV_S3EC_V3, context, 6);
    struct cv_config_expect e = {.context = want, .context_count = 2, .minimum_version = 7};
    assert_int_equal(check(&meta, &body, &e), 0);
    e.minimum_version = 8;
    assert_int_equal(check(&meta, &body, &e), CV_ERR_DENIED);
    e.minimum_version = 0;
    e.context = less;
    e.context_count = 1;
    assert_int_equal(check(&meta, &body, &e), CV_ERR_DENIED); /* more than is expected */
    e.context = other;
    assert_int_equal(check(&meta, &body, &e), CV_ERR_DENIED);
    e.any_context = true;
    assert_int_equal(check(&meta, &body, &e), 0);
    cv_s3ec_pairs_free(&meta);
    cv_buf_free(&body);
    static const char *const wrong[] = {"", "0", "07", "-1", "7 ", "x", "99999999999999999999"};
    for (size_t i = 0; i < 7; i++) {
        const char *pair[] = {CV_CONFIG_VERSION, wrong[i]};
        make(&meta, &body, CV_S3EC_V2, pair, 2);
        assert_int_equal(check(&meta, &body, &e), CV_ERR_INVALID);
        cv_s3ec_pairs_free(&meta);
        cv_buf_free(&body);
    }
}

static void test_legacy_wrapping(void **state)
{
    (void)state;
    struct cv_s3ec_pairs meta = {.n = 0};
    static const char *const pairs[][2] = {{"x-amz-key-v2", "d3JhcHBlZA=="},
                                           {"x-amz-iv", "AQEBAQEBAQEBAQEB"},
                                           {"x-amz-cek-alg", "AES/GCM/NoPadding"},
                                           {"x-amz-wrap-alg", "kms"},
                                           {"x-amz-tag-len", "128"},
                                           {"x-amz-matdesc", "{\"kms_cmk_id\":\"k\"}"}};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(cv_s3ec_pairs_add(&meta, pairs[i][0], pairs[i][1], true), 0);
    }
    struct cv_buf body;
    cv_buf_init(&body, 16);
    struct cv_config_expect e = {.allow_legacy = true};
    assert_int_equal(check(&meta, &body, &e), 0);
    e.allow_legacy = false;
    assert_int_equal(check(&meta, &body, &e), CV_ERR_DENIED);
    cv_s3ec_pairs_free(&meta);
    cv_buf_free(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_shared_known_answers),
        cmocka_unit_test(test_every_bit_of_the_body),
        cmocka_unit_test(test_metadata_refusals),
        cmocka_unit_test(test_context_rules),
        cmocka_unit_test(test_instruction_file),
        cmocka_unit_test(test_container),
        cmocka_unit_test(test_publisher),
        cmocka_unit_test(test_version_and_context),
        cmocka_unit_test(test_legacy_wrapping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
