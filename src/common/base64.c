/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 4648 section 4, on libsodium's constant-time codec. */
#include <errno.h>
#include <sodium.h>

#include "common/hex.h"

void cv_base64_encode(char *out, const void *p, size_t n)
{
    static const uint8_t nothing;
    (void)sodium_bin2base64(out, CV_BASE64_LEN(n) + 1, n == 0 ? &nothing : p, n,
                            sodium_base64_VARIANT_ORIGINAL);
}

int cv_base64_append(struct cv_buf *out, const void *p, size_t n)
{
    if (n > SIZE_MAX / 2)
        return CV_ERR_LIMIT;
    size_t len = CV_BASE64_LEN(n);
    uint8_t *room = cv_buf_reserve(out, len);
    if (room == NULL)
        return len > out->limit - out->n ? CV_ERR_LIMIT : CV_ERR_NOMEM;
    cv_base64_encode((char *)room, p, n);
    cv_buf_commit(out, len);
    return 0;
}

int cv_base64_decode(uint8_t *out, size_t cap, size_t *n, struct cv_bytes text)
{
    *n = 0;
    if (text.n % 4 != 0)
        return CV_ERR_INVALID;
    if (text.n == 0)
        return 0;
    size_t pad = (text.p[text.n - 1] == '=') + (size_t)(text.p[text.n - 2] == '=');
    size_t want = CV_BASE64_MAX(text.n) - pad;
    if (want > cap)
        return CV_ERR_LIMIT;
    /* libsodium 1.0.18 takes some bytes past 0x7f for digits. */
    uint8_t all = 0;
    for (size_t i = 0; i < text.n; i++)
        all |= text.p[i];
    if (all > 0x7f)
        return CV_ERR_INVALID;
    /* The decoder refuses other characters, a wrong padding and unused bits
     * that are not zero. */
    if (sodium_base642bin(out, want, (const char *)text.p, text.n, NULL, n, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        *n != want) {
        cv_wipe(out, want);
        *n = 0;
        return CV_ERR_INVALID;
    }
    return 0;
}
