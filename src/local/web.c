/* SPDX-License-Identifier: Apache-2.0 */
#include "local/web.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "local/kms.h"
#include "transport/listen.h"

#define MAX_CONNECTIONS 64
#define IDLE_MS 30000
#define LOOK_MS 100 /* how soon an idle connection notices the end */

struct server {
    const struct cv_local_web *web;
    struct cv_tls *tls;
    atomic_bool stop;
    atomic_uint active;
};

struct connection {
    struct server *server;
    struct cv_stream *stream;
};

/* Waits for the next request without keeping the server from its end. */
static bool readable(struct server *s, struct cv_http_conn *c)
{
    int64_t end = cv_deadline(IDLE_MS);
    while (!s->stop && c->in.n == 0 && cv_now_ms() < end) {
        if (cv_fd_wait(cv_stream_fd(c->stream), POLLIN, cv_deadline(LOOK_MS)) == 0)
            return true;
    }
    return c->in.n > 0;
}

static bool answer(struct server *s, struct cv_http_conn *c, const struct cv_http_message *q)
{
    struct cv_local_web_reply r = {.status = 500};
    cv_buf_init(&r.body, s->web->body_max);
    cv_buf_init(&r.text, 65536);
    s->web->handle(s->web->ctx, q, &r);
    struct cv_http_response response = {
        .status = r.status,
        .headers = r.headers,
        .nheaders = r.n,
        .body = cv_buf_view(&r.body),
        .close = !q->keep_alive,
        .no_body = r.no_body,
    };
    cv_log(r.status < 400 ? CV_LOG_INFO : CV_LOG_WARN, s->web->name, "method", q->method, "target",
           q->target, "status", cv_logf("%d", r.status), NULL);
    bool more =
        cv_http_write_response(c, &response, cv_deadline(IDLE_MS), NULL) == 0 && q->keep_alive;
    cv_buf_free(&r.body);
    cv_buf_free(&r.text);
    return more;
}

static void converse(struct server *s, struct cv_stream *stream)
{
    struct cv_http_conn c;
    struct cv_http_message q;
    bool more = true;
    cv_http_conn_init(&c, stream);
    cv_http_message_init(&q, s->web->body_max);
    while (more && readable(s, &c)) {
        more = cv_http_read_request(&c, &q, cv_deadline(IDLE_MS), NULL) == 0;
        if (more)
            more = answer(s, &c, &q);
    }
    cv_http_message_free(&q);
    cv_http_conn_free(&c);
}

static void *serve(void *arg)
{
    struct connection *c = arg;
    struct server *s = c->server;
    struct cv_stream *stream = c->stream;
    free(c);
    if (s->tls != NULL) {
        struct cv_stream *inner = stream;
        if (cv_tls_accept(&stream, s->tls, inner, cv_deadline(IDLE_MS), NULL) != 0)
            stream = NULL;
    }
    if (stream != NULL)
        converse(s, stream);
    cv_stream_close(&stream);
    s->active--;
    return NULL;
}

static void start(struct server *s, struct cv_stream *stream)
{
    struct connection *c = s->active < MAX_CONNECTIONS ? malloc(sizeof *c) : NULL;
    pthread_t thread;
    if (c != NULL) {
        *c = (struct connection){s, stream};
        s->active++;
        if (pthread_create(&thread, NULL, serve, c) == 0) {
            pthread_detach(thread);
            return;
        }
        s->active--;
    }
    free(c);
    cv_stream_close(&stream);
}

static int make_tls(struct server *s, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf chain;
    CV_CLEANUP(cv_buf_free) struct cv_buf key;
    cv_buf_init(&chain, 32768);
    cv_buf_init(&key, 32768);
    if (s->web->ca == NULL)
        return 0;
    int rc = cv_local_tls_credentials(&chain, &key, s->web->ca, s->web->host, err);
    return rc != 0 ? rc
                   : cv_tls_server_new_pem(&s->tls, cv_buf_view(&chain), cv_buf_view(&key), err);
}

static int accept_loop(struct server *s, struct cv_listener *l, int stop, struct cv_error *err)
{
    struct pollfd p[2] = {{.fd = l->fd, .events = POLLIN}, {.fd = stop, .events = POLLIN}};
    for (;;) {
        struct cv_stream *stream;
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return cv_error_errno(err, CV_ERR_IO, errno, "waiting for connections");
        if (p[1].revents != 0)
            return 0;
        int rc = cv_accept(&stream, l, 0, NULL);
        if (rc == 0)
            start(s, stream);
        else if (rc != CV_ERR_TIMEOUT)
            cv_sleep_ms(LOOK_MS);
    }
}

int cv_local_web_run(const struct cv_local_web *web, struct cv_error *err)
{
    struct server s = {.web = web};
    struct cv_listener l = CV_LISTENER_INIT;
    char text[CV_ADDR_TEXT];
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    int stop = signalfd(-1, &set, SFD_CLOEXEC);
    int rc = stop < 0 ? cv_error_errno(err, CV_ERR_IO, errno, "waiting for signals") : 0;
    if (rc == 0)
        rc = make_tls(&s, err);
    if (rc == 0)
        rc = cv_listen(&l, &web->listen, err);
    if (rc == 0) {
        printf("ready %s\n", cv_addr_format(text, &l.addr));
        fflush(stdout);
        rc = accept_loop(&s, &l, stop, err);
    }
    s.stop = true;
    cv_listener_close(&l);
    for (int i = 0; i < 50 && s.active > 0; i++)
        cv_sleep_ms(LOOK_MS);
    cv_tls_free(&s.tls);
    if (stop >= 0)
        close(stop);
    return rc;
}
