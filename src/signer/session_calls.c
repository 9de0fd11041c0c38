/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of a session: sent, answered, timed out. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "signer/session_impl.h"

#define WRITE_MAX (64 * 1024) /* larger writes are slow on vsock */

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

void cv_session_finish(struct cv_session *s, struct cv_call *c, int code,
                       const struct cv_rpc_reply *reply, const struct cv_error *err)
{
    list_remove(s, c);
    if (s->events.kms != NULL && cv_rpc_op_uses_kms(c->op)) {
        s->events.kms(s->events.ctx, c->op, code == 0);
    }
    c->done(c, code, reply, err);
}

/* ---- sending ---- */

void cv_session_flush(struct cv_session *s)
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
            cv_session_fault(s, CV_ERR_CLOSED, "sending: %s", strerror(errno));
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
        cv_session_fault(s, CV_ERR_IO, "the socket could not be watched");
    }
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
static struct cv_session_slot *new_slot(struct cv_session *s)
{
    for (unsigned i = 0; i < CV_SESSION_SLOTS; i++) {
        uint64_t id = s->next_id++;
        struct cv_session_slot *slot = &s->slot[id & (CV_SESSION_SLOTS - 1)];
        if (slot->call == NULL && !slot->abandoned) {
            slot->id = id;
            return slot;
        }
    }
    return NULL;
}

int cv_session_call(struct cv_session *session, struct cv_call *call,
                    struct cv_rpc_request *request, const uint8_t *digest, int64_t deadline,
                    struct cv_error *err)
{
    struct cv_session_slot *slot = NULL;
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
    struct cv_session_slot *slot = &s->slot[reply->echo.id & (CV_SESSION_SLOTS - 1)];
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
        cv_session_fault(s, CV_ERR_PROTOCOL, "a reply that is none: %s", text);
        return;
    }
    s->last_reply = cv_loop_now(s->loop);
    struct cv_call *c = find_call(s, &reply, &dropped);
    if (c == NULL) {
        if (!dropped) {
            cv_session_fault(s, CV_ERR_PROTOCOL, "a reply to a request that is not awaited");
        }
        return;
    }
    if (s->ids && !echo_fits(c, &reply)) {
        /* The call is still in the list, so dropping tells it. */
        cv_session_fault(s, CV_ERR_PROTOCOL, "a reply to %s that is about another key or message",
                         cv_rpc_op_name(c->op));
        return;
    }
    if (!reply.ok) {
        /* Reads the chain of the enclave's error. */
        int rc = cv_rpc_reply_read_null(&reply, &s->err);
        cv_session_finish(s, c, rc, &reply, &s->err);
        return;
    }
    cv_session_finish(s, c, 0, &reply, NULL);
}

void cv_session_input(struct cv_session *s)
{
    size_t room = WRITE_MAX;
    uint8_t *p = cv_rpc_assembler_room(&s->in, &room);
    if (p == NULL) {
        cv_session_fault(s, CV_ERR_NOMEM, "no memory for a reply");
        return;
    }
    ssize_t n = recv(s->source.fd, p, room, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        return;
    }
    if (n < 0) {
        cv_session_fault(s, CV_ERR_CLOSED, "receiving: %s", strerror(errno));
        return;
    }
    if (n == 0) {
        cv_session_fault(s, CV_ERR_CLOSED, "the enclave closed the connection%s",
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
            cv_session_fault(s, CV_ERR_PROTOCOL, "a reply longer than %u bytes", CV_RPC_FRAME_MAX);
            return;
        }
        on_frame(s, CV_BYTES(body, size));
    }
    if (s->state != DOWN) {
        set_timer(s);
    }
}

/* ---- time-outs ---- */

static void abandon(struct cv_session *s, struct cv_call *c)
{
    struct cv_session_slot *slot = &s->slot[c->id & (CV_SESSION_SLOTS - 1)];
    slot->call = NULL;
    slot->abandoned = true;
    s->abandoned++;
    cv_error_clear(&s->err);
    (void)cv_error_set(&s->err, CV_ERR_TIMEOUT, "enclave %.200s: no reply to %s in time", s->name,
                       cv_rpc_op_name(c->op));
    cv_session_finish(s, c, CV_ERR_TIMEOUT, NULL, &s->err);
}

void cv_session_expire(struct cv_session *s)
{
    int64_t now = cv_now_ms();
    if (!s->ids) {
        for (const struct cv_call *c = s->first; c != NULL; c = c->next) {
            if (c->deadline <= now) {
                /* Which reply comes next cannot be known any more. */
                cv_session_fault(s, CV_ERR_TIMEOUT, "no reply to %s in time",
                                 cv_rpc_op_name(c->op));
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
            cv_session_fault(s, CV_ERR_TIMEOUT, "no reply to %s in time, nor to anything since",
                             cv_rpc_op_name(c->op));
            return;
        }
        abandon(s, c);
    }
    if (s->state != DOWN) {
        set_timer(s);
    }
}
