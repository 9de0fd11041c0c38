/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of jobs that talk to KMS or to the NSM: run on the KMS threads. */
#ifndef CV_ENCLAVE_KMSWORK_H
#define CV_ENCLAVE_KMSWORK_H

#include "enclave/enclave.h"
#include "enclave/job.h"

/* Opens the version 1 blob of the request: the job gets its key. */
void cv_work_open_v1(struct cv_job *job, struct cv_signer *unused);
/* Makes the job's key unless it has one (Generate…, ImportUnencrypted,
 * ImportSealed), and
 * seals it: version 1 under job->cmk, version 2 under the job's data key. */
void cv_work_seal(struct cv_job *job, struct cv_signer *unused);
/* Of an internal job: fetches the data key of job->datakey. The job's key gets
 * it, and for a key that seals out gets a struct cv_wrapped. */
void cv_work_fetch(struct cv_job *job, struct cv_signer *unused);
/* Makes a key pair for one import, the job's key, and a document about it. */
void cv_work_offer(struct cv_job *job, struct cv_signer *unused);
/* A document about the job's key into out. */
void cv_work_attest(struct cv_job *job, struct cv_signer *unused);

#endif
