/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an enclave was started with, as one measurement that others can check:
 * which encrypted configurations it opened and which variables it took from
 * its parent. It holds nothing of what is encrypted but the ciphertext's
 * digest, so that nobody can guess at a secret with it.
 *
 *   text     = CBOR ["claviger.applied.1",
 *                    [[version, SHA-384 of the configuration's signed text] …],
 *                    [[name, value] …]]
 *   register = SHA-384(48 zero bytes || SHA-384(text))
 *
 * The configurations in the order of the image's settings, the variables
 * sorted by their names. docs/protocol/encrypted-configuration.md
 */
#ifndef CV_SEALED_APPLIED_H
#define CV_SEALED_APPLIED_H

#include "crypto/sha.h"
#include "sealed/config.h"

#define CV_APPLIED_REGISTER 16u /* PCR16: the first that AWS leaves to the enclave */

struct cv_applied_config {
    uint64_t version; /* 0: none */
    uint8_t digest[CV_SHA384_LEN];
};
struct cv_applied_variable {
    const char *name;
    struct cv_bytes value;
};

/* The digest of a configuration as it is stored: of what its publisher signs. */
int cv_applied_take(struct cv_applied_config *out, uint64_t version,
                    const struct cv_s3ec_pairs *pairs, struct cv_bytes body,
                    struct cv_error *err) CV_NODISCARD;
/* The digest that the register is extended with. ENV is sorted. */
void cv_applied_digest(uint8_t out[CV_SHA384_LEN], const struct cv_applied_config *config, size_t n,
                       struct cv_applied_variable *env, size_t variables);
/* The register after one extension with DIGEST. */
void cv_applied_register(uint8_t out[CV_SHA384_LEN], const uint8_t digest[CV_SHA384_LEN]);

#endif
