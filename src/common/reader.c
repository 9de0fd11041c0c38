/* SPDX-License-Identifier: Apache-2.0 */
#include "common/reader.h"

#include <string.h>

void cv_reader_init(struct cv_reader *r, struct cv_bytes in)
{
    *r = (struct cv_reader){.p = in.p, .n = in.n};
}

size_t cv_reader_left(const struct cv_reader *r)
{
    return r->err != 0 ? 0 : r->n - r->off;
}

/* The next N bytes, or NULL with the error set. */
static const uint8_t *take(struct cv_reader *r, size_t n)
{
    if (r->err != 0)
        return NULL;
    if (n > r->n - r->off) {
        r->err = CV_ERR_TRUNCATED;
        return NULL;
    }
    const uint8_t *p = r->p + r->off;
    r->off += n;
    return p;
}

uint8_t cv_read_u8(struct cv_reader *r)
{
    const uint8_t *p = take(r, 1);
    return p == NULL ? 0 : p[0];
}

static uint64_t read_be(struct cv_reader *r, size_t n)
{
    const uint8_t *p = take(r, n);
    uint64_t v = 0;
    for (size_t i = 0; p != NULL && i < n; i++)
        v = v << 8 | p[i];
    return v;
}

uint16_t cv_read_be16(struct cv_reader *r)
{
    return (uint16_t)read_be(r, 2);
}

uint32_t cv_read_be32(struct cv_reader *r)
{
    return (uint32_t)read_be(r, 4);
}

uint64_t cv_read_be64(struct cv_reader *r)
{
    return read_be(r, 8);
}

int32_t cv_read_be_i32(struct cv_reader *r)
{
    return (int32_t)cv_read_be32(r);
}

int64_t cv_read_be_i64(struct cv_reader *r)
{
    return (int64_t)cv_read_be64(r);
}

uint8_t cv_peek_u8(const struct cv_reader *r)
{
    return cv_reader_left(r) == 0 ? 0 : r->p[r->off];
}

struct cv_bytes cv_read_bytes(struct cv_reader *r, size_t n)
{
    if (n == 0)
        return (struct cv_bytes){NULL, 0};
    const uint8_t *p = take(r, n);
    return (struct cv_bytes){p, p == NULL ? 0 : n};
}

void cv_read_copy(struct cv_reader *r, void *out, size_t n)
{
    if (n == 0)
        return;
    const uint8_t *p = take(r, n);
    if (p == NULL)
        memset(out, 0, n);
    else
        memcpy(out, p, n);
}

void cv_read_skip(struct cv_reader *r, size_t n)
{
    if (n > 0)
        (void)take(r, n);
}

struct cv_reader cv_read_window(struct cv_reader *r, size_t n)
{
    struct cv_reader w;
    cv_reader_init(&w, cv_read_bytes(r, n));
    w.err = r->err;
    return w;
}

void cv_reader_fail(struct cv_reader *r, int code)
{
    if (r->err == 0)
        r->err = code;
}

int cv_reader_end(const struct cv_reader *r)
{
    if (r->err != 0)
        return r->err;
    return r->off == r->n ? 0 : CV_ERR_TRAILING;
}
