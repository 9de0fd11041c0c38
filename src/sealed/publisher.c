/* SPDX-License-Identifier: Apache-2.0 */
/* The publisher's signature over a configuration as it is stored. */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <string.h>

#include "cbor/cbor.h"
#include "common/hex.h"
#include "sealed/config.h"

#define TAG "claviger.config.1"
#define MAX_TEXT (2 * CV_CONFIG_MAX_JSON)

/* Sorted. Everything else in an object's metadata is not ours and not signed. */
static const char *const names[] = {
    "x-amz-3",      "x-amz-c",       "x-amz-cek-alg", "x-amz-d",       "x-amz-i", "x-amz-iv",
    "x-amz-key-v2", "x-amz-matdesc", "x-amz-t",       "x-amz-tag-len", "x-amz-w", "x-amz-wrap-alg",
};
#define NAMES (sizeof names / sizeof names[0])

static int no_memory(struct cv_error *err)
{
    return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
}

int cv_config_signed_text(struct cv_buf *out, const struct cv_s3ec_pairs *pairs,
                          struct cv_bytes body, struct cv_error *err)
{
    uint8_t sum[SHA256_DIGEST_LENGTH];
    size_t count = 0;
    for (size_t i = 0; i < NAMES; i++) {
        count += cv_s3ec_pairs_get(pairs, names[i]) != NULL;
    }
    uint8_t *room = cv_buf_reserve(out, MAX_TEXT);
    if (room == NULL || EVP_Digest(body.p, body.n, sum, NULL, EVP_sha256(), NULL) != 1) {
        return no_memory(err);
    }
    struct cv_writer w;
    cv_writer_init(&w, room, MAX_TEXT);
    cv_cbor_write_array(&w, 3);
    cv_cbor_write_tstr(&w, TAG);
    cv_cbor_write_map(&w, count);
    for (size_t i = 0; i < NAMES; i++) {
        const char *value = cv_s3ec_pairs_get(pairs, names[i]);
        if (value != NULL) {
            cv_cbor_write_tstr(&w, names[i]);
            cv_cbor_write_tstr(&w, value);
        }
    }
    cv_cbor_write_bstr(&w, CV_BYTES(sum, sizeof sum));
    size_t n;
    if (cv_writer_end(&w, &n) != 0) {
        return cv_error_set(err, CV_ERR_LIMIT, "the metadata are too large to be signed");
    }
    cv_buf_commit(out, n);
    return 0;
}

/* Ed25519 signs the text itself, P-256 its SHA-256. */
static int digest_of(EVP_PKEY *key, const EVP_MD **md, struct cv_error *err)
{
    char group[32] = "";
    *md = NULL;
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519) {
        return 0;
    }
    *md = EVP_sha256();
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
        EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
        strcmp(group, "prime256v1") == 0) {
        return 0;
    }
    ERR_clear_error();
    return cv_error_set(err, CV_ERR_UNSUPPORTED, "a publisher's key is Ed25519 or P-256");
}

static void free_key(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}
static void free_ctx(EVP_MD_CTX **ctx)
{
    EVP_MD_CTX_free(*ctx);
}

int cv_config_sign(struct cv_s3ec_pairs *pairs, struct cv_bytes body, struct cv_bytes key_pem,
                   struct cv_error *err)
{
    BIO *bio = key_pem.n <= CV_CONFIG_MAX_JSON ? BIO_new_mem_buf(key_pem.p, (int)key_pem.n) : NULL;
    static char none[] = ""; /* no passphrase is asked for */
    CV_CLEANUP(free_key)
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, none) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    if (key == NULL) {
        return cv_error_set(err, CV_ERR_INVALID,
                            "the publisher's key is no private key in PEM "
                            "without a passphrase");
    }
    const EVP_MD *md;
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, MAX_TEXT);
    int rc = digest_of(key, &md, err);
    if (rc == 0) {
        rc = cv_config_signed_text(&text, pairs, body, err);
    }
    if (rc != 0) {
        return rc;
    }
    uint8_t sig[128];
    size_t n = sizeof sig;
    CV_CLEANUP(free_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL || EVP_DigestSignInit(ctx, NULL, md, NULL, key) != 1 ||
        EVP_DigestSign(ctx, sig, &n, text.p, text.n) != 1) {
        ERR_clear_error();
        return cv_error_set(err, CV_ERR_CRYPTO, "signing the configuration failed");
    }
    char encoded[CV_BASE64_LEN(sizeof sig) + 1];
    cv_base64_encode(encoded, sig, n);
    rc = cv_s3ec_pairs_add(pairs, CV_CONFIG_SIGNATURE, encoded, true);
    return rc == 0 ? 0 : cv_error_set(err, rc, "the configuration has a signature already");
}

int cv_config_verify(const struct cv_s3ec_pairs *pairs, struct cv_bytes body,
                     const char *public_key, struct cv_error *err)
{
    const char *encoded = cv_s3ec_pairs_get(pairs, CV_CONFIG_SIGNATURE);
    if (encoded == NULL) {
        return cv_error_set(err, CV_ERR_CRYPTO,
                            "the configuration is not signed, and a "
                            "publisher's signature is asked for");
    }
    uint8_t der[512], sig[128];
    size_t n, sig_len;
    if (cv_base64_decode(der, sizeof der, &n, cv_bytes_str(public_key)) != 0) {
        return cv_error_set(err, CV_ERR_CONFIG, "the publisher's key is no base64");
    }
    const uint8_t *at = der;
    CV_CLEANUP(free_key) EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)n);
    ERR_clear_error();
    if (key == NULL || at != der + n) {
        return cv_error_set(err, CV_ERR_CONFIG, "the publisher's key is no public key");
    }
    const EVP_MD *md;
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, MAX_TEXT);
    int rc = digest_of(key, &md, err);
    if (rc == 0) {
        rc = cv_config_signed_text(&text, pairs, body, err);
    }
    if (rc != 0) {
        return rc;
    }
    CV_CLEANUP(free_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = cv_base64_decode(sig, sizeof sig, &sig_len, cv_bytes_str(encoded)) == 0 &&
                ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, md, NULL, key) == 1 &&
                EVP_DigestVerify(ctx, sig, sig_len, text.p, text.n) == 1;
    ERR_clear_error();
    return good ? 0
                : cv_error_set(err, CV_ERR_CRYPTO,
                               "the configuration's signature is not the "
                               "publisher's: it was changed, or signed by somebody else");
}
