/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/secrets_store.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/file.h"

#define S3_METADATA_MAX 2048u /* bytes of all user metadata, names included */

void cv_secrets_aws_free(struct cv_secrets_aws *aws)
{
    cv_aws_config_free(&aws->config);
    aws->config = NULL;
}

static int configured(struct cv_secrets_aws *aws, struct cv_error *err)
{
    const struct cv_aws_options o = {.profile = aws->profile, .region = aws->region};
    return aws->config != NULL ? 0 : cv_aws_config_load(&aws->config, &o, err);
}

/* A client of SERVICE that takes replies as large as a configuration. */
static int client(struct cv_secrets_aws *aws, struct cv_aws_client **out, const char *service,
                  struct cv_error *err)
{
    char region[CV_AWS_REGION_MAX + 1];
    struct cv_aws_endpoint e;
    int rc = configured(aws, err);
    if (rc == 0) {
        rc =
            cv_aws_config_region(aws->config, region, cv_cli_deadline(CV_SECRETS_DEADLINE_MS), err);
    }
    if (rc == 0) {
        rc = cv_aws_config_endpoint(aws->config, &e, service, region, NULL, err);
    }
    const struct cv_aws_client_config c = {
        .service = service,
        .region = region,
        .endpoint = &e,
        .transport = rc == 0 ? cv_aws_config_transport(aws->config) : NULL,
        .provider = rc == 0 ? cv_aws_config_provider(aws->config) : NULL,
        .max_attempts = rc == 0 ? cv_aws_config_max_attempts(aws->config) : 0,
        .attempt_ms = CV_SECRETS_DEADLINE_MS,
        .reply_max = CV_S3EC_MAX_BODY + 1,
    };
    return rc == 0 ? cv_aws_client_new(out, &c, err) : rc;
}

/* ---- loading ---- */

void cv_secrets_object_free(struct cv_secrets_object *o)
{
    cv_s3ec_pairs_free(&o->pairs);
    cv_s3ec_meta_free(&o->meta);
    cv_buf_free(&o->file);
}

static bool is_s3(const char *where)
{
    return strncmp(where, "s3://", 5) == 0;
}

static int take_headers(struct cv_s3ec_pairs *pairs, const struct cv_http_message *m,
                        struct cv_error *err)
{
    for (size_t i = 0; i < m->nheaders; i++) {
        if (strncasecmp(m->headers[i].name, CV_S3EC_PREFIX, strlen(CV_S3EC_PREFIX)) != 0) {
            continue;
        }
        int rc = cv_s3ec_pairs_add(pairs, m->headers[i].name + strlen(CV_S3EC_PREFIX),
                                   m->headers[i].value, true);
        if (rc != 0) {
            return cv_error_set(err, rc,
                                "the object's metadata are too large, or hold a name "
                                "twice");
        }
    }
    return 0;
}

static int load_instruction(struct cv_secrets_object *o, struct cv_aws_client *s3,
                            const struct cv_s3_uri *uri, struct cv_error *err)
{
    struct cv_s3_uri file = *uri;
    struct cv_http_message m;
    if (strlen(uri->key) + sizeof ".instruction" > sizeof file.key) {
        return cv_error_set(err, CV_ERR_LIMIT, "the key is too long for an instruction file's");
    }
    memcpy(file.key + strlen(uri->key), ".instruction", sizeof ".instruction");
    file.version[0] = 0;
    int rc = cv_s3_get(s3, &file, &m, NULL, cv_cli_deadline(CV_SECRETS_DEADLINE_MS), err);
    if (rc == 0) {
        rc = cv_s3ec_instruction_parse(&o->pairs, cv_buf_view(&m.body), err);
    } else {
        cv_error_wrap(err, "the object has no encryption metadata, nor an instruction file");
    }
    cv_http_message_free(&m);
    return rc;
}

static int load_s3(struct cv_secrets_object *o, struct cv_secrets_aws *aws, const char *where,
                   struct cv_error *err)
{
    struct cv_s3_uri uri;
    struct cv_aws_client *s3 = NULL;
    struct cv_http_message m;
    cv_http_message_init(&m, 0);
    int rc = cv_s3_uri_parse(&uri, where, err);
    if (rc == 0) {
        rc = client(aws, &s3, "s3", err);
    }
    if (rc == 0) {
        rc = cv_s3_get(s3, &uri, &m, NULL, cv_cli_deadline(CV_SECRETS_DEADLINE_MS), err);
    }
    if (rc == 0) {
        rc = take_headers(&o->pairs, &m, err);
    }
    if (rc == 0) {
        rc = cv_buf_append(&o->file, m.body.p, m.body.n);
        o->body = cv_buf_view(&o->file);
    }
    cv_http_message_free(&m);
    if (rc == 0 && cv_s3ec_needs_instruction(&o->pairs)) {
        rc = load_instruction(o, s3, &uri, err);
    }
    cv_aws_client_free(&s3);
    return rc;
}

int cv_secrets_load(struct cv_secrets_object *o, struct cv_secrets_aws *aws, const char *where,
                    struct cv_error *err)
{
    memset(o, 0, sizeof *o);
    cv_buf_init(&o->file, CV_S3EC_MAX_BODY + CV_CONFIG_MAX_JSON + 16);
    int rc = is_s3(where) ? load_s3(o, aws, where, err) : cv_file_read(&o->file, where, err);
    if (rc == 0 && !is_s3(where)) {
        rc = cv_config_unpack(&o->pairs, &o->body, cv_buf_view(&o->file), err);
    }
    if (rc == 0) {
        rc = cv_s3ec_meta_parse(&o->meta, &o->pairs, err);
    }
    if (rc != 0) {
        cv_error_wrap(err, "reading %.200s", where);
    }
    return rc;
}

/* ---- saving ---- */

static int put(struct cv_aws_client *s3, const struct cv_s3_uri *uri, struct cv_bytes body,
               const struct cv_s3ec_pairs *pairs, struct cv_secrets_save *s, struct cv_error *err)
{
    struct cv_aws_param metadata[CV_S3EC_MAX_PAIRS];
    size_t total = 0;
    for (size_t i = 0; i < pairs->n; i++) {
        metadata[i] = (struct cv_aws_param){pairs->pair[i].name, pairs->pair[i].value};
        total += strlen(CV_S3EC_PREFIX) + strlen(metadata[i].name) + strlen(metadata[i].value);
    }
    if (total > S3_METADATA_MAX) {
        return cv_error_set(err, CV_ERR_LIMIT,
                            "the metadata take %zu bytes, and S3 takes %u: use "
                            "--instruction-file",
                            total, S3_METADATA_MAX);
    }
    return cv_s3_put(s3, uri, body, metadata, pairs->n, s->create, s->version_id, NULL,
                     cv_cli_deadline(CV_SECRETS_DEADLINE_MS), err);
}

static int save_s3(struct cv_secrets_save *s, struct cv_secrets_aws *aws,
                   const struct cv_s3ec_meta *meta, const char *signature, struct cv_bytes body,
                   struct cv_error *err)
{
    struct cv_s3ec_pairs pairs = {.n = 0}, marker = {.n = 0};
    CV_CLEANUP(cv_buf_free) struct cv_buf json;
    cv_buf_init(&json, CV_CONFIG_MAX_JSON);
    struct cv_s3_uri uri, file;
    struct cv_aws_client *s3 = NULL;
    int rc = cv_s3_uri_parse(&uri, s->where, err);
    if (rc == 0) {
        rc = client(aws, &s3, "s3", err);
    }
    if (rc == 0) {
        rc = s->instruction ? cv_s3ec_instruction_emit(&pairs, &json, meta, err)
                            : cv_s3ec_meta_emit(&pairs, meta, err);
    }
    if (rc == 0 && signature != NULL) {
        rc = cv_s3ec_pairs_add(&pairs, CV_CONFIG_SIGNATURE, signature, true);
    }
    file = uri;
    if (rc == 0 && s->instruction) {
        /* First: an object without its instruction file cannot be read. */
        if (strlen(uri.key) + sizeof ".instruction" > sizeof file.key) {
            rc = cv_error_set(err, CV_ERR_LIMIT, "the key is too long for an instruction file's");
        } else {
            memcpy(file.key + strlen(uri.key), ".instruction", sizeof ".instruction");
            rc = cv_s3ec_pairs_add(&marker, "x-amz-crypto-instr-file", "", true);
        }
        if (rc == 0) {
            rc = put(s3, &file, cv_buf_view(&json), &marker, s, err);
        }
    }
    if (rc == 0) {
        rc = put(s3, &uri, body, &pairs, s, err);
    }
    cv_s3ec_pairs_free(&pairs);
    cv_s3ec_pairs_free(&marker);
    cv_aws_client_free(&s3);
    return rc;
}

static int save_file(struct cv_secrets_save *s, const struct cv_s3ec_meta *meta,
                     const char *signature, struct cv_bytes body, struct cv_error *err)
{
    struct cv_s3ec_pairs pairs = {.n = 0};
    CV_CLEANUP(cv_buf_free) struct cv_buf out;
    cv_buf_init(&out, CV_S3EC_MAX_BODY + CV_CONFIG_MAX_JSON + 16);
    int rc = cv_s3ec_meta_emit(&pairs, meta, err);
    if (rc == 0 && signature != NULL) {
        rc = cv_s3ec_pairs_add(&pairs, CV_CONFIG_SIGNATURE, signature, true);
    }
    if (rc == 0) {
        rc = cv_config_pack(&out, &pairs, body, err);
    }
    cv_s3ec_pairs_free(&pairs);
    if (rc != 0) {
        return rc;
    }
    return s->create ? cv_file_create(s->where, cv_buf_view(&out), 0644, err)
                     : cv_file_replace(s->where, cv_buf_view(&out), 0644, err);
}

int cv_secrets_save(struct cv_secrets_save *s, struct cv_secrets_aws *aws,
                    const struct cv_s3ec_meta *meta, const char *signature, struct cv_bytes body,
                    struct cv_error *err)
{
    int rc = is_s3(s->where) ? save_s3(s, aws, meta, signature, body, err)
                             : save_file(s, meta, signature, body, err);
    if (rc != 0) {
        cv_error_wrap(err, "writing %.200s", s->where);
    }
    return rc;
}

/* ---- data keys ---- */

static int open_kms(struct cv_secrets_aws *aws, const char *cmk, struct cv_kms **kms,
                    struct cv_error *err)
{
    char region[CV_AWS_REGION_MAX + 1];
    struct cv_aws_endpoint e;
    int rc = configured(aws, err);
    if (rc == 0 && (cmk == NULL || cv_kms_arn_region(region, cmk) != 0)) {
        rc =
            cv_aws_config_region(aws->config, region, cv_cli_deadline(CV_SECRETS_DEADLINE_MS), err);
    }
    if (rc == 0) {
        rc = cv_aws_config_endpoint(aws->config, &e, "kms", region, NULL, err);
    }
    if (rc != 0) {
        return rc;
    }
    const struct cv_kms_config c = {.region = region,
                                    .endpoint = &e,
                                    .transport = cv_aws_config_transport(aws->config),
                                    .provider = cv_aws_config_provider(aws->config),
                                    .max_attempts = cv_aws_config_max_attempts(aws->config)};
    return cv_kms_new(kms, &c, err);
}

static void context_of(struct cv_kms_context *out, struct cv_aws_param pairs[CV_S3EC_MAX_PAIRS],
                       const struct cv_s3ec_meta *meta)
{
    for (size_t i = 0; i < meta->context.n; i++) {
        pairs[i] = (struct cv_aws_param){meta->context.pair[i].name, meta->context.pair[i].value};
    }
    *out = (struct cv_kms_context){pairs, meta->context.n};
}

int cv_secrets_new_key(struct cv_secrets_aws *aws, const char *cmk, struct cv_s3ec_meta *meta,
                       struct cv_secret *key, char arn[CV_KMS_KEY_ID_MAX + 1], struct cv_error *err)
{
    struct cv_kms *kms = NULL;
    struct cv_kms_result r;
    struct cv_kms_context context;
    struct cv_aws_param pairs[CV_S3EC_MAX_PAIRS];
    cv_kms_result_init(&r);
    context_of(&context, pairs, meta);
    int rc = open_kms(aws, cmk, &kms, err);
    if (rc == 0) {
        rc = cv_kms_generate_data_key(kms, cmk, CV_S3EC_KEY_LEN, &context, NULL, &r,
                                      cv_cli_deadline(CV_SECRETS_DEADLINE_MS), err);
    }
    if (rc == 0 && strncmp(cmk, "arn:", 4) == 0 && strstr(cmk, ":key/") != NULL &&
        !cv_kms_key_matches(r.key_id, cmk)) {
        rc = cv_error_set(err, CV_ERR_PROTOCOL, "KMS used another key than it was told");
    }
    if (rc == 0) {
        rc = cv_buf_append(&meta->edk, r.ciphertext.p, r.ciphertext.n);
        cv_secret_move(key, &r.plaintext);
        snprintf(arn, CV_KMS_KEY_ID_MAX + 1, "%s", r.key_id);
    }
    cv_kms_result_free(&r);
    cv_kms_free(&kms);
    return rc;
}

int cv_secrets_open_raw(struct cv_secrets_aws *aws, const char *cmk,
                        const struct cv_secrets_object *o, struct cv_secret *plain,
                        char arn[CV_KMS_KEY_ID_MAX + 1], struct cv_error *err)
{
    struct cv_kms *kms = NULL;
    struct cv_kms_result r;
    struct cv_kms_context context;
    struct cv_aws_param pairs[CV_S3EC_MAX_PAIRS];
    cv_kms_result_init(&r);
    context_of(&context, pairs, &o->meta);
    int rc = open_kms(aws, cmk, &kms, err);
    if (rc == 0) {
        rc = cv_kms_decrypt(kms, cmk, cv_buf_view(&o->meta.edk), &context, NULL, &r,
                            cv_cli_deadline(CV_SECRETS_DEADLINE_MS), err);
    }
    if (rc == 0 && cmk != NULL && strstr(cmk, ":key/") != NULL &&
        !cv_kms_key_matches(r.key_id, cmk)) {
        rc = cv_error_set(err, CV_ERR_PROTOCOL, "KMS used another key than it was told");
    }
    if (rc == 0) {
        snprintf(arn, CV_KMS_KEY_ID_MAX + 1, "%s", r.key_id);
        rc = cv_s3ec_open(&o->meta, cv_secret_view(&r.plaintext), o->body, plain, err);
    }
    cv_kms_result_free(&r);
    cv_kms_free(&kms);
    return rc;
}

int cv_secrets_open(struct cv_secrets_aws *aws, const char *cmk, const struct cv_secrets_object *o,
                    struct cv_secret *plain, struct cv_secrets *secrets,
                    char arn[CV_KMS_KEY_ID_MAX + 1], struct cv_error *err)
{
    memset(secrets, 0, sizeof *secrets);
    int rc = cv_secrets_open_raw(aws, cmk, o, plain, arn, err);
    return rc == 0 ? cv_secrets_decode(secrets, cv_secret_view(plain), err) : rc;
}
