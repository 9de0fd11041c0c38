/* SPDX-License-Identifier: Apache-2.0 */
/* The chains of causes of what fails around KMS, in the original's words. */
#ifndef CV_ENCLAVE_KMSERROR_H
#define CV_ENCLAVE_KMSERROR_H

#include "aws/kms.h"
#include "enclave/enclave.h"
#include "enclave/job.h"

/* The receiver of an attested call, and which of its two halves failed. */
struct cv_receiver {
    const struct cv_enclave *enclave;
    bool document_failed;
    bool unwrap_failed;
    char cause[CV_ERROR_TEXT]; /* innermost text of that failure */
};
/* Called by both halves with their result. */
void cv_receiver_failed(struct cv_receiver *r, int rc, bool document, const struct cv_error *err);

/* The job's error holds what the KMS client said; it becomes
 *   encryption error → attestation error → NSM text
 *   encryption error → text of the CMS layer
 *   encryption error → SDK error → what KMS said (→ this image's PCR0 → HINT,
 *                                                when access was denied)
 * RECEIVER and HINT may be NULL. */
void cv_kms_failed(struct cv_job *job, int rc, const struct cv_kms_result *result,
                   const struct cv_receiver *receiver, const char *hint);

#endif
