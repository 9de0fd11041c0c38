/* SPDX-License-Identifier: Apache-2.0 */
/* What each request does, as steps of its job. On the I/O thread. */
#ifndef CV_ENCLAVE_REQUESTS_H
#define CV_ENCLAVE_REQUESTS_H

#include "enclave/enclave.h"
#include "enclave/job.h"

/* Decodes the job's body: req and echo, or a failure to be told. */
void cv_request_decode(struct cv_job *job);
/* Starts the work, or answers at once. */
void cv_request_begin(struct cv_job *job);
/* Encodes the reply of a job that has come to its end, and lets it go. */
void cv_request_finish(struct cv_job *job);

/* The answer to Describe. */
int cv_describe(struct cv_buf *out, const struct cv_rpc_echo *echo, const struct cv_enclave *e);
/* Initialize and Renew; the job's error is set when they refuse. */
void cv_initialize(struct cv_job *job);
void cv_renew(struct cv_job *job);

#endif
