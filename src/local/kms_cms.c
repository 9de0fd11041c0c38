/* SPDX-License-Identifier: Apache-2.0 */
#include "local/kms_cms.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#include "common/secret.h"
#include "crypto/sha.h"

#define CEK_LEN 32
#define IV_LEN 16
#define BLOCK 16
#define CMS_MAX 16384

/* OIDs with tag and length. */
static const uint8_t oid_enveloped[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                        0xf7, 0x0d, 0x01, 0x07, 0x03};
static const uint8_t oid_data[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                   0xf7, 0x0d, 0x01, 0x07, 0x01};
static const uint8_t oid_aes256_cbc[] = {0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                         0x65, 0x03, 0x04, 0x01, 0x2a};
/* RSAES-OAEP with SHA-256 and MGF1 over SHA-256 (RFC 4055). */
static const uint8_t alg_oaep[] = {
    0x30, 0x3c, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x07, 0x30, 0x2f, 0xa0,
    0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
    0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30,
    0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00};
/* The same without parameters: the defaults, SHA-1. */
static const uint8_t alg_oaep_sha1[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                        0xf7, 0x0d, 0x01, 0x01, 0x07, 0x30, 0x00};

static EVP_PKEY *read_key(struct cv_bytes spki)
{
    const unsigned char *p = spki.p;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)spki.n);
    if (key && (p != spki.p + spki.n || EVP_PKEY_base_id(key) != EVP_PKEY_RSA ||
                EVP_PKEY_bits(key) < 2048 || EVP_PKEY_bits(key) > 4096)) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}

int cv_local_cms_check_key(struct cv_bytes spki)
{
    EVP_PKEY *key = read_key(spki);
    EVP_PKEY_free(key);
    return key ? 0 : CV_ERR_INVALID;
}

static int wrap_cek(uint8_t *out, size_t *n, EVP_PKEY *key, const uint8_t cek[CEK_LEN])
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    int ok = ctx && EVP_PKEY_encrypt_init(ctx) > 0 &&
             EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) > 0 &&
             EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) > 0 &&
             EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) > 0 &&
             EVP_PKEY_encrypt(ctx, out, n, cek, CEK_LEN) > 0;
    EVP_PKEY_CTX_free(ctx);
    return ok ? 0 : CV_ERR_CRYPTO;
}

static int encrypt_content(uint8_t *out, size_t *n, const uint8_t cek[CEK_LEN],
                           const uint8_t iv[IV_LEN], struct cv_bytes in)
{
    int first = 0, last = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int ok = ctx && EVP_EncryptInit_ex(ctx, EVP_aes_256_cbc(), NULL, cek, iv) > 0 &&
             EVP_EncryptUpdate(ctx, out, &first, in.p, (int)in.n) > 0 &&
             EVP_EncryptFinal_ex(ctx, out + first, &last) > 0;
    EVP_CIPHER_CTX_free(ctx);
    *n = (size_t)first + (size_t)last;
    return ok ? 0 : CV_ERR_CRYPTO;
}

/* Tag and definite length. */
static int head(struct cv_buf *b, uint8_t tag, size_t n)
{
    uint8_t h[4] = {tag};
    size_t used = 2;
    if (n < 0x80) {
        h[1] = (uint8_t)n;
    } else if (n < 0x100) {
        h[1] = 0x81;
        h[2] = (uint8_t)n;
        used = 3;
    } else {
        h[1] = 0x82;
        h[2] = (uint8_t)(n >> 8);
        h[3] = (uint8_t)n;
        used = 4;
    }
    return cv_buf_append(b, h, used);
}

static int element(struct cv_buf *b, uint8_t tag, struct cv_bytes content)
{
    int rc = head(b, tag, content.n);
    return rc ? rc : cv_buf_append(b, content.p, content.n);
}

/* CONTENT inside TAG, with an indefinite length or a definite one. */
static int container(struct cv_buf *out, uint8_t tag, const struct cv_buf *content, bool definite)
{
    static const uint8_t end[2] = {0, 0};
    const uint8_t open[2] = {tag, 0x80};
    int rc;
    if (definite)
        return element(out, tag, cv_buf_view(content));
    if ((rc = cv_buf_append(out, open, 2)) || (rc = cv_buf_append(out, content->p, content->n)))
        return rc;
    return cv_buf_append(out, end, 2);
}

static int recipient_set(struct cv_buf *out, struct cv_bytes spki, struct cv_bytes wrapped,
                         enum cv_local_cms_shape shape)
{
    static const uint8_t version2[] = {0x02, 0x01, 0x02};
    struct cv_buf CV_CLEANUP(cv_buf_free) ktri, seq;
    uint8_t id[CV_SHA256_LEN];
    int rc;
    cv_buf_init(&ktri, CMS_MAX);
    cv_buf_init(&seq, CMS_MAX);
    cv_sha256(id, spki);
    if (shape == CV_LOCAL_CMS_OTHER_KEY_ID)
        id[0] ^= 1;
    if ((rc = cv_buf_append(&ktri, version2, sizeof version2)) ||
        (rc = element(&ktri, 0x80, CV_BYTES(id, sizeof id))) ||
        (rc = shape == CV_LOCAL_CMS_SHA1 ? cv_buf_append(&ktri, alg_oaep_sha1, sizeof alg_oaep_sha1)
                                         : cv_buf_append(&ktri, alg_oaep, sizeof alg_oaep)) ||
        (rc = element(&ktri, 0x04, wrapped)) || (rc = element(&seq, 0x30, cv_buf_view(&ktri))))
        return rc;
    return element(out, 0x31, cv_buf_view(&seq));
}

static int encrypted_content(struct cv_buf *out, const uint8_t iv[IV_LEN], struct cv_bytes body,
                             enum cv_local_cms_shape shape)
{
    struct cv_buf CV_CLEANUP(cv_buf_free) eci, alg, chunks;
    bool definite = shape == CV_LOCAL_CMS_DEFINITE;
    size_t chunk = shape == CV_LOCAL_CMS_CHUNKS ? 7 : body.n;
    int rc;
    cv_buf_init(&eci, CMS_MAX);
    cv_buf_init(&alg, 64);
    cv_buf_init(&chunks, CMS_MAX);
    if ((rc = cv_buf_append(&eci, oid_data, sizeof oid_data)) ||
        (rc = cv_buf_append(&alg, oid_aes256_cbc, sizeof oid_aes256_cbc)) ||
        (rc = element(&alg, 0x04, CV_BYTES(iv, IV_LEN))) ||
        (rc = element(&eci, 0x30, cv_buf_view(&alg))))
        return rc;
    if (definite || shape == CV_LOCAL_CMS_PRIMITIVE) {
        rc = element(&eci, 0x80, body);
    } else {
        for (size_t off = 0; !rc && off < body.n; off += chunk) {
            size_t n = body.n - off < chunk ? body.n - off : chunk;
            rc = element(&chunks, 0x04, CV_BYTES(body.p + off, n));
        }
        if (!rc)
            rc = container(&eci, 0xa0, &chunks, false);
    }
    return rc ? rc : container(out, 0x30, &eci, definite);
}

static int enveloped(struct cv_buf *out, struct cv_bytes spki, struct cv_bytes wrapped,
                     const uint8_t iv[IV_LEN], struct cv_bytes body, enum cv_local_cms_shape shape)
{
    static const uint8_t version2[] = {0x02, 0x01, 0x02};
    struct cv_buf CV_CLEANUP(cv_buf_free) env, tagged, info;
    bool definite = shape == CV_LOCAL_CMS_DEFINITE;
    int rc;
    cv_buf_init(&env, CMS_MAX);
    cv_buf_init(&tagged, CMS_MAX);
    cv_buf_init(&info, CMS_MAX);
    if ((rc = cv_buf_append(&env, version2, sizeof version2)) ||
        (rc = recipient_set(&env, spki, wrapped, shape)) ||
        (rc = encrypted_content(&env, iv, body, shape)) ||
        (rc = container(&tagged, 0x30, &env, definite)) ||
        (rc = cv_buf_append(&info, oid_enveloped, sizeof oid_enveloped)) ||
        (rc = container(&info, 0xa0, &tagged, definite)))
        return rc;
    return container(out, 0x30, &info, definite);
}

static int garbage(struct cv_buf *out)
{
    uint8_t raw[400];
    cv_random(raw, sizeof raw);
    return cv_buf_append(out, raw, sizeof raw);
}

int cv_local_cms_wrap(struct cv_buf *out, struct cv_bytes spki, struct cv_bytes plaintext,
                      enum cv_local_cms_shape shape)
{
    uint8_t cek[CEK_LEN], iv[IV_LEN], wrapped[512], body[4096 + BLOCK];
    size_t wrapped_n = sizeof wrapped, body_n = 0, start = out->n;
    EVP_PKEY *key = read_key(spki), *other = NULL;
    if (!key)
        return CV_ERR_INVALID;
    if (plaintext.n > sizeof body - BLOCK) {
        EVP_PKEY_free(key);
        return CV_ERR_LIMIT;
    }
    cv_random(cek, sizeof cek);
    cv_random(iv, sizeof iv);
    if (shape == CV_LOCAL_CMS_OTHER_KEY)
        other = EVP_RSA_gen(2048);
    int rc = wrap_cek(wrapped, &wrapped_n, other ? other : key, cek);
    if (!rc)
        rc = encrypt_content(body, &body_n, cek, iv, plaintext);
    /* In CBC a flip in the block before flips the same bits of the padding, which
     * then is never valid; one in the last block would pass once in 256 times. */
    if (shape == CV_LOCAL_CMS_BAD_PADDING && body_n >= 32)
        body[body_n - 17] ^= 0x55;
    else if (shape == CV_LOCAL_CMS_BAD_PADDING)
        iv[15] ^= 0x55;
    if (!rc)
        rc = shape == CV_LOCAL_CMS_GARBAGE ? garbage(out)
                                           : enveloped(out, spki, CV_BYTES(wrapped, wrapped_n), iv,
                                                       CV_BYTES(body, body_n), shape);
    if (!rc && shape == CV_LOCAL_CMS_TRUNCATED)
        out->n -= (out->n - start) / 3;
    if (!rc && shape == CV_LOCAL_CMS_TRAILING)
        rc = cv_buf_append(out, "\0\0\0", 3);
    cv_wipe(cek, sizeof cek);
    EVP_PKEY_free(other);
    EVP_PKEY_free(key);
    return rc;
}
