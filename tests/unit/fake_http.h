/* SPDX-License-Identifier: Apache-2.0 */
/* A server that answers by a script, one step a request, in a thread. */
#ifndef CV_TEST_FAKE_HTTP_H
#define CV_TEST_FAKE_HTTP_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "http/message.h"
#include "transport/listen.h"

enum fake_mode {
    FAKE_REPLY, /* a lawful reply, keep-alive */
    FAKE_RAW,   /* the bytes of body, then close */
    FAKE_HALF,  /* a reply whose body is cut in the middle */
    FAKE_STALL, /* no answer until the client goes away */
    FAKE_CLOSE, /* closes without an answer */
    FAKE_IDLE,  /* a lawful reply, then closes the idle connection */
};

struct fake_step {
    int status;
    const char *body;
    enum fake_mode mode;
    struct cv_http_header header; /* one more, or {NULL, NULL} */
};

#define FAKE_MAX 32

struct fake_http {
    struct cv_listener l;
    pthread_t thread;
    atomic_bool stop;
    /* Set between fake_listen() and fake_run(): puts TLS on a connection; -1
     * when that fails (the stream is closed then). */
    int (*wrap)(struct cv_stream **s);
    const struct fake_step *steps;
    size_t nsteps;
    /* What came: read after fake_stop(), or when all is answered. */
    atomic_size_t requests, connections;
    char *body[FAKE_MAX];
    char *target[FAKE_MAX];
    char *authorization[FAKE_MAX];
    char *token[FAKE_MAX];
    char *date[FAKE_MAX];
    char *amz_target[FAKE_MAX];
};

static inline char *fake_copy(const char *s)
{
    return strdup(s != NULL ? s : "");
}

static inline void fake_note(struct fake_http *f, size_t i, const struct cv_http_message *m)
{
    f->body[i] = fake_copy((const char *)m->body.p);
    f->target[i] = fake_copy(m->target);
    f->authorization[i] = fake_copy(cv_http_header(m, "authorization"));
    f->token[i] = fake_copy(cv_http_header(m, "x-amz-security-token"));
    f->date[i] = fake_copy(cv_http_header(m, "x-amz-date"));
    f->amz_target[i] = fake_copy(cv_http_header(m, "x-amz-target"));
}

/* True when the connection goes on. */
static inline bool fake_answer(struct cv_http_conn *c, const struct fake_step *s)
{
    struct cv_http_header h[2] = {{"x-amzn-RequestId", "fake-id"}, s->header};
    struct cv_http_response r = {.status = s->status,
                                 .headers = h,
                                 .nheaders = s->header.name != NULL ? 2 : 1,
                                 .body = cv_bytes_str(s->body != NULL ? s->body : "")};
    char head[200];
    switch (s->mode) {
    case FAKE_REPLY:
        return cv_http_write_response(c, &r, cv_deadline(5000), NULL) == 0;
    case FAKE_IDLE:
        (void)!cv_http_write_response(c, &r, cv_deadline(5000), NULL);
        return false;
    case FAKE_RAW:
        (void)!cv_stream_write(c->stream, cv_bytes_str(s->body), cv_deadline(5000), NULL);
        return false;
    case FAKE_HALF:
        snprintf(head, sizeof head, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n", s->status,
                 strlen(s->body) * 2);
        (void)!cv_stream_write(c->stream, cv_bytes_str(head), cv_deadline(5000), NULL);
        (void)!cv_stream_write(c->stream, cv_bytes_str(s->body), cv_deadline(5000), NULL);
        return false;
    case FAKE_STALL:
        (void)!cv_fd_wait(cv_stream_fd(c->stream), POLLRDHUP, cv_deadline(5000));
        return false;
    case FAKE_CLOSE:
        break;
    }
    return false;
}

static inline void fake_connection(struct fake_http *f, struct cv_stream *s)
{
    struct cv_http_conn c;
    struct cv_http_message m;
    bool more = true;
    cv_http_conn_init(&c, s);
    cv_http_message_init(&m, 1u << 20);
    while (more && !f->stop) {
        if (cv_fd_wait(cv_stream_fd(s), POLLIN, cv_deadline(20)) != 0)
            continue;
        if (cv_http_read_request(&c, &m, cv_deadline(5000), NULL) != 0)
            break;
        size_t i = f->requests;
        if (i >= f->nsteps || i >= FAKE_MAX)
            break;
        fake_note(f, i, &m);
        f->requests = i + 1;
        more = fake_answer(&c, &f->steps[i]);
    }
    cv_http_message_free(&m);
    cv_http_conn_free(&c);
}

static inline void *fake_main(void *arg)
{
    struct fake_http *f = arg;
    while (!f->stop) {
        struct cv_stream *s;
        if (cv_accept(&s, &f->l, cv_deadline(20), NULL) != 0)
            continue;
        f->connections++;
        if (f->wrap != NULL && f->wrap(&s) != 0)
            continue;
        fake_connection(f, s);
        cv_stream_close(&s);
    }
    return NULL;
}

/* Listens at "tcp:127.0.0.1:0"; f->l.addr has the port. */
static inline int fake_listen(struct fake_http *f, const struct fake_step *steps, size_t n)
{
    struct cv_addr a;
    memset(f, 0, sizeof *f);
    f->steps = steps;
    f->nsteps = n;
    return cv_addr_parse(&a, "tcp:127.0.0.1:0", NULL) != 0 || cv_listen(&f->l, &a, NULL) != 0;
}

static inline int fake_run(struct fake_http *f)
{
    return pthread_create(&f->thread, NULL, fake_main, f);
}

static inline int fake_start(struct fake_http *f, const struct fake_step *steps, size_t n)
{
    return fake_listen(f, steps, n) != 0 || fake_run(f) != 0;
}

/* Harmless twice. */
static inline void fake_stop(struct fake_http *f)
{
    if (f->stop)
        return;
    f->stop = true;
    pthread_join(f->thread, NULL);
    cv_listener_close(&f->l);
}

static inline void fake_free(struct fake_http *f)
{
    for (size_t i = 0; i < FAKE_MAX; i++) {
        free(f->body[i]);
        free(f->target[i]);
        free(f->authorization[i]);
        free(f->token[i]);
        free(f->date[i]);
        free(f->amz_target[i]);
    }
}

#endif
