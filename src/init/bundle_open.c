/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "init/bundle.h"

/* The receiver that KMS wraps the data key for. */
static int document(void *ctx, struct cv_buf *out, struct cv_error *err)
{
    const struct cv_opener *o = ctx;
    const struct cv_nsm_attest fields = {.public_key = cv_rsa_spki(o->rsa)};
    return cv_nsm_attest(o->nsm, &fields, out, err);
}

static int unwrap(void *ctx, struct cv_secret *out, struct cv_bytes cms, struct cv_error *err)
{
    const struct cv_opener *o = ctx;
    return cv_cms_unwrap(out, o->rsa, cms, err);
}

/* Puts what helps an operator below what KMS said. */
static void explain_denial(const struct cv_opener *o, struct cv_error *err)
{
    struct cv_error said = *err;
    (void)cv_error_set(err, said.code, "this image has PCR0 %s, PCR1 %s, PCR2 %s, PCR8 %s",
                       o->pcr[0], o->pcr[1], o->pcr[2], o->pcr[3]);
    for (unsigned i = 0; i < said.count; i++)
        (void)cv_error_wrap(err, "%s", cv_error_text(&said, i));
}

static bool wrong_key(const struct cv_kms_result *r)
{
    return strcmp(r->aws.code, "IncorrectKeyException") == 0;
}

/* Says nothing about the key. */
static bool passes(int rc)
{
    return rc == CV_ERR_TIMEOUT || rc == CV_ERR_CLOSED || rc == CV_ERR_IO || rc == CV_ERR_STATE ||
           rc == CV_ERR_THROTTLED || rc == CV_ERR_TRUNCATED;
}

static int ask_one(struct cv_bundle_item *item, const struct cv_opener *o, const char *cmk,
                   struct cv_kms_result *r, int64_t deadline, struct cv_error *err)
{
    struct cv_aws_param pairs[CV_S3EC_MAX_PAIRS];
    union {
        const struct cv_opener *in;
        void *out;
    } ctx = {.in = o};
    const struct cv_kms_recipient to = {.ctx = ctx.out, .document = document, .unwrap = unwrap};
    for (size_t i = 0; i < item->meta.context.n; i++)
        pairs[i] = (struct cv_aws_param){item->meta.context.pair[i].name,
                                         item->meta.context.pair[i].value};
    const struct cv_kms_context context = {pairs, item->meta.context.n};
    return cv_kms_decrypt(o->kms, cmk, cv_buf_view(&item->meta.edk), &context, &to, r, deadline,
                          err);
}

/* The data key, under one of the image's CMKs: which one, its wrapping does not
 * say, and a reply for any other key is no answer. */
static int data_key(struct cv_bundle_item *item, const struct cv_opener *o, struct cv_secret *key,
                    int64_t deadline, struct cv_error *err)
{
    const struct cv_boot_list *cmk = &o->settings->cmk;
    struct cv_kms_result r;
    struct cv_error other = {.count = 0};
    int rc = CV_ERR_CONFIG, kept = 0;
    cv_kms_result_init(&r);
    for (size_t i = 0; i < cmk->count; i++) {
        cv_error_clear(err);
        rc = ask_one(item, o, cmk->item[i], &r, deadline, err);
        if (rc == 0 && !cv_kms_key_matches(r.key_id, cmk->item[i]))
            rc = cv_error_set(err, CV_ERR_PROTOCOL,
                              "KMS answered with another key than the one named");
        /* Credentials that have expired are renewed by the parent: this passes. */
        if (rc == CV_ERR_DENIED && cv_aws_error_classify(&r.aws) == CV_AWS_CREDENTIALS)
            rc = CV_ERR_STATE;
        if (rc == 0 || passes(rc))
            break;
        /* What a key that may fit says counts more than that another does not. */
        if (!wrong_key(&r) || kept == 0) {
            other = *err;
            kept = rc;
            if (strcmp(r.aws.code, "AccessDeniedException") == 0)
                explain_denial(o, &other);
        }
    }
    if (rc != 0 && kept != 0 && !passes(rc)) {
        rc = kept;
        if (err != NULL)
            *err = other;
    }
    if (rc == 0)
        cv_secret_move(key, &r.plaintext);
    cv_kms_result_free(&r);
    return rc;
}

static int expectations(struct cv_bundle_item *item, const struct cv_boot_settings *s,
                        struct cv_error *err)
{
    const char *context[CV_BOOT_MAX_ITEMS];
    for (size_t i = 0; i < s->context.count; i++)
        context[i] = s->context.item[i];
    const struct cv_config_expect expect = {
        .context = context,
        .context_count = s->context.count,
        .minimum_version = s->minimum_version,
        .minimum_format = s->minimum_format,
        .publisher_key = s->publisher_key,
    };
    return cv_config_check(&item->meta, &item->metadata, item->body, &expect, &item->version, err);
}

static int open_item(struct cv_bundle_item *item, const struct cv_opener *o, int64_t deadline,
                     struct cv_error *err)
{
    CV_SECRET_AUTO struct cv_secret key = CV_SECRET_INIT;
    cv_s3ec_meta_free(&item->meta);
    memset(&item->meta, 0, sizeof item->meta);
    int rc = cv_s3ec_meta_parse(&item->meta, &item->metadata, err);
    if (rc == 0)
        rc = expectations(item, o->settings, err);
    if (rc == 0)
        rc = data_key(item, o, &key, deadline, err);
    if (rc == 0)
        rc = cv_s3ec_open(&item->meta, cv_secret_view(&key), item->body, &item->plaintext, err);
    /* The metadata never give what is absent another chance. */
    return rc == CV_ERR_NOT_FOUND ? CV_ERR_INVALID : rc;
}

int cv_bundle_open(struct cv_bundle *b, const struct cv_opener *o, int64_t deadline,
                   struct cv_error *err)
{
    for (size_t i = 0; i < b->n; i++) {
        struct cv_bundle_item *item = &b->item[i];
        if (item->opened)
            continue;
        int rc = open_item(item, o, deadline, err);
        if (rc != 0) {
            cv_error_wrap(err, "%s", item->source->location);
            return rc;
        }
        item->opened = true;
    }
    return 0;
}
