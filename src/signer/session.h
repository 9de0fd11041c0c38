/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session: one connection to one enclave, many requests in flight on it.
 *
 * After connecting it asks Describe. An enclave of ours answers, and from then
 * on every request carries an id that is never repeated: replies may come in
 * any order, a request that timed out is abandoned and its late reply dropped.
 * An original enclave knows neither; it is driven by in-order pipelining, and
 * since its replies carry nothing to tell them apart, any time-out ends the
 * connection (docs/protocol/enclave-rpc.md).
 *
 * Nobody ever gets another caller's reply: an id that is not awaited, an echo
 * that names another handle or digest, a reply out of step ends the connection.
 *
 * Belongs to the loop thread.
 */
#ifndef CV_SIGNER_SESSION_H
#define CV_SIGNER_SESSION_H

#include "rpc/reply.h"
#include "rpc/request.h"
#include "signer/loop.h"
#include "transport/addr.h"

#define CV_SESSION_CONNECT_MS 5000
#define CV_SESSION_IN_FLIGHT 4096 /* requests awaited; then CV_ERR_BUSY */
#define CV_SESSION_ABANDONED 256  /* late replies awaited; then the peer is dead */

struct cv_session;

/* A request in flight. Embedded in what the caller keeps for it, which must
 * live until DONE was called. */
struct cv_call {
    /* CODE 0: REPLY holds an Ok value (and its views are good until DONE
     * returns). CV_ERR_REMOTE: the enclave's error, its chain in ERR.
     * CV_ERR_TIMEOUT, CV_ERR_CLOSED, CV_ERR_PROTOCOL, CV_ERR_CANCELLED: no
     * reply, REPLY is NULL; whether the enclave acted is not known. */
    void (*done)(struct cv_call *call, int code, const struct cv_rpc_reply *reply,
                 const struct cv_error *err);
    /* the session's */
    bool pending;
    uint64_t id;
    int64_t deadline;
    int64_t sent_at;
    enum cv_rpc_op op;
    uint64_t handle;
    uint8_t digest[CV_RPC_DIGEST_LEN];
    struct cv_call *prev, *next;
};

struct cv_session_events {
    /* Connected and described; D is NULL for an original enclave. Views of D
     * are good until it returns. */
    void (*up)(void *ctx, const struct cv_rpc_description *d);
    /* The connection is gone (or could not be made), for the reason given;
     * every call has been told before. cv_session_connect() may be called. */
    void (*down)(void *ctx, const struct cv_error *why);
    void *ctx;
    /* A request for which the enclave may have to ask KMS is over. May be NULL. */
    void (*kms)(void *ctx, enum cv_rpc_op op, bool good);
};

int cv_session_new(struct cv_session **out, struct cv_loop *loop, const struct cv_addr *addr,
                   const struct cv_session_events *events, struct cv_error *err) CV_NODISCARD;
/* Ends the calls in flight with CV_ERR_CANCELLED and frees; `down` is not
 * called. Harmless on NULL. Not from within a callback of the session. */
void cv_session_free(struct cv_session **session);

/* Starts to connect; what becomes of it comes by `up` or `down`, also when it
 * fails at once. Does nothing on a session that is not down. */
void cv_session_connect(struct cv_session *session);
/* Where the next connection goes: an enclave that starts anew has another CID. */
void cv_session_set_cid(struct cv_session *session, uint32_t cid);
/* The same place as OTHER's. */
void cv_session_follow(struct cv_session *session, const struct cv_session *other);
/* Who hears of it from now on. */
void cv_session_set_events(struct cv_session *session, const struct cv_session_events *events);
/* Takes a connected socket (a test's) instead of connecting; owns FD. */
void cv_session_adopt(struct cv_session *session, int fd);
/* Ends the connection, for the reason in WHY. */
void cv_session_drop(struct cv_session *session, const struct cv_error *why);

bool cv_session_is_up(const struct cv_session *session);
/* True when the peer knows ids, so that replies cannot be mixed up. */
bool cv_session_has_ids(const struct cv_session *session);
size_t cv_session_in_flight(const struct cv_session *session);

/*
 * Sends REQUEST (whose id the session sets) and calls CALL->done when it is
 * over, never from within this function. DIGEST is BLAKE2b-256 of the message
 * of a Sign, else NULL. Views of REQUEST are used up on return. CV_ERR_STATE
 * when the session is down, CV_ERR_BUSY when too many are in flight,
 * CV_ERR_LIMIT for a message too large, CV_ERR_NOMEM: DONE is not called then.
 */
int cv_session_call(struct cv_session *session, struct cv_call *call,
                    struct cv_rpc_request *request, const uint8_t *digest, int64_t deadline,
                    struct cv_error *err) CV_NODISCARD;

#endif
