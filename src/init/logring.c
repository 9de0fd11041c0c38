/* SPDX-License-Identifier: Apache-2.0 */
#include "init/logring.h"

#include <string.h>

void cv_logring_init(struct cv_logring *r)
{
    r->start = r->used = 0;
    r->lost = 0;
}

static void copy_out(const struct cv_logring *r, size_t at, uint8_t *out, size_t n)
{
    at = (r->start + at) % CV_LOGRING_SIZE;
    size_t first = n < CV_LOGRING_SIZE - at ? n : CV_LOGRING_SIZE - at;
    memcpy(out, r->p + at, first);
    memcpy(out + first, r->p, n - first);
}

static void append(struct cv_logring *r, const uint8_t *in, size_t n)
{
    size_t at = (r->start + r->used) % CV_LOGRING_SIZE;
    size_t first = n < CV_LOGRING_SIZE - at ? n : CV_LOGRING_SIZE - at;
    memcpy(r->p + at, in, first);
    memcpy(r->p, in + first, n - first);
    r->used += n;
}

static void put_be32(uint8_t *out, size_t v)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* Length of the oldest record's content. */
static size_t oldest(const struct cv_logring *r)
{
    uint8_t head[CV_LOGRING_HEAD];
    copy_out(r, 0, head, sizeof head);
    return (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
}

static void drop(struct cv_logring *r, size_t n)
{
    r->start = (r->start + n) % CV_LOGRING_SIZE;
    r->used -= n;
}

void cv_logring_put(struct cv_logring *r, enum cv_log_stream stream, const void *p, size_t n)
{
    const uint8_t *in = p;
    while (n != 0) {
        size_t part = n < CV_LOGRING_RECORD ? n : CV_LOGRING_RECORD;
        uint8_t head[CV_LOGRING_HEAD] = {(uint8_t)stream};
        put_be32(head + 1, part);
        while (CV_LOGRING_SIZE - r->used < sizeof head + part) {
            size_t old = oldest(r);
            r->lost += old;
            drop(r, sizeof head + old);
        }
        append(r, head, sizeof head);
        append(r, in, part);
        in += part;
        n -= part;
    }
}

size_t cv_logring_take(struct cv_logring *r, uint8_t *out)
{
    if (r->lost != 0) {
        out[0] = CV_LOG_LOST;
        put_be32(out + 1, 8);
        put_be32(out + 5, (size_t)(r->lost >> 32));
        put_be32(out + 9, (size_t)(r->lost & 0xffffffff));
        r->lost = 0;
        return CV_LOGRING_HEAD + 8;
    }
    if (r->used == 0)
        return 0;
    size_t n = CV_LOGRING_HEAD + oldest(r);
    copy_out(r, 0, out, n);
    drop(r, n);
    return n;
}

bool cv_logring_empty(const struct cv_logring *r)
{
    return r->used == 0 && r->lost == 0;
}
