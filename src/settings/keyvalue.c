/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/keyvalue.h"

#include <string.h>

#include "common/utf8.h"

static bool blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct cv_bytes trim(struct cv_bytes b)
{
    while (b.n > 0 && blank(b.p[b.n - 1]))
        b.n--;
    while (b.n > 0 && blank(b.p[0])) {
        b.p++;
        b.n--;
    }
    return b;
}

static bool key_valid(struct cv_bytes key)
{
    for (size_t i = 0; i < key.n; i++) {
        uint8_t c = key.p[i];
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_')
            return false;
    }
    return key.n > 0;
}

/* No control characters: a NUL or an escape sequence in a measured file would
 * make a reviewer see another text than the program. */
static bool value_valid(struct cv_bytes value)
{
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < 0x20 || value.p[i] == 0x7f)
            return false;
    }
    return cv_utf8_valid(value);
}

static int take_line(struct cv_bytes line, cv_keyvalue_fn *fn, void *ctx, struct cv_error *err)
{
    line = trim(line);
    if (line.n == 0 || line.p[0] == '#')
        return 0;
    const uint8_t *eq = memchr(line.p, '=', line.n);
    if (eq == NULL)
        return cv_error_set(err, CV_ERR_CONFIG, "expected key=value");
    size_t at = (size_t)(eq - line.p);
    struct cv_bytes key = trim((struct cv_bytes){line.p, at});
    struct cv_bytes value = trim((struct cv_bytes){eq + 1, line.n - at - 1});
    if (!key_valid(key))
        return cv_error_set(err, CV_ERR_CONFIG,
                            "a key has only small letters, digits and underscores");
    if (!value_valid(value))
        return cv_error_set(err, CV_ERR_CONFIG,
                            "the value of %.*s has a control character or invalid UTF-8",
                            (int)(key.n < 64 ? key.n : 64), (const char *)key.p);
    return fn(ctx, key, value, err);
}

int cv_keyvalue_parse(struct cv_bytes text, const char *name, cv_keyvalue_fn *fn, void *ctx,
                      struct cv_error *err)
{
    if (text.n > CV_KEYVALUE_MAX)
        return cv_error_set(err, CV_ERR_LIMIT, "%s is larger than %d bytes", name, CV_KEYVALUE_MAX);
    for (size_t number = 1; text.n > 0; number++) {
        const uint8_t *end = memchr(text.p, '\n', text.n);
        size_t n = end == NULL ? text.n : (size_t)(end - text.p);
        int rc = take_line((struct cv_bytes){text.p, n}, fn, ctx, err);
        if (rc != 0) {
            (void)cv_error_wrap(err, "%s, line %zu", name, number);
            return rc;
        }
        n += end != NULL;
        text.p += n;
        text.n -= n;
    }
    return 0;
}

int cv_keyvalue_switch(bool *out, struct cv_bytes value, struct cv_error *err)
{
    *out = cv_bytes_equal_str(value, "on");
    if (*out || cv_bytes_equal_str(value, "off"))
        return 0;
    return cv_error_set(err, CV_ERR_CONFIG, "expected on or off");
}

int cv_keyvalue_u32(uint32_t *out, uint32_t min, uint32_t max, struct cv_bytes value,
                    struct cv_error *err)
{
    uint64_t v = 0;
    bool good = value.n > 0 && value.n <= 10;
    for (size_t i = 0; good && i < value.n; i++) {
        good = value.p[i] >= '0' && value.p[i] <= '9';
        v = v * 10 + (uint64_t)(value.p[i] - '0');
    }
    if (!good || v < min || v > max)
        return cv_error_set(err, CV_ERR_CONFIG, "expected a number from %u to %u", min, max);
    *out = (uint32_t)v;
    return 0;
}

int cv_keyvalue_text(char *out, size_t size, struct cv_bytes value, struct cv_error *err)
{
    if (value.n == 0)
        return cv_error_set(err, CV_ERR_CONFIG, "the value is empty");
    if (value.n >= size)
        return cv_error_set(err, CV_ERR_CONFIG, "the value is longer than %zu bytes", size - 1);
    memcpy(out, value.p, value.n);
    out[value.n] = '\0';
    return 0;
}
