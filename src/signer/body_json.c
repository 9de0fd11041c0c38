/* SPDX-License-Identifier: Apache-2.0 */
/* Is it JSON? A scanner of one byte at a time that says what Go's would. */
#include <stdio.h>
#include <string.h>

#include "signer/body.h"

enum what { VALUE, VALUE_OR_END, KEY_OR_END, KEY, AFTER_KEY, AFTER_VALUE, END };

struct scan {
    const uint8_t *p, *end;
    char *fault;
    size_t depth;
    uint8_t object[CV_BODY_DEPTH / 8 + 1]; /* one bit a level: object or array */
};

static bool space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* As Go quotes a character in an error. A byte above 0x7f stands for the
 * character of that number. */
static void quote(char *out, size_t size, uint8_t c)
{
    static const char letters[] = "abtnvfr";
    if (c == '\'') {
        (void)snprintf(out, size, "'\\''");
    } else if (c == '"') {
        (void)snprintf(out, size, "'\"'");
    } else if (c == '\\') {
        (void)snprintf(out, size, "'\\\\'");
    } else if (c >= 7 && c <= 13) {
        (void)snprintf(out, size, "'\\%c'", letters[c == 7 ? 0 : c - 7]);
    } else if (c < 0x20 || c == 0x7f) {
        (void)snprintf(out, size, "'\\x%02x'", c);
    } else if (c < 0x7f) {
        (void)snprintf(out, size, "'%c'", c);
    } else if (c <= 0xa0 || c == 0xad) {
        (void)snprintf(out, size, "'\\u%04x'", c);
    } else {
        (void)snprintf(out, size, "'%c%c'", 0xc0 | c >> 6, 0x80 | (c & 0x3f));
    }
}

static bool wrong(struct scan *s, const char *where)
{
    char c[16];
    if (s->p >= s->end) {
        (void)snprintf(s->fault, CV_BODY_FAULT, "unexpected end of JSON input");
    } else {
        quote(c, sizeof(c), *s->p);
        (void)snprintf(s->fault, CV_BODY_FAULT, "invalid character %s %s", c, where);
    }
    return false;
}

static bool hex_digit(uint8_t c)
{
    return (uint8_t)(c - '0') < 10 || (uint8_t)((c | 0x20) - 'a') < 6;
}

/* After the opening quote, up to and with the closing one. */
static bool scan_string(struct scan *s)
{
    while (s->p < s->end && *s->p != '"') {
        if (hex_digit(*s->p)) {
            s->p++; /* nearly all of what is sent */
            continue;
        }
        if (*s->p < 0x20) {
            return wrong(s, "in string literal");
        }
        if (*s->p++ != '\\') {
            continue;
        }
        if (s->p >= s->end || *s->p == 0 || strchr("bfnrt\\/\"u", *s->p) == NULL) {
            return wrong(s, "in string escape code");
        }
        if (*s->p++ != 'u') {
            continue;
        }
        for (int i = 0; i < 4; i++, s->p++) {
            if (s->p >= s->end || !hex_digit(*s->p)) {
                return wrong(s, "in \\u hexadecimal character escape");
            }
        }
    }
    if (s->p >= s->end) {
        return wrong(s, "");
    }
    s->p++;
    return true;
}

static bool digit(const struct scan *s)
{
    return s->p < s->end && *s->p >= '0' && *s->p <= '9';
}

static void digits(struct scan *s)
{
    while (digit(s)) {
        s->p++;
    }
}

static bool scan_number(struct scan *s)
{
    if (*s->p == '-') {
        s->p++;
        if (!digit(s)) {
            return wrong(s, "in numeric literal");
        }
    }
    if (*s->p == '0') {
        s->p++;
    } else {
        digits(s);
    }
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        if (!digit(s)) {
            return wrong(s, "after decimal point in numeric literal");
        }
        digits(s);
    }
    if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-')) {
            s->p++;
        }
        if (!digit(s)) {
            return wrong(s, "in exponent of numeric literal");
        }
        digits(s);
    }
    return true;
}

static bool scan_word(struct scan *s, const char *word)
{
    char where[48];
    for (size_t i = 0; word[i] != 0; i++, s->p++) {
        if (s->p >= s->end || *s->p != (uint8_t)word[i]) {
            (void)snprintf(where, sizeof(where), "in literal %s (expecting '%c')", word, word[i]);
            return wrong(s, where);
        }
    }
    return true;
}

static bool push(struct scan *s, bool object, enum what *next)
{
    if (s->depth >= CV_BODY_DEPTH) {
        (void)snprintf(s->fault, CV_BODY_FAULT, "exceeded max depth");
        return false;
    }
    uint8_t bit = (uint8_t)(1u << (s->depth & 7));
    if (object) {
        s->object[s->depth / 8] |= bit;
    } else {
        s->object[s->depth / 8] &= (uint8_t)~bit;
    }
    s->depth++;
    s->p++;
    *next = object ? KEY_OR_END : VALUE_OR_END;
    return true;
}

static bool in_object(const struct scan *s)
{
    size_t d = s->depth - 1;
    return (s->object[d / 8] >> (d & 7) & 1) != 0;
}

static void after_value(const struct scan *s, enum what *next)
{
    *next = s->depth == 0 ? END : AFTER_VALUE;
}

static bool scan_value(struct scan *s, enum what *next)
{
    bool ok;
    uint8_t c = *s->p;
    if (c == '{' || c == '[') {
        return push(s, c == '{', next);
    }
    if (c == ']' && *next == VALUE_OR_END) {
        s->p++;
        s->depth--;
        after_value(s, next);
        return true;
    }
    if (c == '"') {
        s->p++;
        ok = scan_string(s);
    } else if (c == '-' || (c >= '0' && c <= '9')) {
        ok = scan_number(s);
    } else if (c == 't') {
        ok = scan_word(s, "true");
    } else if (c == 'f') {
        ok = scan_word(s, "false");
    } else if (c == 'n') {
        ok = scan_word(s, "null");
    } else {
        return wrong(s, "looking for beginning of value");
    }
    after_value(s, next);
    return ok;
}

static bool scan_key(struct scan *s, enum what *next)
{
    if (*s->p == '}' && *next == KEY_OR_END) {
        s->p++;
        s->depth--;
        after_value(s, next);
        return true;
    }
    if (*s->p != '"') {
        return wrong(s, "looking for beginning of object key string");
    }
    s->p++;
    *next = AFTER_KEY;
    return scan_string(s);
}

static bool scan_after_value(struct scan *s, enum what *next)
{
    bool object = in_object(s);
    if (*s->p == ',') {
        s->p++;
        *next = object ? KEY : VALUE;
        return true;
    }
    if (*s->p != (object ? '}' : ']')) {
        return wrong(s, object ? "after object key:value pair" : "after array element");
    }
    s->p++;
    s->depth--;
    after_value(s, next);
    return true;
}

static bool step(struct scan *s, enum what *next)
{
    switch (*next) {
    case VALUE:
    case VALUE_OR_END:
        return scan_value(s, next);
    case KEY:
    case KEY_OR_END:
        return scan_key(s, next);
    case AFTER_KEY:
        if (*s->p != ':') {
            return wrong(s, "after object key");
        }
        s->p++;
        *next = VALUE;
        return true;
    case AFTER_VALUE:
        return scan_after_value(s, next);
    case END:
        break;
    }
    return wrong(s, "after top-level value");
}

bool cv_go_json_valid(struct cv_bytes text, char fault[CV_BODY_FAULT])
{
    struct scan s = {.p = text.p, .end = text.n > 0 ? text.p + text.n : text.p, .fault = fault};
    enum what next = VALUE;
    fault[0] = 0;
    for (;;) {
        while (s.p < s.end && space(*s.p)) {
            s.p++;
        }
        if (s.p >= s.end) {
            return next == END ? true : wrong(&s, "");
        }
        if (!step(&s, &next)) {
            return false;
        }
    }
}
