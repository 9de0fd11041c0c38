/* SPDX-License-Identifier: Apache-2.0 */
/* Deterministic nonces (RFC 6979 section 3.2) with HMAC-SHA-256, for groups
 * whose order has 256 bits. */
#ifndef CV_CRYPTO_RFC6979_H
#define CV_CRYPTO_RFC6979_H

#include "common/bytes.h"

struct cv_rfc6979 {
    uint8_t k[32];
    uint8_t v[32];
};

/* KEY is the private scalar, big-endian; DIGEST the hash of the message. The
 * digest goes in as it is: when it is not below the order (one in 2^32 for
 * P-256) bits2octets() would subtract the order, and the common deterministic
 * signers for this curve do not. Any input that both sides fix is as safe. */
void cv_rfc6979_init(struct cv_rfc6979 *g, const uint8_t key[32], const uint8_t digest[32]);
/* The next candidate. The caller takes it when it is in range, and otherwise
 * calls cv_rfc6979_reject() and asks again. */
void cv_rfc6979_next(struct cv_rfc6979 *g, uint8_t nonce[32]);
void cv_rfc6979_reject(struct cv_rfc6979 *g);
void cv_rfc6979_wipe(struct cv_rfc6979 *g);

#endif
