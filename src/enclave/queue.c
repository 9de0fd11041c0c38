/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/queue.h"

#include <string.h>

void cv_queue_init(struct cv_queue *q)
{
    memset(q, 0, sizeof *q);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->ready, NULL);
}

void cv_queue_push(struct cv_queue *q, unsigned lane, struct cv_job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&q->lock);
    if (q->lanes[lane].first == NULL)
        q->lanes[lane].first = job;
    else
        q->lanes[lane].last->next = job;
    q->lanes[lane].last = job;
    q->count++;
    pthread_mutex_unlock(&q->lock);
}

size_t cv_queue_count(struct cv_queue *q)
{
    pthread_mutex_lock(&q->lock);
    size_t n = q->count;
    pthread_mutex_unlock(&q->lock);
    return n;
}

void cv_queue_wake(struct cv_queue *q, size_t n)
{
    for (; n > 0; n--)
        pthread_cond_signal(&q->ready);
}

static struct cv_job *take(struct cv_queue *q)
{
    for (unsigned i = 0; i < CV_QUEUE_LANES; i++) {
        unsigned lane = (q->turn + i) % CV_QUEUE_LANES;
        struct cv_job *job = q->lanes[lane].first;
        if (job == NULL)
            continue;
        q->lanes[lane].first = job->next;
        job->next = NULL;
        q->turn = lane + 1;
        q->count--;
        return job;
    }
    return NULL;
}

struct cv_job *cv_queue_pop(struct cv_queue *q, bool wait)
{
    pthread_mutex_lock(&q->lock);
    while (wait && q->count == 0 && !q->stopped)
        pthread_cond_wait(&q->ready, &q->lock);
    struct cv_job *job = q->stopped ? NULL : take(q);
    pthread_mutex_unlock(&q->lock);
    return job;
}

struct cv_job *cv_queue_drain(struct cv_queue *q, unsigned lane)
{
    pthread_mutex_lock(&q->lock);
    struct cv_job *list = q->lanes[lane].first;
    q->lanes[lane].first = q->lanes[lane].last = NULL;
    for (struct cv_job *job = list; job != NULL; job = job->next)
        q->count--;
    pthread_mutex_unlock(&q->lock);
    return list;
}

void cv_queue_stop(struct cv_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->stopped = true;
    pthread_cond_broadcast(&q->ready);
    pthread_mutex_unlock(&q->lock);
}
