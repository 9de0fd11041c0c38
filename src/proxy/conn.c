/* SPDX-License-Identifier: Apache-2.0 */
/* One connection through the proxy: connecting, copying, half-close. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "proxy/internal.h"

#define DEFAULT_CONNECTIONS 256

static struct end *other(struct end *e)
{
    return e == &e->conn->client ? &e->conn->target : &e->conn->client;
}

static void watch(struct end *e, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = e};
    if (e->fd < 0 || (e->watched && e->events == events))
        return;
    if (epoll_ctl(e->conn->p->epoll, e->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, e->fd, &ev) == 0) {
        e->watched = true;
        e->events = events;
    }
}

static void unwatch(struct end *e)
{
    if (e->watched)
        (void)epoll_ctl(e->conn->p->epoll, EPOLL_CTL_DEL, e->fd, NULL);
    e->watched = false;
    e->events = 0;
}

static void end_close(struct end *e)
{
    unwatch(e);
    if (e->fd >= 0)
        close(e->fd);
    e->fd = -1;
}

void cv_proxy_conn_kill(struct conn *c)
{
    if (c->state == CONN_DEAD)
        return;
    c->state = CONN_DEAD;
    end_close(&c->client);
    end_close(&c->target);
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        c->p->conns = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    c->next = c->p->dead;
    c->p->dead = c;
    c->p->n.active--;
}

void cv_proxy_conn_free(struct conn *c)
{
    if (c->client.buf != NULL)
        cv_wipe(c->client.buf, CV_PROXY_BUFFER);
    if (c->target.buf != NULL)
        cv_wipe(c->target.buf, CV_PROXY_BUFFER);
    free(c->client.buf);
    free(c->target.buf);
    free(c);
}

/* ---- copying ---- */

/* Reads from E once. False: the connection is over. */
static bool pull(struct end *e)
{
    struct conn *c = e->conn;
    if (e->eof || e->used == CV_PROXY_BUFFER)
        return true;
    if (e->start > 0) {
        memmove(e->buf, e->buf + e->start, e->used);
        e->start = 0;
    }
    ssize_t n = recv(e->fd, e->buf + e->used, CV_PROXY_BUFFER - e->used, 0);
    if (n > 0) {
        e->used += (size_t)n;
        c->active_ms = cv_now_ms();
    } else if (n == 0) {
        e->eof = true;
    } else if (errno != EAGAIN && errno != EINTR) {
        return false;
    }
    return true;
}

/* Writes to E once what the other end has sent. */
static bool push(struct end *e)
{
    struct conn *c = e->conn;
    struct end *from = other(e);
    if (from->used > 0 && !e->shut) {
        ssize_t n = send(e->fd, from->buf + from->start, from->used, MSG_NOSIGNAL);
        if (n > 0) {
            from->start += (size_t)n;
            from->used -= (size_t)n;
            c->active_ms = cv_now_ms();
            if (e == &c->target)
                c->p->n.bytes_up += (uint64_t)n;
            else
                c->p->n.bytes_down += (uint64_t)n;
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

static void update_interest(struct end *e)
{
    uint32_t events = 0;
    if (!e->eof && e->used < CV_PROXY_BUFFER)
        events |= EPOLLIN;
    if (other(e)->used > 0 && !e->shut)
        events |= EPOLLOUT;
    /* Watched for nothing, it would report a hang-up for ever. */
    if (events == 0)
        unwatch(e);
    else
        watch(e, events);
}

static void copy(struct end *e, uint32_t events)
{
    struct conn *c = e->conn;
    bool ok = true;
    if ((events & EPOLLERR) != 0 && (events & EPOLLIN) == 0)
        ok = false;
    if (ok && (events & (EPOLLIN | EPOLLHUP)) != 0)
        ok = pull(e);
    if (ok && (events & EPOLLHUP) != 0 && e->eof && !e->shut) {
        /* Gone for good: what the other end sends has no receiver. */
        other(e)->used = 0;
        e->shut = true;
    }
    ok = ok && push(other(e)) && push(e);
    bool over = c->client.eof && c->target.eof && c->client.used == 0 && c->target.used == 0;
    /* A client that is gone both ways wants nothing more from the target, and
     * the other way round. */
    if (c->client.eof && c->client.shut && c->client.used == 0)
        over = true;
    if (c->target.eof && c->target.shut && c->target.used == 0)
        over = true;
    if (!ok || over) {
        cv_proxy_conn_kill(c);
        return;
    }
    update_interest(&c->client);
    update_interest(&c->target);
}

/* ---- connecting ---- */

static void established(struct conn *c)
{
    (void)setsockopt(c->target.fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    (void)setsockopt(c->target.fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
    c->state = CONN_OPEN;
    c->active_ms = cv_now_ms();
    c->client.buf = malloc(CV_PROXY_BUFFER);
    c->target.buf = malloc(CV_PROXY_BUFFER);
    if (c->client.buf == NULL || c->target.buf == NULL) {
        cv_proxy_warn(c->p, "no memory for a connection", "");
        cv_proxy_conn_kill(c);
        return;
    }
    update_interest(&c->client);
    update_interest(&c->target);
}

/* Begins with the address at c->at; false when it failed at once. */
static bool try_address(struct conn *c)
{
    const struct cv_addr *a = &c->addresses.addr[c->at];
    struct sockaddr_storage ss;
    socklen_t len;
    int64_t now = cv_now_ms();
    c->try_deadline = now + (c->connect_deadline - now) / (int64_t)(c->addresses.n - c->at);
    if (cv_addr_sockaddr(&ss, &len, a, NULL) != 0)
        return false;
    c->target.fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->target.fd < 0)
        return false;
    if (connect(c->target.fd, (const struct sockaddr *)&ss, len) == 0 || errno == EINPROGRESS) {
        watch(&c->target, EPOLLOUT);
        return true;
    }
    return false;
}

/* The next address, after errno said why the last one failed. */
static void try_next(struct conn *c, int why)
{
    while (c->at < c->addresses.n) {
        end_close(&c->target);
        if (++c->at < c->addresses.n && cv_now_ms() < c->connect_deadline) {
            errno = 0;
            if (try_address(c))
                return;
            why = errno;
        } else {
            c->at = c->addresses.n;
        }
    }
    c->p->n.failed++;
    cv_proxy_distrust_addresses(c->p);
    cv_proxy_warn(c->p, "the target does not answer", strerror(why));
    cv_proxy_conn_kill(c);
}

static void connect_event(struct conn *c)
{
    int e = 0;
    socklen_t len = sizeof e;
    if (getsockopt(c->target.fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0)
        e = errno;
    if (e == 0)
        established(c);
    else
        try_next(c, e);
}

static void start_connecting(struct conn *c)
{
    c->state = CONN_CONNECTING;
    c->at = 0;
    errno = 0;
    if (!try_address(c))
        try_next(c, errno);
}

void cv_proxy_conn_resolved(struct conn *c, int code)
{
    if (c->state != CONN_RESOLVING)
        return;
    if (code == 0) {
        c->addresses = c->p->known;
        start_connecting(c);
    } else {
        c->p->n.failed++;
        cv_proxy_conn_kill(c);
    }
}

void cv_proxy_conn_accept(struct cv_proxy *p, int fd)
{
    unsigned cap = p->config.max_connections != 0 ? p->config.max_connections : DEFAULT_CONNECTIONS;
    struct conn *c = p->n.active < cap ? calloc(1, sizeof *c) : NULL;
    if (c == NULL) {
        p->n.refused++;
        close(fd);
        cv_proxy_warn(p, "a connection was refused", "as many as allowed are open");
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    c->p = p;
    c->client = (struct end){.conn = c, .fd = fd};
    c->target = (struct end){.conn = c, .fd = -1};
    c->connect_deadline = cv_deadline(p->config.connect_ms);
    c->next = p->conns;
    if (p->conns != NULL)
        p->conns->prev = c;
    p->conns = c;
    p->n.accepted++;
    p->n.active++;
    /* Nothing is read yet, but a client that hangs up is noticed. */
    watch(&c->client, 0);
    c->state = CONN_RESOLVING;
    if (cv_proxy_addresses(p, &c->addresses))
        start_connecting(c);
}

void cv_proxy_conn_event(struct end *e, uint32_t events)
{
    struct conn *c = e->conn;
    switch (c->state) {
    case CONN_OPEN:
        copy(e, events);
        break;
    case CONN_CONNECTING:
        if (e == &c->target)
            connect_event(c);
        else
            cv_proxy_conn_kill(c);
        break;
    case CONN_RESOLVING:
        cv_proxy_conn_kill(c);
        break;
    case CONN_DEAD:
        break;
    }
}

void cv_proxy_conn_tick(struct conn *c, int64_t now)
{
    if (c->state == CONN_OPEN && now - c->active_ms >= c->p->config.idle_ms) {
        c->p->n.timed_out++;
        cv_proxy_conn_kill(c);
    } else if (c->state == CONN_CONNECTING && now >= c->try_deadline) {
        try_next(c, ETIMEDOUT);
    } else if (c->state == CONN_RESOLVING && now >= c->connect_deadline) {
        c->p->n.failed++;
        cv_proxy_warn(c->p, "the target's name is not resolved", "no answer in time");
        cv_proxy_conn_kill(c);
    }
}
