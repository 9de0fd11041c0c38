/* SPDX-License-Identifier: Apache-2.0 */
/* ECDSA over secp256k1 by libsecp256k1: RFC 6979 nonces, s in the lower half. */
#include <string.h>

#include <secp256k1.h>

#include "common/secret.h"
#include "crypto/table.h"

/* Made once at start and only read afterwards, so that threads share it. */
static const secp256k1_context *context;

int cv_secp256k1_start(void)
{
    secp256k1_context *fresh = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    if (fresh == NULL)
        return CV_ERR_NOMEM;
    /* Blinds the base point multiplication against side channels. */
    uint8_t seed[32];
    cv_random(seed, sizeof(seed));
    int ok = secp256k1_context_randomize(fresh, seed);
    cv_wipe(seed, sizeof(seed));
    if (ok != 1) {
        secp256k1_context_destroy(fresh);
        return CV_ERR_CRYPTO;
    }
    context = fresh;
    return 0;
}

/* Checks need no tables and no blinding: they work before cv_crypto_init(). */
static const secp256k1_context *checking(void)
{
    return context != NULL ? context : secp256k1_context_static;
}

static int check(const uint8_t key[CV_PRIVATE_KEY_LEN])
{
    return secp256k1_ec_seckey_verify(checking(), key) == 1 ? 0 : CV_ERR_INVALID;
}

static int from_random(uint8_t key[CV_PRIVATE_KEY_LEN], const uint8_t random[32])
{
    memcpy(key, random, 32);
    return check(key);
}

static int parse(struct cv_bytes in)
{
    secp256k1_pubkey point;
    return secp256k1_ec_pubkey_parse(checking(), &point, in.p, in.n) == 1 ? 0 : CV_ERR_INVALID;
}

static int init(struct cv_signing_key *key, const uint8_t private_key[CV_PRIVATE_KEY_LEN])
{
    secp256k1_pubkey point;
    size_t n = 33;
    if (secp256k1_ec_pubkey_create(context, &point, private_key) != 1 ||
        secp256k1_ec_pubkey_serialize(context, key->public_key.p, &n, &point,
                                      SECP256K1_EC_COMPRESSED) != 1)
        return CV_ERR_CRYPTO;
    memcpy(key->u.secp256k1, private_key, 32);
    return 0;
}

static int sign(const struct cv_signing_key *key, enum cv_sign_version version, struct cv_bytes in,
                uint8_t *out)
{
    (void)version;
    secp256k1_ecdsa_signature sig;
    if (in.n != 32 || secp256k1_ecdsa_sign(context, &sig, in.p, key->u.secp256k1,
                                           secp256k1_nonce_function_rfc6979, NULL) != 1)
        return CV_ERR_CRYPTO;
    return secp256k1_ecdsa_signature_serialize_compact(context, out, &sig) == 1 ? 0 : CV_ERR_CRYPTO;
}

const struct cv_scheme_ops cv_secp256k1_ops = {
    .rpc_name = "Secp256k1",
    .name = "secp256k1",
    .tz_name = "tz2",
    .public_key_len = 33,
    .signature_len = 64,
    .prehash = true,
    .from_random = from_random,
    .check = check,
    .parse = parse,
    .init = init,
    .sign = sign,
};
