/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request on its way: decoded by the I/O thread, run in one or more steps by
 * workers, answered by the I/O thread. Only one thread has it at a time.
 */
#ifndef CV_ENCLAVE_JOB_H
#define CV_ENCLAVE_JOB_H

#include "enclave/arena.h"
#include "rpc/reply.h"
#include "rpc/request.h"
#include "sealed/key.h"

struct cv_session;
struct cv_signer;
struct cv_datakey;

struct cv_job {
    struct cv_job *next;
    struct cv_session *session;
    /* The step: RUN on a worker (SIGNER is NULL on a KMS thread), then THEN on
     * the I/O thread. */
    void (*run)(struct cv_job *job, struct cv_signer *signer);
    void (*then)(struct cv_job *job);

    struct cv_rpc_request req; /* views into body */
    struct cv_rpc_echo echo;
    bool barrier;            /* no id: nothing else of its session runs meanwhile */
    bool internal;           /* fetches a data key; has no reply */
    unsigned sealed_version; /* to write */

    int rc;               /* of the steps so far */
    struct cv_error *err; /* when rc is not 0 */
    struct cv_key *key;   /* the key worked with */
    bool key_owned;       /* and to be freed with the job */
    struct cv_key *offer; /* ImportSealed: what it was sealed to; freed with the job */
    struct cv_datakey *datakey;
    struct cv_signature signature;
    struct cv_buf out;               /* a new blob, or a document */
    char cmk[CV_SEALED_ARN_MAX + 1]; /* the key's: to name to KMS, then as KMS named it */

    size_t body_n;
    uint8_t body[]; /* the request's bytes: may hold secrets, wiped */
};

/* With a copy of N bytes of a frame. NULL when memory is out. */
struct cv_job *cv_job_new(struct cv_session *session, const uint8_t *body, size_t n);
/* Wipes and frees, with the key when it is owned. */
void cv_job_free(struct cv_job *job);

/* Where the job keeps its error; made at the first use. Never NULL. */
struct cv_error *cv_job_error(struct cv_job *job);
/* Notes CODE and the chain OUTER → INNER (INNER NULL: only OUTER). */
void cv_job_fail(struct cv_job *job, int code, const char *outer, const char *inner);
/* Copies the failure of FROM. */
void cv_job_fail_as(struct cv_job *job, const struct cv_job *from);

#endif
