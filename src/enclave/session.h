/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection: {not initialised | KMS client and keychain}. Everything of it
 * belongs to the I/O thread, but what the comment of a field says workers read.
 */
#ifndef CV_ENCLAVE_SESSION_H
#define CV_ENCLAVE_SESSION_H

#include "aws/kms.h"
#include "common/clock.h"
#include "enclave/datakey.h"
#include "enclave/enclave.h"
#include "enclave/job.h"
#include "rpc/frame.h"

struct cv_server;

#define CV_SESSION_CMKS 32                 /* ARNs that keys of one session lie under */
#define CV_SESSION_BYTES_MAX (2u << 20)    /* of requests in flight; then reading stops */
#define CV_SESSION_OUT_PAUSE (256u * 1024) /* unread replies; then reading stops */
#define CV_SESSION_OUT_MAX (4u << 20)      /* never reached by a session that pauses */
#define CV_SESSION_STALL_MS 30000          /* a frame, or our writing, without progress */
#define CV_SESSION_OFFER_MS 300000         /* life of an ImportOffer */
#define CV_SESSION_IDLE_MS 300000          /* a connection that does not initialise */

struct cv_session {
    const struct cv_enclave *enclave; /* workers */
    struct cv_server *server;
    uint32_t number; /* workers; never used twice */
    unsigned lane;   /* its place in the table, and in the queues */

    /* the connection */
    int fd; /* -1 when closed */
    struct cv_rpc_assembler in;
    struct cv_buf out;
    size_t out_sent;    /* of out, already written */
    bool eof;           /* the peer sends no more */
    bool closing;       /* close once out is written */
    bool dead;          /* closed; waits for its jobs */
    uint32_t interest;  /* of epoll */
    int64_t read_stall; /* deadlines of the monotonic clock */
    int64_t write_stall;
    int64_t idle;

    /* the protocol */
    bool extended; /* Describe was sent */
    bool initialised;
    struct cv_kms *kms; /* workers */
    struct cv_aws_provider *provider;
    char key_id[CV_KMS_KEY_ID_MAX + 1]; /* workers: the CMK as KMS is told */
    char region[CV_REGION_MAX];
    unsigned sealed_version; /* 1 or 2 */

    /* the keychain */
    struct cv_key **keys;
    size_t key_count, key_cap;
    char *cmks[CV_SESSION_CMKS];
    unsigned cmk_count;
    struct cv_datakeys datakeys;
    struct cv_key *offer; /* the last ImportOffer, good for one ImportSealed */
    int64_t offer_until;

    /* requests */
    unsigned jobs;      /* that exist: queued, running, waiting, held */
    unsigned in_flight; /* of them, begun and not answered */
    size_t in_flight_bytes;
    struct cv_job *held; /* decoded, waits until it may begin */
    bool barrier;        /* a request without id is in flight */
};

/* Takes FD over (also when this fails: NULL). */
struct cv_session *cv_session_new(struct cv_server *server, const struct cv_enclave *enclave,
                                  int fd, uint32_t number, unsigned lane);
/* Closes the connection and forgets what was not begun. What is running is
 * waited for: see cv_session_gone(). */
void cv_session_close(struct cv_session *s);
/* Closed and without jobs: it can be freed. */
bool cv_session_gone(const struct cv_session *s);
void cv_session_free(struct cv_session *s);

/* The socket is readable, or writable. */
void cv_session_readable(struct cv_session *s);
void cv_session_writable(struct cv_session *s);
/* Begins the requests that may begin, writes what can be written, and closes
 * what has ended. To be called after anything happened to a session. */
void cv_session_settle(struct cv_session *s);
/* What epoll is to wait for. */
uint32_t cv_session_interest(const struct cv_session *s);
/* The next moment at which something is too late; CV_NO_DEADLINE. */
int64_t cv_session_deadline(const struct cv_session *s);
/* Closes the session when its deadline passed. */
void cv_session_check_time(struct cv_session *s, int64_t now);

/* The job's reply was appended to out (or it failed, when RC is not 0): frees
 * the job. */
void cv_session_answered(struct cv_job *job, int rc);
/* An internal job has ended. */
void cv_session_job_over(struct cv_job *job);

#endif
