/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small pool of threads for what must not hold up the loop: the policy hook,
 * calls of AWS. A job's work runs in a thread of the pool, its end in the loop.
 */
#ifndef CV_SIGNER_POOL_H
#define CV_SIGNER_POOL_H

#include "signer/loop.h"

struct cv_pool;

/* Embedded by the caller, alive until DONE. */
struct cv_job {
    void (*work)(struct cv_job *job); /* in a thread of the pool */
    void (*done)(struct cv_job *job); /* in the loop thread, once, also at the end */
    struct cv_job *next;
};

/* At most QUEUE jobs wait for one of the THREADS. */
int cv_pool_new(struct cv_pool **out, struct cv_loop *loop, unsigned threads, size_t queue,
                struct cv_error *err) CV_NODISCARD;
/* CV_ERR_BUSY when the queue is full; DONE is not called then. */
int cv_pool_submit(struct cv_pool *pool, struct cv_job *job) CV_NODISCARD;
/* Lets the jobs that run come to their end, and tells every job that it is
 * done, those that never ran too. Harmless on NULL. */
void cv_pool_free(struct cv_pool **pool);

#endif
