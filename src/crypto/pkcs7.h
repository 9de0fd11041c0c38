/* SPDX-License-Identifier: Apache-2.0 */
/* PKCS #7 padding of 16-byte blocks (RFC 5652 section 6.3). */
#ifndef CV_CRYPTO_PKCS7_H
#define CV_CRYPTO_PKCS7_H

#include <stddef.h>
#include <stdint.h>

#define CV_PKCS7_BLOCK 16

/* Length of P without its padding, or N + 1 when it ends in no padding. N is
 * a multiple of the block, not 0. Takes the same time whatever the bytes are:
 * who learns where a padding is wrong can decrypt by asking. */
size_t cv_pkcs7_unpadded(const uint8_t *p, size_t n);

#endif
