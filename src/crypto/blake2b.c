/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/blake2b.h"

#include <stdlib.h>

#include <sodium.h>

void cv_blake2b(uint8_t *out, size_t n, struct cv_bytes in)
{
    /* Fails for a length outside 16..64 alone: a bug of the caller. */
    if (n < crypto_generichash_BYTES_MIN || n > crypto_generichash_BYTES_MAX ||
        crypto_generichash(out, n, in.p, in.n, NULL, 0) != 0)
        abort();
}

void cv_blake2b_256(uint8_t out[CV_BLAKE2B_256_LEN], struct cv_bytes in)
{
    cv_blake2b(out, CV_BLAKE2B_256_LEN, in);
}

void cv_blake2b_160(uint8_t out[CV_BLAKE2B_160_LEN], struct cv_bytes in)
{
    cv_blake2b(out, CV_BLAKE2B_160_LEN, in);
}
