/* SPDX-License-Identifier: Apache-2.0 */
#define CV_ERROR_IMPLEMENTATION
#include "common/error.h"

#include <stdio.h>
#include <string.h>

void cv_error_clear(struct cv_error *err)
{
    if (err == NULL)
        return;
    err->code = CV_OK;
    err->count = 0;
    err->used = 0;
}

/* Writes "..." over the end of TEXT, which was cut at SIZE bytes. */
static void mark_cut(char *text, size_t size)
{
    memcpy(text + size - 4, "...", 4);
}

/* Formats into TEXT and marks a cut. */
CV_PRINTF(2, 0)
static void format_text(char text[static CV_ERROR_TEXT], const char *fmt, va_list ap)
{
    int n = vsnprintf(text, CV_ERROR_TEXT, fmt, ap);
    if (n < 0)
        text[0] = '\0';
    else if (n >= CV_ERROR_TEXT)
        mark_cut(text, CV_ERROR_TEXT);
}

/* TEXT ": " MORE, cut like a text that is too long. */
static void join(char text[static CV_ERROR_TEXT], const char *more)
{
    size_t n = strlen(text);
    int add = snprintf(text + n, CV_ERROR_TEXT - n, ": %s", more);
    if (add < 0 || (size_t)add >= CV_ERROR_TEXT - n)
        mark_cut(text, CV_ERROR_TEXT);
}

/* Puts TEXT behind the others as the outermost one, cut to the room there is;
 * for a text to come there is always room for a mark of the cut. */
static void push(struct cv_error *err, const char *text)
{
    size_t later = (size_t)(CV_ERROR_DEPTH - 1 - err->count) * 4;
    size_t room = CV_ERROR_CHAIN - err->used - later;
    size_t n = strlen(text) + 1;
    char *to = err->chain + err->used;
    if (n > room) {
        n = room;
        memcpy(to, text, n);
        mark_cut(to, n);
    } else {
        memcpy(to, text, n);
    }
    err->at[err->count++] = err->used;
    err->used += (unsigned)n;
}

/* A new chain of one text. The text is formatted beside ERR first, since the
 * arguments may point into it. */
static void start_chain(struct cv_error *err, int code, const char *text)
{
    cv_error_clear(err);
    err->code = code;
    push(err, text);
}

int cv_error_set(struct cv_error *err, int code, const char *fmt, ...)
{
    if (err == NULL)
        return code;
    char text[CV_ERROR_TEXT];
    va_list ap;
    va_start(ap, fmt);
    format_text(text, fmt, ap);
    va_end(ap);
    start_chain(err, code, text);
    return code;
}

int cv_error_errno(struct cv_error *err, int code, int errnum, const char *fmt, ...)
{
    if (err == NULL)
        return code;
    char text[CV_ERROR_TEXT];
    va_list ap;
    va_start(ap, fmt);
    format_text(text, fmt, ap);
    va_end(ap);
    char buf[128];
    join(text, strerror_r(errnum, buf, sizeof(buf))); /* the GNU one */
    start_chain(err, code, text);
    return code;
}

int cv_error_wrap(struct cv_error *err, const char *fmt, ...)
{
    if (err == NULL)
        return CV_ERR_INTERNAL;
    char text[CV_ERROR_TEXT];
    va_list ap;
    va_start(ap, fmt);
    format_text(text, fmt, ap);
    va_end(ap);
    if (err->count == 0) {
        start_chain(err, CV_ERR_INTERNAL, text);
        return err->code;
    }
    if (err->count == CV_ERROR_DEPTH) {
        /* Full: the new text goes before the outermost one, in its place. */
        join(text, cv_error_top(err));
        err->used = err->at[--err->count];
    }
    push(err, text);
    return err->code;
}

char *cv_error_format(char *out, size_t size, const struct cv_error *err)
{
    if (size == 0)
        return out;
    out[0] = '\0';
    size_t n = 0;
    for (unsigned i = err == NULL ? 0 : err->count; i-- > 0;) {
        int add = snprintf(out + n, size - n, "%s%s", cv_error_text(err, i), i > 0 ? ": " : "");
        if (add < 0)
            break;
        if ((size_t)add >= size - n) {
            if (size >= 4)
                mark_cut(out, size);
            break;
        }
        n += (size_t)add;
    }
    return out;
}

const char *cv_error_text(const struct cv_error *err, unsigned i)
{
    return err == NULL || i >= err->count ? "" : err->chain + err->at[i];
}

const char *cv_error_top(const struct cv_error *err)
{
    return err == NULL || err->count == 0 ? "" : cv_error_text(err, err->count - 1);
}

const char *cv_strerror(int code)
{
    switch ((enum cv_code)code) {
    case CV_OK:
        return "success";
    case CV_ERR_INVALID:
        return "invalid input";
    case CV_ERR_TRUNCATED:
        return "input ends too early";
    case CV_ERR_TRAILING:
        return "unexpected trailing bytes";
    case CV_ERR_LIMIT:
        return "limit exceeded";
    case CV_ERR_NOMEM:
        return "out of memory";
    case CV_ERR_IO:
        return "input/output error";
    case CV_ERR_TIMEOUT:
        return "timed out";
    case CV_ERR_CLOSED:
        return "connection closed by the peer";
    case CV_ERR_NOT_FOUND:
        return "not found";
    case CV_ERR_EXISTS:
        return "already exists";
    case CV_ERR_DENIED:
        return "denied";
    case CV_ERR_UNSUPPORTED:
        return "not supported";
    case CV_ERR_CRYPTO:
        return "cryptographic verification failed";
    case CV_ERR_STATE:
        return "not allowed in this state";
    case CV_ERR_PROTOCOL:
        return "protocol error";
    case CV_ERR_REMOTE:
        return "error from the peer";
    case CV_ERR_THROTTLED:
        return "throttled by the peer";
    case CV_ERR_CONFIG:
        return "wrong configuration";
    case CV_ERR_BUSY:
        return "busy";
    case CV_ERR_CANCELLED:
        return "cancelled";
    case CV_ERR_INTERNAL:
        return "internal error";
    }
    return "unknown error";
}

/* Printable; a backslash is escaped too, so that the quoting is unambiguous. */
static bool stands_for_itself(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '\\';
}

char *cv_error_quote(char *out, size_t size, const void *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    if (size == 0)
        return out;
    const unsigned char *in = p;
    size_t room = size - 1, whole = 0, o = 0;
    for (size_t i = 0; i < n && whole <= room; i++)
        whole += stands_for_itself(in[i]) ? 1 : 4;
    bool cut = whole > room;
    if (cut)
        room -= room < 3 ? room : 3;
    for (size_t i = 0; i < n; i++) {
        bool plain = stands_for_itself(in[i]);
        if ((plain ? 1u : 4u) > room - o)
            break;
        if (plain) {
            out[o++] = (char)in[i];
        } else {
            out[o++] = '\\';
            out[o++] = 'x';
            out[o++] = digits[in[i] >> 4];
            out[o++] = digits[in[i] & 15];
        }
    }
    for (size_t dots = 0; cut && dots < 3 && o < size - 1; dots++)
        out[o++] = '.';
    out[o] = '\0';
    return out;
}
