/* SPDX-License-Identifier: Apache-2.0 */
/* What rsa.c and cms.c share. */
#ifndef CV_CRYPTO_RSA_KEY_H
#define CV_CRYPTO_RSA_KEY_H

#include <openssl/evp.h>

#include "crypto/rsa.h"

#define CV_RSA_BITS 2048
#define CV_RSA_BYTES (CV_RSA_BITS / 8)

struct cv_rsa {
    EVP_PKEY *pkey;
    uint8_t *spki; /* OpenSSL's heap */
    size_t spki_len;
};

#endif
