/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "rpc/frame.h"

/* Two bodies: one being put together and what was read beyond it. */
#define ASSEMBLER_LIMIT (2 * (size_t)(CV_RPC_FRAME_MAX + CV_RPC_FRAME_HEAD))

void cv_rpc_assembler_init(struct cv_rpc_assembler *a, uint32_t max)
{
    cv_buf_init(&a->in, ASSEMBLER_LIMIT);
    a->used = 0;
    a->max = max;
}

void cv_rpc_assembler_free(struct cv_rpc_assembler *a)
{
    cv_buf_free(&a->in);
    a->used = 0;
}

uint8_t *cv_rpc_assembler_room(struct cv_rpc_assembler *a, size_t *n)
{
    if (a->used == a->in.n)
        cv_buf_reset(&a->in);
    else if (a->used > 0)
        cv_buf_consume(&a->in, a->used);
    a->used = 0;
    /* Nothing is read beyond one largest frame: a peer that sends faster than
     * it is served waits in its own socket buffer. */
    size_t most = (size_t)a->max + CV_RPC_FRAME_HEAD;
    size_t left = a->in.n < most ? most - a->in.n : 0;
    if (*n > left)
        *n = left;
    return *n == 0 ? NULL : cv_buf_reserve(&a->in, *n);
}

void cv_rpc_assembler_fed(struct cv_rpc_assembler *a, size_t n)
{
    cv_buf_commit(&a->in, n);
}

static uint32_t head_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

int cv_rpc_assembler_next(struct cv_rpc_assembler *a, uint8_t **body, size_t *n)
{
    size_t have = a->in.n - a->used;
    if (have < CV_RPC_FRAME_HEAD)
        return 0;
    uint8_t *p = a->in.p + a->used;
    uint32_t len = head_at(p);
    if (len > a->max)
        return CV_ERR_LIMIT;
    if (have - CV_RPC_FRAME_HEAD < len)
        return 0;
    *body = p + CV_RPC_FRAME_HEAD;
    *n = len;
    a->used += CV_RPC_FRAME_HEAD + (size_t)len;
    return 1;
}

bool cv_rpc_assembler_partial(const struct cv_rpc_assembler *a)
{
    return a->in.n - a->used >= CV_RPC_FRAME_HEAD;
}

int cv_rpc_frame_head(struct cv_buf *out, size_t body)
{
    if (body > CV_RPC_FRAME_MAX)
        return CV_ERR_LIMIT;
    uint32_t len = (uint32_t)body;
    uint8_t head[CV_RPC_FRAME_HEAD] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16),
                                       (uint8_t)(len >> 8), (uint8_t)len};
    return cv_buf_append(out, head, sizeof head);
}

int cv_rpc_frame_append(struct cv_buf *out, struct cv_bytes body)
{
    if (body.n > CV_RPC_FRAME_MAX)
        return CV_ERR_LIMIT;
    /* One reservation, so that nothing is appended when memory is out. */
    uint8_t *p = cv_buf_reserve(out, CV_RPC_FRAME_HEAD + body.n);
    if (p == NULL)
        return CV_ERR_NOMEM;
    uint32_t len = (uint32_t)body.n;
    p[0] = (uint8_t)(len >> 24);
    p[1] = (uint8_t)(len >> 16);
    p[2] = (uint8_t)(len >> 8);
    p[3] = (uint8_t)len;
    if (body.n > 0)
        memcpy(p + CV_RPC_FRAME_HEAD, body.p, body.n);
    cv_buf_commit(out, CV_RPC_FRAME_HEAD + body.n);
    return 0;
}
