/* SPDX-License-Identifier: Apache-2.0 */
/* Hexadecimal and base64 (RFC 4648), strict in both directions. */
#ifndef CV_COMMON_HEX_H
#define CV_COMMON_HEX_H

#include "common/bytes.h"

/* Lower case, 2*N characters and a NUL at OUT. Not for secrets. */
void cv_hex_encode(char *out, const void *p, size_t n);
/* Either case; an even number of digits and nothing else. *N = bytes written,
 * at most CAP. CV_ERR_INVALID, CV_ERR_LIMIT. */
int cv_hex_decode(uint8_t *out, size_t cap, size_t *n, struct cv_bytes text) CV_NODISCARD;

/* Characters of the padded base64 of N bytes, without a NUL. */
#define CV_BASE64_LEN(n) ((((n) + 2) / 3) * 4)
/* Largest number of bytes that N characters decode to. */
#define CV_BASE64_MAX(n) (((n) / 4) * 3)
/* CV_BASE64_LEN(N) characters and a NUL at OUT. In constant time, so that it
 * may carry a secret. */
void cv_base64_encode(char *out, const void *p, size_t n);
int cv_base64_append(struct cv_buf *out, const void *p, size_t n) CV_NODISCARD;
/* Standard alphabet, with padding, canonical (unused bits zero), no white
 * space. CV_ERR_INVALID, CV_ERR_LIMIT. */
int cv_base64_decode(uint8_t *out, size_t cap, size_t *n, struct cv_bytes text) CV_NODISCARD;

#endif
