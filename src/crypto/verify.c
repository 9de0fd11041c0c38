/* SPDX-License-Identifier: Apache-2.0 */
/* Verification of signatures. What runs inside an enclave only signs, and does
 * not link this. */
#include <stdlib.h>

#include "crypto/blake2b.h"
#include "crypto/table.h"

struct check {
    const struct cv_scheme_ops *ops;
    int (*verify)(const uint8_t *public_key, enum cv_sign_version version, struct cv_bytes in,
                  const uint8_t *sig);
};
static const struct check checks[] = {
    [CV_SCHEME_ED25519] = {&cv_ed25519_ops, cv_ed25519_verify},
    [CV_SCHEME_SECP256K1] = {&cv_secp256k1_ops, cv_secp256k1_verify},
    [CV_SCHEME_P256] = {&cv_p256_ops, cv_p256_verify},
    [CV_SCHEME_BLS] = {&cv_bls_ops, cv_bls_verify},
};

int cv_verify(const struct cv_public_key *key, enum cv_sign_version version,
              struct cv_bytes message, const struct cv_signature *sig)
{
    if ((unsigned)key->scheme >= CV_SCHEME_COUNT)
        abort(); /* a bug of the caller: schemes come from our parsers */
    const struct check *o = &checks[key->scheme];
    if (sig->scheme != key->scheme || sig->n != o->ops->signature_len ||
        key->n != o->ops->public_key_len)
        return CV_ERR_CRYPTO;
    uint8_t digest[CV_BLAKE2B_256_LEN];
    if (o->ops->prehash) {
        cv_blake2b_256(digest, message);
        message = CV_BYTES(digest, sizeof(digest));
    }
    return o->verify(key->p, version, message, sig->p);
}

int cv_verify_possession(const struct cv_public_key *key, const struct cv_signature *proof)
{
    if (key->scheme != CV_SCHEME_BLS)
        return CV_ERR_UNSUPPORTED;
    if (proof->scheme != CV_SCHEME_BLS || proof->n != cv_bls_ops.signature_len)
        return CV_ERR_CRYPTO;
    return cv_bls_verify_proof(key->p, proof->p);
}
