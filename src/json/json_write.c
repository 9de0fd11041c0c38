/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "common/utf8.h"
#include "json/json.h"

struct sink {
    struct cv_buf *out;
    int rc;
};

static int take(const char *p, size_t n, void *ctx)
{
    struct sink *s = ctx;
    s->rc = cv_buf_append(s->out, p, n);
    return s->rc == 0 ? 0 : -1;
}

static int dump(struct cv_buf *out, const json_t *value, size_t flags)
{
    struct sink s = {out, 0};
    size_t before = out->n;
    if (json_dump_callback(value, take, &s, flags | JSON_ENCODE_ANY) == 0)
        return 0;
    if (out->n > before) {
        cv_wipe(out->p + before, out->n - before);
        out->n = before;
    }
    return s.rc != 0 ? s.rc : CV_ERR_NOMEM;
}

int cv_json_dump(struct cv_buf *out, const json_t *value)
{
    return dump(out, value, JSON_COMPACT);
}

int cv_json_dump_indent(struct cv_buf *out, const json_t *value, unsigned indent)
{
    return dump(out, value, JSON_INDENT(indent));
}

/* The escape of the sequence of N bytes at P (N = 0: not UTF-8) into ESC, or
 * an empty one when it stands for itself. */
static void escape(char esc[static 8], const uint8_t *p, size_t n)
{
    esc[0] = '\0';
    if (n == 0) {
        (void)snprintf(esc, 8, "\\ufffd");
    } else if (n == 1) {
        uint8_t c = p[0];
        const char *two = c == '"'    ? "\\\""
                          : c == '\\' ? "\\\\"
                          : c == '\n' ? "\\n"
                          : c == '\r' ? "\\r"
                          : c == '\t' ? "\\t"
                                      : NULL;
        if (two != NULL)
            (void)snprintf(esc, 8, "%s", two);
        else if (c < 0x20 || c == '<' || c == '>' || c == '&')
            (void)snprintf(esc, 8, "\\u%04x", (unsigned)c);
    } else if (n == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9)) {
        (void)snprintf(esc, 8, "\\u20%02x", (unsigned)p[2] - 0x80u);
    }
}

#define ONES UINT64_C(0x0101010101010101)
#define HIGH UINT64_C(0x8080808080808080)

/* ASCII that stands for itself within a string. */
static const bool plain[256] = {
    [' '] = true, ['!'] = true,         ['#' ... '%'] = true, ['\'' ... ';'] = true,
    ['='] = true, ['?' ... '['] = true, [']' ... '~'] = true,
};

/* Has any of the eight bytes of WORD the value of each byte of PATTERN? */
static uint64_t has(uint64_t word, uint64_t pattern)
{
    uint64_t x = word ^ pattern;
    return (x - ONES) & ~x & HIGH;
}

/* Do all eight bytes of WORD stand for themselves? It may say no too often. */
static bool all_plain(uint64_t word)
{
    uint64_t low = (word - ONES * 0x20) & ~word; /* below ' ' */
    return ((low | word | (word + ONES)) & HIGH) == 0 && has(word, ONES * '"') == 0 &&
           has(word, ONES * '\\') == 0 && has(word, ONES * '<') == 0 &&
           has(word, ONES * '>') == 0 && has(word, ONES * '&') == 0;
}

/* Bytes at the start of TEXT that stand for themselves, one by one: the whole
 * of nearly every text that is written. */
static size_t plain_run(struct cv_bytes text)
{
    size_t n = 0;
    uint64_t word;
    while (text.n - n >= sizeof(word)) {
        memcpy(&word, text.p + n, sizeof(word));
        if (!all_plain(word))
            break;
        n += sizeof(word);
    }
    while (n < text.n && plain[text.p[n]])
        n++;
    return n;
}

/* Quotes and all, in one step. */
static int append_plain(struct cv_buf *out, struct cv_bytes text)
{
    uint8_t *p = cv_buf_reserve(out, text.n + 2);
    if (p == NULL)
        return CV_ERR_LIMIT;
    p[0] = '"';
    memcpy(p + 1, text.p, text.n);
    p[text.n + 1] = '"';
    cv_buf_commit(out, text.n + 2);
    return 0;
}

int cv_json_append_str(struct cv_buf *out, struct cv_bytes text)
{
    size_t before = out->n;
    if (text.n > 0 && plain_run(text) == text.n && append_plain(out, text) == 0)
        return 0;
    int rc = cv_buf_append_u8(out, '"');
    size_t kept = 0; /* bytes before text.p that were not copied yet */
    while (rc == 0 && text.n > 0) {
        size_t run = plain_run(text);
        if (run > 0) {
            kept += run;
            text.p += run;
            text.n -= run;
            continue;
        }
        size_t n = cv_utf8_next(text), step = n == 0 ? 1 : n;
        char esc[8];
        escape(esc, text.p, n);
        if (esc[0] == '\0') {
            kept += step;
        } else {
            rc = cv_buf_append(out, text.p - kept, kept);
            if (rc == 0)
                rc = cv_buf_append_str(out, esc);
            kept = 0;
        }
        text.p += step;
        text.n -= step;
    }
    if (rc == 0 && kept > 0)
        rc = cv_buf_append(out, text.p - kept, kept);
    if (rc == 0)
        rc = cv_buf_append_u8(out, '"');
    if (rc != 0 && out->n > before) {
        cv_wipe(out->p + before, out->n - before);
        out->n = before;
    }
    return rc;
}
