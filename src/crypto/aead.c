/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/aead.h"

#include <pthread.h>

#include <openssl/err.h>
#include <openssl/evp.h>

/* OpenSSL counts in int. */
#define CV_AEAD_MAX (1u << 30)

/* Fetched once: looking an algorithm up costs more than a small message. */
static EVP_CIPHER *cipher;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fetch(void)
{
    cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
}

static EVP_CIPHER_CTX *start(const uint8_t *key, const uint8_t *iv, struct cv_bytes aad, int enc)
{
    int n;
    pthread_once(&once, fetch);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (cipher != NULL && ctx != NULL && EVP_CipherInit_ex2(ctx, cipher, key, iv, enc, NULL) == 1 &&
        (aad.n == 0 || EVP_CipherUpdate(ctx, NULL, &n, aad.p, (int)aad.n) == 1))
        return ctx;
    EVP_CIPHER_CTX_free(ctx);
    ERR_clear_error();
    return NULL;
}

int cv_aead_seal(uint8_t *out, const uint8_t key[CV_AEAD_KEY_LEN], const uint8_t iv[CV_AEAD_IV_LEN],
                 struct cv_bytes aad, struct cv_bytes in)
{
    if (in.n > CV_AEAD_MAX || aad.n > CV_AEAD_MAX)
        return CV_ERR_LIMIT;
    EVP_CIPHER_CTX *ctx = start(key, iv, aad, 1);
    if (ctx == NULL)
        return CV_ERR_CRYPTO;
    int n = 0, tail = 0, rc = 0;
    if ((in.n > 0 && EVP_CipherUpdate(ctx, out, &n, in.p, (int)in.n) != 1) ||
        EVP_CipherFinal_ex(ctx, out + n, &tail) != 1 || (size_t)n + (size_t)tail != in.n ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, CV_AEAD_TAG_LEN, out + in.n) != 1) {
        cv_wipe(out, in.n + CV_AEAD_TAG_LEN);
        ERR_clear_error();
        rc = CV_ERR_CRYPTO;
    }
    EVP_CIPHER_CTX_free(ctx);
    return rc;
}

int cv_aead_open(uint8_t *out, const uint8_t key[CV_AEAD_KEY_LEN], const uint8_t iv[CV_AEAD_IV_LEN],
                 struct cv_bytes aad, struct cv_bytes in)
{
    if (in.n < CV_AEAD_TAG_LEN)
        return CV_ERR_TRUNCATED;
    if (in.n > CV_AEAD_MAX || aad.n > CV_AEAD_MAX)
        return CV_ERR_LIMIT;
    size_t len = in.n - CV_AEAD_TAG_LEN;
    uint8_t tag[CV_AEAD_TAG_LEN]; /* OpenSSL wants it writable */
    for (size_t i = 0; i < sizeof(tag); i++)
        tag[i] = in.p[len + i];
    EVP_CIPHER_CTX *ctx = start(key, iv, aad, 0);
    if (ctx == NULL)
        return CV_ERR_CRYPTO;
    int n = 0, tail = 0, rc = 0;
    if ((len > 0 && EVP_CipherUpdate(ctx, out, &n, in.p, (int)len) != 1) ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, CV_AEAD_TAG_LEN, tag) != 1 ||
        EVP_CipherFinal_ex(ctx, out + n, &tail) != 1 || (size_t)n + (size_t)tail != len) {
        cv_wipe(out, len);
        ERR_clear_error();
        rc = CV_ERR_CRYPTO;
    }
    EVP_CIPHER_CTX_free(ctx);
    return rc;
}
