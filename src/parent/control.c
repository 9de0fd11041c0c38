/* SPDX-License-Identifier: Apache-2.0 */
/* The control connection (docs/protocol/parent.md, 9001). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "parent/internal.h"

#define OUT_MAX (4u << 20)    /* bytes that wait for the enclave */
#define OUT_ENOUGH (1u << 20) /* with more, none of its lines are read */
#define HELLO_MS 30000
#define WRITE_MS 60000 /* without progress */
#define EXIT_MS 5000   /* for the last lines of the log */
#define NO_LOGS_MS 500

static void update(struct control *c)
{
    uint32_t events = (c->out.n > 0 ? EPOLLOUT : 0u) | (c->out.n < OUT_ENOUGH ? EPOLLIN : 0u);
    struct epoll_event ev = {.events = events, .data.ptr = &c->source};
    if (c->fd >= 0 && events != c->events && epoll_ctl(c->p->epoll, EPOLL_CTL_MOD, c->fd, &ev) == 0)
        c->events = events;
}

void cv_parent_control_close(struct cv_parent_side *p)
{
    struct control *c = &p->control;
    if (c->fd < 0)
        return;
    close(c->fd);
    c->fd = -1;
    c->hello = false;
    p->wanted_id = 0;
    cv_buf_free(&c->in);
    cv_buf_free(&c->out);
    c->scanned = 0;
    if (p->outcome.failed)
        p->over = true; /* nobody is left */
}

static void drop(struct control *c, const char *why)
{
    cv_parent_warn(c->p, "the control connection is closed", why);
    cv_parent_control_close(c->p);
}

/* A line was put into c->out, or could not be. */
static void sent(struct control *c, int rc)
{
    if (rc != 0)
        drop(c, "the enclave does not read what it asked for");
    else
        update(c);
}

static void flush(struct control *c)
{
    ssize_t n = send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL);
    if (n > 0) {
        cv_buf_consume(&c->out, (size_t)n);
        c->write_deadline = cv_deadline(WRITE_MS);
        update(c);
    } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
        cv_parent_control_close(c->p);
    }
}

/* ---- answers ---- */

static void answer_error(struct control *c, const char *type, int64_t id, const char *error)
{
    cv_parent_warn(c->p, "the enclave asked in vain", error);
    sent(c, cv_parent_write_error(&c->out, type, id, error));
}

static void answer_file(struct control *c, const struct cv_parent_message *m)
{
    const struct cv_parent_config *config = &c->p->config;
    CV_CLEANUP(cv_buf_free) struct cv_buf content;
    struct cv_error err;
    char text[CV_ERROR_TEXT];
    cv_error_clear(&err);
    cv_buf_init(&content, CV_PARENT_FILE_MAX);
    for (size_t i = 0; i < config->file_count; i++) {
        if (strcmp(config->files[i].name, m->name) != 0)
            continue;
        /* Read anew each time: a newer configuration is there at a rotation. */
        if (cv_file_read(&content, config->files[i].value, &err) != 0)
            answer_error(c, "file", m->id, cv_error_format(text, sizeof text, &err));
        else
            sent(c, cv_parent_write_file(&c->out, m->id, cv_buf_view(&content)));
        return;
    }
    char name[CV_PARENT_NAME_MAX];
    (void)snprintf(text, sizeof text, "the parent was given no file %.200s",
                   cv_error_quote(name, sizeof name, m->name, strlen(m->name)));
    answer_error(c, "file", m->id, text);
}

static void answer(struct control *c, const struct cv_parent_message *m)
{
    struct cv_parent_side *p = c->p;
    switch (m->want) {
    case CV_PARENT_CREDENTIALS:
        if (p->renewer == NULL) {
            answer_error(c, "credentials", m->id, "the parent has no credentials");
        } else {
            p->wanted_id = m->id;
            cv_renewer_want(p->renewer);
        }
        break;
    case CV_PARENT_ENVIRONMENT:
        sent(c, cv_parent_write_environment(&c->out, m->id, p->config.environment,
                                            p->config.environment_count));
        break;
    case CV_PARENT_FILE:
        answer_file(c, m);
        break;
    case CV_PARENT_WANT_OTHER:
        answer_error(c, "error", m->id, "the parent does not know what that is");
        break;
    }
}

void cv_parent_control_credentials(struct cv_parent_side *p)
{
    struct control *c = &p->control;
    CV_AWS_CREDENTIALS_AUTO struct cv_aws_credentials fresh = CV_AWS_CREDENTIALS_INIT;
    char text[CV_ERROR_TEXT];
    struct cv_error err;
    bool renewed = false;
    cv_error_clear(&err);
    if (p->renewer == NULL)
        return;
    int rc = cv_renewer_take(p->renewer, &fresh, &renewed, &err);
    int64_t id = p->wanted_id;
    if (rc == CV_ERR_NOT_FOUND && err.count == 0)
        return;
    if (rc != 0)
        cv_parent_warn(p, "AWS credentials", cv_error_format(text, sizeof text, &err));
    if (c->fd < 0 || !c->hello || (id == 0 && (rc != 0 || !renewed)))
        return;
    p->wanted_id = 0;
    if (rc != 0)
        sent(c, cv_parent_write_error(&c->out, "credentials", id,
                                      "the parent finds no AWS credentials: its log says why"));
    else
        sent(c, cv_parent_write_credentials(&c->out, id, &fresh));
    if (rc == 0 && id == 0)
        cv_log(CV_LOG_INFO, "renewed credentials are sent to the enclave", "source", fresh.source,
               NULL);
}

/* ---- lines ---- */

static void ended(struct cv_parent_side *p, const struct cv_parent_message *m)
{
    p->outcome.exited = true;
    p->outcome.status = (int)m->status + (m->signalled ? 128 : 0);
    /* A log connection that ends is the end; one may still be on its way. */
    p->end_at = cv_deadline(p->logs.fd >= 0 ? EXIT_MS : NO_LOGS_MS);
    /* The init waits for us to hang up. */
    cv_parent_control_close(p);
}

static void stage(struct cv_parent_side *p, const struct cv_parent_message *m)
{
    if (strcmp(m->state, "failed") != 0)
        return;
    p->outcome.failed = true;
    memcpy(p->outcome.stage, m->stage, sizeof m->stage);
    memcpy(p->outcome.error, m->error, sizeof m->error);
    p->end_at = cv_deadline(EXIT_MS);
}

static int take_line(struct control *c, struct cv_bytes line, struct cv_error *err)
{
    struct cv_parent_side *p = c->p;
    struct cv_parent_message m;
    int rc = cv_parent_message_parse(&m, line, err);
    if (rc != 0)
        return rc;
    if (m.type != CV_PARENT_HELLO && !c->hello)
        return cv_error_set(err, CV_ERR_PROTOCOL, "the first line is not a hello");
    if (m.type == CV_PARENT_HELLO && m.protocol != 1)
        return cv_error_set(err, CV_ERR_UNSUPPORTED, "the enclave speaks protocol %lld",
                            (long long)m.protocol);
    if (m.type == CV_PARENT_HELLO)
        c->hello = true;
    if (m.type == CV_PARENT_WANT)
        answer(c, &m);
    else if (m.type != CV_PARENT_UNKNOWN)
        p->config.events.message(p->config.events.ctx, &m);
    if (m.type == CV_PARENT_STAGE)
        stage(p, &m);
    if (m.type == CV_PARENT_EXIT)
        ended(p, &m);
    return 0;
}

/* Takes whole lines off c->in, as long as their answers have room. */
static void take_lines(struct control *c)
{
    char text[CV_ERROR_TEXT];
    struct cv_error err;
    cv_error_clear(&err);
    while (c->fd >= 0 && c->out.n < OUT_ENOUGH && c->in.n > c->scanned) {
        const uint8_t *newline = memchr(c->in.p + c->scanned, '\n', c->in.n - c->scanned);
        if (newline == NULL) {
            c->scanned = c->in.n;
            break;
        }
        size_t n = (size_t)(newline - c->in.p);
        if (take_line(c, CV_BYTES(c->in.p, n), &err) != 0) {
            drop(c, cv_error_format(text, sizeof text, &err));
            return;
        }
        if (c->fd >= 0)
            cv_buf_consume(&c->in, n + 1);
        c->scanned = 0;
    }
    if (c->fd >= 0 && c->scanned > CV_PARENT_LINE_MAX)
        drop(c, "a line is too long");
}

static void receive(struct control *c)
{
    uint8_t *to = cv_buf_reserve(&c->in, 16384);
    if (to == NULL) {
        drop(c, "a line is too long");
        return;
    }
    ssize_t n = recv(c->fd, to, 16384, 0);
    if (n > 0) {
        cv_buf_commit(&c->in, (size_t)n);
        take_lines(c);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        if (!c->p->outcome.failed)
            cv_log(CV_LOG_INFO, "the enclave's control connection has ended", NULL);
        cv_parent_control_close(c->p);
    }
}

static void event(struct cv_parent_source *s, uint32_t events)
{
    struct control *c = (struct control *)s;
    if (c->fd >= 0 && (events & EPOLLOUT) != 0) {
        flush(c);
        if (c->fd >= 0)
            take_lines(c); /* that waited for room */
    }
    if (c->fd >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
        receive(c);
    if (c->fd >= 0)
        update(c);
}

void cv_parent_control_init(struct cv_parent_side *p)
{
    p->control = (struct control){.source.event = event, .p = p, .fd = -1};
}

void cv_parent_control_accept(struct cv_parent_side *p, int fd)
{
    struct control *c = &p->control;
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &c->source};
    /* The newest is the true one: an enclave that was cut off cannot say so. */
    if (c->fd >= 0)
        cv_log(CV_LOG_INFO, "a newer control connection takes the place of the old one", NULL);
    cv_parent_control_close(p);
    if (p->outcome.exited || epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &ev) != 0) {
        close(fd);
        return;
    }
    c->fd = fd;
    c->events = EPOLLIN;
    c->hello_deadline = cv_deadline(HELLO_MS);
    c->write_deadline = CV_NO_DEADLINE;
    cv_buf_init(&c->in, CV_PARENT_LINE_MAX + 65536);
    cv_buf_init(&c->out, OUT_MAX);
}

void cv_parent_control_tick(struct cv_parent_side *p, int64_t now)
{
    struct control *c = &p->control;
    if (c->fd < 0)
        return;
    if (!c->hello && now >= c->hello_deadline)
        drop(c, "no hello came");
    else if (c->out.n == 0)
        c->write_deadline = cv_deadline(WRITE_MS);
    else if (now >= c->write_deadline)
        drop(c, "the enclave reads nothing");
}

/* ---- orders ---- */

bool cv_parent_control_rotate(struct cv_parent_side *p)
{
    struct control *c = &p->control;
    if (c->fd < 0 || !c->hello)
        return false;
    sent(c, cv_parent_write_rotate(&c->out));
    return c->fd >= 0;
}

bool cv_parent_control_stop(struct cv_parent_side *p)
{
    struct control *c = &p->control;
    if (c->fd < 0 || !c->hello)
        return false;
    sent(c,
         cv_parent_write_stop(&c->out, p->config.stop_seconds != 0 ? p->config.stop_seconds : 10));
    return c->fd >= 0;
}
