/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define THREADS_MAX 16

struct list {
    struct cv_job *first, *last;
    size_t count;
};

struct cv_pool {
    struct cv_loop *loop;
    struct cv_loop_source wake; /* an eventfd */
    size_t queue;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct list waiting, ended;
    bool stopping;
    pthread_t thread[THREADS_MAX];
    unsigned threads;
};

static void push(struct list *l, struct cv_job *job)
{
    job->next = NULL;
    if (l->last != NULL) {
        l->last->next = job;
    } else {
        l->first = job;
    }
    l->last = job;
    l->count++;
}

static struct cv_job *pop(struct list *l)
{
    struct cv_job *job = l->first;
    if (job != NULL) {
        l->first = job->next;
        l->last = l->first != NULL ? l->last : NULL;
        l->count--;
    }
    return job;
}

static void *run(void *ctx)
{
    struct cv_pool *p = ctx;
    const uint64_t one = 1;
    (void)pthread_mutex_lock(&p->lock);
    for (;;) {
        struct cv_job *job = p->stopping ? NULL : pop(&p->waiting);
        if (job == NULL) {
            if (p->stopping) {
                break;
            }
            (void)pthread_cond_wait(&p->work, &p->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&p->lock);
        job->work(job);
        (void)pthread_mutex_lock(&p->lock);
        push(&p->ended, job);
        /* The counter of an eventfd cannot fill up from single steps. */
        if (write(p->wake.fd, &one, sizeof(one)) < 0) {
            continue;
        }
    }
    (void)pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void finish(struct cv_pool *p, struct list *l)
{
    for (;;) {
        (void)pthread_mutex_lock(&p->lock);
        struct cv_job *job = pop(l);
        (void)pthread_mutex_unlock(&p->lock);
        if (job == NULL) {
            return;
        }
        job->done(job);
    }
}

static void on_wake(struct cv_loop_source *source, uint32_t events)
{
    struct cv_pool *p = (struct cv_pool *)(void *)((char *)source - offsetof(struct cv_pool, wake));
    uint64_t n;
    (void)events;
    if (read(source->fd, &n, sizeof(n)) < 0 && errno != EAGAIN) {
        return;
    }
    finish(p, &p->ended);
}

/* Threads take no signals: those are the loop's, by its signalfd. */
static int start(struct cv_pool *p, unsigned threads)
{
    sigset_t all, before;
    int rc = 0;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    while (p->threads < threads && rc == 0) {
        rc = pthread_create(&p->thread[p->threads], NULL, run, p);
        p->threads += rc == 0 ? 1 : 0;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

int cv_pool_new(struct cv_pool **out, struct cv_loop *loop, unsigned threads, size_t queue,
                struct cv_error *err)
{
    *out = NULL;
    struct cv_pool *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the thread pool");
    }
    p->loop = loop;
    p->queue = queue;
    p->wake.ready = on_wake;
    p->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->work, NULL);
    if (p->wake.fd < 0 || cv_loop_add(loop, &p->wake, EPOLLIN) != 0 ||
        start(p, threads < THREADS_MAX ? threads : THREADS_MAX) != 0) {
        cv_pool_free(&p);
        return cv_error_set(err, CV_ERR_IO, "starting the thread pool");
    }
    *out = p;
    return 0;
}

int cv_pool_submit(struct cv_pool *pool, struct cv_job *job)
{
    int rc = 0;
    (void)pthread_mutex_lock(&pool->lock);
    if (pool->waiting.count >= pool->queue || pool->stopping) {
        rc = CV_ERR_BUSY;
    } else {
        push(&pool->waiting, job);
        (void)pthread_cond_signal(&pool->work);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return rc;
}

void cv_pool_free(struct cv_pool **pool)
{
    struct cv_pool *p = *pool;
    *pool = NULL;
    if (p == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&p->lock);
    p->stopping = true;
    (void)pthread_cond_broadcast(&p->work);
    (void)pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->threads; i++) {
        (void)pthread_join(p->thread[i], NULL);
    }
    finish(p, &p->ended);
    finish(p, &p->waiting);
    if (p->wake.fd >= 0) {
        int fd = p->wake.fd;
        cv_loop_remove(p->loop, &p->wake);
        (void)close(fd);
    }
    (void)pthread_cond_destroy(&p->work);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
}
