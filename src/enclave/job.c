/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/job.h"

#include <stdlib.h>
#include <string.h>

#define OUT_MAX 32768 /* an attestation document or a blob */

struct cv_job *cv_job_new(struct cv_session *session, const uint8_t *body, size_t n)
{
    struct cv_job *job = malloc(sizeof *job + n);
    if (job == NULL)
        return NULL;
    memset(job, 0, sizeof *job);
    job->session = session;
    cv_buf_init(&job->out, OUT_MAX);
    job->body_n = n;
    if (n > 0)
        memcpy(job->body, body, n);
    return job;
}

void cv_job_free(struct cv_job *job)
{
    if (job == NULL)
        return;
    if (job->key_owned)
        cv_key_free(job->key);
    cv_key_free(job->offer);
    cv_buf_free(&job->out);
    free(job->err);
    cv_wipe(job->body, job->body_n);
    free(job);
}

struct cv_error *cv_job_error(struct cv_job *job)
{
    /* When memory is out the text is lost, not the answer. */
    static struct cv_error nowhere;
    if (job->err == NULL && (job->err = malloc(sizeof *job->err)) != NULL)
        cv_error_clear(job->err);
    return job->err != NULL ? job->err : &nowhere;
}

void cv_job_fail(struct cv_job *job, int code, const char *outer, const char *inner)
{
    struct cv_error *err = cv_job_error(job);
    job->rc = code;
    (void)cv_error_set(err, code, "%s", inner != NULL ? inner : outer);
    if (inner != NULL)
        (void)cv_error_wrap(err, "%s", outer);
}

void cv_job_fail_as(struct cv_job *job, const struct cv_job *from)
{
    job->rc = from->rc;
    if (from->err != NULL)
        *cv_job_error(job) = *from->err;
}
