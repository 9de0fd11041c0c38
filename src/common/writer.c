/* SPDX-License-Identifier: Apache-2.0 */
#include "common/writer.h"

#include <string.h>

void cv_writer_init(struct cv_writer *w, void *p, size_t cap)
{
    *w = (struct cv_writer){.p = p, .cap = cap};
}

uint8_t *cv_write_room(struct cv_writer *w, size_t n)
{
    if (w->err != 0)
        return NULL;
    if (n > w->cap - w->n) {
        w->err = CV_ERR_LIMIT;
        return NULL;
    }
    uint8_t *p = w->p + w->n;
    w->n += n;
    return p;
}

static void write_be(struct cv_writer *w, uint64_t v, size_t n)
{
    uint8_t *p = cv_write_room(w, n);
    for (size_t i = n; p != NULL && i-- > 0; v >>= 8)
        p[i] = (uint8_t)v;
}

void cv_write_u8(struct cv_writer *w, uint8_t v)
{
    write_be(w, v, 1);
}

void cv_write_be16(struct cv_writer *w, uint16_t v)
{
    write_be(w, v, 2);
}

void cv_write_be32(struct cv_writer *w, uint32_t v)
{
    write_be(w, v, 4);
}

void cv_write_be64(struct cv_writer *w, uint64_t v)
{
    write_be(w, v, 8);
}

void cv_write_bytes(struct cv_writer *w, struct cv_bytes b)
{
    cv_write_raw(w, b.p, b.n);
}

void cv_write_raw(struct cv_writer *w, const void *p, size_t n)
{
    if (n == 0)
        return;
    uint8_t *room = cv_write_room(w, n);
    if (room != NULL)
        memcpy(room, p, n);
}

int cv_writer_end(const struct cv_writer *w, size_t *n)
{
    if (n != NULL)
        *n = w->err != 0 ? 0 : w->n;
    return w->err;
}

struct cv_bytes cv_writer_view(const struct cv_writer *w)
{
    return (struct cv_bytes){w->p, w->n};
}
