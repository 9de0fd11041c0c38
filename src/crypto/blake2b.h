/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE2b (RFC 7693), without a key. */
#ifndef CV_CRYPTO_BLAKE2B_H
#define CV_CRYPTO_BLAKE2B_H

#include "common/bytes.h"

#define CV_BLAKE2B_256_LEN 32
#define CV_BLAKE2B_160_LEN 20

/* What Tezos signs, and the hash of a watermark. */
void cv_blake2b_256(uint8_t out[CV_BLAKE2B_256_LEN], struct cv_bytes in);
/* A public key hash. */
void cv_blake2b_160(uint8_t out[CV_BLAKE2B_160_LEN], struct cv_bytes in);
/* Any length from 16 to 64. */
void cv_blake2b(uint8_t *out, size_t n, struct cv_bytes in);

#endif
