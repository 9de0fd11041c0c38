/* SPDX-License-Identifier: Apache-2.0 */
/* The owner's side: marks, queue, hand-over. The flusher is in flusher.c,
 * opening and closing in store_open.c. */
#include "watermark/store.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "watermark/store_private.h"

bool cv_wm_poisoned(const struct cv_wm_store *store, struct cv_error *err)
{
    if (!atomic_load_explicit(&store->flusher.poisoned, memory_order_acquire)) {
        return false;
    }
    if (err != NULL) {
        *err = store->flusher.error;
    }
    return true;
}

/* Puts MARK into memory and its record into the queue. */
static int enqueue(struct cv_wm_store *store, const struct cv_mark *mark, uint64_t *seq)
{
    struct cv_wm_queue *queue = &store->queue[store->filling];
    if (queue->n == CV_WM_QUEUE_MAX) {
        return CV_ERR_BUSY;
    }
    struct cv_mark record = *mark;
    record.seq = store->next_seq;
    int r = cv_marks_put(store->marks, &record);
    if (r != CV_OK) {
        return r;
    }
    store->next_seq++;
    queue->records[queue->n++] = record;
    *seq = record.seq;
    return CV_OK;
}

int cv_wm_reserve(struct cv_wm_store *store, const struct cv_mark *wanted, uint64_t *seq)
{
    if (cv_wm_poisoned(store, NULL)) {
        return CV_ERR_STATE;
    }
    switch (cv_marks_check(store->marks, wanted)) {
    case CV_MARK_ADVANCE:
        return enqueue(store, wanted, seq);
    case CV_MARK_REPEAT:
        *seq = cv_marks_find(store->marks, &wanted->pkh, wanted->kind, wanted->chain)->seq;
        return CV_OK;
    case CV_MARK_UNKNOWN:
        return CV_ERR_NOT_FOUND;
    case CV_MARK_NEGATIVE:
        return CV_ERR_INVALID;
    case CV_MARK_REFUSE:
        break;
    }
    return CV_ERR_DENIED;
}

int cv_wm_raise(struct cv_wm_store *store, const struct cv_mark *mark, uint64_t *seq)
{
    if (cv_wm_poisoned(store, NULL)) {
        return CV_ERR_STATE;
    }
    if (mark->level < 0 || mark->round < 0) {
        return CV_ERR_INVALID;
    }
    const struct cv_mark *stored = cv_marks_find(store->marks, &mark->pkh, mark->kind, mark->chain);
    if (stored != NULL) {
        if (mark->level < stored->level ||
            (mark->level == stored->level && mark->round <= stored->round)) {
            return CV_ERR_DENIED;
        }
    }
    return enqueue(store, mark, seq);
}

void cv_wm_kick(struct cv_wm_store *store)
{
    if (store->in_flight || store->queue[store->filling].n == 0 || cv_wm_poisoned(store, NULL)) {
        return;
    }
    store->flusher.batch = &store->queue[store->filling];
    store->filling ^= 1;
    store->queue[store->filling].n = 0;
    store->in_flight = true;
    /* The write is a release: the flusher sees the batch. */
    eventfd_write(store->flusher.wake_fd, 1);
}

int cv_wm_fd(const struct cv_wm_store *store)
{
    return store->flusher.done_fd;
}

void cv_wm_collect(struct cv_wm_store *store)
{
    eventfd_t ended;
    if (eventfd_read(store->flusher.done_fd, &ended) != 0) {
        return;
    }
    store->in_flight = false;
    cv_wm_kick(store);
}

uint64_t cv_wm_durable(const struct cv_wm_store *store)
{
    return atomic_load_explicit(&store->flusher.durable, memory_order_acquire);
}

int cv_wm_sync(struct cv_wm_store *store, struct cv_error *err)
{
    cv_wm_kick(store);
    while (store->in_flight) {
        struct pollfd p = {.fd = store->flusher.done_fd, .events = POLLIN};
        (void)poll(&p, 1, 1000);
        cv_wm_collect(store);
    }
    if (cv_wm_poisoned(store, err)) {
        cv_error_wrap(err, "the watermarks could not be made durable");
        return CV_ERR_IO;
    }
    return CV_OK;
}

const struct cv_marks *cv_wm_marks(const struct cv_wm_store *store)
{
    return store->marks;
}

bool cv_wm_is_new(const struct cv_wm_store *store)
{
    return store->is_new;
}

void cv_wm_get_stats(const struct cv_wm_store *store, struct cv_wm_stats *out)
{
    const struct cv_wm_flusher *f = &store->flusher;
    out->flushes = atomic_load_explicit(&f->flushes, memory_order_relaxed);
    out->records = atomic_load_explicit(&f->records, memory_order_relaxed);
    out->flush_us_last = atomic_load_explicit(&f->us_last, memory_order_relaxed);
    out->flush_us_max = atomic_load_explicit(&f->us_max, memory_order_relaxed);
    out->pending = store->queue[store->filling].n;
}
