/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, no code point
 * past U+10FFFF. */
#ifndef CV_COMMON_UTF8_H
#define CV_COMMON_UTF8_H

#include "common/bytes.h"

/* Bytes (1..4) of the sequence that IN begins with; 0 when it is not a valid
 * one, or when IN is empty. */
size_t cv_utf8_next(struct cv_bytes in);
/* True when all of IN is valid UTF-8. */
bool cv_utf8_valid(struct cv_bytes in);

#endif
