/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of the daemon's one loop thread (and of commands that talk to
 * an enclave). Sources, timers and hooks belong to their owners, which embed
 * them; a callback may add or remove any of them, itself included.
 */
#ifndef CV_SIGNER_LOOP_H
#define CV_SIGNER_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "common/clock.h"
#include "common/error.h"

struct cv_loop;

struct cv_loop_source {
    void (*ready)(struct cv_loop_source *source, uint32_t events); /* EPOLLIN … */
    int fd;                                                        /* -1 when not in the loop */
    uint32_t events; /* what the loop waits for; the loop's to write */
};

struct cv_loop_timer {
    void (*fire)(struct cv_loop_timer *timer);
    int64_t at; /* monotonic ms; CV_NO_DEADLINE = off */
    struct cv_loop *loop;
    struct cv_loop_timer *prev, *next;
};

/* Called before each wait: gathers what the callbacks left to be done in one
 * go. Returns the time until which the loop may sleep (CV_NO_DEADLINE, or 0 to
 * look again at once). */
struct cv_loop_hook {
    int64_t (*before_wait)(struct cv_loop_hook *hook);
    struct cv_loop_hook *prev, *next;
};

int cv_loop_new(struct cv_loop **out, struct cv_error *err) CV_NODISCARD;
/* Everything must have been removed. Fits CV_CLEANUP; harmless on NULL. */
void cv_loop_free(struct cv_loop **loop);

/* source->fd and source->ready are set by the caller. CV_ERR_IO. */
int cv_loop_add(struct cv_loop *loop, struct cv_loop_source *source, uint32_t events) CV_NODISCARD;
int cv_loop_change(struct cv_loop *loop, struct cv_loop_source *source,
                   uint32_t events) CV_NODISCARD;
/* The descriptor stays open; source->fd becomes -1. Harmless twice. */
void cv_loop_remove(struct cv_loop *loop, struct cv_loop_source *source);

void cv_loop_timer_init(struct cv_loop *loop, struct cv_loop_timer *timer,
                        void (*fire)(struct cv_loop_timer *timer));
void cv_loop_timer_set(struct cv_loop_timer *timer, int64_t at);
void cv_loop_timer_off(struct cv_loop_timer *timer);

void cv_loop_hook_add(struct cv_loop *loop, struct cv_loop_hook *hook);
void cv_loop_hook_remove(struct cv_loop *loop, struct cv_loop_hook *hook);

/* Waits for something to happen, at most until DEADLINE, and handles it.
 * CV_ERR_IO when epoll fails. */
int cv_loop_once(struct cv_loop *loop, int64_t deadline) CV_NODISCARD;
/* The time of the present turn, read once. */
int64_t cv_loop_now(const struct cv_loop *loop);

#endif
