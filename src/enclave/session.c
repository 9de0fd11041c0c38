/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "enclave/requests.h"
#include "enclave/server.h"

#define READ_CHUNK 65536  /* bytes read at a time, so that sessions take turns */
#define WRITE_CHUNK 65536 /* a vsock slows down with larger writes */

struct cv_session *cv_session_new(struct cv_server *server, const struct cv_enclave *enclave,
                                  int fd, uint32_t number, unsigned lane)
{
    struct cv_session *s = calloc(1, sizeof *s);
    if (s == NULL) {
        close(fd);
        return NULL;
    }
    s->server = server;
    s->enclave = enclave;
    s->number = number;
    s->lane = lane;
    s->fd = fd;
    s->sealed_version = 2;
    cv_rpc_assembler_init(&s->in, CV_RPC_FRAME_MAX_EARLY);
    cv_buf_init(&s->out, CV_SESSION_OUT_MAX);
    s->read_stall = s->write_stall = CV_NO_DEADLINE;
    s->idle = cv_deadline(CV_SESSION_IDLE_MS);
    return s;
}

void cv_session_close(struct cv_session *s)
{
    if (s->dead)
        return;
    s->dead = true;
    close(s->fd);
    s->fd = -1;
    cv_rpc_assembler_free(&s->in);
    cv_buf_free(&s->out);
    if (s->held != NULL) {
        cv_job_free(s->held);
        s->held = NULL;
        s->jobs--;
    }
    cv_server_forget_jobs(s->server, s);
}

bool cv_session_gone(const struct cv_session *s)
{
    return s->dead && s->jobs == 0;
}

void cv_session_free(struct cv_session *s)
{
    cv_server_forget_keys(s->server, s->number);
    for (size_t i = 0; i < s->key_count; i++)
        cv_key_free(s->keys[i]);
    free(s->keys);
    cv_datakeys_free(&s->datakeys);
    cv_key_free(s->offer);
    for (unsigned i = 0; i < s->cmk_count; i++)
        free(s->cmks[i]);
    cv_kms_free(&s->kms);
    cv_aws_provider_free(&s->provider);
    free(s);
}

/* ---- reading ---- */

/* Requests may not begin, or not even be read, while too much is unanswered. */
static bool full(const struct cv_session *s)
{
    return s->in_flight >= CV_RPC_IN_FLIGHT_MAX || s->in_flight_bytes >= CV_SESSION_BYTES_MAX ||
           s->out.n - s->out_sent >= CV_SESSION_OUT_PAUSE;
}

static bool reading(const struct cv_session *s)
{
    return !s->eof && !s->closing && s->held == NULL && !s->barrier && !full(s);
}

void cv_session_readable(struct cv_session *s)
{
    if (s->dead || !reading(s))
        return;
    size_t n = READ_CHUNK;
    uint8_t *p = cv_rpc_assembler_room(&s->in, &n);
    if (p == NULL)
        return;
    ssize_t got = recv(s->fd, p, n, MSG_DONTWAIT);
    if (got > 0) {
        cv_rpc_assembler_fed(&s->in, (size_t)got);
        s->read_stall = CV_NO_DEADLINE; /* there is progress */
        return;
    }
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (got < 0)
        cv_session_close(s);
    else
        s->eof = true; /* what was asked is still answered */
}

/* ---- writing ---- */

static void flush(struct cv_session *s)
{
    while (!s->dead && s->out_sent < s->out.n) {
        size_t n = s->out.n - s->out_sent;
        ssize_t sent = send(s->fd, s->out.p + s->out_sent, n > WRITE_CHUNK ? WRITE_CHUNK : n,
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            if (s->write_stall == CV_NO_DEADLINE)
                s->write_stall = cv_deadline(CV_SESSION_STALL_MS);
            return;
        }
        if (sent < 0) {
            cv_session_close(s);
            return;
        }
        s->out_sent += (size_t)sent;
        s->write_stall = CV_NO_DEADLINE;
    }
    if (!s->dead && s->out.n > 0) {
        /* Replies hold nothing secret, so the buffer need not be wiped. */
        s->out.n = 0;
        s->out_sent = 0;
    }
}

void cv_session_writable(struct cv_session *s)
{
    if (!s->dead)
        flush(s);
}

/* ---- requests ---- */

/* The request without id waits until all others are answered; the others wait
 * until it is answered. */
static bool may_begin(const struct cv_session *s, const struct cv_job *job)
{
    return !s->barrier && (!job->barrier || s->in_flight == 0);
}

static void begin(struct cv_session *s, struct cv_job *job)
{
    s->in_flight++;
    s->in_flight_bytes += job->body_n;
    s->barrier = job->barrier;
    cv_request_begin(job);
}

static void refuse_frame(struct cv_session *s)
{
    if (cv_rpc_reply_err_text(&s->out, NULL,
                              s->initialised
                                  ? "frame too long: at most 1048576 bytes"
                                  : "frame too long: at most 65536 bytes before Initialize") != 0)
        cv_session_close(s);
    s->closing = true;
}

/* One frame, when there is one and it may be looked at. */
static bool next_request(struct cv_session *s)
{
    uint8_t *body;
    size_t n;
    if (s->dead || s->closing || s->held != NULL || s->barrier || full(s))
        return false;
    int rc = cv_rpc_assembler_next(&s->in, &body, &n);
    if (rc < 0 && s->in_flight == 0)
        refuse_frame(s); /* after the replies to what came before it */
    if (rc <= 0)
        return false;
    struct cv_job *job = cv_job_new(s, body, n);
    cv_wipe(body, n);
    if (job == NULL) {
        cv_session_close(s);
        return false;
    }
    s->jobs++;
    cv_request_decode(job);
    if (may_begin(s, job))
        begin(s, job);
    else
        s->held = job;
    return true;
}

static void begin_held(struct cv_session *s)
{
    if (s->dead || s->held == NULL || !may_begin(s, s->held))
        return;
    struct cv_job *job = s->held;
    s->held = NULL;
    begin(s, job);
}

void cv_session_answered(struct cv_job *job, int rc)
{
    struct cv_session *s = job->session;
    s->in_flight--;
    s->in_flight_bytes -= job->body_n;
    if (job->barrier)
        s->barrier = false;
    cv_session_job_over(job);
    if (rc != 0 && !s->dead)
        cv_session_close(s); /* no memory for a reply: the peer would wait for ever */
}

void cv_session_job_over(struct cv_job *job)
{
    cv_datakey_release(job);
    job->session->jobs--;
    cv_job_free(job);
}

void cv_session_settle(struct cv_session *s)
{
    do
        begin_held(s);
    while (next_request(s));
    if (s->dead)
        return;
    flush(s);
    bool idle = s->in_flight == 0 && s->held == NULL && s->out.n == 0;
    if (!s->dead && idle && (s->closing || (s->eof && !s->barrier)))
        cv_session_close(s);
    if (s->dead)
        return;
    if (!cv_rpc_assembler_partial(&s->in) || !reading(s))
        s->read_stall = CV_NO_DEADLINE;
    else if (s->read_stall == CV_NO_DEADLINE)
        s->read_stall = cv_deadline(CV_SESSION_STALL_MS);
}

uint32_t cv_session_interest(const struct cv_session *s)
{
    uint32_t events = 0;
    if (reading(s))
        events |= EPOLLIN;
    if (s->out_sent < s->out.n)
        events |= EPOLLOUT;
    return events;
}

int64_t cv_session_deadline(const struct cv_session *s)
{
    int64_t first = s->read_stall < s->write_stall ? s->read_stall : s->write_stall;
    if (s->dead)
        return CV_NO_DEADLINE;
    return !s->initialised && s->idle < first ? s->idle : first;
}

void cv_session_check_time(struct cv_session *s, int64_t now)
{
    if (s->dead || now < cv_session_deadline(s))
        return;
    cv_log(CV_LOG_WARN, "connection dropped: it made no progress", "session",
           cv_logf("%u", (unsigned)s->number), NULL);
    cv_session_close(s);
}
