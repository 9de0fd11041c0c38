/* SPDX-License-Identifier: Apache-2.0 */
#include "init/forward.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aws/transport.h"
#include "common/clock.h"
#include "common/log.h"
#include "init/httpproxy.h"
#include "init/relay.h"
#include "transport/listen.h"

#define CONNECT_MS 30000
#define HEAD_MS 30000
#define STACK_BYTES (128u << 10)

enum kind { OUTWARDS, INWARDS, PROXY };

struct door {
    enum kind kind;
    struct cv_listener listener;
    const struct cv_egress_entry *entry; /* OUTWARDS */
    uint16_t target;                     /* INWARDS */
};

struct cv_forward {
    const struct cv_parent *parent;
    const struct cv_egress *egress;
    struct door *door;
    size_t doors;
    struct pollfd *poll; /* of the doors, then stop */
    uint16_t proxy_port;
    int stop; /* eventfd: readable when all must end */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned busy;
};

struct connection {
    struct cv_forward *f;
    const struct door *door;
    int fd;
};

/* ---- one connection ---- */

/* A connection to HOST:PORT through the parent. */
static int to_parent(struct cv_stream **out, struct cv_forward *f, const char *host, uint16_t port,
                     struct cv_error *err)
{
    struct cv_addr addr;
    int64_t deadline = cv_deadline(CONNECT_MS);
    cv_parent_address(&addr, f->parent, CV_PORT_EGRESS);
    int rc = cv_connect(out, &addr, deadline, err);
    if (rc == 0) {
        rc = cv_aws_stream_connect_line(*out, host, port, deadline, err);
        if (rc != 0)
            cv_stream_close(out);
    }
    return rc;
}

static int to_application(struct cv_stream **out, uint16_t port, struct cv_error *err)
{
    struct cv_addr addr = {.kind = CV_ADDR_TCP, .port = port};
    snprintf(addr.host, sizeof addr.host, "127.0.0.1");
    return cv_connect(out, &addr, cv_deadline(CONNECT_MS), err);
}

static void answer(struct cv_stream *s, const char *text)
{
    int ignored = cv_stream_write(s, cv_bytes_str(text), cv_deadline(HEAD_MS), NULL);
    (void)ignored;
}

/* Reads a request's head into IN; *HEAD is its length. */
static int read_head(struct cv_stream *s, struct cv_buf *in, size_t *head, struct cv_error *err)
{
    int64_t deadline = cv_deadline(HEAD_MS);
    while ((*head = cv_httpproxy_head(cv_buf_view(in))) == 0) {
        uint8_t *room = cv_buf_reserve(in, 1024);
        if (room == NULL)
            return cv_error_set(err, CV_ERR_LIMIT, "the request's head is too long");
        ssize_t n = cv_stream_read(s, room, 1024, deadline, err);
        if (n <= 0)
            return n < 0 ? (int)n : CV_ERR_CLOSED;
        cv_buf_commit(in, (size_t)n);
    }
    return 0;
}

/* What the proxy's client wants: a connection to the parent in *UP, and what
 * must be sent there first in FIRST. */
static int proxy_open(struct cv_stream **up, struct cv_buf *first, struct cv_forward *f,
                      struct cv_stream *client, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf in;
    struct cv_httpproxy_request r;
    size_t head = 0;
    cv_buf_init(&in, CV_HTTPPROXY_HEAD + 1024);
    int rc = read_head(client, &in, &head, err);
    if (rc != 0)
        return rc;
    rc = cv_httpproxy_parse(&r, first, CV_BYTES(in.p, head), err);
    if (rc != 0) {
        answer(client,
               "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return rc;
    }
    if (!cv_egress_allows(f->egress, r.host, r.port)) {
        answer(client, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return cv_error_set(err, CV_ERR_DENIED, "%s:%u is not in the image's egress list", r.host,
                            (unsigned)r.port);
    }
    rc = to_parent(up, f, r.host, r.port, err);
    if (rc != 0) {
        answer(client,
               "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return rc;
    }
    if (r.connect)
        answer(client, "HTTP/1.1 200 Connection established\r\n\r\n");
    return cv_buf_append(first, in.p + head, in.n - head);
}

static int serve(struct connection *c, struct cv_stream *client, struct cv_error *err)
{
    CV_CLEANUP(cv_stream_close) struct cv_stream *up = NULL;
    CV_CLEANUP(cv_buf_free) struct cv_buf first;
    int rc;
    cv_buf_init(&first, 2 * CV_HTTPPROXY_HEAD + 4096);
    if (c->door->kind == OUTWARDS)
        rc = to_parent(&up, c->f, c->door->entry->host, c->door->entry->port, err);
    else if (c->door->kind == INWARDS)
        rc = to_application(&up, c->door->target, err);
    else
        rc = proxy_open(&up, &first, c->f, client, err);
    if (rc == 0)
        rc = cv_stream_write(up, cv_buf_view(&first), cv_deadline(CONNECT_MS), err);
    if (rc == 0)
        cv_relay_run(cv_stream_fd(client), cv_stream_fd(up), c->f->stop);
    return rc;
}

static void done(struct cv_forward *f)
{
    pthread_mutex_lock(&f->lock);
    f->busy--;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static void *connection_run(void *arg)
{
    struct connection c = *(struct connection *)arg;
    struct cv_stream *client = NULL;
    struct cv_error err;
    free(arg);
    cv_error_clear(&err);
    int rc = cv_stream_from_fd(&client, c.fd, &err);
    if (rc == 0)
        rc = serve(&c, client, &err);
    if (rc != 0 && rc != CV_ERR_CLOSED)
        cv_log_error(CV_LOG_WARN,
                     c.door->kind == INWARDS ? "inbound connection" : "outbound connection", &err);
    cv_stream_close(&client);
    done(c.f);
    return NULL;
}

/* ---- accepting ---- */

static void begin(struct cv_forward *f, const struct door *d, int fd)
{
    pthread_attr_t attr;
    pthread_t thread;
    struct connection *c = malloc(sizeof *c);
    pthread_mutex_lock(&f->lock);
    f->busy++;
    pthread_mutex_unlock(&f->lock);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    if (c != NULL)
        *c = (struct connection){f, d, fd};
    if (c == NULL || pthread_create(&thread, &attr, connection_run, c) != 0) {
        free(c);
        close(fd);
        done(f);
    }
    pthread_attr_destroy(&attr);
}

/* Waits for room; false when all must end. */
static bool room(struct cv_forward *f)
{
    for (;;) {
        pthread_mutex_lock(&f->lock);
        bool yes = f->busy < CV_FORWARD_MAX;
        pthread_mutex_unlock(&f->lock);
        if (yes)
            return cv_fd_wait(f->stop, POLLIN, 0) == CV_ERR_TIMEOUT;
        if (cv_fd_wait(f->stop, POLLIN, cv_deadline(20)) == 0)
            return false;
    }
}

static void *accept_run(void *arg)
{
    struct cv_forward *f = arg;
    while (room(f)) {
        if (poll(f->poll, f->doors + 1, -1) <= 0)
            continue;
        for (size_t i = 0; i < f->doors; i++) {
            int fd;
            if (f->poll[i].revents == 0)
                continue;
            int rc = cv_accept_fd(&fd, &f->door[i].listener, 0, NULL);
            if (rc == 0)
                begin(f, &f->door[i], fd);
            else if (rc == CV_ERR_BUSY)
                cv_sleep_ms(20);
            if (!room(f))
                return NULL;
        }
    }
    return NULL;
}

/* ---- starting ---- */

static int open_door(struct cv_forward *f, const struct cv_addr *addr, const struct door *as,
                     struct cv_error *err)
{
    struct door *d = &f->door[f->doors];
    *d = *as;
    d->listener = (struct cv_listener)CV_LISTENER_INIT;
    int rc = cv_listen(&d->listener, addr, err);
    if (rc != 0)
        return rc;
    f->poll[f->doors++] = (struct pollfd){.fd = d->listener.fd, .events = POLLIN};
    return 0;
}

static int open_egress(struct cv_forward *f, struct cv_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < f->egress->n; i++) {
        const struct cv_egress_entry *entry = &f->egress->entry[i];
        struct cv_addr addr = {.kind = CV_ADDR_TCP, .port = entry->port};
        snprintf(addr.host, sizeof addr.host, "%s", entry->address);
        rc = open_door(f, &addr, &(struct door){.kind = OUTWARDS, .entry = entry}, err);
        if (rc != 0)
            cv_error_wrap(err, "egress %s:%u", entry->host, (unsigned)entry->port);
    }
    if (rc != 0 || f->egress->n == 0)
        return rc;
    struct cv_addr addr = {.kind = CV_ADDR_TCP, .port = 0};
    snprintf(addr.host, sizeof addr.host, "127.0.0.1");
    rc = open_door(f, &addr, &(struct door){.kind = PROXY}, err);
    if (rc == 0)
        f->proxy_port = (uint16_t)f->door[f->doors - 1].listener.addr.port;
    return rc;
}

/* "LISTEN" or "LISTEN:TARGET", checked with the settings. */
static int open_port(struct cv_forward *f, const char *text, struct cv_error *err)
{
    char *end;
    struct cv_addr addr;
    unsigned long outside = strtoul(text, &end, 10), inside = outside;
    if (*end == ':')
        inside = strtoul(end + 1, &end, 10);
    if (*end != '\0' || outside == 0 || inside == 0 || outside > 65535 || inside > 65535)
        return cv_error_set(err, CV_ERR_CONFIG, "\"%s\" is not a port", text);
    cv_parent_own_address(&addr, f->parent, (uint32_t)outside);
    int rc = open_door(f, &addr, &(struct door){.kind = INWARDS, .target = (uint16_t)inside}, err);
    if (rc != 0)
        cv_error_wrap(err, "port %s", text);
    return rc;
}

static void free_all(struct cv_forward *f)
{
    for (size_t i = 0; i < f->doors; i++)
        cv_listener_close(&f->door[i].listener);
    if (f->stop >= 0)
        close(f->stop);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    free(f->door);
    free(f->poll);
    free(f);
}

int cv_forward_start(struct cv_forward **out, const struct cv_parent *parent,
                     const struct cv_egress *egress, const struct cv_boot_list *ports,
                     struct cv_error *err)
{
    struct cv_forward *f = calloc(1, sizeof *f);
    size_t most = egress->n + ports->count + 2;
    *out = NULL;
    if (f == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the forwarders");
    f->parent = parent;
    f->egress = egress;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    f->door = calloc(most, sizeof *f->door);
    f->poll = calloc(most, sizeof *f->poll);
    f->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = f->door == NULL || f->poll == NULL || f->stop < 0
                 ? cv_error_set(err, CV_ERR_NOMEM, "no memory for the forwarders")
                 : open_egress(f, err);
    for (size_t i = 0; rc == 0 && i < ports->count; i++)
        rc = open_port(f, ports->item[i], err);
    if (rc == 0) {
        f->poll[f->doors] = (struct pollfd){.fd = f->stop, .events = POLLIN};
        if (pthread_create(&f->thread, NULL, accept_run, f) != 0)
            rc = cv_error_set(err, CV_ERR_IO, "starting the forwarders' thread");
    }
    if (rc != 0) {
        free_all(f);
        return rc;
    }
    *out = f;
    return 0;
}

uint16_t cv_forward_proxy_port(const struct cv_forward *f)
{
    return f->proxy_port;
}

void cv_forward_stop(struct cv_forward **pf)
{
    struct cv_forward *f = *pf;
    uint64_t one = 1;
    if (f == NULL)
        return;
    *pf = NULL;
    ssize_t ignored = write(f->stop, &one, sizeof one);
    (void)ignored;
    pthread_join(f->thread, NULL);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 2;
    pthread_mutex_lock(&f->lock);
    int rc = 0;
    while (f->busy != 0 && rc == 0)
        rc = pthread_cond_timedwait(&f->changed, &f->lock, &until);
    bool idle = f->busy == 0;
    pthread_mutex_unlock(&f->lock);
    /* A thread in the middle of a connect still uses it; the process ends soon. */
    if (idle)
        free_all(f);
}
