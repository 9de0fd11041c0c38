/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EVENTS 64

struct cv_loop {
    int epoll;
    int64_t now;
    struct cv_loop_timer *timers; /* those that are on: a handful */
    struct cv_loop_timer *next_timer;
    struct cv_loop_hook *hooks;
    struct cv_loop_hook *next_hook;
    struct epoll_event event[EVENTS];
    int event_count, event_at; /* of the turn that is being handled */
};

int cv_loop_new(struct cv_loop **out, struct cv_error *err)
{
    *out = NULL;
    struct cv_loop *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the event loop");
    }
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll < 0) {
        int rc = cv_error_errno(err, CV_ERR_IO, errno, "making an epoll descriptor");
        free(l);
        return rc;
    }
    l->now = cv_now_ms();
    *out = l;
    return 0;
}

void cv_loop_free(struct cv_loop **loop)
{
    if (*loop != NULL) {
        (void)close((*loop)->epoll);
        free(*loop);
        *loop = NULL;
    }
}

static int control(struct cv_loop *loop, int op, struct cv_loop_source *source, uint32_t events)
{
    struct epoll_event e = {.events = events, .data = {.ptr = source}};
    if (epoll_ctl(loop->epoll, op, source->fd, &e) != 0) {
        return CV_ERR_IO;
    }
    source->events = events;
    return 0;
}

int cv_loop_add(struct cv_loop *loop, struct cv_loop_source *source, uint32_t events)
{
    return control(loop, EPOLL_CTL_ADD, source, events);
}

int cv_loop_change(struct cv_loop *loop, struct cv_loop_source *source, uint32_t events)
{
    return source->events == events ? 0 : control(loop, EPOLL_CTL_MOD, source, events);
}

void cv_loop_remove(struct cv_loop *loop, struct cv_loop_source *source)
{
    if (source->fd < 0) {
        return;
    }
    (void)epoll_ctl(loop->epoll, EPOLL_CTL_DEL, source->fd, NULL);
    source->fd = -1;
    source->events = 0;
    /* An event of this turn may still be waiting for it. */
    for (int i = loop->event_at; i < loop->event_count; i++) {
        if (loop->event[i].data.ptr == source) {
            loop->event[i].data.ptr = NULL;
        }
    }
}

void cv_loop_timer_init(struct cv_loop *loop, struct cv_loop_timer *timer,
                        void (*fire)(struct cv_loop_timer *timer))
{
    memset(timer, 0, sizeof(*timer));
    timer->loop = loop;
    timer->fire = fire;
    timer->at = CV_NO_DEADLINE;
}

void cv_loop_timer_set(struct cv_loop_timer *timer, int64_t at)
{
    struct cv_loop *l = timer->loop;
    if (at == CV_NO_DEADLINE) {
        cv_loop_timer_off(timer);
        return;
    }
    if (timer->at == CV_NO_DEADLINE) {
        timer->prev = NULL;
        timer->next = l->timers;
        if (l->timers != NULL) {
            l->timers->prev = timer;
        }
        l->timers = timer;
    }
    timer->at = at;
}

void cv_loop_timer_off(struct cv_loop_timer *timer)
{
    struct cv_loop *l = timer->loop;
    if (l == NULL || timer->at == CV_NO_DEADLINE) {
        return;
    }
    if (l->next_timer == timer) {
        l->next_timer = timer->next;
    }
    if (timer->prev != NULL) {
        timer->prev->next = timer->next;
    } else {
        l->timers = timer->next;
    }
    if (timer->next != NULL) {
        timer->next->prev = timer->prev;
    }
    timer->at = CV_NO_DEADLINE;
}

void cv_loop_hook_add(struct cv_loop *loop, struct cv_loop_hook *hook)
{
    hook->prev = NULL;
    hook->next = loop->hooks;
    if (loop->hooks != NULL) {
        loop->hooks->prev = hook;
    }
    loop->hooks = hook;
}

void cv_loop_hook_remove(struct cv_loop *loop, struct cv_loop_hook *hook)
{
    if (loop->next_hook == hook) {
        loop->next_hook = hook->next;
    }
    if (hook->prev != NULL) {
        hook->prev->next = hook->next;
    } else if (loop->hooks == hook) {
        loop->hooks = hook->next;
    }
    if (hook->next != NULL) {
        hook->next->prev = hook->prev;
    }
    hook->prev = hook->next = NULL;
}

static void fire_timers(struct cv_loop *l)
{
    for (struct cv_loop_timer *t = l->timers; t != NULL; t = l->next_timer) {
        l->next_timer = t->next;
        if (t->at <= l->now) {
            cv_loop_timer_off(t);
            t->fire(t);
        }
    }
    l->next_timer = NULL;
}

static int64_t run_hooks(struct cv_loop *l, int64_t until)
{
    for (struct cv_loop_hook *h = l->hooks; h != NULL; h = l->next_hook) {
        l->next_hook = h->next;
        int64_t t = h->before_wait(h);
        until = t < until ? t : until;
    }
    l->next_hook = NULL;
    return until;
}

int cv_loop_once(struct cv_loop *loop, int64_t deadline)
{
    int64_t until = run_hooks(loop, deadline);
    for (const struct cv_loop_timer *t = loop->timers; t != NULL; t = t->next) {
        until = t->at < until ? t->at : until;
    }
    int n = epoll_wait(loop->epoll, loop->event, EVENTS, cv_deadline_poll(until));
    if (n < 0 && errno != EINTR) {
        return CV_ERR_IO;
    }
    loop->now = cv_now_ms();
    loop->event_count = n > 0 ? n : 0;
    for (loop->event_at = 0; loop->event_at < loop->event_count;) {
        struct epoll_event *e = &loop->event[loop->event_at++];
        struct cv_loop_source *s = e->data.ptr;
        if (s != NULL) {
            s->ready(s, e->events);
        }
    }
    loop->event_count = 0;
    fire_timers(loop);
    return 0;
}

int64_t cv_loop_now(const struct cv_loop *loop)
{
    return loop->now;
}
