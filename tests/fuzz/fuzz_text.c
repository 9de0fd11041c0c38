/* SPDX-License-Identifier: Apache-2.0 */
/* The text decoders of the lowest floor: hexadecimal, base64, times, UTF-8 and
 * the quoting of what came from outside. */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/hex.h"
#include "common/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void try_hex(struct cv_bytes in, uint8_t *out, char *text)
{
    size_t n;
    if (cv_hex_decode(out, in.n, &n, in) != 0)
        return;
    cv_hex_encode(text, out, n);
    must(n * 2 == in.n && strlen(text) == in.n && strncasecmp(text, (const char *)in.p, in.n) == 0);
}

/* Canonical: what decodes encodes to the very same text. */
static void try_base64(struct cv_bytes in, uint8_t *out, char *text)
{
    size_t n;
    if (cv_base64_decode(out, in.n, &n, in) != 0) {
        must(n == 0);
        return;
    }
    cv_base64_encode(text, out, n);
    must(cv_bytes_equal_str(in, text));
    if (n > 0)
        must(cv_base64_decode(out, n - 1, &n, in) == CV_ERR_LIMIT);
}

static void try_time(const char *text)
{
    int64_t ms, again;
    if (cv_rfc3339_parse(&ms, text) != 0)
        return;
    char out[CV_RFC3339_LEN];
    cv_rfc3339_format(out, ms);
    must(strlen(out) == CV_RFC3339_LEN - 1);
    /* A zone can move the first and the last day out of the four-digit years. */
    if (ms >= INT64_C(-62167219200000) && ms <= INT64_C(253402300799999))
        must(cv_rfc3339_parse(&again, out) == 0 && again == ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cv_bytes in = CV_BYTES(data, size);
    uint8_t *out = malloc(size + 1);
    char *text = malloc(2 * size + 8);
    if (out == NULL || text == NULL)
        abort();
    try_hex(in, out, text);
    try_base64(in, out, text);
    size_t n = cv_utf8_next(in);
    must(n <= 4 && n <= size && (n > 0 || size == 0 || !cv_utf8_valid(in)));
    for (size_t room = 1; room <= 12 && room <= size; room++) {
        (void)cv_error_quote(text, room, data, size);
        must(strlen(text) < room);
    }
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    try_time(text);
    free(out);
    free(text);
    return 0;
}
