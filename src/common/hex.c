/* SPDX-License-Identifier: Apache-2.0 */
#include "common/hex.h"

void cv_hex_encode(char *out, const void *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *in = p;
    for (size_t i = 0; i < n; i++) {
        *out++ = digits[in[i] >> 4];
        *out++ = digits[in[i] & 15];
    }
    *out = '\0';
}

static int digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int cv_hex_decode(uint8_t *out, size_t cap, size_t *n, struct cv_bytes text)
{
    *n = 0;
    if (text.n % 2 != 0)
        return CV_ERR_INVALID;
    for (size_t i = 0; i < text.n; i++) {
        if (digit(text.p[i]) < 0)
            return CV_ERR_INVALID;
    }
    if (text.n / 2 > cap)
        return CV_ERR_LIMIT;
    for (size_t i = 0; i < text.n / 2; i++)
        out[i] =
            (uint8_t)((unsigned)digit(text.p[2 * i]) << 4 | (unsigned)digit(text.p[2 * i + 1]));
    *n = text.n / 2;
    return 0;
}
