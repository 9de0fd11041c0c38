/* SPDX-License-Identifier: Apache-2.0 */
/* What each scheme provides to scheme.c; of no interest outside crypto. */
#ifndef CV_CRYPTO_TABLE_H
#define CV_CRYPTO_TABLE_H

#include "crypto/scheme.h"

struct cv_scheme_ops {
    const char *rpc_name;
    const char *name;
    const char *tz_name;
    size_t public_key_len;
    size_t signature_len;
    /* The scheme signs BLAKE2b-256 of the message, not the message. */
    bool prehash;

    /* Makes a private key of 32 random bytes, or CV_ERR_INVALID: draw again. */
    int (*from_random)(uint8_t key[CV_PRIVATE_KEY_LEN], const uint8_t random[32]);
    int (*check)(const uint8_t key[CV_PRIVATE_KEY_LEN]);
    /* IN has public_key_len bytes. */
    int (*parse)(struct cv_bytes in);
    /* Fills key->u and key->public_key.p from a checked private key. */
    int (*init)(struct cv_signing_key *key, const uint8_t private_key[CV_PRIVATE_KEY_LEN]);
    /* Frees what init() allocated; may be NULL. */
    void (*release)(struct cv_signing_key *key);
    /* IN is the digest or the message, as prehash says. */
    int (*sign)(const struct cv_signing_key *key, enum cv_sign_version version, struct cv_bytes in,
                uint8_t *out);
};

extern const struct cv_scheme_ops cv_ed25519_ops;
extern const struct cv_scheme_ops cv_secp256k1_ops;
extern const struct cv_scheme_ops cv_p256_ops;
extern const struct cv_scheme_ops cv_bls_ops;

/* Each checks SIG over IN, the digest or the message as prehash says. Beside the
 * table, so that who only signs links none of them. */
int cv_ed25519_verify(const uint8_t *public_key, enum cv_sign_version version, struct cv_bytes in,
                      const uint8_t *sig) CV_NODISCARD;
int cv_secp256k1_verify(const uint8_t *public_key, enum cv_sign_version version, struct cv_bytes in,
                        const uint8_t *sig) CV_NODISCARD;
int cv_p256_verify(const uint8_t *public_key, enum cv_sign_version version, struct cv_bytes in,
                   const uint8_t *sig) CV_NODISCARD;
int cv_bls_verify(const uint8_t *public_key, enum cv_sign_version version, struct cv_bytes in,
                  const uint8_t *sig) CV_NODISCARD;

/* Makes the libsecp256k1 context. */
int cv_secp256k1_start(void) CV_NODISCARD;

/* True when 0 < KEY < ORDER, both big-endian, in constant time. */
bool cv_scalar_in_range(const uint8_t key[32], const uint8_t order[32]);

int cv_bls_prove(const struct cv_signing_key *key, uint8_t out[96]) CV_NODISCARD;
int cv_bls_verify_proof(const uint8_t public_key[48], const uint8_t proof[96]) CV_NODISCARD;

#endif
