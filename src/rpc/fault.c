/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts of the original's decode errors: what Rust prints for the Debug
 * form of ciborium's error. A text that does not fit is cut.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/walk.h"

static void put(struct cv_walk *w, const char *s, size_t n)
{
    size_t room = w->size - 1 - w->len;
    if (n > room)
        n = room;
    memcpy(w->text + w->len, s, n);
    w->len += n;
    w->text[w->len] = '\0';
}

static void put_str(struct cv_walk *w, const char *s)
{
    put(w, s, strlen(s));
}

static void begin(struct cv_walk *w)
{
    w->len = 0;
    w->text[0] = '\0';
}

/* Bytes of a valid UTF-8 character by its first byte. */
static size_t utf8_len(uint8_t first)
{
    return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* One character as it stands in the Debug form of a string, escaped LEVELS
 * times (a quoted string inside the message is escaped twice). */
static void put_debug_char(struct cv_walk *w, const char *c, size_t n, int levels)
{
    if (levels == 0) {
        put(w, c, n);
        return;
    }
    char esc[16];
    switch (c[0]) {
    case '\\':
    case '"':
        snprintf(esc, sizeof esc, "\\%c", c[0]);
        break;
    case '\n':
        memcpy(esc, "\\n", 3);
        break;
    case '\r':
        memcpy(esc, "\\r", 3);
        break;
    case '\t':
        memcpy(esc, "\\t", 3);
        break;
    case '\0':
        memcpy(esc, "\\0", 3);
        break;
    default:
        if ((uint8_t)c[0] < 0x20 || c[0] == 0x7f)
            snprintf(esc, sizeof esc, "\\u{%x}", (unsigned)(uint8_t)c[0]);
        else if (n == 2 && (uint8_t)c[0] == 0xc2 &&
                 ((uint8_t)c[1] <= 0xa0 || (uint8_t)c[1] == 0xad))
            snprintf(esc, sizeof esc, "\\u{%x}", (unsigned)(uint8_t)c[1]);
        else
            esc[0] = '\0';
    }
    if (esc[0] == '\0') {
        put(w, c, n);
        return;
    }
    for (const char *e = esc; *e != '\0'; e++)
        put_debug_char(w, e, 1, levels - 1);
}

/* TEXT, whose invalid parts become U+FFFD, escaped LEVELS times. */
static void put_debug(struct cv_walk *w, struct cv_bytes text, int levels)
{
    for (size_t i = 0; i < text.n;) {
        size_t n = utf8_len(text.p[i]);
        if (n <= text.n - i && cv_utf8_valid(CV_BYTES(text.p + i, n))) {
            put_debug_char(w, (const char *)text.p + i, n, levels);
            i += n;
        } else {
            put_str(w, "\xef\xbf\xbd");
            i++;
        }
    }
}

bool cv_walk_eof(struct cv_walk *w)
{
    begin(w);
    put_str(w, "Io(Error { kind: UnexpectedEof, message: \"failed to fill whole buffer\" })");
    return false;
}

bool cv_walk_syntax(struct cv_walk *w, size_t offset)
{
    begin(w);
    char text[40];
    snprintf(text, sizeof text, "Syntax(%zu)", offset);
    put_str(w, text);
    return false;
}

bool cv_walk_semantic(struct cv_walk *w, const char *fmt, ...)
{
    char text[640];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    begin(w);
    put_str(w, "Semantic(None, \"");
    put_str(w, text);
    put_str(w, "\")");
    return false;
}

bool cv_walk_unknown_variant(struct cv_walk *w, struct cv_bytes name, const char *list)
{
    begin(w);
    put_str(w, "Semantic(None, \"unknown variant `");
    put_debug(w, name, 1);
    put_str(w, "`, expected one of ");
    put_str(w, list);
    put_str(w, "\")");
    return false;
}

static double half(uint64_t bits)
{
    int exponent = (int)(bits >> 10 & 31);
    double mantissa = (double)(bits & 1023);
    double v = exponent == 0    ? ldexp(mantissa, -24)
               : exponent != 31 ? ldexp(mantissa + 1024, exponent - 25)
               : mantissa == 0  ? (double)INFINITY
                                : (double)NAN;
    return bits & 0x8000 ? -v : v;
}

static double float_value(const struct cv_cbor_head *h)
{
    if (h->info == 25)
        return half(h->value);
    if (h->info == 26) {
        uint32_t bits = (uint32_t)h->value;
        float f;
        memcpy(&f, &bits, sizeof f);
        return (double)f;
    }
    double d;
    memcpy(&d, &h->value, sizeof d);
    return d;
}

/* The shortest decimal that reads back as V, never with an exponent, always
 * with a point. */
static void format_float(char *out, size_t size, double v)
{
    if (isnan(v) || isinf(v)) {
        snprintf(out, size, "%s", isnan(v) ? "NaN" : v < 0 ? "-inf" : "inf");
        return;
    }
    char sci[40];
    int precision = 0;
    do
        snprintf(sci, sizeof sci, "%.*e", precision, v);
    while (strtod(sci, NULL) != v && ++precision <= 17);
    int exponent = (int)strtol(strchr(sci, 'e') + 1, NULL, 10);
    int decimals = precision - exponent;
    if (decimals >= 0) {
        snprintf(out, size, "%.*f", decimals > 0 ? decimals : 1, v);
        return;
    }
    /* Rust pads the shortest digits with zeros, printf would go on exactly. */
    size_t n = 0;
    for (const char *s = sci; *s != 'e' && n < size - 4; s++)
        if (*s != '.')
            out[n++] = *s;
    for (int i = 0; i < -decimals && n < size - 3; i++)
        out[n++] = '0';
    memcpy(out + n, ".0", 3);
}

/* What serde calls an item that is not what it wanted. */
static const char *found(const struct cv_cbor_head *h, char *out, size_t size)
{
    switch (h->major) {
    case CV_CBOR_UINT:
        snprintf(out, size, "integer `%llu`", (unsigned long long)h->value);
        return out;
    case CV_CBOR_NINT:
        snprintf(out, size, "integer `%lld`", (long long)~h->value);
        return out;
    case CV_CBOR_BSTR:
        return "bytes";
    case CV_CBOR_TSTR:
        return "string";
    case CV_CBOR_ARRAY:
        return "sequence";
    case CV_CBOR_MAP:
        return "map";
    case CV_CBOR_TAG:
        return "tag";
    case CV_CBOR_SIMPLE:
    default:
        break;
    }
    if (h->indefinite)
        return "break";
    if (h->info > 24) {
        size_t n = (size_t)snprintf(out, size, "floating point `");
        format_float(out + n, size - n - 1, float_value(h));
        n += strlen(out + n);
        memcpy(out + n, "`", 2);
        return out;
    }
    switch (h->value) {
    case CV_CBOR_FALSE:
        return "boolean `false`";
    case CV_CBOR_TRUE:
        return "boolean `true`";
    case CV_CBOR_NULL:
        return "null";
    case CV_CBOR_UNDEFINED:
        return "undefined";
    default:
        return "simple";
    }
}

bool cv_walk_expected(struct cv_walk *w, const struct cv_cbor_head *h, const char *kind)
{
    char what[400];
    return cv_walk_semantic(w, "invalid type: %s, expected %s", found(h, what, sizeof what), kind);
}
