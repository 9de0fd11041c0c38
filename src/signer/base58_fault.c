/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/base58_fault.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "crypto/base58.h"
#include "tezos/keytext.h"

static const char base58[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/* Bytes of TEXT in base 58, which is short. */
static size_t base58_len(const char *text)
{
    size_t zeros = strspn(text, "1"), n = 0;
    uint64_t v = 0;
    for (const char *p = text + zeros; *p != 0; p++) {
        v = v * 58 + (uint64_t)(strchr(base58, *p) - base58);
    }
    for (; v > 0; v >>= 8) {
        n++;
    }
    return zeros + n;
}

void cv_base58_fault(char out[CV_BASE58_FAULT], const char *text, const char *other_kind)
{
    enum cv_text_kind kind;
    uint8_t payload[CV_BASE58_PAYLOAD_MAX];
    size_t n, good = strspn(text, base58);
    unsigned char bad = (unsigned char)text[good];
    if (bad != 0) {
        char rune[3] = {(char)bad, 0, 0};
        if (bad >= 0x80) { /* a byte stands for the character of its number */
            rune[0] = (char)(0xc0 | bad >> 6);
            rune[1] = (char)(0x80 | (bad & 0x3f));
        }
        (void)snprintf(out, CV_BASE58_FAULT,
                       "gotez: base58 decoding error: unexpected character at position %zu: %s",
                       good, rune);
        return;
    }
    switch (cv_base58check_decode(payload, sizeof(payload), &n, cv_bytes_str(text))) {
    case 0:
        (void)snprintf(out, CV_BASE58_FAULT, "%s",
                       cv_text_parse(&kind, payload, &n, cv_bytes_str(text)) == 0
                           ? other_kind
                           : "gotez: unknown Tezos base58 prefix");
        break;
    case CV_ERR_INVALID:
        (void)snprintf(out, CV_BASE58_FAULT,
                       "gotez: base58Check decoding error: data is too short: %zu",
                       base58_len(text));
        break;
    default:
        (void)snprintf(out, CV_BASE58_FAULT, "gotez: base58Check decoding error: invalid checksum");
    }
}
