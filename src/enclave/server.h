/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads: one for I/O, which owns the sessions; a signer for each
 * processor; two for KMS. Signing never waits for KMS, and no session for
 * another.
 */
#ifndef CV_ENCLAVE_SERVER_H
#define CV_ENCLAVE_SERVER_H

#include "enclave/enclave.h"
#include "enclave/job.h"

#define CV_SERVER_KMS_THREADS 2

struct cv_server;

/* Listens on e->listen and serves until SIGTERM or SIGINT. 0 after a signal. */
int cv_server_run(const struct cv_enclave *e, struct cv_error *err) CV_NODISCARD;

/* For sessions, on the I/O thread. */
void cv_server_sign(struct cv_server *server, struct cv_job *job);
void cv_server_kms(struct cv_server *server, struct cv_job *job);
/* Frees the jobs of a session that no worker has begun. */
void cv_server_forget_jobs(struct cv_server *server, struct cv_session *session);
/* Workers forget the keys of session NUMBER. */
void cv_server_forget_keys(struct cv_server *server, uint32_t number);

#endif
