/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a signing worker does, and its small cache of keys made ready to sign.
 * Making a key ready derives its public key, which must be the one that was
 * told for it: so no key signs whose blob named another public key.
 */
#ifndef CV_ENCLAVE_SIGNER_H
#define CV_ENCLAVE_SIGNER_H

#include "enclave/enclave.h"
#include "enclave/job.h"

struct cv_signer;

/* SELF_CHECK: sign twice and compare. */
int cv_signer_new(struct cv_signer **out, bool self_check) CV_NODISCARD;
void cv_signer_free(struct cv_signer *signer);
/* Forgets what it holds of a session. Any thread. */
void cv_signer_purge(struct cv_signer *signer, uint32_t session);

/* Steps of jobs (struct cv_job, run). */
void cv_signer_sign(struct cv_job *job, struct cv_signer *signer);
void cv_signer_prove(struct cv_job *job, struct cv_signer *signer);
/* Opens the version 2 blob of the request with the job's data key. */
void cv_signer_open(struct cv_job *job, struct cv_signer *signer);
/* Seals the job's key under the job's data key: out gets the blob. */
void cv_signer_seal(struct cv_job *job, struct cv_signer *signer);

/* KEY made ready, its public key compared: on a failure the job's error is set
 * and false returned. The caller frees READY. */
bool cv_key_ready(struct cv_signing_key *ready, const struct cv_key *key, struct cv_job *job);

#endif
