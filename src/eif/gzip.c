/* SPDX-License-Identifier: Apache-2.0 */
#include "eif/gzip.h"

#include <stdlib.h>
#include <string.h>

#define BUFFER 65536u
#define BLOCK 512u
#define OS_UNKNOWN 255

int cv_gzip_open(struct cv_gzip *g, struct cv_sink to, struct cv_error *err)
{
    memset(g, 0, sizeof *g);
    g->to = to;
    g->buffer = malloc(BUFFER);
    g->header.os = OS_UNKNOWN; /* the same bytes, wherever zlib was built */
    if (g->buffer == NULL ||
        deflateInit2(&g->z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(g->buffer);
        g->buffer = NULL;
        return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
    }
    (void)deflateSetHeader(&g->z, &g->header);
    return 0;
}

static int run(struct cv_gzip *g, int flush, struct cv_error *err)
{
    int z;
    do {
        g->z.next_out = g->buffer;
        g->z.avail_out = BUFFER;
        z = deflate(&g->z, flush);
        size_t n = BUFFER - g->z.avail_out;
        g->total += n;
        int rc = n != 0 ? g->to.write(g->to.ctx, g->buffer, n, err) : 0;
        if (rc != 0) {
            return rc;
        }
    } while (z == Z_OK && (g->z.avail_in != 0 || g->z.avail_out == 0 || flush == Z_FINISH));
    return z == Z_OK || z == Z_STREAM_END || z == Z_BUF_ERROR
               ? 0
               : cv_error_set(err, CV_ERR_INTERNAL, "compressing failed");
}

static int sink_write(void *ctx, const void *p, size_t n, struct cv_error *err)
{
    struct cv_gzip *g = ctx;
    const uint8_t *at = p;
    while (n != 0) {
        size_t part = n < (1u << 30) ? n : 1u << 30;
        /* zlib takes a pointer without const, and does not write through it. */
        memcpy(&g->z.next_in, &at, sizeof at);
        g->z.avail_in = (uInt)part;
        int rc = run(g, Z_NO_FLUSH, err);
        if (rc != 0) {
            return rc;
        }
        at += part;
        n -= part;
    }
    return 0;
}

struct cv_sink cv_gzip_sink(struct cv_gzip *g)
{
    return (struct cv_sink){sink_write, g};
}

int cv_gzip_end(struct cv_gzip *g, struct cv_error *err)
{
    static const uint8_t zeros[BLOCK];
    g->z.avail_in = 0;
    int rc = run(g, Z_FINISH, err);
    size_t pad = (size_t)((BLOCK - g->total % BLOCK) % BLOCK);
    return rc == 0 && pad != 0 ? g->to.write(g->to.ctx, zeros, pad, err) : rc;
}

void cv_gzip_close(struct cv_gzip *g)
{
    if (g->buffer != NULL) {
        deflateEnd(&g->z);
        free(g->buffer);
    }
    g->buffer = NULL;
}
