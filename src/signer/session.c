/* SPDX-License-Identifier: Apache-2.0 */
/* A session's life: connecting, describing, ending. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "signer/session_impl.h"

#define OUT_MAX (64u * 1024 * 1024) /* bytes queued for the peer */
#define DESCRIBE_MS 5000

static void connected(struct cv_session *s);
static void on_ready(struct cv_loop_source *source, uint32_t events);
static void on_timer(struct cv_loop_timer *timer);
static int64_t before_wait(struct cv_loop_hook *hook);

int cv_session_new(struct cv_session **out, struct cv_loop *loop, const struct cv_addr *addr,
                   const struct cv_session_events *events, struct cv_error *err)
{
    *out = NULL;
    struct cv_session *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a session");
    }
    s->loop = loop;
    s->addr = *addr;
    s->events = *events;
    s->source.fd = -1;
    s->source.ready = on_ready;
    s->flush.before_wait = before_wait;
    (void)cv_addr_format(s->name, addr);
    cv_loop_timer_init(loop, &s->timer, on_timer);
    cv_loop_hook_add(loop, &s->flush);
    cv_buf_init(&s->out, OUT_MAX);
    *out = s;
    return 0;
}

/* ---- the connection ---- */

static void end_connection(struct cv_session *s)
{
    if (s->source.fd >= 0) {
        int fd = s->source.fd;
        cv_loop_remove(s->loop, &s->source);
        (void)close(fd);
        cv_rpc_assembler_free(&s->in);
    }
    cv_loop_timer_off(&s->timer);
    cv_buf_free(&s->out);
    s->sent = 0;
    s->state = DOWN;
    s->ids = false;
    s->abandoned = 0;
    memset(s->slot, 0, sizeof(s->slot));
}

static void fail_all(struct cv_session *s, int code, const struct cv_error *why)
{
    while (s->first != NULL) {
        cv_session_finish(s, s->first, code, NULL, why);
    }
}

void cv_session_drop(struct cv_session *session, const struct cv_error *why)
{
    if (session->state == DOWN || session->dropping) {
        return;
    }
    struct cv_error reason = *why;
    session->dropping = true; /* no call is taken while the others are told */
    end_connection(session);
    fail_all(session, CV_ERR_CLOSED, &reason);
    session->dropping = false;
    session->events.down(session->events.ctx, &reason);
}

void cv_session_fault(struct cv_session *s, int code, const char *fmt, ...)
{
    char text[CV_ERROR_TEXT];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)cv_error_set(&s->err, code, "enclave %s: %s", s->name, text);
    cv_session_drop(s, &s->err);
}

void cv_session_free(struct cv_session **session)
{
    struct cv_session *s = *session;
    struct cv_error why;
    *session = NULL;
    if (s == NULL) {
        return;
    }
    cv_error_clear(&why);
    (void)cv_error_set(&why, CV_ERR_CANCELLED, "the program ends");
    s->dropping = true;
    end_connection(s);
    fail_all(s, CV_ERR_CANCELLED, &why);
    cv_loop_hook_remove(s->loop, &s->flush);
    free(s);
}

static void on_described(struct cv_call *call, int code, const struct cv_rpc_reply *reply,
                         const struct cv_error *err)
{
    struct cv_session *s = CV_SESSION_OF(call, describe);
    struct cv_rpc_description d;
    if (code == CV_ERR_CLOSED || code == CV_ERR_CANCELLED) {
        return; /* the connection ends anyway */
    }
    if (code == CV_ERR_REMOTE) {
        /* Whatever its words: it does not know the request, so it is of the
         * original kind, which is driven with less trust, not with more. */
        s->state = UP;
        s->events.up(s->events.ctx, NULL);
        return;
    }
    if (code == 0) {
        cv_error_clear(&s->err);
        code = cv_rpc_reply_read_description(&d, reply, &s->err);
        err = &s->err;
    }
    if (code != 0) {
        struct cv_error why = *err;
        (void)cv_error_wrap(&why, "asking the enclave at %.200s what it is", s->name);
        cv_session_drop(s, &why);
        return;
    }
    s->ids = true;
    s->state = UP;
    s->events.up(s->events.ctx, &d);
}

static void begin(struct cv_session *s)
{
    struct cv_rpc_request request = {.op = CV_RPC_DESCRIBE};
    s->state = DESCRIBING;
    s->describe.done = on_described;
    s->last_reply = cv_now_ms();
    int rc = cv_loop_change(s->loop, &s->source, EPOLLIN);
    if (rc == 0) {
        rc = cv_session_call(s, &s->describe, &request, NULL, cv_deadline(DESCRIBE_MS), &s->err);
    }
    if (rc != 0) {
        cv_session_fault(s, rc, "the connection could not be started");
    }
}

static void take_socket(struct cv_session *s, int fd, uint32_t events)
{
    s->source.fd = fd;
    cv_rpc_assembler_init(&s->in, CV_RPC_FRAME_MAX);
    if (cv_loop_add(s->loop, &s->source, events) != 0) {
        cv_session_fault(s, CV_ERR_IO, "the socket could not be watched");
    }
}

void cv_session_adopt(struct cv_session *session, int fd)
{
    session->state = CONNECTING;
    take_socket(session, fd, EPOLLIN);
    if (session->state == CONNECTING) {
        begin(session);
    }
}

void cv_session_set_cid(struct cv_session *session, uint32_t cid)
{
    session->addr.cid = cid;
    (void)cv_addr_format(session->name, &session->addr);
}

void cv_session_follow(struct cv_session *session, const struct cv_session *other)
{
    session->addr = other->addr;
    (void)cv_addr_format(session->name, &session->addr);
}

void cv_session_set_events(struct cv_session *session, const struct cv_session_events *events)
{
    session->events = *events;
}

void cv_session_connect(struct cv_session *session)
{
    struct sockaddr_storage sa;
    socklen_t n;
    if (session->state != DOWN) {
        return;
    }
    session->state = CONNECTING;
    cv_error_clear(&session->err);
    if (cv_addr_sockaddr(&sa, &n, &session->addr, &session->err) != 0) {
        cv_session_drop(session, &session->err);
        return;
    }
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        cv_session_fault(session, CV_ERR_IO, "no socket: %s", strerror(errno));
        return;
    }
    int rc = connect(fd, (struct sockaddr *)&sa, n);
    if (rc != 0 && errno != EINPROGRESS) {
        int e = errno;
        (void)close(fd);
        cv_session_fault(session, CV_ERR_IO, "connecting: %s", strerror(e));
        return;
    }
    take_socket(session, fd, EPOLLOUT);
    if (session->state == CONNECTING) {
        cv_loop_timer_set(&session->timer, cv_deadline(CV_SESSION_CONNECT_MS));
    }
    if (session->state == CONNECTING && rc == 0) {
        connected(session);
    }
}

/* A virtual machine's vsock device first connects the guest's port. The timer
 * of connecting runs on. */
static void greet(struct cv_session *s)
{
    s->state = GREETING;
    memset(&s->greeting, 0, sizeof(s->greeting));
    cv_error_clear(&s->err);
    int rc = cv_vsock_uds_ask(s->source.fd, &s->addr, &s->err);
    if (rc == 0) {
        rc = cv_loop_change(s->loop, &s->source, EPOLLIN);
    }
    if (rc != 0) {
        cv_session_fault(s, rc, "connecting through the vsock device");
    }
}

static void greeted(struct cv_session *s)
{
    char chain[CV_ERROR_SENTENCE];
    cv_error_clear(&s->err);
    int rc = cv_vsock_uds_take(&s->greeting, s->source.fd, &s->err);
    if (rc == CV_ERR_BUSY) {
        return;
    }
    if (rc != 0) {
        cv_session_fault(s, rc, "connecting: %s", cv_error_format(chain, sizeof(chain), &s->err));
        return;
    }
    cv_loop_timer_off(&s->timer);
    begin(s);
}

static void connected(struct cv_session *s)
{
    int e = 0;
    socklen_t n = sizeof(e);
    if (getsockopt(s->source.fd, SOL_SOCKET, SO_ERROR, &e, &n) != 0) {
        e = errno;
    }
    if (e != 0) {
        cv_session_fault(s, CV_ERR_IO, "connecting: %s", strerror(e));
        return;
    }
    if (s->addr.kind == CV_ADDR_VSOCK_UDS) {
        greet(s);
        return;
    }
    cv_loop_timer_off(&s->timer);
    begin(s);
}

bool cv_session_is_up(const struct cv_session *session)
{
    return session->state == UP;
}

bool cv_session_has_ids(const struct cv_session *session)
{
    return session->ids;
}

size_t cv_session_in_flight(const struct cv_session *session)
{
    return session->in_flight;
}

/* ---- events of the loop ---- */

/* Everything that was asked for in this turn of the loop goes out in one write. */
static int64_t before_wait(struct cv_loop_hook *hook)
{
    struct cv_session *s = CV_SESSION_OF(hook, flush);
    if ((s->state == DESCRIBING || s->state == UP) && s->out.n > s->sent &&
        (s->source.events & EPOLLOUT) == 0) {
        cv_session_flush(s);
        return s->state == DOWN ? 0 : CV_NO_DEADLINE;
    }
    return CV_NO_DEADLINE;
}

static void on_ready(struct cv_loop_source *source, uint32_t events)
{
    struct cv_session *s = CV_SESSION_OF(source, source);
    if (s->state == CONNECTING) {
        connected(s);
        return;
    }
    if (s->state == GREETING) {
        greeted(s);
        return;
    }
    if (events & EPOLLOUT) {
        cv_session_flush(s);
    }
    if (s->state != DOWN && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
        cv_session_input(s);
    }
}

static void on_timer(struct cv_loop_timer *timer)
{
    struct cv_session *s = CV_SESSION_OF(timer, timer);
    if (s->state == CONNECTING || s->state == GREETING) {
        cv_session_fault(s, CV_ERR_TIMEOUT, "no connection within %d ms", CV_SESSION_CONNECT_MS);
        return;
    }
    cv_session_expire(s);
}
