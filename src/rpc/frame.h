/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of the enclave protocol (docs/protocol/enclave-rpc.md): a u32 in
 * big-endian order, then that many bytes, which hold one CBOR item.
 *
 * Nothing is allocated from an announced length: the assembler's buffer grows
 * with the bytes that have come, and a length over the ceiling is an error
 * before one byte of the body is kept.
 */
#ifndef CV_RPC_FRAME_H
#define CV_RPC_FRAME_H

#include "common/bytes.h"

#define CV_RPC_FRAME_HEAD 4
#define CV_RPC_FRAME_MAX_EARLY (64u * 1024) /* body, before Initialize */
#define CV_RPC_FRAME_MAX (1024u * 1024)     /* body, after Initialize; replies */

/* Puts frames together from whatever pieces a stream gives. */
struct cv_rpc_assembler {
    struct cv_buf in; /* bytes that have come and are not used up */
    size_t used;      /* of them, belonging to frames already handed out */
    uint32_t max;     /* ceiling of a body */
};

void cv_rpc_assembler_init(struct cv_rpc_assembler *a, uint32_t max);
/* Wipes what it held. */
void cv_rpc_assembler_free(struct cv_rpc_assembler *a);
/* Room for up to *N bytes (set to how many may be put there, never more than
 * asked for); NULL when memory is out. cv_rpc_assembler_fed() says how many
 * came. Views given out before are dead after this call. */
uint8_t *cv_rpc_assembler_room(struct cv_rpc_assembler *a, size_t *n);
void cv_rpc_assembler_fed(struct cv_rpc_assembler *a, size_t n);
/* The next whole frame's body: 1 and *BODY (writable, N bytes, good until
 * room() is called), 0 when more bytes are needed, CV_ERR_LIMIT when the
 * announced length is over the ceiling (the connection is beyond repair). */
int cv_rpc_assembler_next(struct cv_rpc_assembler *a, uint8_t **body, size_t *n) CV_NODISCARD;
/* True when a frame has begun and not ended: an EOF now is a broken peer,
 * except inside the first four bytes, which the protocol calls a clean end. */
bool cv_rpc_assembler_partial(const struct cv_rpc_assembler *a);

/* Appends the four bytes of a frame's head; the body follows. */
int cv_rpc_frame_head(struct cv_buf *out, size_t body) CV_NODISCARD;
/* Appends a whole frame. CV_ERR_LIMIT for a body over CV_RPC_FRAME_MAX. */
int cv_rpc_frame_append(struct cv_buf *out, struct cv_bytes body) CV_NODISCARD;

#endif
