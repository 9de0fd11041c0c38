/* SPDX-License-Identifier: Apache-2.0 */
/* HKDF (RFC 5869): extract and expand in one call. */
#ifndef CV_CRYPTO_HKDF_H
#define CV_CRYPTO_HKDF_H

#include "common/bytes.h"

/* N bytes at OUT from key material IKM. SALT and INFO may be empty. N is at
 * most 255 hash lengths (CV_ERR_LIMIT). OUT is the caller's secret. */
int cv_hkdf_sha256(uint8_t *out, size_t n, struct cv_bytes ikm, struct cv_bytes salt,
                   struct cv_bytes info) CV_NODISCARD;
int cv_hkdf_sha512(uint8_t *out, size_t n, struct cv_bytes ikm, struct cv_bytes salt,
                   struct cv_bytes info) CV_NODISCARD;

#endif
