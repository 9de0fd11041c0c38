/* SPDX-License-Identifier: Apache-2.0 */
/* The log connection (docs/protocol/parent.md, 9002): records into lines. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/reader.h"
#include "parent/internal.h"

#define HEAD 5 /* u8 stream, u32 length */
#define RECORD_MAX 8192
#define STREAMS 3
#define LOST 3 /* the stream that tells how much was lost */
#define LINE_MAX_BYTES 8192
#define LINE_MS 1000 /* then what there is of a line is shown */

static void emit(struct logs *l, size_t stream)
{
    const struct cv_parent_events *e = &l->p->config.events;
    e->log(e->ctx, (enum cv_parent_stream)stream, cv_buf_view(&l->line[stream]));
    cv_buf_reset(&l->line[stream]);
}

/* Adds P to the line of STREAM, and shows what is whole. */
static void add(struct logs *l, size_t stream, const uint8_t *p, size_t n)
{
    struct cv_buf *line = &l->line[stream];
    while (n > 0) {
        const uint8_t *newline = memchr(p, '\n', n);
        size_t piece = newline != NULL ? (size_t)(newline - p) : n;
        bool whole = newline != NULL;
        if (piece > LINE_MAX_BYTES - line->n) {
            piece = LINE_MAX_BYTES - line->n;
            whole = false;
        }
        if (line->n == 0)
            l->line_ms[stream] = cv_now_ms();
        if (cv_buf_append(line, p, piece) != 0)
            return; /* no memory: the rest of it is not shown */
        p += piece + whole;
        n -= piece + whole;
        if (whole || line->n == LINE_MAX_BYTES)
            emit(l, stream);
    }
}

/* One record off the front of IN: its bytes, 0 for one that is not whole,
 * -1 for one that is wrong. */
static ssize_t take_record(struct logs *l, const uint8_t *in, size_t n)
{
    const struct cv_parent_events *e = &l->p->config.events;
    struct cv_reader r;
    if (n < HEAD)
        return 0;
    cv_reader_init(&r, CV_BYTES(in, n));
    uint8_t stream = cv_read_u8(&r);
    uint32_t length = cv_read_be32(&r);
    if (length > RECORD_MAX || stream > LOST || (stream == LOST && length != 8))
        return -1;
    if (n - HEAD < length)
        return 0;
    if (stream == LOST)
        e->lost(e->ctx, cv_read_be64(&r));
    else
        add(l, stream, in + HEAD, length);
    return (ssize_t)(HEAD + length);
}

/* False: what came is no record. */
static bool take_records(struct logs *l)
{
    size_t at = 0;
    ssize_t n = 0;
    while (at < l->used && (n = take_record(l, l->in + at, l->used - at)) > 0)
        at += (size_t)n;
    memmove(l->in, l->in + at, l->used - at);
    l->used -= at;
    return n >= 0;
}

/* Reads once. False: the connection is over. */
static bool receive(struct logs *l)
{
    ssize_t n = recv(l->fd, l->in + l->used, sizeof l->in - l->used, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    l->used += (size_t)n;
    if (n > 0 && !take_records(l)) {
        cv_parent_warn(l->p, "the log connection is closed", "what came is no record");
        return false;
    }
    return n > 0;
}

void cv_parent_logs_close(struct cv_parent_side *p)
{
    struct logs *l = &p->logs;
    if (l->fd < 0)
        return;
    close(l->fd);
    l->fd = -1;
    l->used = 0;
    for (size_t i = 0; i < STREAMS; i++) {
        if (l->line[i].n > 0)
            emit(l, i);
        cv_buf_free(&l->line[i]);
    }
    if (p->outcome.exited)
        p->over = true; /* that was the last of it */
}

static void event(struct cv_parent_source *s, uint32_t events)
{
    struct logs *l = (struct logs *)s;
    const struct cv_parent_events *e = &l->p->config.events;
    (void)events;
    if (l->fd < 0)
        return;
    if (!e->room(e->ctx)) {
        /* Looked at again with the next tick; the enclave keeps what it can. */
        (void)epoll_ctl(l->p->epoll, EPOLL_CTL_DEL, l->fd, NULL);
        l->watched = false;
    } else if (!receive(l)) {
        cv_parent_logs_close(l->p);
    }
}

void cv_parent_logs_init(struct cv_parent_side *p)
{
    p->logs.source.event = event;
    p->logs.p = p;
    p->logs.fd = -1;
    for (size_t i = 0; i < STREAMS; i++)
        cv_buf_init(&p->logs.line[i], LINE_MAX_BYTES);
}

static void watch(struct logs *l)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &l->source};
    l->watched = epoll_ctl(l->p->epoll, EPOLL_CTL_ADD, l->fd, &ev) == 0;
}

void cv_parent_logs_accept(struct cv_parent_side *p, int fd)
{
    struct logs *l = &p->logs;
    /* What the old one still holds comes first. */
    for (int i = 0; l->fd >= 0 && i < 64 && receive(l); i++)
        ;
    bool exited = p->over;
    cv_parent_logs_close(p);
    p->over = exited;
    l->fd = fd;
    watch(l);
}

void cv_parent_logs_tick(struct cv_parent_side *p, int64_t now)
{
    struct logs *l = &p->logs;
    if (l->fd < 0)
        return;
    if (!l->watched)
        watch(l);
    for (size_t i = 0; i < STREAMS; i++) {
        if (l->line[i].n > 0 && now - l->line_ms[i] >= LINE_MS)
            emit(l, i);
    }
}
