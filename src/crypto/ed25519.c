/* SPDX-License-Identifier: Apache-2.0 */
/* Ed25519 (RFC 8032) by libsodium. The message is a BLAKE2b-256 digest. */
#include <string.h>

#include <sodium.h>

#include "crypto/table.h"

static int from_random(uint8_t key[CV_PRIVATE_KEY_LEN], const uint8_t random[32])
{
    memcpy(key, random, 32);
    return 0;
}

static int check(const uint8_t key[CV_PRIVATE_KEY_LEN])
{
    (void)key; /* any 32 bytes are a seed */
    return 0;
}

static int parse(struct cv_bytes in)
{
    return crypto_core_ed25519_is_valid_point(in.p) == 1 ? 0 : CV_ERR_INVALID;
}

/* The public half always comes from the seed: a signature with another one
 * would give the private scalar away. */
static int init(struct cv_signing_key *key, const uint8_t private_key[CV_PRIVATE_KEY_LEN])
{
    if (crypto_sign_seed_keypair(key->public_key.p, key->u.ed25519, private_key) != 0)
        return CV_ERR_CRYPTO;
    return 0;
}

static int sign(const struct cv_signing_key *key, enum cv_sign_version version, struct cv_bytes in,
                uint8_t *out)
{
    (void)version;
    return crypto_sign_detached(out, NULL, in.p, in.n, key->u.ed25519) == 0 ? 0 : CV_ERR_CRYPTO;
}

int cv_ed25519_verify(const uint8_t *public_key, enum cv_sign_version version, struct cv_bytes in,
                      const uint8_t *sig)
{
    (void)version;
    return crypto_sign_verify_detached(sig, in.p, in.n, public_key) == 0 ? 0 : CV_ERR_CRYPTO;
}

const struct cv_scheme_ops cv_ed25519_ops = {
    .rpc_name = "Ed25519",
    .name = "ed25519",
    .tz_name = "tz1",
    .public_key_len = 32,
    .signature_len = 64,
    .prehash = true,
    .from_random = from_random,
    .check = check,
    .parse = parse,
    .init = init,
    .sign = sign,
};
