/* SPDX-License-Identifier: Apache-2.0 */
/* Tunnels outwards (8000, 8001), exposed ports inwards, and heartbeats. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "parent/internal.h"
#include "transport/vsock_uds.h"

#define LINE_MS 10000  /* until the first line, or the heartbeat's byte, is there */
#define LINGER_MS 2000 /* for a peer to read why it was refused */
#define HEARTBEAT 0xB7
#define TLS_RECORD 0x16

enum state { READING, RESOLVING, CONNECTING, GREETING, OPEN, LINGERING, DEAD };

struct side {
    struct cv_parent_source source;
    struct conn *c;
};

struct conn {
    struct port *port;
    struct conn *prev, *next;
    enum state state;
    struct side near, far;
    struct cv_relay relay;
    bool says_ok; /* the client waits for a line */
    char host[CV_ADDR_HOST];
    uint16_t to_port;
    struct cv_lookup *lookup;
    struct cv_resolved addresses;
    struct cv_vsock_uds_greeting greeting;
    size_t at;
    int64_t deadline;     /* of this state; when connecting: of all addresses */
    int64_t try_deadline; /* of this address */
};

static void kill_conn(struct conn *c)
{
    struct cv_parent_side *p = c->port->p;
    if (c->state == DEAD)
        return;
    c->state = DEAD;
    cv_relay_close(&c->relay);
    cv_lookup_free(&c->lookup);
    c->port->active--;
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        p->conns = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    c->next = p->dead;
    p->dead = c;
}

void cv_parent_conn_bury(struct cv_parent_side *p)
{
    while (p->dead != NULL) {
        struct conn *c = p->dead;
        p->dead = c->next;
        cv_relay_free(&c->relay);
        free(c);
    }
}

void cv_parent_conn_end(struct cv_parent_side *p)
{
    while (p->conns != NULL)
        kill_conn(p->conns);
    cv_parent_conn_bury(p);
}

/* ---- refusing ---- */

/* Says TEXT, if the client expects a line, and closes when it was read. */
static void part(struct conn *c, const char *text)
{
    cv_relay_end_close(&c->relay.far);
    if (!c->says_ok && text != NULL) {
        kill_conn(c);
        return;
    }
    if (text != NULL) {
        char line[CV_ERROR_TEXT + 8];
        int n = snprintf(line, sizeof line, "ERR %s\n", text);
        (void)!send(c->relay.near.fd, line, (size_t)n, MSG_NOSIGNAL);
    }
    (void)shutdown(c->relay.near.fd, SHUT_WR);
    c->state = LINGERING;
    c->deadline = cv_deadline(LINGER_MS);
    cv_relay_watch(&c->relay.near, EPOLLIN);
}

static void refuse(struct conn *c, const char *what, const char *text)
{
    char target[CV_ADDR_HOST + 64];
    (void)snprintf(target, sizeof target, "%s:%u: %.40s", c->host, c->to_port, what);
    cv_parent_warn(c->port->p, target, text);
    part(c, text);
}

/* What comes too late is thrown away, until the client ends. */
static void linger(struct conn *c)
{
    uint8_t ignored[4096];
    ssize_t n = recv(c->relay.near.fd, ignored, sizeof ignored, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        kill_conn(c);
}

/* ---- connecting ---- */

static void established(struct conn *c)
{
    static const char ok[] = "OK\n";
    (void)setsockopt(c->relay.far.fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    (void)setsockopt(c->relay.far.fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
    if (cv_relay_alloc(&c->relay) != 0) {
        refuse(c, "tunnel", "no memory");
        return;
    }
    if (c->says_ok) {
        memcpy(c->relay.far.buf, ok, sizeof ok - 1);
        c->relay.far.used = sizeof ok - 1;
    }
    c->state = OPEN;
    if (!cv_relay_start(&c->relay))
        kill_conn(c);
}

/* Begins with the address at c->at; false when it failed at once. */
static bool try_address(struct conn *c)
{
    struct sockaddr_storage ss;
    socklen_t len;
    int64_t now = cv_now_ms();
    c->try_deadline = now + (c->deadline - now) / (int64_t)(c->addresses.n - c->at);
    if (cv_addr_sockaddr(&ss, &len, &c->addresses.addr[c->at], NULL) != 0)
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

static void try_next(struct conn *c, int why)
{
    while (++c->at < c->addresses.n && cv_now_ms() < c->deadline) {
        cv_relay_end_close(&c->relay.far);
        errno = 0;
        if (try_address(c))
            return;
        why = errno;
    }
    refuse(c, "connecting", why == ETIMEDOUT ? "no answer in time" : strerror(why));
}

static void connect_to(struct conn *c)
{
    /* Nothing more is read from the client now, but its leaving is noticed. */
    c->state = CONNECTING;
    c->at = 0;
    errno = 0;
    if (!try_address(c))
        try_next(c, errno);
}

/* A virtual machine's vsock device first connects the port in the guest. */
static void greet(struct conn *c)
{
    struct cv_error err;
    cv_error_clear(&err);
    memset(&c->greeting, 0, sizeof c->greeting);
    c->state = GREETING;
    if (cv_vsock_uds_ask(c->relay.far.fd, &c->addresses.addr[c->at], &err) != 0)
        refuse(c, "connecting", cv_error_top(&err));
    else
        cv_relay_watch(&c->relay.far, EPOLLIN);
}

static void greeted(struct conn *c)
{
    struct cv_error err;
    cv_error_clear(&err);
    int rc = cv_vsock_uds_take(&c->greeting, c->relay.far.fd, &err);
    if (rc == CV_ERR_BUSY)
        return;
    if (rc != 0)
        refuse(c, "connecting", cv_error_top(&err));
    else
        established(c);
}

static void connected(struct conn *c)
{
    int e = 0;
    socklen_t len = sizeof e;
    if (getsockopt(c->relay.far.fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0)
        e = errno;
    if (e != 0)
        try_next(c, e);
    else if (c->addresses.addr[c->at].kind == CV_ADDR_VSOCK_UDS)
        greet(c);
    else
        established(c);
}

static void resolved(struct conn *c)
{
    struct cv_error err;
    cv_error_clear(&err);
    int rc = cv_lookup_result(c->lookup, &c->addresses, c->to_port, &err);
    if (rc == CV_ERR_BUSY)
        return;
    cv_lookup_free(&c->lookup);
    if (rc != 0)
        refuse(c, "resolving", cv_error_top(&err));
    else
        connect_to(c);
}

/* ---- the first line ---- */

static void go_to(struct conn *c, const struct cv_parent_rule *rule)
{
    struct cv_error err;
    cv_error_clear(&err);
    int64_t ms = c->port->p->config.connect_ms;
    cv_relay_watch(&c->relay.near, 0);
    c->deadline = cv_deadline(ms != 0 ? ms : 10000);
    if (rule->mapped) {
        c->addresses.n = 1;
        c->addresses.addr[0] = rule->to;
        connect_to(c);
    } else if (cv_host_is_ip(c->host)) {
        if (cv_resolve(&c->addresses, c->host, c->to_port, CV_RESOLVE_ANY, 0, &err) != 0)
            refuse(c, "resolving", cv_error_top(&err));
        else
            connect_to(c);
    } else {
        c->state = RESOLVING;
        if (cv_lookup_start(&c->lookup, c->host, CV_RESOLVE_ANY, false, c->port->p->wake, &err) !=
            0)
            refuse(c, "resolving", cv_error_top(&err));
    }
}

/* TLS without a line before it goes to KMS. */
static void go_to_kms(struct conn *c)
{
    const struct cv_parent_config *config = &c->port->p->config;
    memcpy(c->host, config->kms_host, sizeof c->host);
    c->to_port = config->kms_port;
    const struct cv_parent_rule *rule = cv_parent_rules_find(config->aws, c->host, c->to_port);
    if (rule == NULL)
        refuse(c, "KMS", "it is not allowed");
    else
        go_to(c, rule);
}

static void take_line(struct conn *c, size_t n)
{
    struct cv_parent_side *p = c->port->p;
    struct cv_relay_end *near = &c->relay.near;
    struct cv_error err;
    cv_error_clear(&err);
    c->says_ok = true;
    int rc = cv_parent_connect_parse(c->host, &c->to_port, CV_BYTES(near->buf, n), &err);
    near->start = n + 1;
    near->used -= n + 1;
    if (rc != 0) {
        refuse(c, "first line", cv_error_top(&err));
        return;
    }
    const struct cv_parent_rule *rule = cv_parent_rules_find(
        c->port->kind == PORT_AWS ? p->config.aws : p->config.egress, c->host, c->to_port);
    if (rule == NULL)
        refuse(c, "refused",
               c->port->kind == PORT_AWS ? "this is no endpoint of AWS that is allowed"
                                         : "the parent does not allow it");
    else
        go_to(c, rule);
}

static void read_line(struct conn *c)
{
    struct cv_relay_end *near = &c->relay.near;
    ssize_t n = recv(near->fd, near->buf + near->used, CV_RELAY_BUFFER - near->used, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        kill_conn(c);
        return;
    }
    near->used += (size_t)n;
    const uint8_t *newline = memchr(near->buf, '\n', near->used);
    if (c->port->kind == PORT_AWS && near->buf[0] == TLS_RECORD) {
        go_to_kms(c);
    } else if (newline != NULL) {
        take_line(c, (size_t)(newline - near->buf));
    } else if (near->used >= CV_PARENT_CONNECT_MAX) {
        c->says_ok = true;
        refuse(c, "first line", "it is too long");
    }
}

static void heartbeat(struct conn *c)
{
    uint8_t byte = 0;
    ssize_t n = recv(c->relay.near.fd, &byte, 1, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n == 1 && byte == HEARTBEAT && send(c->relay.near.fd, &byte, 1, MSG_NOSIGNAL) == 1) {
        cv_log(CV_LOG_INFO, "the enclave has booted", NULL);
        part(c, NULL);
        return;
    }
    cv_parent_warn(c->port->p, "heartbeat", "not the byte that it should be");
    kill_conn(c);
}

/* ---- events ---- */

static void event(struct cv_parent_source *s, uint32_t events)
{
    struct side *side = (struct side *)s;
    struct conn *c = side->c;
    bool near = side == &c->near;
    switch (c->state) {
    case READING:
        if (c->port->kind == PORT_HEARTBEAT)
            heartbeat(c);
        else
            read_line(c);
        break;
    case RESOLVING:
        kill_conn(c); /* the client went away */
        break;
    case CONNECTING:
        if (near)
            kill_conn(c);
        else
            connected(c);
        break;
    case GREETING:
        if (near)
            kill_conn(c);
        else
            greeted(c);
        break;
    case OPEN:
        if (!cv_relay_event(&c->relay, near ? &c->relay.near : &c->relay.far, events))
            kill_conn(c);
        break;
    case LINGERING:
        linger(c);
        break;
    case DEAD:
        break;
    }
}

static void go_inside(struct conn *c)
{
    struct cv_parent_side *p = c->port->p;
    int64_t ms = p->config.connect_ms;
    cv_relay_watch(&c->relay.near, 0);
    (void)snprintf(c->host, sizeof c->host, "the enclave");
    c->to_port = (uint16_t)c->port->inside;
    c->deadline = cv_deadline(ms != 0 ? ms : 10000);
    c->addresses.n = 1;
    cv_parent_address(&c->addresses.addr[0], p, true, c->port->inside);
    connect_to(c);
}

void cv_parent_conn_accept(struct port *port, int fd)
{
    struct cv_parent_side *p = port->p;
    unsigned cap = p->config.max_connections != 0 ? p->config.max_connections : 256;
    struct conn *c = port->active < cap ? calloc(1, sizeof *c) : NULL;
    if (c != NULL && cv_relay_alloc(&c->relay) != 0) {
        cv_relay_free(&c->relay);
        free(c);
        c = NULL;
    }
    if (c == NULL) {
        close(fd);
        cv_parent_warn(p, "a connection was refused", "as many as allowed are open");
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    c->port = port;
    c->near = (struct side){.source.event = event, .c = c};
    c->far = (struct side){.source.event = event, .c = c};
    c->relay.near = (struct cv_relay_end){
        .fd = fd, .epoll = p->epoll, .tag = &c->near, .buf = c->relay.near.buf};
    c->relay.far =
        (struct cv_relay_end){.fd = -1, .epoll = p->epoll, .tag = &c->far, .buf = c->relay.far.buf};
    c->next = p->conns;
    if (p->conns != NULL)
        p->conns->prev = c;
    p->conns = c;
    port->active++;
    c->state = READING;
    c->deadline = cv_deadline(LINE_MS);
    if (port->kind == PORT_EXPOSED)
        go_inside(c);
    else
        cv_relay_watch(&c->relay.near, EPOLLIN);
}

void cv_parent_conn_resolved(struct cv_parent_side *p)
{
    struct conn *next;
    for (struct conn *c = p->conns; c != NULL; c = next) {
        next = c->next;
        if (c->state == RESOLVING)
            resolved(c);
    }
}

static void tick(struct conn *c, int64_t now, int64_t idle_ms)
{
    switch (c->state) {
    case OPEN:
        if (now - c->relay.active_ms >= idle_ms)
            kill_conn(c);
        break;
    case CONNECTING:
    case GREETING:
        if (now >= c->try_deadline)
            try_next(c, ETIMEDOUT);
        break;
    case RESOLVING:
        if (now >= c->deadline)
            refuse(c, "resolving", "no answer in time");
        break;
    case READING:
    case LINGERING:
        if (now >= c->deadline)
            kill_conn(c);
        break;
    case DEAD:
        break;
    }
}

void cv_parent_conn_tick(struct cv_parent_side *p, int64_t now)
{
    struct conn *next;
    int64_t idle = p->config.idle_ms != 0 ? p->config.idle_ms : 3600000;
    for (struct conn *c = p->conns; c != NULL; c = next) {
        next = c->next;
        tick(c, now, idle);
    }
}
