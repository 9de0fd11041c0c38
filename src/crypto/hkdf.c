/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/hkdf.h"

#include <string.h>

#include <sodium.h>

#include "crypto/sha.h"

/* The two hashes behind one shape. OUT has hash_len bytes. */
struct hash {
    size_t len;
    void (*hmac)(uint8_t *out, struct cv_bytes key, const struct cv_bytes *parts, size_t count);
};

static void hmac_sha256(uint8_t *out, struct cv_bytes key, const struct cv_bytes *parts,
                        size_t count)
{
    struct cv_hmac_sha256_ctx ctx;
    cv_hmac_sha256_init(&ctx, key);
    for (size_t i = 0; i < count; i++)
        cv_hmac_sha256_update(&ctx, parts[i]);
    cv_hmac_sha256_final(&ctx, out);
}

static void hmac_sha512(uint8_t *out, struct cv_bytes key, const struct cv_bytes *parts,
                        size_t count)
{
    crypto_auth_hmacsha512_state st;
    crypto_auth_hmacsha512_init(&st, key.p, key.n);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].n > 0)
            crypto_auth_hmacsha512_update(&st, parts[i].p, parts[i].n);
    }
    crypto_auth_hmacsha512_final(&st, out);
    cv_wipe(&st, sizeof(st));
}

static int hkdf(const struct hash *hash, uint8_t *out, size_t n, struct cv_bytes ikm,
                struct cv_bytes salt, struct cv_bytes info)
{
    static const uint8_t zeros[CV_SHA512_LEN]; /* the salt when there is none */
    uint8_t prk[CV_SHA512_LEN], t[CV_SHA512_LEN];
    if (n > 255 * hash->len)
        return CV_ERR_LIMIT;
    if (salt.n == 0)
        salt = CV_BYTES(zeros, hash->len);
    hash->hmac(prk, salt, &ikm, 1);

    size_t t_len = 0;
    for (uint8_t i = 1; n > 0; i++) {
        struct cv_bytes parts[3] = {CV_BYTES(t, t_len), info, CV_BYTES(&i, 1)};
        hash->hmac(t, CV_BYTES(prk, hash->len), parts, 3);
        t_len = hash->len;
        size_t take = n < t_len ? n : t_len;
        memcpy(out, t, take);
        out += take;
        n -= take;
    }
    cv_wipe(prk, sizeof(prk));
    cv_wipe(t, sizeof(t));
    return 0;
}

int cv_hkdf_sha256(uint8_t *out, size_t n, struct cv_bytes ikm, struct cv_bytes salt,
                   struct cv_bytes info)
{
    static const struct hash hash = {CV_SHA256_LEN, hmac_sha256};
    return hkdf(&hash, out, n, ikm, salt, info);
}

int cv_hkdf_sha512(uint8_t *out, size_t n, struct cv_bytes ikm, struct cv_bytes salt,
                   struct cv_bytes info)
{
    static const struct hash hash = {CV_SHA512_LEN, hmac_sha512};
    return hkdf(&hash, out, n, ikm, salt, info);
}
