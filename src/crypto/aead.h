/* SPDX-License-Identifier: Apache-2.0 */
/* AES-256-GCM (NIST SP 800-38D) with a 12-byte IV and a 16-byte tag. */
#ifndef CV_CRYPTO_AEAD_H
#define CV_CRYPTO_AEAD_H

#include "common/bytes.h"

#define CV_AEAD_KEY_LEN 32
#define CV_AEAD_IV_LEN 12
#define CV_AEAD_TAG_LEN 16

/* OUT gets in.n bytes of ciphertext and then the tag: room for in.n +
 * CV_AEAD_TAG_LEN. An IV is never used twice under a key. CV_ERR_LIMIT above
 * 2^30 bytes, CV_ERR_CRYPTO when the library fails. OUT may not overlap IN. */
int cv_aead_seal(uint8_t *out, const uint8_t key[CV_AEAD_KEY_LEN], const uint8_t iv[CV_AEAD_IV_LEN],
                 struct cv_bytes aad, struct cv_bytes in) CV_NODISCARD;
/* IN is ciphertext and tag; OUT gets in.n - CV_AEAD_TAG_LEN bytes, and is
 * wiped when the tag does not verify (CV_ERR_CRYPTO). CV_ERR_TRUNCATED when
 * IN is shorter than a tag. */
int cv_aead_open(uint8_t *out, const uint8_t key[CV_AEAD_KEY_LEN], const uint8_t iv[CV_AEAD_IV_LEN],
                 struct cv_bytes aad, struct cv_bytes in) CV_NODISCARD;

#endif
