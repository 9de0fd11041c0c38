/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, hashes and signatures as text, both directions. */
#include "unit/cv_test.h"
#include "unit/from_hex.h"

#include "crypto/init.h"
#include "tezos/keytext.h"

/* Each kind with a payload of 0x00…, 0x01 0x02 …, and 0xff…: it starts with
 * its letters whatever the payload is, and reads back as what it was. */
static void kinds(void **state)
{
    (void)state;
    static const struct {
        enum cv_text_kind kind;
        const char *start;
        size_t len;
    } table[] = {
        {CV_TEXT_PKH_ED25519, "tz1", 36},
        {CV_TEXT_PKH_SECP256K1, "tz2", 36},
        {CV_TEXT_PKH_P256, "tz3", 36},
        {CV_TEXT_PKH_BLS, "tz4", 36},
        {CV_TEXT_PK_ED25519, "edpk", 54},
        {CV_TEXT_PK_SECP256K1, "sppk", 55},
        {CV_TEXT_PK_P256, "p2pk", 55},
        {CV_TEXT_PK_BLS, "BLpk", 76},
        {CV_TEXT_SK_ED25519_SEED, "edsk", 54},
        {CV_TEXT_SK_SECP256K1, "spsk", 54},
        {CV_TEXT_SK_P256, "p2sk", 54},
        {CV_TEXT_SK_BLS, "BLsk", 54},
        {CV_TEXT_SK_ED25519, "edsk", 98},
        {CV_TEXT_ESK_ED25519, "edesk", 88},
        {CV_TEXT_ESK_SECP256K1, "spesk", 88},
        {CV_TEXT_ESK_P256, "p2esk", 88},
        {CV_TEXT_ESK_BLS, "BLesk", 88},
        {CV_TEXT_SIG_ED25519, "edsig", 99},
        {CV_TEXT_SIG_SECP256K1, "spsig1", 99},
        {CV_TEXT_SIG_P256, "p2sig", 98},
        {CV_TEXT_SIG_BLS, "BLsig", 142},
        {CV_TEXT_SIG_GENERIC, "sig", 96},
        {CV_TEXT_CONTRACT, "KT1", 36},
        {CV_TEXT_SMART_ROLLUP, "sr1", 36},
        {CV_TEXT_ZK_ROLLUP, "epx1", 37},
        {CV_TEXT_CHAIN_ID, "Net", 15},
        {CV_TEXT_BLOCK_HASH, "B", 51},
        {CV_TEXT_OPERATION_HASH, "o", 51},
        {CV_TEXT_PAYLOAD_HASH, "vh", 52},
        {CV_TEXT_PROTOCOL_HASH, "P", 51},
        {CV_TEXT_OPERATION_LIST_HASH, "Lo", 52},
        {CV_TEXT_OPERATION_LIST_LIST_HASH, "LLo", 53},
        {CV_TEXT_CONTEXT_HASH, "Co", 52},
        {CV_TEXT_SR_STATE_HASH, "srs1", 54},
        {CV_TEXT_SR_COMMITMENT_HASH, "src1", 54},
        {CV_TEXT_SCRIPT_EXPR_HASH, "expr", 54},
        {CV_TEXT_NONCE_HASH, "nce", 53},
        {CV_TEXT_DAL_COMMITMENT, "sh", 74},
    };
    assert_int_equal(sizeof(table) / sizeof(table[0]), CV_TEXT_KIND_COUNT);
    for (size_t i = 0; i < CV_TEXT_KIND_COUNT; i++) {
        size_t n = cv_text_payload_len(table[i].kind), m;
        for (int fill = 0; fill < 3; fill++) {
            uint8_t payload[CV_TEXT_PAYLOAD_MAX], back[CV_TEXT_PAYLOAD_MAX];
            char text[CV_BASE58_TEXT_MAX];
            enum cv_text_kind kind;
            for (size_t j = 0; j < n; j++)
                payload[j] = fill == 0 ? 0 : fill == 1 ? (uint8_t)(j + 1) : 0xff;
            assert_int_equal(
                cv_text_format(text, sizeof(text), table[i].kind, CV_BYTES(payload, n)), 0);
            if (strncmp(text, table[i].start, strlen(table[i].start)) != 0 ||
                strlen(text) != table[i].len)
                fail_msg("%s (%zu) should be %s (%zu)", text, strlen(text), table[i].start,
                         table[i].len);
            assert_int_equal(cv_text_parse(&kind, back, &m, cv_bytes_str(text)), 0);
            assert_int_equal(kind, table[i].kind);
            assert_int_equal(m, n);
            assert_memory_equal(back, payload, n);
            assert_int_equal(
                cv_text_format(text, sizeof(text), table[i].kind, CV_BYTES(payload, n - 1)),
                CV_ERR_INVALID);
            assert_int_equal(
                cv_text_format(text, table[i].len, table[i].kind, CV_BYTES(payload, n)),
                CV_ERR_LIMIT);
        }
    }
}

/* One key of each scheme, computed with other software. */
static const struct {
    enum cv_scheme scheme;
    const char *secret, *big_endian, *public_key, *pkh;
} keys_of[] = {
    {CV_SCHEME_ED25519, "edsk2gw96dZ4ph4stST9Sh24T1qiygE6bz431CKfbvpuHSpssnSL6u",
     "0257ede6efa29749638ef4087d1d1f986757220e56175c10616fa3d17f223c91",
     "edpkuRYFwQh9Godh3gXArAGMNuiwNMWWDeV66XYywsA9gDeVjxpj1E",
     "tz1ea2DtEVdTLyKM8NrmgEQjLQAebNbuUfzu"},
    {CV_SCHEME_SECP256K1, "spsk1SbYQYsZK2DwVLMsGBxUTvqg6ZUPkhFVvXZSXeuMxpWAXHs8ft",
     "0257ede6efa29749638ef4087d1d1f986757220e56175c10616fa3d17f223c91",
     "sppk7bWfScY8hk79Gpm7x1wAGZ5uqXRDQNRRqfR4BEiW8AdZJ6jj9PH",
     "tz2PoZevVkdqcjUvn6YBymzMtHTbDBb4FGtD"},
    {CV_SCHEME_P256, "p2sk2Mpfe3o9mGLREnb9dDcGEpTjJzaN5nsSy45so8i1gWFUjH4m14",
     "0257ede6efa29749638ef4087d1d1f986757220e56175c10616fa3d17f223c91",
     "p2pk68JydXm3LEFqdPTvZL1o53PSnBmB2kXh8VyMUhdtKwy4S13ggq3",
     "tz3Rz5PJAoHL5ygaYkFvezLfcpWSnc9qz9ZL"},
    {CV_SCHEME_BLS, "BLsk2bsfp5SQehM64jZgMfApyiavP461M8CjutP2BozLDC4H4sxZeg",
     "0257ede6efa29749638ef4087d1d1f986757220e56175c10616fa3d17f223c91",
     "BLpk1oFSvPzTyn5qFcwwaxkhqdoaseFHXnJ4TQNBTRC4RPfPGPonyGKj7jceDJMS8XHdwBfXZaFU",
     "tz4LoyJXqEjWC87vz8ubF2MEkW8z2Y6yKkeD"},
};

static void keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(keys_of) / sizeof(keys_of[0]); i++) {
        CV_SECRET_AUTO struct cv_secret secret = CV_SECRET_INIT;
        CV_SECRET_AUTO struct cv_secret text = CV_SECRET_INIT;
        CV_SIGNING_KEY_AUTO struct cv_signing_key key;
        struct cv_public_key public_key;
        struct cv_pkh pkh, parsed;
        enum cv_scheme scheme;
        char out[CV_PK_TEXT_SIZE], short_text[CV_PKH_TEXT_SIZE];
        assert_int_equal(cv_secret_key_from_text(&secret, &scheme, cv_bytes_str(keys_of[i].secret)),
                         0);
        assert_int_equal(scheme, keys_of[i].scheme);
        assert_hex(secret.p, 32, keys_of[i].big_endian);
        assert_int_equal(cv_secret_key_to_text(&text, scheme, secret.p), 0);
        assert_int_equal(text.n, strlen(keys_of[i].secret));
        assert_memory_equal(text.p, keys_of[i].secret, text.n);
        assert_int_equal(cv_signing_key_init(&key, scheme, secret.p), 0);
        cv_public_key_format(out, &key.public_key);
        assert_string_equal(out, keys_of[i].public_key);
        assert_int_equal(cv_public_key_from_text(&public_key, cv_bytes_str(out)), 0);
        assert_true(cv_public_key_equal(&public_key, &key.public_key));
        cv_pkh_of(&pkh, &public_key);
        cv_pkh_format(short_text, &pkh);
        assert_string_equal(short_text, keys_of[i].pkh);
        assert_int_equal(cv_pkh_parse(&parsed, cv_bytes_str(short_text)), 0);
        assert_true(cv_pkh_equal(&pkh, &parsed));
        parsed.p[19] ^= 1;
        assert_false(cv_pkh_equal(&pkh, &parsed));
        /* not what is wanted, though well formed */
        assert_int_equal(cv_pkh_parse(&parsed, cv_bytes_str(out)), CV_ERR_INVALID);
        assert_int_equal(cv_public_key_from_text(&public_key, cv_bytes_str(short_text)),
                         CV_ERR_INVALID);
        assert_int_equal(cv_secret_key_from_text(&secret, &scheme, cv_bytes_str(out)),
                         CV_ERR_INVALID);
        short_text[10] = short_text[10] == 'x' ? 'y' : 'x';
        assert_int_equal(cv_pkh_parse(&parsed, cv_bytes_str(short_text)), CV_ERR_CRYPTO);
        assert_int_equal(cv_public_key_from_text(&public_key, cv_bytes_str(short_text)),
                         CV_ERR_CRYPTO);
        assert_int_equal(cv_secret_key_from_text(&secret, &scheme, cv_bytes_str(short_text)),
                         CV_ERR_CRYPTO);
    }
    CV_SECRET_AUTO struct cv_secret text = CV_SECRET_INIT;
    uint8_t zero[32] = {0};
    assert_int_equal(cv_secret_key_to_text(&text, CV_SCHEME_P256, zero), CV_ERR_INVALID);
}

/* A public key text whose point is not on the curve. */
static void bad_point(void **state)
{
    (void)state;
    uint8_t payload[48] = {0x02};
    char text[CV_BASE58_TEXT_MAX];
    struct cv_public_key key;
    assert_int_equal(
        cv_text_format(text, sizeof(text), CV_TEXT_PK_SECP256K1, CV_BYTES(payload, 33)), 0);
    assert_int_equal(cv_public_key_from_text(&key, cv_bytes_str(text)), CV_ERR_INVALID);
}

static void signatures(void **state)
{
    (void)state;
    for (int s = 0; s < CV_SCHEME_COUNT; s++) {
        enum cv_scheme scheme = (enum cv_scheme)s;
        struct cv_signature sig = {.scheme = scheme, .n = cv_signature_len(scheme)}, back;
        char text[CV_SIG_TEXT_SIZE];
        for (size_t i = 0; i < sig.n; i++)
            sig.p[i] = (uint8_t)(i * 3);
        cv_signature_format(text, &sig, false);
        assert_int_equal(cv_signature_from_text(&back, scheme, cv_bytes_str(text)), 0);
        assert_memory_equal(&back, &sig, sizeof(sig));
        for (int other = 0; other < CV_SCHEME_COUNT; other++) {
            if (other != s)
                assert_int_equal(
                    cv_signature_from_text(&back, (enum cv_scheme)other, cv_bytes_str(text)),
                    CV_ERR_INVALID);
        }
        cv_signature_format(text, &sig, true);
        assert_int_equal(strncmp(text, "sig", 3) == 0, scheme != CV_SCHEME_BLS);
        assert_int_equal(cv_signature_from_text(&back, scheme, cv_bytes_str(text)), 0);
        assert_memory_equal(&back, &sig, sizeof(sig));
        if (scheme != CV_SCHEME_BLS)
            assert_int_equal(cv_signature_from_text(&back, CV_SCHEME_BLS, cv_bytes_str(text)),
                             CV_ERR_INVALID);
        text[20] = text[20] == 'x' ? 'y' : 'x';
        assert_int_equal(cv_signature_from_text(&back, scheme, cv_bytes_str(text)), CV_ERR_CRYPTO);
    }
}

static int setup(void **state)
{
    (void)state;
    return cv_crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds),
        cmocka_unit_test(keys),
        cmocka_unit_test(bad_point),
        cmocka_unit_test(signatures),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
