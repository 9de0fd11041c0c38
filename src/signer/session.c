/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/secret.h"
#include "rpc/frame.h"
#include "transport/vsock_uds.h"

#define SLOTS 2048                   /* a power of two, more than can be awaited */
#define WRITE_MAX (64 * 1024)        /* larger writes are slow on vsock */
#define OUT_MAX (64u * 1024 * 1024)  /* bytes queued for the peer */
#define DESCRIBE_MS 5000

enum state { DOWN, CONNECTING, GREETING, DESCRIBING, UP };

/* Who awaits the reply with an id: a call, or nobody any more. */
struct slot {
    uint64_t id;
    struct cv_call *call;
    bool abandoned;
};

struct cv_session {
    struct cv_loop *loop;
    struct cv_addr addr;
    char name[CV_ADDR_TEXT];
    struct cv_session_events events;
    enum state state;
    bool ids;
    bool dropping;
    struct cv_loop_source source;
    struct cv_vsock_uds_greeting greeting;
    struct cv_loop_timer timer; /* first deadline of a call, or of connecting */
    struct cv_loop_hook flush;
    struct cv_rpc_assembler in;
    struct cv_buf out;
    size_t sent;
    uint64_t next_id;
    struct slot slot[SLOTS];
    size_t abandoned;
    struct cv_call *first, *last; /* by deadline with ids, in order of sending without */
    size_t in_flight;
    int64_t last_reply;
    struct cv_call describe;
    struct cv_error err; /* of the present callback: too large for every stack */
};

#define SESSION_OF(member_ptr, member)                                                             \
    ((struct cv_session *)(void *)((char *)(member_ptr) - offsetof(struct cv_session, member)))

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

/* ---- the list of calls ---- */

static void list_add(struct cv_session *s, struct cv_call *c)
{
    struct cv_call *after = s->last;
    /* Nearly all have the same time to live, so the place is near the end. */
    while (s->ids && after != NULL && after->deadline > c->deadline) {
        after = after->prev;
    }
    c->prev = after;
    c->next = after != NULL ? after->next : s->first;
    if (c->next != NULL) {
        c->next->prev = c;
    } else {
        s->last = c;
    }
    if (after != NULL) {
        after->next = c;
    } else {
        s->first = c;
    }
    c->pending = true;
    s->in_flight++;
}

static void list_remove(struct cv_session *s, struct cv_call *c)
{
    if (c->prev != NULL) {
        c->prev->next = c->next;
    } else {
        s->first = c->next;
    }
    if (c->next != NULL) {
        c->next->prev = c->prev;
    } else {
        s->last = c->prev;
    }
    c->prev = c->next = NULL;
    c->pending = false;
    s->in_flight--;
}

static void finish(struct cv_session *s, struct cv_call *c, int code,
                   const struct cv_rpc_reply *reply, const struct cv_error *err)
{
    list_remove(s, c);
    c->done(c, code, reply, err);
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
        finish(s, s->first, code, NULL, why);
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

static CV_PRINTF(3, 4) void drop(struct cv_session *s, int code, const char *fmt, ...)
{
    char text[CV_ERROR_TEXT];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)cv_error_set(&s->err, code, "enclave %.110s: %.190s", s->name, text);
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
    struct cv_session *s = SESSION_OF(call, describe);
    struct cv_rpc_description d;
    if (code == CV_ERR_CLOSED || code == CV_ERR_CANCELLED) {
        return; /* the connection ends anyway */
    }
    if (code == CV_ERR_REMOTE) {
        struct cv_error remote;
        cv_error_clear(&remote);
        if (cv_rpc_reply_read_description(&d, reply, &remote) == CV_ERR_UNSUPPORTED) {
            s->state = UP;
            s->events.up(s->events.ctx, NULL);
            return;
        }
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
        drop(s, rc, "the connection could not be started");
    }
}

static void take_socket(struct cv_session *s, int fd, uint32_t events)
{
    s->source.fd = fd;
    cv_rpc_assembler_init(&s->in, CV_RPC_FRAME_MAX);
    if (cv_loop_add(s->loop, &s->source, events) != 0) {
        drop(s, CV_ERR_IO, "the socket could not be watched");
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
        drop(session, CV_ERR_IO, "no socket: %s", strerror(errno));
        return;
    }
    int rc = connect(fd, (struct sockaddr *)&sa, n);
    if (rc != 0 && errno != EINPROGRESS) {
        int e = errno;
        (void)close(fd);
        drop(session, CV_ERR_IO, "connecting: %s", strerror(e));
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
        drop(s, rc, "connecting through the vsock device");
    }
}

static void greeted(struct cv_session *s)
{
    char chain[CV_ERROR_TEXT * 2];
    cv_error_clear(&s->err);
    int rc = cv_vsock_uds_take(&s->greeting, s->source.fd, &s->err);
    if (rc == CV_ERR_BUSY) {
        return;
    }
    if (rc != 0) {
        drop(s, rc, "connecting: %s", cv_error_format(chain, sizeof(chain), &s->err));
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
        drop(s, CV_ERR_IO, "connecting: %s", strerror(e));
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

/* ---- sending ---- */

static void flush(struct cv_session *s)
{
    while (s->sent < s->out.n) {
        size_t left = s->out.n - s->sent;
        ssize_t n = send(s->source.fd, s->out.p + s->sent, left < WRITE_MAX ? left : WRITE_MAX,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            s->sent += (size_t)n;
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            break;
        } else {
            drop(s, CV_ERR_CLOSED, "sending: %s", strerror(errno));
            return;
        }
    }
    if (s->sent == s->out.n) {
        cv_buf_reset(&s->out); /* wiped: it may have held credentials */
        s->sent = 0;
    } else if (s->sent >= 1024 * 1024) {
        cv_buf_consume(&s->out, s->sent);
        s->sent = 0;
    }
    if (cv_loop_change(s->loop, &s->source, s->out.n > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN) != 0) {
        drop(s, CV_ERR_IO, "the socket could not be watched");
    }
}

/* Everything that was asked for in this turn of the loop goes out in one write. */
static int64_t before_wait(struct cv_loop_hook *hook)
{
    struct cv_session *s = SESSION_OF(hook, flush);
    if ((s->state == DESCRIBING || s->state == UP) && s->out.n > s->sent &&
        (s->source.events & EPOLLOUT) == 0) {
        flush(s);
        return s->state == DOWN ? 0 : CV_NO_DEADLINE;
    }
    return CV_NO_DEADLINE;
}

static void set_timer(struct cv_session *s)
{
    int64_t at = CV_NO_DEADLINE;
    if (s->ids) {
        at = s->first != NULL ? s->first->deadline : CV_NO_DEADLINE;
    } else {
        for (const struct cv_call *c = s->first; c != NULL; c = c->next) {
            at = c->deadline < at ? c->deadline : at;
        }
    }
    if (at != s->timer.at) {
        cv_loop_timer_set(&s->timer, at);
    }
}

/* The next id whose slot is free; there are more slots than awaited replies. */
static struct slot *new_slot(struct cv_session *s)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        uint64_t id = s->next_id++;
        struct slot *slot = &s->slot[id & (SLOTS - 1)];
        if (slot->call == NULL && !slot->abandoned) {
            slot->id = id;
            return slot;
        }
    }
    return NULL;
}

int cv_session_call(struct cv_session *session, struct cv_call *call, struct cv_rpc_request *request,
                    const uint8_t *digest, int64_t deadline, struct cv_error *err)
{
    struct slot *slot = NULL;
    if (session->dropping ||
        (session->state != UP && !(session->state == DESCRIBING && call == &session->describe))) {
        return cv_error_set(err, CV_ERR_STATE, "the enclave at %.200s is not connected",
                            session->name);
    }
    if (session->in_flight >= CV_SESSION_IN_FLIGHT) {
        return cv_error_set(err, CV_ERR_BUSY, "%d requests are in flight already",
                            CV_SESSION_IN_FLIGHT);
    }
    if (session->abandoned >= CV_SESSION_ABANDONED && cv_rpc_op_uses_kms(request->op)) {
        return cv_error_set(err, CV_ERR_BUSY, "KMS has not answered the last %d requests",
                            CV_SESSION_ABANDONED);
    }
    request->has_id = session->ids;
    if (session->ids) {
        slot = new_slot(session);
        if (slot == NULL) {
            return cv_error_set(err, CV_ERR_BUSY, "no request id is free");
        }
        request->id = slot->id;
    } else if (cv_rpc_op_is_extension(request->op) && request->op != CV_RPC_DESCRIBE) {
        return cv_error_set(err, CV_ERR_UNSUPPORTED, "this enclave does not know the request %s",
                            cv_rpc_op_name(request->op));
    }
    int rc = cv_rpc_request_encode(&session->out, request);
    if (rc != 0) {
        return cv_error_set(err, rc, "the request %s is too large, or there is no memory for it",
                            cv_rpc_op_name(request->op));
    }
    call->id = request->id;
    call->deadline = deadline;
    call->sent_at = cv_loop_now(session->loop);
    call->op = request->op;
    call->handle = request->handle;
    if (digest != NULL) {
        memcpy(call->digest, digest, sizeof(call->digest));
    }
    if (slot != NULL) {
        slot->call = call;
    }
    list_add(session, call);
    if (deadline < session->timer.at) {
        cv_loop_timer_set(&session->timer, deadline);
    }
    return 0;
}

/* ---- replies ---- */

static bool names_handle(enum cv_rpc_op op)
{
    return op == CV_RPC_SIGN || op == CV_RPC_PUBLIC_KEY || op == CV_RPC_PROVE_POSSESSION ||
           op == CV_RPC_ATTEST;
}

/* An Ok of our enclave says which key and which bytes it is about. */
static bool echo_fits(const struct cv_call *c, const struct cv_rpc_reply *reply)
{
    const struct cv_rpc_echo *e = &reply->echo;
    if (!reply->ok) {
        return true;
    }
    if (names_handle(c->op) && (!e->has_handle || e->handle != c->handle)) {
        return false;
    }
    return c->op != CV_RPC_SIGN ||
           (e->has_digest && memcmp(e->digest, c->digest, sizeof(c->digest)) == 0);
}

/* The call that REPLY answers; NULL with *DROPPED false when it answers none,
 * and with *DROPPED true when it is the late reply to an abandoned one. */
static struct cv_call *find_call(struct cv_session *s, const struct cv_rpc_reply *reply,
                                 bool *dropped)
{
    *dropped = false;
    if (!s->ids) {
        return reply->echo.has_id ? NULL : s->first;
    }
    if (!reply->echo.has_id) {
        return NULL;
    }
    struct slot *slot = &s->slot[reply->echo.id & (SLOTS - 1)];
    if (slot->id != reply->echo.id) {
        return NULL;
    }
    struct cv_call *c = slot->call;
    if (slot->abandoned) {
        slot->abandoned = false;
        s->abandoned--;
        *dropped = true;
    }
    slot->call = NULL;
    return c;
}

static void on_frame(struct cv_session *s, struct cv_bytes body)
{
    struct cv_rpc_reply reply;
    bool dropped;
    cv_error_clear(&s->err);
    if (cv_rpc_reply_open(&reply, body, &s->err) != 0) {
        char text[CV_ERROR_TEXT];
        (void)snprintf(text, sizeof(text), "%s", cv_error_top(&s->err));
        drop(s, CV_ERR_PROTOCOL, "a reply that is none: %s", text);
        return;
    }
    s->last_reply = cv_loop_now(s->loop);
    struct cv_call *c = find_call(s, &reply, &dropped);
    if (c == NULL) {
        if (!dropped) {
            drop(s, CV_ERR_PROTOCOL, "a reply to a request that is not awaited");
        }
        return;
    }
    if (s->ids && !echo_fits(c, &reply)) {
        /* The call is still in the list, so dropping tells it. */
        drop(s, CV_ERR_PROTOCOL, "a reply to %s that is about another key or message",
             cv_rpc_op_name(c->op));
        return;
    }
    if (!reply.ok) {
        /* Reads the chain of the enclave's error. */
        int rc = cv_rpc_reply_read_null(&reply, &s->err);
        finish(s, c, rc, &reply, &s->err);
        return;
    }
    finish(s, c, 0, &reply, NULL);
}

static void on_input(struct cv_session *s)
{
    size_t room = WRITE_MAX;
    uint8_t *p = cv_rpc_assembler_room(&s->in, &room);
    if (p == NULL) {
        drop(s, CV_ERR_NOMEM, "no memory for a reply");
        return;
    }
    ssize_t n = recv(s->source.fd, p, room, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        return;
    }
    if (n < 0) {
        drop(s, CV_ERR_CLOSED, "receiving: %s", strerror(errno));
        return;
    }
    if (n == 0) {
        drop(s, CV_ERR_CLOSED, "the enclave closed the connection%s",
             cv_rpc_assembler_partial(&s->in) ? " in the middle of a reply" : "");
        return;
    }
    cv_rpc_assembler_fed(&s->in, (size_t)n);
    while (s->state != DOWN) {
        uint8_t *body;
        size_t size;
        int rc = cv_rpc_assembler_next(&s->in, &body, &size);
        if (rc == 0) {
            break;
        }
        if (rc < 0) {
            drop(s, CV_ERR_PROTOCOL, "a reply longer than %u bytes", CV_RPC_FRAME_MAX);
            return;
        }
        on_frame(s, CV_BYTES(body, size));
    }
    if (s->state != DOWN) {
        set_timer(s);
    }
}

static void on_ready(struct cv_loop_source *source, uint32_t events)
{
    struct cv_session *s = SESSION_OF(source, source);
    if (s->state == CONNECTING) {
        connected(s);
        return;
    }
    if (s->state == GREETING) {
        greeted(s);
        return;
    }
    if (events & EPOLLOUT) {
        flush(s);
    }
    if (s->state != DOWN && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
        on_input(s);
    }
}

/* ---- time-outs ---- */

static void abandon(struct cv_session *s, struct cv_call *c)
{
    struct slot *slot = &s->slot[c->id & (SLOTS - 1)];
    slot->call = NULL;
    slot->abandoned = true;
    s->abandoned++;
    cv_error_clear(&s->err);
    (void)cv_error_set(&s->err, CV_ERR_TIMEOUT, "enclave %.200s: no reply to %s in time", s->name,
                       cv_rpc_op_name(c->op));
    finish(s, c, CV_ERR_TIMEOUT, NULL, &s->err);
}

static void on_timer(struct cv_loop_timer *timer)
{
    struct cv_session *s = SESSION_OF(timer, timer);
    int64_t now = cv_now_ms();
    if (s->state == CONNECTING || s->state == GREETING) {
        drop(s, CV_ERR_TIMEOUT, "no connection within %d ms", CV_SESSION_CONNECT_MS);
        return;
    }
    if (!s->ids) {
        for (const struct cv_call *c = s->first; c != NULL; c = c->next) {
            if (c->deadline <= now) {
                /* Which reply comes next cannot be known any more. */
                drop(s, CV_ERR_TIMEOUT, "no reply to %s in time", cv_rpc_op_name(c->op));
                return;
            }
        }
    }
    while (s->state != DOWN && s->first != NULL && s->first->deadline <= now) {
        struct cv_call *c = s->first;
        if (!cv_rpc_op_uses_kms(c->op) &&
            (s->last_reply < c->sent_at || s->abandoned >= CV_SESSION_ABANDONED)) {
            /* Not one reply since it was sent: the peer is stuck. (Where KMS is
             * slow the peer need not be: signing must not suffer from it.) */
            drop(s, CV_ERR_TIMEOUT, "no reply to %s in time, nor to anything since",
                 cv_rpc_op_name(c->op));
            return;
        }
        abandon(s, c);
    }
    if (s->state != DOWN) {
        set_timer(s);
    }
}
