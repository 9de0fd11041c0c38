/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/emit.h"
#include "rpc/frame.h"

static void append(struct cv_rpc_emit *e, const void *p, size_t n)
{
    if (e->err == 0)
        e->err = cv_buf_append(e->out, p, n);
}

void cv_rpc_emit_begin(struct cv_rpc_emit *e, struct cv_buf *out)
{
    *e = (struct cv_rpc_emit){.out = out, .start = out->n};
    static const uint8_t zeros[CV_RPC_FRAME_HEAD];
    append(e, zeros, sizeof zeros);
}

void cv_rpc_emit_head(struct cv_rpc_emit *e, enum cv_cbor_major major, uint64_t value)
{
    uint8_t head[9];
    struct cv_writer w;
    size_t n = 0;
    cv_writer_init(&w, head, sizeof head);
    cv_cbor_write_head(&w, major, value);
    if (cv_writer_end(&w, &n) == 0)
        append(e, head, n);
}

void cv_rpc_emit_text(struct cv_rpc_emit *e, struct cv_bytes v)
{
    cv_rpc_emit_head(e, CV_CBOR_TSTR, v.n);
    append(e, v.p, v.n);
}

void cv_rpc_emit_bytes(struct cv_rpc_emit *e, struct cv_bytes v)
{
    cv_rpc_emit_head(e, CV_CBOR_BSTR, v.n);
    append(e, v.p, v.n);
}

void cv_rpc_emit_null(struct cv_rpc_emit *e)
{
    cv_rpc_emit_head(e, CV_CBOR_SIMPLE, CV_CBOR_NULL);
}

void cv_rpc_emit_bool(struct cv_rpc_emit *e, bool v)
{
    cv_rpc_emit_head(e, CV_CBOR_SIMPLE, v ? CV_CBOR_TRUE : CV_CBOR_FALSE);
}

int cv_rpc_emit_end(struct cv_rpc_emit *e)
{
    if (e->err == 0 && e->out->n - e->start - CV_RPC_FRAME_HEAD > CV_RPC_FRAME_MAX)
        e->err = CV_ERR_LIMIT;
    if (e->err != 0) {
        cv_wipe(e->out->p + e->start, e->out->n - e->start);
        e->out->n = e->start;
        return e->err;
    }
    size_t len = e->out->n - e->start - CV_RPC_FRAME_HEAD;
    for (size_t i = 0; i < CV_RPC_FRAME_HEAD; i++)
        e->out->p[e->start + i] = (uint8_t)(len >> (24 - 8 * i));
    return 0;
}
