/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs for a pool of workers. Each session has a lane of its own, and lanes
 * are served in turn, so that no session's backlog delays another.
 */
#ifndef CV_ENCLAVE_QUEUE_H
#define CV_ENCLAVE_QUEUE_H

#include <pthread.h>

#include "enclave/job.h"

#define CV_QUEUE_LANES 16

struct cv_queue {
    pthread_mutex_t lock;
    pthread_cond_t ready;
    struct {
        struct cv_job *first, *last;
    } lanes[CV_QUEUE_LANES];
    unsigned turn;
    size_t count;
    bool stopped;
};

void cv_queue_init(struct cv_queue *q);
/* Adds without waking anyone: see cv_queue_wake(). */
void cv_queue_push(struct cv_queue *q, unsigned lane, struct cv_job *job);
size_t cv_queue_count(struct cv_queue *q);
/* Wakes workers for up to N jobs. */
void cv_queue_wake(struct cv_queue *q, size_t n);
/* The next job; waits for one when WAIT. NULL when stopped, or none there. */
struct cv_job *cv_queue_pop(struct cv_queue *q, bool wait);
/* Takes out all jobs of a lane, as a list. */
struct cv_job *cv_queue_drain(struct cv_queue *q, unsigned lane);
void cv_queue_stop(struct cv_queue *q);

#endif
