/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watermarks that several daemons share, in a table of DynamoDB: each mark is
 * one conditional write in a thread of a pool, while the enclave signs. The
 * signature leaves when both are done, and never when the write was refused.
 */
#ifndef CV_SIGNER_GATE_REMOTE_H
#define CV_SIGNER_GATE_REMOTE_H

#include "signer/config.h"
#include "signer/loop.h"
#include "watermark/marks.h"

struct cv_gate_remote;

/* One write under way; made by cv_gate_remote_advance(). */
struct cv_gate_write {
    bool done;
    int code; /* as cv_wm_ddb_advance() */
    struct cv_error err;
};

/* Opens the table of CONFIG (blocking), making it when absent. ON_DONE is told
 * in the loop of each write that ended. */
int cv_gate_remote_open(struct cv_gate_remote **out, struct cv_loop *loop,
                        const struct cv_config *config, void (*on_done)(void *ctx), void *ctx,
                        struct cv_error *err) CV_NODISCARD;
/* Waits for the writes under way. Harmless on NULL. */
void cv_gate_remote_close(struct cv_gate_remote **remote);

/* Starts to store MARK. *WRITE is released by cv_gate_remote_release(), at any
 * time. CV_ERR_BUSY: too many are under way; CV_ERR_NOMEM. */
int cv_gate_remote_advance(struct cv_gate_remote *remote, const struct cv_mark *mark,
                           struct cv_gate_write **write) CV_NODISCARD;
/* The first record of a new key; STORED is told in the loop when it is there. */
int cv_gate_remote_first(struct cv_gate_remote *remote, const struct cv_pkh *pkh,
                         void (*stored)(void *ctx, const struct cv_pkh *pkh),
                         void *ctx) CV_NODISCARD;
/* Sets *WRITE to NULL; harmless on NULL. */
void cv_gate_remote_release(struct cv_gate_write **write);

#endif
