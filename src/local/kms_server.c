/* SPDX-License-Identifier: Apache-2.0 */
/* The stand-in on the wire: TLS, HTTP/1.1, a thread for each connection. */
#include "local/kms.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "transport/listen.h"

#define MAX_CONNECTIONS 128
#define HANDSHAKE_MS 10000
#define IDLE_MS 60000
#define SEND_MS 30000
#define HANG_MS 120000

enum slot_state { FREE, RUNNING, DONE };

/* A connection and its thread, which is joined once it says that it is done:
 * what OpenSSL keeps for a thread is freed when that ends, and the process must
 * not leave in the middle of it. */
struct slot {
    enum slot_state state;
    pthread_t thread;
    int fd; /* to wake it when the server stops; -1 = not to be touched */
    struct cv_stream *stream;
    struct server *server;
};

struct server {
    struct cv_local_kms *kms;
    struct cv_tls *tls;
    pthread_mutex_t lock; /* over state and fd of the slots */
    struct slot slots[MAX_CONNECTIONS];
};

/* By hand, since no sane writer sends half a message. */
static int send_badly(struct cv_stream *s, const struct cv_local_kms_reply *r)
{
    struct cv_buf CV_CLEANUP(cv_buf_free) text;
    char date[CV_HTTP_DATE_LEN];
    int rc = 0;
    cv_buf_init(&text, 8u << 20);
    cv_http_date_format(date, r->date_ms);
    if ((rc = cv_buf_printf(&text,
                            "HTTP/1.1 %d %s\r\nx-amzn-RequestId: %s\r\nDate: %s\r\n"
                            "Content-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                            r->status, cv_http_reason(r->status), r->request_id, date,
                            r->content_type, r->body.n)) ||
        (rc = cv_buf_append(&text, r->body.p,
                            r->sending == CV_LOCAL_SEND_HALF ? r->body.n / 2 : r->body.n)))
        return rc;
    if (r->sending == CV_LOCAL_SEND_HALF)
        return cv_stream_write(s, cv_buf_view(&text), cv_deadline(SEND_MS), NULL);
    for (size_t i = 0; !rc && i < text.n; i++) {
        rc = cv_stream_write(s, CV_BYTES(text.p + i, 1), cv_deadline(SEND_MS), NULL);
        cv_sleep_ms(1);
    }
    return rc;
}

/* Until the peer has had enough. */
static void hang(struct cv_stream *s)
{
    uint8_t ignored[256];
    int64_t deadline = cv_deadline(HANG_MS);
    while (cv_stream_read(s, ignored, sizeof ignored, deadline, NULL) > 0)
        ;
}

/* Lets MS go by, unless the peer leaves or the server stops. */
static void linger(struct cv_stream *s, int64_t ms)
{
    int rc = cv_fd_wait(cv_stream_fd(s), POLLRDHUP, cv_deadline(ms));
    (void)rc;
}

static int send_reply(struct cv_http_conn *conn, const struct cv_local_kms_reply *r,
                      bool keep_alive)
{
    char date[CV_HTTP_DATE_LEN];
    cv_http_date_format(date, r->date_ms);
    const struct cv_http_header headers[] = {
        {"x-amzn-RequestId", r->request_id},
        {"Content-Type", r->content_type},
        {"Date", date},
        {"Cache-Control", "no-cache, no-store, must-revalidate, private"},
    };
    struct cv_http_response response = {
        .status = r->status,
        .headers = headers,
        .nheaders = sizeof headers / sizeof headers[0],
        .body = cv_buf_view(&r->body),
        .close = !keep_alive,
    };
    if (r->delay_ms > 0)
        linger(conn->stream, r->delay_ms);
    switch (r->sending) {
    case CV_LOCAL_SEND_NOTHING:
        return CV_ERR_CLOSED;
    case CV_LOCAL_SEND_HANG:
        hang(conn->stream);
        return CV_ERR_CLOSED;
    case CV_LOCAL_SEND_HALF:
    case CV_LOCAL_SEND_SLOWLY:
        (void)send_badly(conn->stream, r);
        return CV_ERR_CLOSED;
    default:
        return cv_http_write_response(conn, &response, cv_deadline(SEND_MS), NULL);
    }
}

/* What is no HTTP, or too much of it, gets one word and the door. */
static int refuse(struct cv_http_conn *conn)
{
    struct cv_http_response response = {.status = 400, .close = true};
    return cv_http_write_response(conn, &response, cv_deadline(SEND_MS), NULL);
}

static void converse(struct server *server, struct cv_stream *stream)
{
    struct cv_http_conn conn;
    bool more = true;
    cv_http_conn_init(&conn, stream);
    while (more) {
        struct cv_http_message request;
        struct cv_local_kms_reply reply;
        cv_http_message_init(&request, CV_LOCAL_KMS_BODY_MAX);
        int rc = cv_http_read_request(&conn, &request, cv_deadline(IDLE_MS), NULL);
        if (rc == CV_ERR_PROTOCOL || rc == CV_ERR_LIMIT)
            (void)refuse(&conn);
        more = rc == 0;
        if (more) {
            cv_local_kms_handle(server->kms, &request, &reply);
            more = send_reply(&conn, &reply, request.keep_alive) == 0 && request.keep_alive;
            cv_local_kms_reply_free(&reply);
        }
        cv_http_message_free(&request);
    }
    cv_http_conn_free(&conn);
}

static void set_state(struct slot *c, enum slot_state state, int fd)
{
    pthread_mutex_lock(&c->server->lock);
    c->state = state;
    c->fd = fd;
    pthread_mutex_unlock(&c->server->lock);
}

static void *serve_connection(void *arg)
{
    struct slot *c = arg;
    struct server *server = c->server;
    struct cv_stream *secure = NULL;
    struct cv_error err;
    cv_error_clear(&err);
    /* The inner stream is the secure one's from here on. */
    if (cv_tls_accept(&secure, server->tls, c->stream, cv_deadline(HANDSHAKE_MS), &err) == 0)
        converse(server, secure);
    else if (cv_log_enabled(CV_LOG_DEBUG))
        cv_log_error(CV_LOG_DEBUG, "handshake failed", &err);
    /* The number may be another file's as soon as it is closed. */
    set_state(c, RUNNING, -1);
    cv_stream_close(&secure);
    set_state(c, DONE, -1);
    return NULL;
}

/* A slot that nobody uses, after joining threads that are done; NULL. */
static struct slot *free_slot(struct server *server)
{
    struct slot *found = NULL;
    for (unsigned i = 0; i < MAX_CONNECTIONS; i++) {
        struct slot *c = &server->slots[i];
        pthread_mutex_lock(&server->lock);
        enum slot_state state = c->state;
        pthread_mutex_unlock(&server->lock);
        if (state == DONE) {
            pthread_join(c->thread, NULL);
            c->state = FREE;
        }
        if (c->state == FREE && !found)
            found = c;
    }
    return found;
}

/* A thread for STREAM; closes it when there is no room. */
static void start_connection(struct server *server, struct cv_stream *stream)
{
    struct slot *c = free_slot(server);
    if (!c) {
        cv_stream_close(&stream);
        return;
    }
    c->server = server;
    c->stream = stream;
    c->fd = cv_stream_fd(stream);
    c->state = RUNNING;
    if (pthread_create(&c->thread, NULL, serve_connection, c) != 0) {
        c->state = FREE;
        cv_stream_close(&stream);
    }
}

/* Ends every conversation and waits for the threads: none of them waits for
 * anything but its socket. */
static void stop(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    for (unsigned i = 0; i < MAX_CONNECTIONS; i++)
        if (server->slots[i].state == RUNNING && server->slots[i].fd >= 0)
            shutdown(server->slots[i].fd, SHUT_RDWR);
    pthread_mutex_unlock(&server->lock);
    for (unsigned i = 0; i < MAX_CONNECTIONS; i++) {
        pthread_mutex_lock(&server->lock);
        enum slot_state state = server->slots[i].state;
        pthread_mutex_unlock(&server->lock);
        if (state != FREE)
            pthread_join(server->slots[i].thread, NULL);
    }
}

static int loop(struct server *server, struct cv_listener *listener, int stop_fd,
                struct cv_error *err)
{
    for (;;) {
        struct pollfd p[2] = {{.fd = listener->fd, .events = POLLIN},
                              {.fd = stop_fd, .events = POLLIN}};
        struct cv_stream *stream = NULL;
        if (poll(p, 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            return cv_error_errno(err, CV_ERR_IO, errno, "waiting for connections");
        }
        if (p[1].revents)
            return 0;
        int rc = cv_accept(&stream, listener, 0, err);
        if (rc == 0)
            start_connection(server, stream);
        else if (rc == CV_ERR_BUSY)
            cv_sleep_ms(50);
        else if (rc != CV_ERR_TIMEOUT)
            return rc;
    }
}

int cv_local_kms_serve(struct cv_local_kms *kms, const struct cv_addr *addr, struct cv_tls *tls,
                       int stop_fd, void (*ready)(void *ctx, const struct cv_addr *addr),
                       void *ready_ctx, struct cv_error *err)
{
    struct cv_listener listener = CV_LISTENER_INIT;
    struct server *server = calloc(1, sizeof *server);
    if (!server)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the server");
    server->kms = kms;
    server->tls = tls;
    pthread_mutex_init(&server->lock, NULL);
    int rc = cv_listen(&listener, addr, err);
    if (!rc) {
        if (ready)
            ready(ready_ctx, &listener.addr);
        rc = loop(server, &listener, stop_fd, err);
        cv_listener_close(&listener);
    }
    stop(server);
    pthread_mutex_destroy(&server->lock);
    free(server);
    return rc;
}
