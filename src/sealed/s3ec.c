/* SPDX-License-Identifier: Apache-2.0 */
/* Content encryption of both formats. */
#include "sealed/s3ec.h"

#include <string.h>

#include "crypto/aead.h"
#include "crypto/hkdf.h"

/* The algorithm suite's id, 0x0073: first part of both infos, and the
 * additional data. */
#define SUITE "\x00\x73"

struct content_key {
    uint8_t key[CV_AEAD_KEY_LEN];
    uint8_t iv[CV_AEAD_IV_LEN];
    uint8_t commitment[CV_S3EC_ID_LEN];
    struct cv_bytes aad;
};

static void wipe(struct content_key *k)
{
    cv_wipe(k, sizeof *k);
}

static int derive(struct content_key *k, const struct cv_s3ec_meta *m, struct cv_bytes key)
{
    if (m->format == CV_S3EC_V2) {
        memcpy(k->key, key.p, sizeof k->key);
        memcpy(k->iv, m->iv, sizeof k->iv);
        k->aad = CV_BYTES(NULL, 0);
        return 0;
    }
    struct cv_bytes salt = CV_BYTES(m->message_id, sizeof m->message_id);
    memset(k->iv, 1, sizeof k->iv); /* the key is used once, so the IV may be fixed */
    k->aad = CV_BYTES_LIT(SUITE);
    int rc = cv_hkdf_sha512(k->key, sizeof k->key, key, salt, CV_BYTES_LIT(SUITE "DERIVEKEY"));
    return rc == 0 ? cv_hkdf_sha512(k->commitment, sizeof k->commitment, key, salt,
                                    CV_BYTES_LIT(SUITE "COMMITKEY"))
                   : rc;
}

int cv_s3ec_seal_with(struct cv_s3ec_meta *m, const uint8_t key[CV_S3EC_KEY_LEN],
                      struct cv_bytes nonce, struct cv_bytes plaintext, struct cv_buf *out,
                      struct cv_error *err)
{
    bool v3 = m->format == CV_S3EC_V3;
    uint8_t *to = v3 ? m->message_id : m->iv;
    if (nonce.n != (v3 ? sizeof m->message_id : sizeof m->iv)) {
        return cv_error_set(err, CV_ERR_INVALID, "a nonce of a wrong length");
    }
    if (plaintext.n > CV_S3EC_MAX_BODY - CV_S3EC_TAG_LEN) {
        return cv_error_set(err, CV_ERR_LIMIT, "larger than %u bytes",
                            CV_S3EC_MAX_BODY - CV_S3EC_TAG_LEN);
    }
    memcpy(to, nonce.p, nonce.n);
    CV_CLEANUP(wipe) struct content_key k;
    uint8_t *room = cv_buf_reserve(out, plaintext.n + CV_S3EC_TAG_LEN);
    if (room == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
    }
    int rc = derive(&k, m, CV_BYTES(key, CV_S3EC_KEY_LEN));
    if (rc == 0) {
        rc = cv_aead_seal(room, k.key, k.iv, k.aad, plaintext);
    }
    if (rc != 0) {
        return cv_error_set(err, rc, "encrypting failed");
    }
    if (v3) {
        memcpy(m->commitment, k.commitment, sizeof m->commitment);
    }
    cv_buf_commit(out, plaintext.n + CV_S3EC_TAG_LEN);
    return 0;
}

int cv_s3ec_seal(struct cv_s3ec_meta *m, const uint8_t key[CV_S3EC_KEY_LEN],
                 struct cv_bytes plaintext, struct cv_buf *out, struct cv_error *err)
{
    uint8_t nonce[CV_S3EC_ID_LEN];
    size_t n = m->format == CV_S3EC_V3 ? CV_S3EC_ID_LEN : CV_S3EC_IV_LEN;
    cv_random(nonce, n);
    return cv_s3ec_seal_with(m, key, CV_BYTES(nonce, n), plaintext, out, err);
}

int cv_s3ec_open(const struct cv_s3ec_meta *m, struct cv_bytes key, struct cv_bytes body,
                 struct cv_secret *out, struct cv_error *err)
{
    if (key.n != CV_S3EC_KEY_LEN) {
        return cv_error_set(err, CV_ERR_CRYPTO, "the data key is not 32 bytes long");
    }
    if (body.n < CV_S3EC_TAG_LEN) {
        return cv_error_set(err, CV_ERR_TRUNCATED, "the object is shorter than a tag");
    }
    if (body.n > CV_S3EC_MAX_BODY) {
        return cv_error_set(err, CV_ERR_LIMIT, "the object is larger than %u bytes",
                            CV_S3EC_MAX_BODY);
    }
    CV_CLEANUP(wipe) struct content_key k;
    int rc = derive(&k, m, key);
    if (rc != 0) {
        return cv_error_set(err, rc, "deriving the content key failed");
    }
    if (m->format == CV_S3EC_V3 && !cv_equal_ct(k.commitment, m->commitment, sizeof k.commitment)) {
        return cv_error_set(err, CV_ERR_CRYPTO,
                            "the data key is not the one that the object was "
                            "committed to: metadata or wrapped key were exchanged");
    }
    uint8_t none[1];
    rc = cv_secret_alloc(out, body.n - CV_S3EC_TAG_LEN);
    if (rc != 0) {
        return cv_error_set(err, rc, "out of memory");
    }
    rc = cv_aead_open(out->n != 0 ? out->p : none, k.key, k.iv, k.aad, body);
    if (rc != 0) {
        cv_secret_free(out);
        return cv_error_set(err, CV_ERR_CRYPTO,
                            "the object does not decrypt: it was changed, or "
                            "belongs to another data key");
    }
    return 0;
}
