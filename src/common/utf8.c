/* SPDX-License-Identifier: Apache-2.0 */
#include "common/utf8.h"

size_t cv_utf8_next(struct cv_bytes in)
{
    if (in.n == 0)
        return 0;
    uint8_t c = in.p[0];
    if (c < 0x80)
        return 1;
    /* RFC 3629 section 4: what the second byte may be depends on the first. */
    uint8_t low = 0x80, high = 0xbf;
    size_t n;
    if (c >= 0xc2 && c <= 0xdf) {
        n = 2;
    } else if (c >= 0xe0 && c <= 0xef) {
        n = 3;
        if (c == 0xe0)
            low = 0xa0;
        else if (c == 0xed)
            high = 0x9f;
    } else if (c >= 0xf0 && c <= 0xf4) {
        n = 4;
        if (c == 0xf0)
            low = 0x90;
        else if (c == 0xf4)
            high = 0x8f;
    } else {
        return 0;
    }
    if (in.n < n || in.p[1] < low || in.p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++) {
        if ((in.p[i] & 0xc0) != 0x80)
            return 0;
    }
    return n;
}

bool cv_utf8_valid(struct cv_bytes in)
{
    while (in.n > 0) {
        size_t n = cv_utf8_next(in);
        if (n == 0)
            return false;
        in.p += n;
        in.n -= n;
    }
    return true;
}
