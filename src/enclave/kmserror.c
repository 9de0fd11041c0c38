/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/kmserror.h"

#include <stdio.h>
#include <string.h>

#include "enclave/session.h"

#define OUTER "encryption error"

void cv_receiver_failed(struct cv_receiver *r, int rc, bool document, const struct cv_error *err)
{
    r->document_failed = document && rc != 0;
    r->unwrap_failed = !document && rc != 0;
    if (rc == 0)
        return;
    const char *text = err != NULL && err->count > 0 ? cv_error_text(err, 0) : cv_strerror(rc);
    snprintf(r->cause, sizeof r->cause, "%s", text);
}

static bool denied(const struct cv_kms_result *result)
{
    return strcmp(result->aws.code, "AccessDeniedException") == 0;
}

/* Puts what helps an operator below what KMS said. */
static void explain_denial(struct cv_error *err, const char *pcr0, const char *hint)
{
    struct cv_error said = *err;
    (void)cv_error_set(err, said.code, "%s",
                       hint != NULL ? hint
                                    : "claviger policy explain shows which condition of the key "
                                      "policy does not fit");
    (void)cv_error_wrap(err, "this image's PCR0 is %s", pcr0);
    for (unsigned i = 0; i < said.count; i++)
        (void)cv_error_wrap(err, "%s", cv_error_text(&said, i));
}

void cv_kms_failed(struct cv_job *job, int rc, const struct cv_kms_result *result,
                   const struct cv_receiver *receiver, const char *hint)
{
    struct cv_error *err = cv_job_error(job);
    job->rc = rc;
    if (receiver != NULL && receiver->document_failed) {
        (void)cv_error_set(err, rc, "%s", receiver->cause);
        (void)cv_error_wrap(err, "attestation error");
    } else if (receiver != NULL && receiver->unwrap_failed) {
        (void)cv_error_set(err, rc, "%s", receiver->cause);
    } else {
        if (denied(result))
            explain_denial(err, job->session->enclave->pcr0_hex, hint);
        (void)cv_error_wrap(err, "SDK error");
    }
    (void)cv_error_wrap(err, OUTER);
}
