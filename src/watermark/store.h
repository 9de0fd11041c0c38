/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watermark store of the daemon: the marks in memory, the log on disk, and
 * one flusher thread between them.
 *
 * The owner (the daemon's loop thread) reserves a mark in memory, starts the
 * flush and the signing together, and answers when both are done: a signature
 * leaves only when cv_wm_durable() has reached the sequence number that
 * cv_wm_reserve() gave, identical repeats included. One flush serves all that
 * arrived during the last one.
 *
 * A flush that fails poisons the store: memory never steps back, so nothing
 * more may be signed until the daemon is started again.
 *
 * All functions but those of the flusher belong to one thread.
 */
#ifndef CV_WATERMARK_STORE_H
#define CV_WATERMARK_STORE_H

#include "keystore/keystore.h"
#include "watermark/marks.h"

/* The files, under the store's directory. */
#define CV_WM_LOG_NAME "watermarks.log"
#define CV_WM_LOCK_NAME "lock"

struct cv_wm_store;

struct cv_wm_options {
    const char *directory; /* made (0750) when absent */
    /* Holds the witness. A handle of the store's own, closed by cv_wm_close()
     * (and when cv_wm_open() fails), since the flusher thread uses it. NULL: no
     * witness, for a store without keys. */
    struct cv_keystore *keystore;
    bool create;           /* a first start: make an empty store when there is none */
    bool replace;          /* make an empty store when there is none, whatever the witness says */
    uint32_t spare_blocks; /* 0 = CV_WM_SPARE_BLOCKS; tests take fewer */
    const char *program;   /* "claviger": for the commands that errors name */
};

/* Takes the lock, reads and checks the log and the witness, writes a fresh log
 * of the next epoch, and starts the flusher. Errors name the command that
 * resolves them:
 *   CV_ERR_BUSY       another process holds the store
 *   CV_ERR_NOT_FOUND  no store, and either create is false or the witness says
 *                     that there was one
 *   CV_ERR_STATE      an older copy, or the store of another machine
 *   CV_ERR_INVALID    damaged */
int cv_wm_open(struct cv_wm_store **out, const struct cv_wm_options *options,
               struct cv_error *err) CV_NODISCARD;
/* True when cv_wm_open() made the store (a first start). */
bool cv_wm_is_new(const struct cv_wm_store *store);
/* Waits for what is pending, ends the flusher, lets the lock go. */
void cv_wm_close(struct cv_wm_store *store);

/* Checks WANTED (seq ignored) by the rule and, when it is allowed, stores it
 * in memory and queues its record. *SEQ: the answer may leave when
 * cv_wm_durable() >= *SEQ.
 *   CV_ERR_DENIED     not greater than the stored mark
 *   CV_ERR_NOT_FOUND  the key has no record
 *   CV_ERR_INVALID    negative level or round
 *   CV_ERR_BUSY       the queue is full, ask again later
 *   CV_ERR_LIMIT      too many chains for this key
 *   CV_ERR_STATE      poisoned */
int cv_wm_reserve(struct cv_wm_store *store, const struct cv_mark *wanted,
                  uint64_t *seq) CV_NODISCARD;
/* Stores MARK whatever the rule says, but never a smaller one than is there
 * (CV_ERR_DENIED): for "nothing signed yet" records, migration, raise. */
int cv_wm_raise(struct cv_wm_store *store, const struct cv_mark *mark, uint64_t *seq) CV_NODISCARD;

/* Hands what is queued to the flusher unless it is busy; cheap to call. */
void cv_wm_kick(struct cv_wm_store *store);
/* Becomes readable when a flush has ended; then call cv_wm_collect(). */
int cv_wm_fd(const struct cv_wm_store *store);
/* Takes notice of ended flushes and starts the next one. */
void cv_wm_collect(struct cv_wm_store *store);
/* All records up to this sequence number are on the disk. */
uint64_t cv_wm_durable(const struct cv_wm_store *store);
/* True after a failed flush; ERR (may be NULL) gets the reason. */
bool cv_wm_poisoned(const struct cv_wm_store *store, struct cv_error *err);
/* Waits until all that is queued is durable: for commands, not for the loop.
 * CV_ERR_IO when the store is poisoned. */
int cv_wm_sync(struct cv_wm_store *store, struct cv_error *err) CV_NODISCARD;

const struct cv_marks *cv_wm_marks(const struct cv_wm_store *store);

/* For metrics. */
struct cv_wm_stats {
    uint64_t flushes;
    uint64_t records;
    uint64_t flush_us_last;
    uint64_t flush_us_max;
    uint64_t pending;
};
void cv_wm_get_stats(const struct cv_wm_store *store, struct cv_wm_stats *out);

/* Reads the marks without the lock, for `watermark list` and `export` beside a
 * running daemon. */
int cv_wm_read(struct cv_marks *marks, const char *directory, struct cv_error *err) CV_NODISCARD;

#endif
