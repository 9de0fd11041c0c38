/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This host's side of the switch: each connection between a guest and CID 2 is
 * a UNIX socket here, with the credit that virtio wants both sides to keep.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "local/vsock_internal.h"

#define LINE_MAX_BYTES 32u /* of "CONNECT 4294967295\n" */
#define CHUNK 32768u

enum state {
    ASKING,  /* which port does the program of this host want? */
    WAITING, /* for the guest's answer */
    OPEN,
    ENDING, /* the guest is done with it: what it sent is still written */
    DEAD
};

struct cv_vsock_conn {
    struct cv_vsock_machine *m;
    struct cv_vsock_conn *next;
    enum state state;
    int fd;
    uint32_t host_port, guest_port;
    char line[LINE_MAX_BYTES];
    size_t line_n;
    uint32_t guest_alloc, guest_fwd; /* the guest's room, and what it has taken */
    uint32_t sent;                   /* bytes to the guest */
    uint32_t written, told;          /* bytes of the guest's written, and of which it knows */
    struct cv_buf out;               /* not yet written */
    bool host_done;                  /* the program here sends no more */
    bool guest_done;                 /* the guest sends no more */
    bool guest_deaf;                 /* the guest takes no more */
    bool shut;                       /* the program here was told that the guest is done */
};

/* ---- to the guest ---- */

static void say(struct cv_vsock_conn *c, enum cv_vsock_op op, uint32_t flags, const void *data,
                size_t n)
{
    const struct cv_vsock_header h = {.src_cid = CV_VSOCK_HOST_CID,
                                      .dst_cid = c->m->place.cid,
                                      .src_port = c->host_port,
                                      .dst_port = c->guest_port,
                                      .type = CV_VSOCK_STREAM,
                                      .op = (uint16_t)op,
                                      .flags = flags,
                                      .buf_alloc = CV_VSOCK_WINDOW,
                                      .fwd_cnt = c->written};
    c->told = c->written;
    cv_vsock_send(c->m, &h, data, n);
}

static void bury_later(struct cv_vsock_conn *c)
{
    c->state = DEAD;
    close(c->fd);
    c->fd = -1;
}

static void reset(struct cv_vsock_conn *c)
{
    if (c->state != ASKING)
        say(c, CV_VSOCK_RST, 0, NULL, 0);
    bury_later(c);
}

/* Bytes that the guest has room for. */
static uint32_t credit(const struct cv_vsock_conn *c)
{
    uint32_t under_way = c->sent - c->guest_fwd;
    return under_way < c->guest_alloc ? c->guest_alloc - under_way : 0;
}

/* ---- connections ---- */

static struct cv_vsock_conn *add(struct cv_vsock_machine *m, int fd, enum state state)
{
    struct cv_vsock_conn *c = m->conn_count < CV_VSOCK_CONNS ? calloc(1, sizeof *c) : NULL;
    if (c == NULL) {
        close(fd);
        return NULL;
    }
    c->m = m;
    c->fd = fd;
    c->state = state;
    cv_buf_init(&c->out, CV_VSOCK_WINDOW + LINE_MAX_BYTES);
    c->next = m->conns;
    m->conns = c;
    m->conn_count++;
    return c;
}

static struct cv_vsock_conn *find(const struct cv_vsock_machine *m, uint32_t host_port,
                                  uint32_t guest_port)
{
    for (struct cv_vsock_conn *c = m->conns; c != NULL; c = c->next)
        if (c->state != ASKING && c->state != DEAD && c->host_port == host_port &&
            c->guest_port == guest_port)
            return c;
    return NULL;
}

void cv_vsock_host_accept(struct cv_vsock_machine *m, int fd)
{
    (void)add(m, fd, ASKING);
}

void cv_vsock_host_end(struct cv_vsock_machine *m)
{
    for (struct cv_vsock_conn *c = m->conns; c != NULL; c = c->next)
        if (c->state != DEAD)
            bury_later(c);
}

void cv_vsock_host_bury(struct cv_vsock_machine *m)
{
    for (struct cv_vsock_conn **at = &m->conns; *at != NULL;) {
        struct cv_vsock_conn *c = *at;
        if (c->state != DEAD) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        cv_buf_free(&c->out);
        free(c);
        m->conn_count--;
    }
}

/* ---- from the program here ---- */

/* "CONNECT <port>" */
static bool parse_line(uint32_t *port, const char *line)
{
    char *end;
    if (strncmp(line, "CONNECT ", 8) != 0 || line[8] < '0' || line[8] > '9')
        return false;
    unsigned long v = strtoul(line + 8, &end, 10);
    *port = (uint32_t)v;
    return *end == '\0' && v < UINT32_MAX;
}

/* Byte by byte: what follows the line is for the guest. */
static void read_line(struct cv_vsock_conn *c)
{
    for (;;) {
        char byte;
        ssize_t n = recv(c->fd, &byte, 1, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0 || c->line_n == sizeof c->line - 1) {
            bury_later(c);
            return;
        }
        if (byte != '\n') {
            c->line[c->line_n++] = byte;
            continue;
        }
        if (!parse_line(&c->guest_port, c->line) || !cv_vsock_running(c->m)) {
            bury_later(c);
            return;
        }
        c->host_port = c->m->next_port++;
        c->state = WAITING;
        say(c, CV_VSOCK_REQUEST, 0, NULL, 0);
        return;
    }
}

static void end_if_done(struct cv_vsock_conn *c)
{
    if (c->out.n > 0)
        return;
    if (c->state == ENDING || (c->guest_done && c->guest_deaf)) {
        if (c->state == OPEN)
            reset(c); /* the answer to a SHUTDOWN of both directions */
        else
            bury_later(c);
    } else if (c->guest_done && c->host_done) {
        reset(c);
    } else if (c->guest_done && !c->shut) {
        c->shut = true;
        (void)shutdown(c->fd, SHUT_WR);
    }
}

static void read_data(struct cv_vsock_conn *c)
{
    uint8_t chunk[CHUNK];
    uint32_t room = credit(c);
    if (room == 0)
        return;
    ssize_t n = recv(c->fd, chunk, room < CHUNK ? room : CHUNK, MSG_DONTWAIT);
    if (n > 0) {
        c->sent += (uint32_t)n;
        say(c, CV_VSOCK_RW, 0, chunk, (size_t)n);
    } else if (n == 0) {
        c->host_done = true;
        say(c, CV_VSOCK_SHUTDOWN, CV_VSOCK_NO_SEND, NULL, 0);
        end_if_done(c);
    } else if (errno != EAGAIN && errno != EINTR) {
        reset(c);
    }
}

static void write_data(struct cv_vsock_conn *c)
{
    while (c->out.n > 0) {
        ssize_t n = send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) { /* nobody here reads it */
            if (c->state == ENDING)
                bury_later(c);
            else
                reset(c);
            return;
        }
        c->written += (uint32_t)n;
        cv_buf_consume(&c->out, (size_t)n);
    }
    if (c->state == OPEN && c->written - c->told >= CV_VSOCK_WINDOW / 4)
        say(c, CV_VSOCK_CREDIT_UPDATE, 0, NULL, 0);
    end_if_done(c);
}

/* ---- from the guest ---- */

/* The guest wants HOST_<port>. */
static void connect_out(struct cv_vsock_machine *m, const struct cv_vsock_header *h)
{
    struct cv_addr addr = {.kind = CV_ADDR_UNIX};
    struct cv_vsock_conn *c = NULL;
    int fd;
    int n =
        snprintf(addr.path, sizeof addr.path, "%.*s_%u", CV_VSOCK_PATH, m->place.host, h->dst_port);
    if (n < CV_VSOCK_PATH && cv_connect_fd(&fd, &addr, 0, NULL) == 0)
        c = add(m, fd, OPEN);
    if (c == NULL) {
        const struct cv_vsock_header rst = {.src_cid = CV_VSOCK_HOST_CID,
                                            .dst_cid = h->src_cid,
                                            .src_port = h->dst_port,
                                            .dst_port = h->src_port,
                                            .type = CV_VSOCK_STREAM,
                                            .op = CV_VSOCK_RST};
        cv_vsock_send(m, &rst, NULL, 0);
        return;
    }
    c->host_port = h->dst_port;
    c->guest_port = h->src_port;
    c->guest_alloc = h->buf_alloc;
    c->guest_fwd = h->fwd_cnt;
    say(c, CV_VSOCK_RESPONSE, 0, NULL, 0);
}

static void answered(struct cv_vsock_conn *c)
{
    char line[LINE_MAX_BYTES];
    int n = snprintf(line, sizeof line, "OK %u\n", c->host_port);
    c->state = OPEN;
    if (cv_buf_append(&c->out, line, (size_t)n) != 0) {
        reset(c);
        return;
    }
    /* These bytes are not the guest's. */
    c->written -= (uint32_t)n;
    c->told = c->written;
    write_data(c);
}

static void take_data(struct cv_vsock_conn *c, const uint8_t *data, size_t n)
{
    if (c->guest_done || c->state != OPEN || cv_buf_append(&c->out, data, n) != 0) {
        cv_log(CV_LOG_WARN, "a guest sent more than it was allowed to", NULL);
        reset(c);
        return;
    }
    write_data(c);
}

void cv_vsock_host_take(struct cv_vsock_machine *m, const struct cv_vsock_header *h,
                        const uint8_t *data)
{
    struct cv_vsock_conn *c = find(m, h->dst_port, h->src_port);
    if (c == NULL || c->state == ENDING) {
        if (h->op == CV_VSOCK_REQUEST && c == NULL)
            connect_out(m, h);
        return; /* a late packet of what has ended */
    }
    c->guest_alloc = h->buf_alloc;
    c->guest_fwd = h->fwd_cnt;
    switch (h->op) {
    case CV_VSOCK_RESPONSE:
        if (c->state == WAITING)
            answered(c);
        break;
    case CV_VSOCK_RW:
        take_data(c, data, h->len);
        break;
    case CV_VSOCK_SHUTDOWN:
        c->guest_done |= (h->flags & CV_VSOCK_NO_SEND) != 0;
        c->guest_deaf |= (h->flags & CV_VSOCK_NO_RECV) != 0;
        end_if_done(c);
        break;
    case CV_VSOCK_RST:
        c->state = c->state == OPEN ? ENDING : c->state;
        if (c->state == ENDING)
            end_if_done(c);
        else
            bury_later(c);
        break;
    case CV_VSOCK_CREDIT_REQUEST:
        say(c, CV_VSOCK_CREDIT_UPDATE, 0, NULL, 0);
        break;
    default: /* CREDIT_UPDATE: noted above */
        break;
    }
}

/* ---- for the loop ---- */

struct cv_vsock_conn *cv_vsock_conn_next(const struct cv_vsock_machine *m,
                                         const struct cv_vsock_conn *after)
{
    return after == NULL ? m->conns : after->next;
}

int cv_vsock_conn_fd(const struct cv_vsock_conn *c)
{
    return c->fd;
}

short cv_vsock_conn_events(const struct cv_vsock_conn *c)
{
    short events = 0;
    if (c->state == ASKING)
        return POLLIN;
    if (c->state == WAITING)
        return POLLRDHUP; /* it may be tired of that */
    if (c->state == OPEN && !c->host_done && !c->guest_deaf && credit(c) > 0 && cv_vsock_room(c->m))
        events |= POLLIN;
    if (c->out.n > 0 && (c->state == OPEN || c->state == ENDING))
        events |= POLLOUT;
    return events;
}

void cv_vsock_conn_event(struct cv_vsock_conn *c, short events)
{
    if (c->state == ASKING) {
        read_line(c);
        return;
    }
    if (c->state == WAITING) {
        reset(c);
        return;
    }
    if (c->out.n > 0 && (events & (POLLOUT | POLLERR | POLLHUP)) != 0)
        write_data(c);
    if (c->state == OPEN && !c->host_done && (events & (POLLIN | POLLERR | POLLHUP)) != 0)
        read_data(c);
}
