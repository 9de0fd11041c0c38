/* SPDX-License-Identifier: Apache-2.0 */
/* Hexadecimal constants in unit tests. Included after unit/cv_test.h. */
#ifndef CV_TEST_FROM_HEX_H
#define CV_TEST_FROM_HEX_H

#include "common/hex.h"

/* Decodes TEXT into OUT and returns the number of bytes. */
static inline size_t from_hex(void *out, size_t cap, const char *text)
{
    size_t n = 0;
    if (cv_hex_decode(out, cap, &n, cv_bytes_str(text)) != 0)
        fail_msg("not hexadecimal, or too long: %s", text);
    return n;
}

#define assert_hex(p, n, text)           \
    do {                                 \
        char got_[2 * 4096 + 1];         \
        assert_true((n) <= 4096);        \
        cv_hex_encode(got_, p, n);       \
        assert_string_equal(got_, text); \
    } while (0)

#endif
