/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/body.h"

#include <stdio.h>
#include <string.h>

/* Value of each hex digit plus one; 0 for what is none. */
static const int8_t values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

static int nibble(uint8_t c)
{
    return values[c] - 1;
}

/* "U+005A 'Z'": the byte as a character, shown when it can be. */
static int bad_digit(uint8_t c, char fault[CV_BODY_FAULT])
{
    int n = snprintf(fault, CV_BODY_FAULT, "encoding/hex: invalid byte: U+%04X", c);
    if (c >= 0x20 && c < 0x7f) {
        (void)snprintf(fault + n, CV_BODY_FAULT - (size_t)n, " '%c'", c);
    } else if (c > 0xa0 && c != 0xad) {
        (void)snprintf(fault + n, CV_BODY_FAULT - (size_t)n, " '%c%c'", 0xc0 | c >> 6,
                       0x80 | (c & 0x3f));
    }
    return CV_ERR_INVALID;
}

/* Hex digits at P to bytes at OUT, which may be P. */
static int decode_hex(const uint8_t *p, size_t n, uint8_t *out, char fault[CV_BODY_FAULT])
{
    for (size_t i = 0; i + 1 < n; i += 2) {
        int high = nibble(p[i]);
        int low = nibble(p[i + 1]);
        if ((high | low) < 0) {
            return bad_digit(high < 0 ? p[i] : p[i + 1], fault);
        }
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    if (n % 2 != 0) {
        if (nibble(p[n - 1]) < 0) {
            return bad_digit(p[n - 1], fault);
        }
        (void)snprintf(fault, CV_BODY_FAULT, "encoding/hex: odd length hex string");
        return CV_ERR_INVALID;
    }
    return 0;
}

/* The escapes of a valid JSON string, undone in place: nobody writes hex so,
 * but it is lawful. What is no hex digit anyway becomes one that is none. */
static size_t unescape(uint8_t *p, size_t n)
{
    static const char from[] = "bfnrt";
    static const char to[] = "\b\f\n\r\t";
    size_t out = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] != '\\') {
            p[out++] = p[i];
            continue;
        }
        i++;
        if (p[i] != 'u') {
            const char *at = strchr(from, p[i]);
            p[out++] = at != NULL ? (uint8_t)to[at - from] : p[i];
            continue;
        }
        unsigned c = 0;
        for (int k = 0; k < 4; k++) {
            c = c << 4 | (unsigned)nibble(p[++i]);
        }
        /* As UTF-8; a lone surrogate would become U+FFFD, three bytes too. */
        if (c < 0x80) {
            p[out++] = (uint8_t)c;
        } else if (c < 0x800) {
            p[out++] = (uint8_t)(0xc0 | c >> 6);
            p[out++] = (uint8_t)(0x80 | (c & 0x3f));
        } else {
            p[out++] = (uint8_t)(0xe0 | c >> 12);
            p[out++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
            p[out++] = (uint8_t)(0x80 | (c & 0x3f));
        }
    }
    return out;
}

static const char *type_of(uint8_t c)
{
    switch (c) {
    case '{':
        return "object";
    case '[':
        return "array";
    case 't':
    case 'f':
        return "bool";
    default:
        return "number";
    }
}

int cv_body_decode(uint8_t *body, size_t size, size_t *n, char fault[CV_BODY_FAULT])
{
    size_t start = 0, end = size;
    *n = 0;
    if (!cv_go_json_valid(CV_BYTES(body, size), fault)) {
        return CV_ERR_INVALID;
    }
    while (body[start] == ' ' || body[start] == '\t' || body[start] == '\r' ||
           body[start] == '\n') {
        start++;
    }
    if (body[start] == 'n') {
        return 0; /* null leaves Go's string empty */
    }
    if (body[start] != '"') {
        (void)snprintf(fault, CV_BODY_FAULT,
                       "json: cannot unmarshal %s into Go value of type string",
                       type_of(body[start]));
        return CV_ERR_INVALID;
    }
    while (body[end - 1] != '"') {
        end--;
    }
    uint8_t *text = body + start + 1;
    size_t length = end - start - 2;
    if (memchr(text, '\\', length) != NULL) {
        length = unescape(text, length);
    }
    int rc = decode_hex(text, length, body, fault);
    *n = rc == 0 ? length / 2 : 0;
    return rc;
}
