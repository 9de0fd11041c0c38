/* SPDX-License-Identifier: Apache-2.0 */
/* The flusher thread: makes batches durable, one at a time. */
#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "watermark/store_private.h"

/* The log is full: a new one, of the same epoch, starts with what is durable. */
static int renew_log(struct cv_wm_flusher *f, uint64_t next_seq, struct cv_error *err)
{
    struct cv_wm_log made;
    int r = cv_wm_log_create(&made, f->log_path, f->log.store_id, f->log.epoch, next_seq, f->shadow,
                             f->spare, err);
    if (r != CV_OK) {
        return r;
    }
    cv_wm_log_close(&f->log);
    f->log = made;
    return CV_OK;
}

static int flush_some(struct cv_wm_flusher *f, const struct cv_mark *records, size_t n,
                      struct cv_error *err)
{
    int r = cv_wm_log_append(&f->log, records, n, err);
    if (r == CV_ERR_LIMIT) {
        if ((r = renew_log(f, records[0].seq, err)) != CV_OK) {
            return r;
        }
        r = cv_wm_log_append(&f->log, records, n, err);
    }
    for (size_t i = 0; r == CV_OK && i < n; i++) {
        if ((r = cv_marks_put(f->shadow, &records[i])) != CV_OK) {
            cv_error_set(err, r, "no memory for a watermark");
        }
    }
    return r;
}

/* The witness moves before anyone is told of more than a step beyond it. LAST
 * is on the disk already. */
static int follow_witness(struct cv_wm_flusher *f, uint64_t last, struct cv_error *err)
{
    if (f->keystore == NULL || last < f->witness.floor + CV_WM_WITNESS_STEP) {
        return CV_OK;
    }
    f->witness.floor = last;
    return cv_wm_witness_save(&f->witness, f->keystore, err);
}

static int flush_batch(struct cv_wm_flusher *f, const struct cv_wm_queue *batch,
                       struct cv_error *err)
{
    size_t most = f->spare * CV_WM_BLOCK_RECORDS < CV_WM_BATCH_RECORDS
                      ? f->spare * CV_WM_BLOCK_RECORDS
                      : CV_WM_BATCH_RECORDS;
    for (size_t i = 0; i < batch->n; i += most) {
        size_t n = batch->n - i < most ? batch->n - i : most;
        uint64_t last = batch->records[i + n - 1].seq;
        int r = flush_some(f, &batch->records[i], n, err);
        if (r == CV_OK) {
            r = follow_witness(f, last, err);
        }
        if (r != CV_OK) {
            return r;
        }
        atomic_store_explicit(&f->durable, last, memory_order_release);
    }
    return CV_OK;
}

static void poison(struct cv_wm_flusher *f, const struct cv_error *err)
{
    f->error = *err;
    atomic_store_explicit(&f->poisoned, true, memory_order_release);
    cv_log_error(CV_LOG_ERROR,
                 "watermark store: a flush failed; consensus signing stops until a restart", err);
}

static void run_batch(struct cv_wm_flusher *f)
{
    struct cv_error err;
    cv_error_clear(&err);
    int64_t began = cv_now_us();
    const struct cv_wm_queue *batch = f->batch;
    if (atomic_load(&f->poisoned)) {
        return;
    }
    if (flush_batch(f, batch, &err) != CV_OK) {
        poison(f, &err);
    }
    uint64_t took = (uint64_t)(cv_now_us() - began);
    atomic_store_explicit(&f->us_last, took, memory_order_relaxed);
    if (took > atomic_load_explicit(&f->us_max, memory_order_relaxed)) {
        atomic_store_explicit(&f->us_max, took, memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&f->flushes, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&f->records, batch->n, memory_order_relaxed);
}

static void *run(void *arg)
{
    struct cv_wm_flusher *f = arg;
    for (;;) {
        eventfd_t n;
        if (eventfd_read(f->wake_fd, &n) != 0) {
            if (errno == EINTR) {
                continue;
            }
            break;
        }
        if (f->batch != NULL) {
            run_batch(f);
            f->batch = NULL;
            eventfd_write(f->done_fd, 1);
        }
        if (atomic_load(&f->stop)) {
            break;
        }
    }
    return NULL;
}

int cv_wm_flusher_start(struct cv_wm_flusher *f, struct cv_error *err)
{
    f->wake_fd = eventfd(0, EFD_CLOEXEC);
    f->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (f->wake_fd < 0 || f->done_fd < 0) {
        return cv_error_errno(err, CV_ERR_IO, errno, "eventfd");
    }
    /* Signals are the loop's business. */
    sigset_t all;
    sigset_t old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int e = pthread_create(&f->thread, NULL, run, f);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (e != 0) {
        return cv_error_errno(err, CV_ERR_NOMEM, e, "starting the flusher thread");
    }
    f->started = true;
    return CV_OK;
}

void cv_wm_flusher_stop(struct cv_wm_flusher *f)
{
    if (f->started) {
        atomic_store(&f->stop, true);
        eventfd_write(f->wake_fd, 1);
        pthread_join(f->thread, NULL);
        f->started = false;
    }
    if (f->wake_fd >= 0) {
        close(f->wake_fd);
    }
    if (f->done_fd >= 0) {
        close(f->done_fd);
    }
}
