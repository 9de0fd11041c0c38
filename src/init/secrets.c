/* SPDX-License-Identifier: Apache-2.0 */
/* Stages "fetch" to "check": the encrypted configurations. */
#include <string.h>

#include "common/log.h"
#include "init/init.h"

#define DOCUMENT_MAX 32768
#define ATTEMPT_MS 15000 /* one request to AWS */

struct step {
    struct cv_bundle *bundle;
    const struct cv_bundle *old;
};

/* ---- the way to AWS ---- */

static const char *region(const struct cv_init *i, char buf[CV_AWS_REGION_MAX + 1])
{
    if (i->settings.region != NULL && i->settings.region[0] != '\0')
        return i->settings.region;
    return cv_kms_arn_region(buf, i->settings.cmk.item[0]) == 0 ? buf : "";
}

static int endpoint(struct cv_aws_endpoint *out, const char *url,
                    const struct cv_aws_endpoint **use, struct cv_error *err)
{
    *use = NULL;
    if (url == NULL)
        return 0;
    *use = out;
    return cv_aws_endpoint_parse(out, url, cv_init_build.development, err);
}

int cv_secrets_clients(struct cv_init *i, struct cv_error *err)
{
    char buf[CV_AWS_REGION_MAX + 1];
    struct cv_aws_endpoint kms, s3;
    struct cv_addr proxy;
    if (i->settings.source_count == 0)
        return 0;
    cv_parent_address(&proxy, &i->parent, CV_PORT_AWS);
    const struct cv_aws_stream_config way = {
        .proxy = &proxy, .ca_pem = cv_buf_view(&i->roots), .connect_line = true};
    struct cv_kms_config k = {
        .region = region(i, buf), .provider = i->provider, .attempt_ms = ATTEMPT_MS};
    struct cv_aws_client_config s = {.service = "s3",
                                     .region = k.region,
                                     .provider = i->provider,
                                     .attempt_ms = ATTEMPT_MS,
                                     .reply_max = CV_S3EC_MAX_BODY};
    int rc = endpoint(&kms, i->options.kms_endpoint, &k.endpoint, err);
    if (rc == 0)
        rc = endpoint(&s3, i->options.s3_endpoint, &s.endpoint, err);
    if (rc == 0)
        rc = cv_aws_stream_create(&i->transport, &way, err);
    k.transport = s.transport = i->transport;
    if (rc == 0)
        rc = cv_kms_new(&i->kms, &k, err);
    if (rc == 0)
        rc = cv_aws_client_new(&i->s3, &s, err);
    if (rc != 0) {
        cv_error_wrap(err, "preparing the way to KMS and S3");
        return rc;
    }
    i->opener.settings = &i->settings;
    i->opener.control = i->control;
    i->opener.s3 = i->s3;
    i->opener.kms = i->kms;
    i->opener.nsm = i->nsm;
    return 0;
}

/* ---- the steps ---- */

/* The provider gets them from the control connection; renewed ones come unasked. */
static int ask_credentials(struct cv_init *i, void *ctx, int64_t deadline, struct cv_error *err)
{
    struct cv_control_message m;
    (void)ctx;
    int rc = cv_control_ask(i->control, "credentials", NULL, &m, deadline, err);
    cv_control_message_free(&m);
    return rc;
}

static int ask_environment(struct cv_init *i, void *ctx, int64_t deadline, struct cv_error *err)
{
    struct cv_control_message m;
    (void)ctx;
    int rc = cv_control_ask(i->control, "environment", NULL, &m, deadline, err);
    if (rc == 0) {
        json_decref(i->parents_variables);
        i->parents_variables = json_incref(m.variables);
    }
    cv_control_message_free(&m);
    return rc;
}

static int fetch(struct cv_init *i, void *ctx, int64_t deadline, struct cv_error *err)
{
    struct step *s = ctx;
    return cv_bundle_fetch(s->bundle, &i->opener, deadline, err);
}

static int stage_fetch(struct cv_init *i, struct step *s, int64_t deadline, struct cv_error *err)
{
    int rc = 0;
    if (i->settings.source_count != 0)
        rc = cv_stage_try(i, CV_STAGE_FETCH, ask_credentials, NULL, false, deadline, err);
    if (rc == 0 && i->settings.untrusted_env.count != 0)
        rc = cv_stage_try(i, CV_STAGE_FETCH, ask_environment, NULL, false, deadline, err);
    return rc != 0 ? rc : cv_stage_try(i, CV_STAGE_FETCH, fetch, s, true, deadline, err);
}

/* The key that KMS will wrap for, and whether the NSM attests it. */
static int attest(struct cv_init *i, void *ctx, int64_t deadline, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf document;
    (void)ctx;
    (void)deadline;
    cv_buf_init(&document, DOCUMENT_MAX);
    if (i->settings.source_count == 0)
        return 0;
    int rc = i->rsa == NULL ? cv_rsa_generate(&i->rsa) : 0;
    if (rc != 0)
        return cv_error_set(err, rc, "making the RSA key: %s", cv_strerror(rc));
    i->opener.rsa = i->rsa;
    const struct cv_nsm_attest fields = {.public_key = cv_rsa_spki(i->rsa)};
    return cv_nsm_attest(i->nsm, &fields, &document, err);
}

static int decrypt(struct cv_init *i, void *ctx, int64_t deadline, struct cv_error *err)
{
    struct step *s = ctx;
    return cv_bundle_open(s->bundle, &i->opener, deadline, err);
}

static int check(struct cv_init *i, void *ctx, int64_t deadline, struct cv_error *err)
{
    struct step *s = ctx;
    (void)deadline;
    return cv_bundle_check(s->bundle, &i->settings, s->old, err);
}

int cv_secrets_obtain(struct cv_init *i, struct cv_bundle *b, const struct cv_bundle *old,
                      int64_t deadline, struct cv_error *err)
{
    static const struct {
        enum cv_stage stage;
        cv_stage_step step;
    } steps[] = {{CV_STAGE_ATTEST, attest}, {CV_STAGE_DECRYPT, decrypt}, {CV_STAGE_CHECK, check}};
    struct step s = {b, old};
    i->stage = CV_STAGE_FETCH;
    cv_stage_begin(i, CV_STAGE_FETCH);
    int rc = stage_fetch(i, &s, deadline, err);
    if (rc == 0)
        cv_stage_end(i, CV_STAGE_FETCH);
    for (size_t k = 0; rc == 0 && k < sizeof steps / sizeof steps[0]; k++) {
        i->stage = steps[k].stage;
        cv_stage_begin(i, i->stage);
        rc = cv_stage_try(i, i->stage, steps[k].step, &s, false, deadline, err);
        if (rc == 0)
            cv_stage_end(i, i->stage);
    }
    return rc;
}
