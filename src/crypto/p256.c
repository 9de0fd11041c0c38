/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ECDSA over P-256 (FIPS 186-4) by OpenSSL, with nonces of RFC 6979, which
 * OpenSSL 3.0 does not make: we give ECDSA_do_sign_ex() the inverse of the
 * nonce and r. All arithmetic is OpenSSL's.
 */
/* The calls that take a precomputed nonce exist in the older interface alone. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>

#include "common/secret.h"
#include "crypto/rfc6979.h"
#include "crypto/table.h"

/* n, SEC 2 section 2.4.2. */
static const uint8_t order[32] = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
                                  0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
                                  0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};

struct cv_p256_key {
    EC_KEY *ec;
    EC_POINT *point; /* k*G */
    BN_CTX *ctx;
    BN_MONT_CTX *mont; /* modulo n */
    BIGNUM *k, *blind, *product, *inverse, *x, *r;
    uint8_t d[32];
};

static int check(const uint8_t key[CV_PRIVATE_KEY_LEN])
{
    return cv_scalar_in_range(key, order) ? 0 : CV_ERR_INVALID;
}

static int from_random(uint8_t key[CV_PRIVATE_KEY_LEN], const uint8_t random[32])
{
    memcpy(key, random, 32);
    return check(key);
}

static void key_free(struct cv_p256_key *k)
{
    if (k == NULL)
        return;
    EC_KEY_free(k->ec);
    EC_POINT_clear_free(k->point);
    BN_CTX_free(k->ctx);
    BN_MONT_CTX_free(k->mont);
    BN_clear_free(k->k);
    BN_clear_free(k->blind);
    BN_clear_free(k->product);
    BN_clear_free(k->inverse);
    BN_clear_free(k->x);
    BN_clear_free(k->r);
    OPENSSL_clear_free(k, sizeof(*k));
}

static int key_alloc(struct cv_p256_key *k)
{
    k->ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    k->ctx = BN_CTX_new();
    k->mont = BN_MONT_CTX_new();
    k->k = BN_new();
    k->blind = BN_new();
    k->product = BN_new();
    k->inverse = BN_new();
    k->x = BN_new();
    k->r = BN_new();
    if (k->ec == NULL || k->ctx == NULL || k->mont == NULL || k->k == NULL || k->blind == NULL ||
        k->product == NULL || k->inverse == NULL || k->x == NULL || k->r == NULL)
        return CV_ERR_NOMEM;
    const EC_GROUP *group = EC_KEY_get0_group(k->ec);
    k->point = EC_POINT_new(group);
    if (k->point == NULL || BN_MONT_CTX_set(k->mont, EC_GROUP_get0_order(group), k->ctx) != 1)
        return CV_ERR_NOMEM;
    BN_set_flags(k->k, BN_FLG_CONSTTIME);
    return 0;
}

static int key_set(struct cv_p256_key *k, uint8_t public_key[33])
{
    const EC_GROUP *group = EC_KEY_get0_group(k->ec);
    if (BN_bin2bn(k->d, 32, k->k) == NULL ||
        EC_POINT_mul(group, k->point, k->k, NULL, NULL, k->ctx) != 1 ||
        EC_KEY_set_private_key(k->ec, k->k) != 1 || EC_KEY_set_public_key(k->ec, k->point) != 1 ||
        EC_POINT_point2oct(group, k->point, POINT_CONVERSION_COMPRESSED, public_key, 33, k->ctx) !=
            33)
        return CV_ERR_CRYPTO;
    return 0;
}

static int init(struct cv_signing_key *key, const uint8_t private_key[CV_PRIVATE_KEY_LEN])
{
    struct cv_p256_key *k = OPENSSL_zalloc(sizeof(*k));
    if (k == NULL)
        return CV_ERR_NOMEM;
    memcpy(k->d, private_key, sizeof(k->d));
    int rc = key_alloc(k);
    if (rc == 0)
        rc = key_set(k, key->public_key.p);
    if (rc != 0) {
        key_free(k);
        ERR_clear_error();
        return rc;
    }
    key->u.p256 = k;
    return 0;
}

static void release(struct cv_signing_key *key)
{
    key_free(key->u.p256);
}

/*
 * k->inverse = 1/nonce mod n. The fast inversion takes a time that depends on
 * its input, so it gets the nonce times a fresh random number: with Montgomery
 * products, inv(k*b/R) * b / R = 1/k.
 */
static int invert_nonce(struct cv_p256_key *k)
{
    const BIGNUM *n = EC_GROUP_get0_order(EC_KEY_get0_group(k->ec));
    uint8_t blind[32];
    do {
        cv_random(blind, sizeof(blind));
    } while (!cv_scalar_in_range(blind, order));
    BIGNUM *ok = BN_bin2bn(blind, sizeof(blind), k->blind);
    cv_wipe(blind, sizeof(blind));
    if (ok == NULL || BN_mod_mul_montgomery(k->product, k->k, k->blind, k->mont, k->ctx) != 1 ||
        BN_mod_inverse(k->product, k->product, n, k->ctx) == NULL ||
        BN_mod_mul_montgomery(k->inverse, k->product, k->blind, k->mont, k->ctx) != 1)
        return CV_ERR_CRYPTO;
    return 0;
}

/* r = x(nonce*G) mod n in k->r, and 1/nonce in k->inverse. */
static int prepare(struct cv_p256_key *k, const uint8_t nonce[32])
{
    const EC_GROUP *group = EC_KEY_get0_group(k->ec);
    if (BN_bin2bn(nonce, 32, k->k) == NULL ||
        EC_POINT_mul(group, k->point, k->k, NULL, NULL, k->ctx) != 1 ||
        EC_POINT_get_affine_coordinates(group, k->point, k->x, NULL, k->ctx) != 1 ||
        BN_nnmod(k->r, k->x, EC_GROUP_get0_order(group), k->ctx) != 1)
        return CV_ERR_CRYPTO;
    return invert_nonce(k);
}

static int sign_with_nonce(struct cv_p256_key *k, const uint8_t nonce[32], const uint8_t *digest,
                           uint8_t *out)
{
    if (prepare(k, nonce) != 0 || BN_is_zero(k->r))
        return CV_ERR_CRYPTO;
    ECDSA_SIG *sig = ECDSA_do_sign_ex(digest, 32, k->inverse, k->r, k->ec);
    if (sig == NULL)
        return CV_ERR_CRYPTO;
    int rc = 0;
    if (BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, 32) != 32 ||
        BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + 32, 32) != 32)
        rc = CV_ERR_CRYPTO;
    ECDSA_SIG_free(sig);
    return rc;
}

static int sign(const struct cv_signing_key *key, enum cv_sign_version version, struct cv_bytes in,
                uint8_t *out)
{
    (void)version;
    if (in.n != 32)
        return CV_ERR_CRYPTO;
    struct cv_p256_key *k = key->u.p256;
    struct cv_rfc6979 g;
    uint8_t nonce[32];
    cv_rfc6979_init(&g, k->d, in.p);
    cv_rfc6979_next(&g, nonce);
    while (!cv_scalar_in_range(nonce, order)) {
        cv_rfc6979_reject(&g);
        cv_rfc6979_next(&g, nonce);
    }
    /* r or s of zero would ask for another nonce; nobody has seen one. */
    int rc = sign_with_nonce(k, nonce, in.p, out);
    cv_wipe(nonce, sizeof(nonce));
    cv_rfc6979_wipe(&g);
    BN_zero(k->k);
    if (rc != 0)
        ERR_clear_error();
    return rc;
}

/* An EC_KEY with the public key alone, or NULL. */
static EC_KEY *public_only(const uint8_t *public_key, size_t n)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    /* Checks the length and that the point is on the curve; a compressed
     * point cannot be infinity. */
    if (ec != NULL && EC_KEY_oct2key(ec, public_key, n, NULL) == 1)
        return ec;
    EC_KEY_free(ec);
    ERR_clear_error();
    return NULL;
}

static int parse(struct cv_bytes in)
{
    if (in.p[0] != 0x02 && in.p[0] != 0x03)
        return CV_ERR_INVALID;
    EC_KEY *ec = public_only(in.p, in.n);
    if (ec == NULL)
        return CV_ERR_INVALID;
    EC_KEY_free(ec);
    return 0;
}

int cv_p256_verify(const uint8_t *public_key, enum cv_sign_version version, struct cv_bytes in,
                   const uint8_t *sig)
{
    (void)version;
    int rc = CV_ERR_CRYPTO;
    EC_KEY *ec = public_only(public_key, 33);
    ECDSA_SIG *parsed = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(sig, 32, NULL);
    BIGNUM *s = BN_bin2bn(sig + 32, 32, NULL);
    if (ec == NULL || parsed == NULL || r == NULL || s == NULL || in.n != 32)
        goto out;
    if (ECDSA_SIG_set0(parsed, r, s) != 1)
        goto out;
    r = s = NULL; /* transferred */
    if (ECDSA_do_verify(in.p, 32, parsed, ec) == 1)
        rc = 0;
out:
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(parsed);
    EC_KEY_free(ec);
    if (rc != 0)
        ERR_clear_error();
    return rc;
}

const struct cv_scheme_ops cv_p256_ops = {
    .rpc_name = "NistP256",
    .name = "p256",
    .tz_name = "tz3",
    .public_key_len = 33,
    .signature_len = 64,
    .prehash = true,
    .from_random = from_random,
    .check = check,
    .parse = parse,
    .init = init,
    .release = release,
    .sign = sign,
};
