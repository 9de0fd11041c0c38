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

void cv_proxy_conn_kill(struct conn *c)
{
    if (c->state == CONN_DEAD)
        return;
    c->state = CONN_DEAD;
    cv_relay_close(&c->relay);
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
    cv_relay_free(&c->relay);
    free(c);
}

/* Adds what the relay has sent on to the numbers of the proxy. */
static void count(struct conn *c)
{
    c->p->n.bytes_up += c->relay.from_near;
    c->p->n.bytes_down += c->relay.from_far;
    c->relay.from_near = c->relay.from_far = 0;
}

/* ---- connecting ---- */

static void established(struct conn *c)
{
    (void)setsockopt(c->relay.far.fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    (void)setsockopt(c->relay.far.fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
    c->state = CONN_OPEN;
    if (cv_relay_alloc(&c->relay) != 0)
        cv_proxy_warn(c->p, "no memory for a connection", "");
    else if (cv_relay_start(&c->relay))
        return;
    cv_proxy_conn_kill(c);
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
    c->relay.far.fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->relay.far.fd < 0)
        return false;
    if (connect(c->relay.far.fd, (const struct sockaddr *)&ss, len) == 0 || errno == EINPROGRESS) {
        cv_relay_watch(&c->relay.far, EPOLLOUT);
        return true;
    }
    return false;
}

/* The next address, after errno said why the last one failed. */
static void try_next(struct conn *c, int why)
{
    while (c->at < c->addresses.n) {
        cv_relay_end_close(&c->relay.far);
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
    if (getsockopt(c->relay.far.fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0)
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
    c->client = (struct end){.conn = c, .socket = &c->relay.near};
    c->target = (struct end){.conn = c, .socket = &c->relay.far};
    c->relay.near = (struct cv_relay_end){.fd = fd, .epoll = p->epoll, .tag = &c->client};
    c->relay.far = (struct cv_relay_end){.fd = -1, .epoll = p->epoll, .tag = &c->target};
    c->connect_deadline = cv_deadline(p->config.connect_ms);
    c->next = p->conns;
    if (p->conns != NULL)
        p->conns->prev = c;
    p->conns = c;
    p->n.accepted++;
    p->n.active++;
    /* Nothing is read yet, but a client that hangs up is noticed. */
    cv_relay_watch(&c->relay.near, 0);
    c->state = CONN_RESOLVING;
    if (cv_proxy_addresses(p, &c->addresses))
        start_connecting(c);
}

void cv_proxy_conn_event(struct end *e, uint32_t events)
{
    struct conn *c = e->conn;
    switch (c->state) {
    case CONN_OPEN:
        if (!cv_relay_event(&c->relay, e->socket, events)) {
            count(c);
            cv_proxy_conn_kill(c);
        } else {
            count(c);
        }
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
    if (c->state == CONN_OPEN && now - c->relay.active_ms >= c->p->config.idle_ms) {
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
