/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BLS12-381 signatures by blst: public keys in G1, signatures in G2
 * (draft-irtf-cfrg-bls-signature). The message is signed as it is: hashing it
 * to the curve is part of the ciphersuite.
 */
#include <assert.h>
#include <string.h>

#include <blst.h>

#include "crypto/table.h"

#define DST_AUG "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_AUG_"
#define DST_POP "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
#define DST_PROOF "BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"

#define PK_LEN 48

struct suite {
    struct cv_bytes dst;
    struct cv_bytes aug; /* goes before the message */
};

/* CV_ERR_UNSUPPORTED for a version without a ciphersuite. */
static int choose(struct suite *suite, enum cv_sign_version version, const uint8_t *public_key)
{
    switch (version) {
    case CV_SIGN_VERSION_1:
        suite->dst = CV_BYTES_LIT(DST_AUG);
        suite->aug = CV_BYTES(public_key, PK_LEN);
        return 0;
    case CV_SIGN_VERSION_2:
    case CV_SIGN_VERSION_LATEST:
        suite->dst = CV_BYTES_LIT(DST_POP);
        suite->aug = CV_BYTES(NULL, 0);
        return 0;
    case CV_SIGN_VERSION_0:
        break;
    }
    return CV_ERR_UNSUPPORTED;
}

static void scalar_load(blst_scalar *out, const uint8_t in[32])
{
    static_assert(sizeof(out->b) == 32, "a scalar of blst has 32 bytes");
    memcpy(out->b, in, 32);
}

static int check(const uint8_t key[CV_PRIVATE_KEY_LEN])
{
    blst_scalar sk;
    blst_scalar_from_bendian(&sk, key);
    bool ok = blst_sk_check(&sk);
    cv_wipe(&sk, sizeof(sk));
    return ok ? 0 : CV_ERR_INVALID;
}

static int from_random(uint8_t key[CV_PRIVATE_KEY_LEN], const uint8_t random[32])
{
    blst_scalar sk;
    blst_keygen(&sk, random, 32, NULL, 0);
    blst_bendian_from_scalar(key, &sk);
    cv_wipe(&sk, sizeof(sk));
    return check(key);
}

static int load_public(blst_p1_affine *out, const uint8_t in[PK_LEN])
{
    if (blst_p1_uncompress(out, in) != BLST_SUCCESS || blst_p1_affine_is_inf(out) ||
        !blst_p1_affine_in_g1(out))
        return CV_ERR_INVALID;
    return 0;
}

static int parse(struct cv_bytes in)
{
    blst_p1_affine point;
    return load_public(&point, in.p);
}

static int init(struct cv_signing_key *key, const uint8_t private_key[CV_PRIVATE_KEY_LEN])
{
    blst_scalar sk;
    blst_p1 point;
    blst_scalar_from_bendian(&sk, private_key);
    blst_sk_to_pk_in_g1(&point, &sk);
    blst_p1_compress(key->public_key.p, &point);
    memcpy(key->u.bls, sk.b, sizeof(key->u.bls));
    cv_wipe(&sk, sizeof(sk));
    cv_wipe(&point, sizeof(point)); /* projective: its Z tells about the way there */
    return 0;
}

static void sign_suite(const struct cv_signing_key *key, const struct suite *suite,
                       struct cv_bytes message, uint8_t *out)
{
    blst_scalar sk;
    blst_p2 hash, sig;
    blst_hash_to_g2(&hash, message.p, message.n, suite->dst.p, suite->dst.n, suite->aug.p,
                    suite->aug.n);
    scalar_load(&sk, key->u.bls);
    blst_sign_pk_in_g1(&sig, &hash, &sk);
    cv_wipe(&sk, sizeof(sk));
    blst_p2_compress(out, &sig);
    cv_wipe(&sig, sizeof(sig));
}

static int sign(const struct cv_signing_key *key, enum cv_sign_version version, struct cv_bytes in,
                uint8_t *out)
{
    struct suite suite;
    int rc = choose(&suite, version, key->public_key.p);
    if (rc == 0)
        sign_suite(key, &suite, in, out);
    return rc;
}

static int verify_suite(const uint8_t *public_key, const struct suite *suite,
                        struct cv_bytes message, const uint8_t *sig)
{
    blst_p1_affine pk;
    blst_p2_affine point;
    if (load_public(&pk, public_key) != 0 || blst_p2_uncompress(&point, sig) != BLST_SUCCESS ||
        blst_p2_affine_is_inf(&point) || !blst_p2_affine_in_g2(&point))
        return CV_ERR_CRYPTO;
    BLST_ERROR rc = blst_core_verify_pk_in_g1(&pk, &point, true, message.p, message.n, suite->dst.p,
                                              suite->dst.n, suite->aug.p, suite->aug.n);
    return rc == BLST_SUCCESS ? 0 : CV_ERR_CRYPTO;
}

int cv_bls_verify(const uint8_t *public_key, enum cv_sign_version version, struct cv_bytes in,
                  const uint8_t *sig)
{
    struct suite suite;
    int rc = choose(&suite, version, public_key);
    return rc == 0 ? verify_suite(public_key, &suite, in, sig) : rc;
}

int cv_bls_prove(const struct cv_signing_key *key, uint8_t out[96])
{
    struct suite suite = {CV_BYTES_LIT(DST_PROOF), CV_BYTES(NULL, 0)};
    sign_suite(key, &suite, CV_BYTES(key->public_key.p, PK_LEN), out);
    return 0;
}

int cv_bls_verify_proof(const uint8_t public_key[48], const uint8_t proof[96])
{
    struct suite suite = {CV_BYTES_LIT(DST_PROOF), CV_BYTES(NULL, 0)};
    return verify_suite(public_key, &suite, CV_BYTES(public_key, PK_LEN), proof);
}

const struct cv_scheme_ops cv_bls_ops = {
    .rpc_name = "Bls",
    .name = "bls",
    .tz_name = "tz4",
    .public_key_len = PK_LEN,
    .signature_len = 96,
    .prehash = false,
    .from_random = from_random,
    .check = check,
    .parse = parse,
    .init = init,
    .sign = sign,
};
