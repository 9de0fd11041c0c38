/* SPDX-License-Identifier: Apache-2.0 */
#include "common/bytes.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cv_bytes cv_bytes_str(const char *s)
{
    return CV_BYTES(s, s == NULL ? 0 : strlen(s));
}

bool cv_bytes_equal(struct cv_bytes a, struct cv_bytes b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool cv_bytes_equal_str(struct cv_bytes a, const char *s)
{
    return cv_bytes_equal(a, cv_bytes_str(s));
}

void cv_wipe(void *p, size_t n)
{
    if (n > 0)
        explicit_bzero(p, n);
}

bool cv_equal_ct(const void *a, const void *b, size_t n)
{
    return n == 0 || sodium_memcmp(a, b, n) == 0;
}

void cv_buf_init(struct cv_buf *b, size_t limit)
{
    *b = (struct cv_buf){.limit = limit};
}

void cv_buf_free(struct cv_buf *b)
{
    if (b->p != NULL) {
        cv_wipe(b->p, b->cap);
        free(b->p);
    }
    *b = (struct cv_buf){.limit = b->limit};
}

void cv_buf_reset(struct cv_buf *b)
{
    cv_wipe(b->p, b->n);
    b->n = 0;
}

/* Room for N more bytes and a NUL. The old memory is wiped, which realloc(3)
 * would not do. */
static int grow(struct cv_buf *b, size_t n)
{
    size_t need;
    if (__builtin_add_overflow(b->n, n, &need) || need > b->limit)
        return CV_ERR_LIMIT;
    if (__builtin_add_overflow(need, (size_t)1, &need))
        return CV_ERR_LIMIT;
    if (need <= b->cap)
        return 0;
    size_t cap = b->cap < 64 ? 64 : b->cap;
    while (cap < need) {
        if (cap > SIZE_MAX / 2)
            cap = need;
        else
            cap *= 2;
    }
    if (b->limit < SIZE_MAX && cap > b->limit + 1)
        cap = b->limit + 1;
    uint8_t *p = malloc(cap);
    if (p == NULL)
        return CV_ERR_NOMEM;
    if (b->n > 0)
        memcpy(p, b->p, b->n);
    p[b->n] = 0;
    if (b->p != NULL) {
        cv_wipe(b->p, b->cap);
        free(b->p);
    }
    b->p = p;
    b->cap = cap;
    return 0;
}

int cv_buf_append(struct cv_buf *b, const void *p, size_t n)
{
    int rc = grow(b, n);
    if (rc != 0)
        return rc;
    if (n > 0)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = 0;
    return 0;
}

int cv_buf_append_str(struct cv_buf *b, const char *s)
{
    return cv_buf_append(b, s, strlen(s));
}

int cv_buf_append_u8(struct cv_buf *b, uint8_t v)
{
    return cv_buf_append(b, &v, 1);
}

int cv_buf_printf(struct cv_buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    int rc = n < 0 ? CV_ERR_INVALID : grow(b, (size_t)n);
    if (rc == 0) {
        (void)vsnprintf((char *)b->p + b->n, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
    return rc;
}

uint8_t *cv_buf_reserve(struct cv_buf *b, size_t n)
{
    return grow(b, n) == 0 ? b->p + b->n : NULL;
}

void cv_buf_commit(struct cv_buf *b, size_t n)
{
    if (b->p == NULL || n > b->cap - 1 - b->n)
        abort(); /* the caller wrote past what it reserved */
    b->n += n;
    b->p[b->n] = 0;
}

void cv_buf_consume(struct cv_buf *b, size_t n)
{
    if (n > b->n)
        abort();
    if (n == 0)
        return;
    memmove(b->p, b->p + n, b->n - n);
    cv_wipe(b->p + b->n - n, n);
    b->n -= n;
}

struct cv_bytes cv_buf_view(const struct cv_buf *b)
{
    return (struct cv_bytes){b->p, b->n};
}
