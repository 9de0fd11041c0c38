/* SPDX-License-Identifier: Apache-2.0 */
/* Copying between two sockets, with half-close. */
#include "proxy/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"

static struct cv_relay_end *other(struct cv_relay *r, const struct cv_relay_end *e)
{
    return e == &r->near ? &r->far : &r->near;
}

void cv_relay_watch(struct cv_relay_end *e, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = e->tag};
    if (e->fd < 0 || (e->watched && e->events == events))
        return;
    if (epoll_ctl(e->epoll, e->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, e->fd, &ev) == 0) {
        e->watched = true;
        e->events = events;
    }
}

void cv_relay_unwatch(struct cv_relay_end *e)
{
    if (e->watched)
        (void)epoll_ctl(e->epoll, EPOLL_CTL_DEL, e->fd, NULL);
    e->watched = false;
    e->events = 0;
}

void cv_relay_end_close(struct cv_relay_end *e)
{
    cv_relay_unwatch(e);
    if (e->fd >= 0)
        close(e->fd);
    e->fd = -1;
}

void cv_relay_close(struct cv_relay *r)
{
    cv_relay_end_close(&r->near);
    cv_relay_end_close(&r->far);
}

void cv_relay_free(struct cv_relay *r)
{
    struct cv_relay_end *ends[] = {&r->near, &r->far};
    for (size_t i = 0; i < 2; i++) {
        if (ends[i]->buf != NULL)
            cv_wipe(ends[i]->buf, CV_RELAY_BUFFER);
        free(ends[i]->buf);
        ends[i]->buf = NULL;
    }
}

int cv_relay_alloc(struct cv_relay *r)
{
    if (r->near.buf == NULL)
        r->near.buf = malloc(CV_RELAY_BUFFER);
    if (r->far.buf == NULL)
        r->far.buf = malloc(CV_RELAY_BUFFER);
    return r->near.buf != NULL && r->far.buf != NULL ? 0 : CV_ERR_NOMEM;
}

/* Reads from E once. False: the connection is over. */
static bool pull(struct cv_relay *r, struct cv_relay_end *e)
{
    if (e->eof || e->used == CV_RELAY_BUFFER)
        return true;
    if (e->start > 0) {
        memmove(e->buf, e->buf + e->start, e->used);
        e->start = 0;
    }
    ssize_t n = recv(e->fd, e->buf + e->used, CV_RELAY_BUFFER - e->used, 0);
    if (n > 0) {
        e->used += (size_t)n;
        r->active_ms = cv_now_ms();
    } else if (n == 0) {
        e->eof = true;
    } else if (errno != EAGAIN && errno != EINTR) {
        return false;
    }
    return true;
}

/* Writes to E once what the other end has sent. */
static bool push(struct cv_relay *r, struct cv_relay_end *e)
{
    struct cv_relay_end *from = other(r, e);
    if (from->used > 0 && !e->shut) {
        ssize_t n = send(e->fd, from->buf + from->start, from->used, MSG_NOSIGNAL);
        if (n > 0) {
            from->start += (size_t)n;
            from->used -= (size_t)n;
            r->active_ms = cv_now_ms();
            if (e == &r->far)
                r->from_near += (uint64_t)n;
            else
                r->from_far += (uint64_t)n;
        } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
            return false;
        }
    }
    if (from->eof && from->used == 0 && !e->shut) {
        /* The half-close goes through; ENOTCONN: it is gone already. */
        if (shutdown(e->fd, SHUT_WR) != 0 && errno != ENOTCONN)
            return false;
        e->shut = true;
    }
    return true;
}

static void update_interest(struct cv_relay *r, struct cv_relay_end *e)
{
    uint32_t events = 0;
    if (!e->eof && e->used < CV_RELAY_BUFFER)
        events |= EPOLLIN;
    if (other(r, e)->used > 0 && !e->shut)
        events |= EPOLLOUT;
    /* Watched for nothing, it would report a hang-up for ever. */
    if (events == 0)
        cv_relay_unwatch(e);
    else
        cv_relay_watch(e, events);
}

/* An end that is gone both ways wants nothing more from the other one. */
static bool over(const struct cv_relay *r)
{
    return (r->near.eof && r->far.eof && r->near.used == 0 && r->far.used == 0) ||
           (r->near.eof && r->near.shut && r->near.used == 0) ||
           (r->far.eof && r->far.shut && r->far.used == 0);
}

bool cv_relay_start(struct cv_relay *r)
{
    r->active_ms = cv_now_ms();
    if (!push(r, &r->far) || !push(r, &r->near) || over(r))
        return false;
    update_interest(r, &r->near);
    update_interest(r, &r->far);
    return true;
}

bool cv_relay_event(struct cv_relay *r, struct cv_relay_end *e, uint32_t events)
{
    bool ok = (events & EPOLLERR) == 0 || (events & EPOLLIN) != 0;
    if (ok && (events & (EPOLLIN | EPOLLHUP)) != 0)
        ok = pull(r, e);
    if (ok && (events & EPOLLHUP) != 0 && e->eof && !e->shut) {
        /* Gone for good: what the other end sends has no receiver. */
        other(r, e)->used = 0;
        e->shut = true;
    }
    ok = ok && push(r, other(r, e)) && push(r, e);
    if (!ok || over(r))
        return false;
    update_interest(r, &r->near);
    update_interest(r, &r->far);
    return true;
}
