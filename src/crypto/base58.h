/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base58check: base 58 (Bitcoin's alphabet) of payload || first four bytes of
 * SHA-256(SHA-256(payload)). Every name of Tezos is one, the prefix being the
 * start of the payload. Buffers on the way are wiped: the payload may be a key.
 */
#ifndef CV_CRYPTO_BASE58_H
#define CV_CRYPTO_BASE58_H

#include "common/bytes.h"

/* Longest payload we code, prefix included (BLsig is 100). */
#define CV_BASE58_PAYLOAD_MAX 128
/* Characters of the longest text, with its NUL. */
#define CV_BASE58_TEXT_MAX 184

/* Writes the text and a NUL. CV_ERR_LIMIT: payload too long, or more than
 * SIZE bytes would be needed. */
int cv_base58check_encode(char *out, size_t size, struct cv_bytes payload) CV_NODISCARD;
/* Payload without the checksum into OUT; *N = its length, at most CAP.
 * CV_ERR_INVALID: a character outside the alphabet, or too short for a
 * checksum; CV_ERR_CRYPTO: the checksum is wrong; CV_ERR_LIMIT. */
int cv_base58check_decode(uint8_t *out, size_t cap, size_t *n, struct cv_bytes text) CV_NODISCARD;

#endif
