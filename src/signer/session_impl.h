/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a session, shared by session.c and session_calls.c alone. */
#ifndef CV_SIGNER_SESSION_IMPL_H
#define CV_SIGNER_SESSION_IMPL_H

#include "rpc/frame.h"
#include "signer/session.h"
#include "transport/vsock_uds.h"

#define CV_SESSION_SLOTS 8192 /* a power of two, more than can be awaited */

enum cv_session_state { DOWN, CONNECTING, GREETING, DESCRIBING, UP };

/* Who awaits the reply with an id: a call, or nobody any more. */
struct cv_session_slot {
    uint64_t id;
    struct cv_call *call;
    bool abandoned;
};

struct cv_session {
    struct cv_loop *loop;
    struct cv_addr addr;
    char name[CV_ADDR_TEXT];
    struct cv_session_events events;
    enum cv_session_state state;
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
    struct cv_session_slot slot[CV_SESSION_SLOTS];
    size_t abandoned;
    struct cv_call *first, *last; /* by deadline with ids, in order of sending without */
    size_t in_flight;
    int64_t last_reply;
    struct cv_call describe;
    struct cv_error err; /* of the present callback: too large for every stack */
};

#define CV_SESSION_OF(member_ptr, member) \
    ((struct cv_session *)(void *)((char *)(member_ptr)-offsetof(struct cv_session, member)))

/* Ends the connection; the text says why. */
void cv_session_fault(struct cv_session *s, int code, const char *fmt, ...) CV_PRINTF(3, 4);

/* ---- session_calls.c ---- */

/* Takes the call out of the list, and tells it. */
void cv_session_finish(struct cv_session *s, struct cv_call *c, int code,
                       const struct cv_rpc_reply *reply, const struct cv_error *err);
void cv_session_flush(struct cv_session *s);
/* Reads what is there, and gives the replies in it to their calls. */
void cv_session_input(struct cv_session *s);
/* Calls whose time is over. */
void cv_session_expire(struct cv_session *s);

#endif
