/* SPDX-License-Identifier: Apache-2.0 */
/* The stand-in: from an HTTP request to KMS's reply, one log line for each. */
#include "local/kms_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "json/json.h"

#define JSON_TYPE "application/x-amz-json-1.1"
#define TARGET_PREFIX "TrentService."

static const struct operation {
    const char *name;
    cv_local_operation *run; /* NULL: KMS has it, this stand-in has not */
} operations[] = {
    {"CreateKey", cv_local_op_create_key},
    {"DescribeKey", cv_local_op_describe_key},
    {"ListKeys", cv_local_op_list_keys},
    {"GetKeyPolicy", cv_local_op_get_key_policy},
    {"PutKeyPolicy", cv_local_op_put_key_policy},
    {"ListKeyPolicies", cv_local_op_list_key_policies},
    {"CreateAlias", cv_local_op_create_alias},
    {"DeleteAlias", cv_local_op_delete_alias},
    {"ListAliases", cv_local_op_list_aliases},
    {"EnableKey", cv_local_op_enable_key},
    {"DisableKey", cv_local_op_disable_key},
    {"Encrypt", cv_local_op_encrypt},
    {"Decrypt", cv_local_op_decrypt},
    {"GenerateDataKey", cv_local_op_generate_data_key},
    {"GenerateDataKeyWithoutPlaintext", cv_local_op_generate_data_key_without_plaintext},
    {"GenerateRandom", cv_local_op_generate_random},
    {"Sign", cv_local_op_sign},
    {"Verify", cv_local_op_verify},
    {"GetPublicKey", cv_local_op_get_public_key},
    /* Refused clearly rather than half done. */
    {"CreateGrant", NULL},
    {"ListGrants", NULL},
    {"RetireGrant", NULL},
    {"RevokeGrant", NULL},
    {"ListRetirableGrants", NULL},
    {"ReEncrypt", NULL},
    {"GenerateMac", NULL},
    {"VerifyMac", NULL},
    {"DeriveSharedSecret", NULL},
    {"GenerateDataKeyPair", NULL},
    {"GenerateDataKeyPairWithoutPlaintext", NULL},
    {"ScheduleKeyDeletion", NULL},
    {"CancelKeyDeletion", NULL},
    {"UpdateAlias", NULL},
    {"UpdateKeyDescription", NULL},
    {"TagResource", NULL},
    {"UntagResource", NULL},
    {"ListResourceTags", NULL},
    {"EnableKeyRotation", NULL},
    {"DisableKeyRotation", NULL},
    {"GetKeyRotationStatus", NULL},
};

int64_t cv_local_now(const struct cv_local_kms *kms)
{
    return kms->clock ? kms->clock(kms->clock_ctx) : cv_unix_ms();
}

struct cv_local_kms_state *cv_local_kms_state(struct cv_local_kms *kms)
{
    return &kms->state;
}

int cv_local_kms_new(struct cv_local_kms **out, const struct cv_local_kms_config *config,
                     struct cv_error *err)
{
    const char *region = config->region ? config->region : "us-west-2";
    const char *account = config->account ? config->account : "111122223333";
    struct cv_local_kms *kms = calloc(1, sizeof *kms);
    if (!kms)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the KMS stand-in");
    pthread_mutex_init(&kms->lock, NULL);
    kms->clock = config->clock;
    kms->clock_ctx = config->clock_ctx;
    cv_buf_init(&kms->root, 65536);
    int rc = config->fault_path && !(kms->faults.path = strdup(config->fault_path))
                 ? cv_error_set(err, CV_ERR_NOMEM, "no memory for the KMS stand-in")
                 : 0;
    if (!rc && config->root_path)
        rc = cv_file_read(&kms->root, config->root_path, err);
    if (!rc && config->state_path)
        rc = cv_local_kms_state_load(&kms->state, config->state_path, region, account, err);
    if (!rc && !config->state_path) {
        snprintf(kms->state.region, sizeof kms->state.region, "%s", region);
        snprintf(kms->state.account, sizeof kms->state.account, "%s", account);
    }
    if (rc)
        cv_local_kms_free(kms);
    else
        *out = kms;
    return rc;
}

void cv_local_kms_free(struct cv_local_kms *kms)
{
    if (!kms)
        return;
    cv_local_kms_state_free(&kms->state);
    cv_buf_free(&kms->root);
    free(kms->faults.path);
    pthread_mutex_destroy(&kms->lock);
    free(kms);
}

void cv_local_kms_reply_free(struct cv_local_kms_reply *r)
{
    cv_buf_free(&r->body);
}

void cv_local_call_init(struct cv_local_kms_call *c, struct cv_local_kms *kms, const char *service)
{
    memset(c, 0, offsetof(struct cv_local_kms_call, context));
    cv_policy_context_init(&c->context);
    c->kms = kms;
    c->service = service;
    c->decision[0] = '\0';
    c->status = 0;
    c->code = "";
    c->message[0] = '\0';
    cv_buf_init(&c->recipient.document, 0);
}

void cv_local_call_free(struct cv_local_kms_call *c)
{
    cv_policy_context_free(&c->context);
    cv_buf_free(&c->recipient.document);
    cv_local_session_wipe(&c->session);
    json_decref(c->out);
}

static void reply_init(struct cv_local_kms_reply *r)
{
    memset(r, 0, sizeof *r);
    cv_buf_init(&r->body, 4 * CV_LOCAL_KMS_BODY_MAX);
    r->content_type = JSON_TYPE;
    cv_local_uuid(r->request_id);
    r->status = 200;
}

static const struct operation *find_operation(const char *name)
{
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        if (!strcmp(operations[i].name, name))
            return &operations[i];
    return NULL;
}

/* The whole reply has one shape on errors. */
static void write_error(struct cv_local_kms_call *c, struct cv_local_kms_reply *r)
{
    json_t *o = json_pack("{s:s}", "__type", c->code);
    if (o && c->message[0])
        json_object_set_new(o, "message", json_string(c->message));
    r->status = c->status;
    snprintf(r->error, sizeof r->error, "%s", c->code);
    cv_buf_reset(&r->body);
    if (!o || cv_json_dump(&r->body, o))
        r->status = 500;
    json_decref(o);
}

static void log_call(const struct cv_local_kms_call *c, const struct cv_local_kms_reply *r)
{
    const struct cv_local_recipient *rc = &c->recipient;
    cv_log(c->status ? CV_LOG_WARN : CV_LOG_INFO, c->status ? "KMS refused" : "KMS answered",
           "action", c->action ? c->action : "", "principal", c->who ? c->who->arn : "", "key",
           c->key ? c->key->arn : "", "error", c->status ? c->code : "", "message", c->message,
           "decision", c->decision, "attested",
           rc->present ? (rc->pcr0[0] ? rc->pcr0 : "no valid document") : "no", "module",
           rc->module_id, "request_id", r->request_id, NULL);
}

/* An operation that KMS would answer with an object or with nothing. */
static int run_operation(struct cv_local_kms_call *c, const struct operation *op,
                         struct cv_bytes body, struct cv_local_kms_reply *r)
{
    CV_JSON_AUTO json_t *in = NULL;
    struct cv_error err;
    char why[512];
    cv_error_clear(&err);
    if (!op->run)
        return cv_local_refuse(c, 400, "UnsupportedOperationException",
                               "the local KMS does not do %s", op->name);
    if (cv_json_parse_object(&in, body, CV_LOCAL_KMS_BODY_MAX, "request", &err))
        return cv_local_refuse(c, 400, "SerializationException", "%s",
                               cv_error_format(why, sizeof why, &err));
    c->in = in;
    c->out = json_object();
    if (!c->out)
        return cv_local_refuse(c, 500, "KMSInternalException", "no memory");
    int rc = op->run(c);
    c->in = NULL;
    if (!rc && json_object_size(c->out) && cv_json_dump(&r->body, c->out))
        rc = cv_local_refuse(c, 500, "KMSInternalException", "the reply is too long");
    return rc;
}

void cv_local_kms_dispatch(struct cv_local_kms *kms, const struct cv_local_principal *principal,
                           const char *action, struct cv_bytes body,
                           struct cv_local_kms_reply *reply)
{
    struct cv_local_kms_call *c = malloc(sizeof *c);
    const struct operation *op = find_operation(action);
    reply_init(reply);
    if (!c) {
        reply->status = 500;
        return;
    }
    cv_local_call_init(c, kms, "kms");
    pthread_mutex_lock(&kms->lock);
    c->who = principal;
    c->action = op ? op->name : NULL;
    if (op ? run_operation(c, op, body, reply)
           : cv_local_refuse(c, 400, "UnknownOperationException", "%s", ""))
        write_error(c, reply);
    reply->date_ms = cv_local_now(kms);
    pthread_mutex_unlock(&kms->lock);
    cv_local_call_free(c);
    free(c);
}

/* What comes before the operation's own logic. */
static const struct operation *admit(struct cv_local_kms_call *c,
                                     const struct cv_http_message *request)
{
    const char *target = cv_http_header(request, "x-amz-target");
    const char *type = cv_http_header(request, "content-type");
    const struct operation *op = NULL;
    if (strcmp(request->method, "POST") || strcmp(request->target, "/")) {
        cv_local_note_refusal(c, 404, "UnknownOperationException", "%s", "");
        return NULL;
    }
    if (target && !strncmp(target, TARGET_PREFIX, sizeof TARGET_PREFIX - 1))
        op = find_operation(target + sizeof TARGET_PREFIX - 1);
    if (!op || !type || strncmp(type, JSON_TYPE, sizeof JSON_TYPE - 1)) {
        cv_local_note_refusal(c, 400, "UnknownOperationException", "%s", "");
        return NULL;
    }
    c->action = op->name;
    cv_local_fault_next(&c->kms->faults, op->name, &c->fault);
    return op;
}

static int64_t shifted_clock(void *ctx)
{
    const int64_t *offset = ctx;
    return cv_unix_ms() + *offset;
}

/* A clock fault shifts the time for this one request. */
static int handle_locked(struct cv_local_kms_call *c, const struct cv_http_message *request,
                         struct cv_local_kms_reply *reply)
{
    struct cv_local_kms *kms = c->kms;
    int64_t (*clock)(void *) = kms->clock;
    void *clock_ctx = kms->clock_ctx;
    int64_t offset;
    const struct operation *op = admit(c, request);
    if (op && c->fault.kind == CV_FAULT_CLOCK) {
        offset = c->fault.argument * 1000;
        kms->clock = shifted_clock;
        kms->clock_ctx = &offset;
    }
    int rc = -1;
    if (op && c->fault.kind == CV_FAULT_ERROR)
        cv_local_note_refusal(c, c->fault.status, c->fault.code, "%s", c->fault.message);
    else if (op && !cv_local_authenticate(c, request, &c->who))
        rc = run_operation(c, op, cv_buf_view(&request->body), reply);
    reply->date_ms = cv_local_now(kms);
    kms->clock = clock;
    kms->clock_ctx = clock_ctx;
    return rc;
}

void cv_local_kms_handle(struct cv_local_kms *kms, const struct cv_http_message *request,
                         struct cv_local_kms_reply *reply)
{
    struct cv_local_kms_call *c = malloc(sizeof *c);
    reply_init(reply);
    if (!c) {
        reply->status = 500;
        return;
    }
    cv_local_call_init(c, kms, "kms");
    pthread_mutex_lock(&kms->lock);
    if (handle_locked(c, request, reply))
        write_error(c, reply);
    log_call(c, reply);
    pthread_mutex_unlock(&kms->lock);
    cv_local_fault_apply(&c->fault, reply);
    cv_local_call_free(c);
    free(c);
}
