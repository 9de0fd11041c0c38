/* SPDX-License-Identifier: Apache-2.0 */
/* Initialize, Renew and Describe: none of them talks to anybody. */
#include <string.h>

#include "enclave/build.h"
#include "enclave/cmk.h"
#include "enclave/requests.h"
#include "enclave/session.h"

#define ENCRYPTION_ERROR "encryption error"

/* The region that the session works in: what Initialize says, which has to be
 * that of the settings and of the CMK's ARN; when it says nothing, theirs. */
static int choose_region(char out[CV_REGION_MAX], const struct cv_settings *s, struct cv_bytes said,
                         const char *key_id, struct cv_error *err)
{
    char of_arn[CV_AWS_REGION_MAX + 1];
    bool has_arn = cv_kms_arn_region(of_arn, key_id) == 0;
    const char *fixed = s->region[0] != '\0' ? s->region : has_arn ? of_arn : NULL;
    if (said.n == 0 && fixed != NULL)
        said = cv_bytes_str(fixed);
    if (!cv_region_valid(said))
        return cv_error_set(err, CV_ERR_INVALID, "the region is malformed");
    if ((has_arn && !cv_bytes_equal_str(said, of_arn)) ||
        (fixed != NULL && !cv_bytes_equal_str(said, fixed)))
        return cv_error_set(err, CV_ERR_DENIED, "the region is not that of the CMK");
    memcpy(out, said.p, said.n);
    out[said.n] = '\0';
    return 0;
}

static int set_credentials(struct cv_aws_credentials *c, const struct cv_rpc_credentials *said,
                           struct cv_error *err)
{
    return cv_aws_credentials_set(c, said->access_key_id, said->secret_access_key,
                                  said->session_token, 0, "session", err);
}

static int make_client(struct cv_session *s, const struct cv_rpc_credentials *said,
                       struct cv_error *err)
{
    const struct cv_enclave *e = s->enclave;
    CV_AWS_CREDENTIALS_AUTO struct cv_aws_credentials c = CV_AWS_CREDENTIALS_INIT;
    int rc = cv_cmk_name(s->key_id, sizeof s->key_id, &e->settings, said->encryption_key_id, err);
    if (rc == 0)
        rc = choose_region(s->region, &e->settings, said->region, s->key_id, err);
    if (rc == 0)
        rc = set_credentials(&c, said, err);
    if (rc == 0)
        rc = cv_aws_provider_static(&s->provider, &c, err);
    if (rc != 0)
        return rc;
    const struct cv_kms_config config = {
        .region = s->region,
        .endpoint = e->has_endpoint ? &e->endpoint : NULL,
        .transport = e->transport,
        .provider = s->provider,
    };
    return cv_kms_new(&s->kms, &config, err);
}

void cv_initialize(struct cv_job *job)
{
    struct cv_session *s = job->session;
    const struct cv_settings *settings = &s->enclave->settings;
    const struct cv_rpc_credentials *said = &job->req.credentials;
    if (s->enclave->debug && !settings->allow_debug) {
        cv_job_fail(
            job, CV_ERR_DENIED, ENCRYPTION_ERROR,
            "this enclave runs in debug mode: its measurements are zero and protect nothing "
            "(allow_debug=on in its settings would let it work)");
        return;
    }
    if (said->sealed_version == 1 && !settings->seal_v1) {
        cv_job_fail(job, CV_ERR_DENIED, ENCRYPTION_ERROR,
                    "this image does not write version 1 (seal_v1=off in its settings)");
        return;
    }
    job->rc = make_client(s, said, cv_job_error(job));
    if (job->rc != 0) {
        (void)cv_error_wrap(cv_job_error(job), ENCRYPTION_ERROR);
        cv_kms_free(&s->kms);
        cv_aws_provider_free(&s->provider);
        return;
    }
    if (said->sealed_version != 0)
        s->sealed_version = said->sealed_version;
    s->initialised = true;
    s->in.max = CV_RPC_FRAME_MAX;
}

/* New credentials for what is open: nothing else of the session changes. */
void cv_renew(struct cv_job *job)
{
    CV_AWS_CREDENTIALS_AUTO struct cv_aws_credentials c = CV_AWS_CREDENTIALS_INIT;
    struct cv_error *err = cv_job_error(job);
    job->rc = set_credentials(&c, &job->req.credentials, err);
    if (job->rc == 0)
        job->rc = cv_aws_provider_replace(job->session->provider, &c, err);
    if (job->rc != 0)
        (void)cv_error_wrap(err, ENCRYPTION_ERROR);
}

int cv_describe(struct cv_buf *out, const struct cv_rpc_echo *echo, const struct cv_enclave *e)
{
    const struct cv_settings *s = &e->settings;
    struct cv_rpc_description d = {
        .protocol = CV_RPC_PROTOCOL,
        .version = cv_bytes_str(CV_VERSION),
        .build = cv_bytes_str(cv_enclave_build.name),
        .debug = e->debug,
        .pinned = s->cmk_count > 0,
        .cmk_count = (unsigned)s->cmk_count,
        .region = cv_bytes_str(s->region),
        .plain_import = s->plain_import,
        .sealed_import = true,
        .seal_v1 = s->seal_v1,
        .self_check = s->self_check,
        .pcr0 = CV_BYTES(e->pcr0, CV_PCR_LEN),
        .max_frame = CV_RPC_FRAME_MAX,
        .max_in_flight = CV_RPC_IN_FLIGHT_MAX,
        .max_sessions = CV_RPC_SESSIONS_MAX,
        .max_keys = CV_KEYS_MAX,
    };
    _Static_assert(CV_SETTINGS_CMKS <= CV_RPC_CMKS_MAX, "every pinned CMK fits");
    for (size_t i = 0; i < s->cmk_count; i++)
        d.cmks[i] = cv_bytes_str(s->cmk_arn[i]);
    return cv_rpc_reply_ok_description(out, echo, &d);
}
