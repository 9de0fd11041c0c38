/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watermarks that several daemons share, in a table of DynamoDB: each mark is
 * one conditional write in a thread of a pool, while the enclave signs. The
 * signature leaves when both are done, and never when the write was refused.
 *
 * The table is opened in the pool too, and tried again for ever while AWS does
 * not answer: the daemon starts without it, and signs nothing until it is open.
 */
#ifndef CV_SIGNER_GATE_REMOTE_H
#define CV_SIGNER_GATE_REMOTE_H

#include "keystore/keystore.h"
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

/* Begins to open the table of CONFIG, which outlives it, making the table when
 * it is absent. ON_DONE is told in the loop of each write that ended. Fails
 * only for what would not mend itself: AWS settings that cannot be read. */
int cv_gate_remote_open(struct cv_gate_remote **out, struct cv_loop *loop,
                        const struct cv_config *config, void (*on_done)(void *ctx), void *ctx,
                        struct cv_error *err) CV_NODISCARD;
/* Waits for the writes under way. Harmless on NULL. */
void cv_gate_remote_close(struct cv_gate_remote **remote);

/* True once an attempt to open the table has ended, well or not. */
bool cv_gate_remote_tried(const struct cv_gate_remote *remote);
/* True when the table is open; else WHY (may be NULL) says what stands in the way. */
bool cv_gate_remote_ready(const struct cv_gate_remote *remote, struct cv_error *why);

/* Starts to store MARK. *WRITE is released by cv_gate_remote_release(), at any
 * time. CV_ERR_BUSY: too many are under way; CV_ERR_NOMEM; CV_ERR_STATE: the
 * table is not open. */
int cv_gate_remote_advance(struct cv_gate_remote *remote, const struct cv_mark *mark,
                           struct cv_gate_write **write) CV_NODISCARD;
/* The first record of PKH, a new key of STORE, as soon as the table is open,
 * and then the end of its mark in STORE, which lives until
 * cv_gate_remote_close(). */
int cv_gate_remote_first(struct cv_gate_remote *remote, struct cv_keystore *store,
                         const struct cv_pkh *pkh) CV_NODISCARD;
/* Sets *WRITE to NULL; harmless on NULL. */
void cv_gate_remote_release(struct cv_gate_write **write);

#endif
