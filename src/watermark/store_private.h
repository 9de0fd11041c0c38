/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the watermark store: for store.c, store_open.c and flusher.c. */
#ifndef CV_WATERMARK_STORE_PRIVATE_H
#define CV_WATERMARK_STORE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "watermark/log.h"
#include "watermark/store.h"
#include "watermark/witness.h"

#define CV_WM_QUEUE_MAX 4096
/* The witness follows the log at most this many records behind. */
#define CV_WM_WITNESS_STEP 1024

struct cv_wm_queue {
    size_t n;
    struct cv_mark records[CV_WM_QUEUE_MAX];
};

/* What the flusher thread owns while it runs; atomics are for both. */
struct cv_wm_flusher {
    pthread_t thread;
    bool started;
    int wake_fd; /* owner → flusher: a batch, or the end */
    int done_fd; /* flusher → owner: a batch has ended */
    atomic_bool stop;
    atomic_bool poisoned;
    struct cv_error error; /* written before poisoned is set */
    _Atomic uint64_t durable;
    _Atomic uint64_t flushes, records, us_last, us_max;

    const struct cv_wm_queue *batch; /* handed over by the owner */
    struct cv_wm_log log;
    char *log_path;
    uint32_t spare;
    struct cv_marks *shadow;      /* the marks that are durable: what a new log starts with */
    struct cv_keystore *keystore; /* or NULL */
    struct cv_wm_witness witness;
};

struct cv_wm_store {
    struct cv_marks *marks;
    uint64_t next_seq;
    bool in_flight;
    unsigned filling; /* which queue takes records now */
    bool is_new;
    int lock_fd;
    struct cv_wm_flusher flusher;
    struct cv_wm_queue queue[2];
};

int cv_wm_flusher_start(struct cv_wm_flusher *f, struct cv_error *err);
/* Ends the thread after the batch under way. */
void cv_wm_flusher_stop(struct cv_wm_flusher *f);

#endif
