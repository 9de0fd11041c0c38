/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes one frame into a growable buffer: CBOR with definite lengths and
 * shortest heads, the frame's length filled in at the end. The error is
 * sticky; when there was one the buffer is as it was before. Private to this
 * directory.
 */
#ifndef CV_RPC_EMIT_H
#define CV_RPC_EMIT_H

#include "cbor/cbor.h"
#include "common/bytes.h"

struct cv_rpc_emit {
    struct cv_buf *out;
    size_t start; /* of the frame's head in OUT */
    int err;
};

void cv_rpc_emit_begin(struct cv_rpc_emit *e, struct cv_buf *out);
void cv_rpc_emit_head(struct cv_rpc_emit *e, enum cv_cbor_major major, uint64_t value);
void cv_rpc_emit_text(struct cv_rpc_emit *e, struct cv_bytes v);
void cv_rpc_emit_bytes(struct cv_rpc_emit *e, struct cv_bytes v);
void cv_rpc_emit_null(struct cv_rpc_emit *e);
void cv_rpc_emit_bool(struct cv_rpc_emit *e, bool v);
int cv_rpc_emit_end(struct cv_rpc_emit *e) CV_NODISCARD;

#endif
