/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/pkcs7.h"

size_t cv_pkcs7_unpadded(const uint8_t *p, size_t n)
{
    unsigned pad = p[n - 1];
    unsigned bad = ((pad - 1) >> 8) & 1;      /* 0 */
    bad |= ((CV_PKCS7_BLOCK - pad) >> 8) & 1; /* more than a block */
    for (unsigned i = 0; i < CV_PKCS7_BLOCK; i++) {
        unsigned inside = ((i - pad) >> 8) & 1; /* i < pad */
        unsigned differs = p[n - 1 - i] ^ pad;
        bad |= inside & ((differs + 0xff) >> 8);
    }
    size_t mask = (size_t)0 - bad;
    return (mask & (n + 1)) | (~mask & (n - pad));
}
