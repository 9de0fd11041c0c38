/* SPDX-License-Identifier: Apache-2.0 */
/* Members of requests and replies, with KMS's errors for what is wrong in them. */
#include "local/kms_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "json/json.h"

void cv_local_note_refusal(struct cv_local_kms_call *c, int status, const char *code,
                           const char *fmt, ...)
{
    va_list ap;
    c->status = status;
    c->code = code;
    va_start(ap, fmt);
    vsnprintf(c->message, sizeof c->message, fmt, ap);
    va_end(ap);
}

static int wrong_type(struct cv_local_kms_call *c, const char *name, const char *wanted)
{
    return cv_local_refuse(c, 400, "SerializationException", "%s is not %s", name, wanted);
}

/* Null counts as absent, as in AWS's JSON protocol. */
static const json_t *member(const struct cv_local_kms_call *c, const char *name)
{
    const json_t *v = json_object_get(c->in, name);
    return v && !json_is_null(v) ? v : NULL;
}

int cv_local_in_text(struct cv_local_kms_call *c, const char *name, const char **out)
{
    const json_t *v = member(c, name);
    *out = json_string_value(v);
    return v && !*out ? wrong_type(c, name, "a string") : 0;
}

int cv_local_in_bool(struct cv_local_kms_call *c, const char *name, bool *out)
{
    const json_t *v = member(c, name);
    *out = json_is_true(v);
    return v && !json_is_boolean(v) ? wrong_type(c, name, "a Boolean") : 0;
}

int cv_local_in_int(struct cv_local_kms_call *c, const char *name, bool *present, int64_t *out)
{
    const json_t *v = member(c, name);
    *present = v != NULL;
    *out = v ? json_integer_value(v) : 0;
    return v && !json_is_integer(v) ? wrong_type(c, name, "an integer") : 0;
}

int cv_local_in_blob(struct cv_local_kms_call *c, const char *name, bool *present,
                     struct cv_buf *out)
{
    const char *text;
    size_t n;
    cv_buf_reset(out);
    if (cv_local_in_text(c, name, &text))
        return -1;
    *present = text != NULL;
    if (!text)
        return 0;
    /* Padding included: the ceiling of OUT is two bytes above the member's. */
    size_t max = CV_BASE64_MAX(strlen(text)), allowed = out->limit - 2;
    uint8_t *room = cv_buf_reserve(out, max ? max : 1);
    if (room && cv_base64_decode(room, max, &n, cv_bytes_str(text)))
        return wrong_type(c, name, "base64");
    if (!room || n > allowed || n == 0)
        return cv_local_refuse(c, 400, "ValidationException",
                               "1 validation error detected: Value at '%s' failed to satisfy "
                               "constraint: Member must have length between 1 and %zu",
                               name, allowed);
    cv_buf_commit(out, n);
    return 0;
}

int cv_local_in_context(struct cv_local_kms_call *c, const json_t **out)
{
    const json_t *v = member(c, "EncryptionContext");
    size_t total = 0;
    *out = v;
    if (!v)
        return 0;
    if (!json_is_object(v))
        return wrong_type(c, "EncryptionContext", "a map");
    json_t *object = json_object_get(c->in, "EncryptionContext");
    const char *name;
    json_t *value;
    json_object_foreach (object, name, value) {
        if (!json_is_string(value))
            return wrong_type(c, "EncryptionContext", "a map of strings");
        total += strlen(name) + json_string_length(value);
        if (total > CV_LOCAL_CONTEXT_MAX)
            return cv_local_refuse(c, 400, "ValidationException",
                                   "EncryptionContext is longer than %d bytes",
                                   CV_LOCAL_CONTEXT_MAX);
        if (cv_policy_context_add_encryption(&c->context, name, json_string_value(value)))
            return cv_local_refuse(c, 400, "ValidationException",
                                   "EncryptionContext has more pairs than this stand-in takes");
    }
    return 0;
}

int cv_local_in_no_grants(struct cv_local_kms_call *c)
{
    const json_t *v = member(c, "GrantTokens");
    if (v && !json_is_array(v))
        return wrong_type(c, "GrantTokens", "a list");
    if (json_array_size(v))
        return cv_local_refuse(c, 400, "InvalidGrantTokenException",
                               "the local KMS has no grants, so no token is valid");
    return 0;
}

int cv_local_in_key(struct cv_local_kms_call *c, struct cv_local_key **out)
{
    const char *id;
    char quoted[300];
    if (cv_local_in_text(c, "KeyId", &id))
        return -1;
    if (!id)
        return cv_local_refuse(c, 400, "ValidationException",
                               "1 validation error detected: Value null at 'keyId' failed to "
                               "satisfy constraint: Member must not be null");
    *out = strlen(id) <= 2048 ? cv_local_kms_key_find(&c->kms->state, id) : NULL;
    cv_error_quote(quoted, sizeof quoted, id, strlen(id));
    if (!*out && !strncmp(id, "alias/", 6))
        return cv_local_refuse(c, 400, "NotFoundException",
                               "Alias arn:aws:kms:%s:%s:%s is not found.", c->kms->state.region,
                               c->kms->state.account, quoted);
    if (!*out)
        return cv_local_refuse(c, 400, "NotFoundException", "Key '%s' does not exist", quoted);
    c->key = *out;
    return 0;
}

static int no_memory(struct cv_local_kms_call *c)
{
    return cv_local_refuse(c, 500, "KMSInternalException", "no memory");
}

int cv_local_out_text(struct cv_local_kms_call *c, const char *name, const char *value)
{
    return json_object_set_new(c->out, name, json_string(value)) ? no_memory(c) : 0;
}

int cv_local_out_key_id(struct cv_local_kms_call *c, const struct cv_local_key *key)
{
    char other[CV_LOCAL_KMS_ARN];
    /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
    size_t n = strlen(key->arn);
    if (c->fault.kind == CV_FAULT_NO_KEY_ID)
        return 0;
    memcpy(other, key->arn, n + 1);
    if (c->fault.kind == CV_FAULT_KEY_ID)
        other[n - 1] = other[n - 1] == '0' ? '1' : '0';
    return cv_local_out_text(c, "KeyId", other);
}

int cv_local_out_blob(struct cv_local_kms_call *c, const char *name, struct cv_bytes value)
{
    size_t n = CV_BASE64_LEN(value.n);
    char *text = malloc(n + 1);
    if (!text)
        return no_memory(c);
    cv_base64_encode(text, value.p, value.n);
    int rc = cv_local_out_text(c, name, text);
    cv_wipe(text, n);
    free(text);
    return rc;
}

int cv_local_out_plaintext(struct cv_local_kms_call *c, struct cv_bytes plaintext)
{
    struct cv_buf CV_CLEANUP(cv_buf_free) cms;
    struct cv_secret CV_SECRET_AUTO made_up = CV_SECRET_INIT;
    enum cv_local_fault_kind fault = c->fault.kind;
    enum cv_local_cms_shape shape = fault == CV_FAULT_CMS ? c->fault.shape : CV_LOCAL_CMS_AWS;
    cv_buf_init(&cms, 16384);
    if (fault == CV_FAULT_SHORT_KEY && plaintext.n > 1)
        plaintext.n--;
    if (fault == CV_FAULT_MADE_UP_KEY) {
        if (cv_secret_alloc(&made_up, plaintext.n))
            return no_memory(c);
        cv_random(made_up.p, made_up.n);
        plaintext = cv_secret_view(&made_up);
    }
    if (!c->recipient.present || fault == CV_FAULT_PLAINTEXT || fault == CV_FAULT_BOTH)
        if (cv_local_out_blob(c, "Plaintext", plaintext))
            return -1;
    if (!c->recipient.present || fault == CV_FAULT_PLAINTEXT)
        return 0;
    if (cv_local_cms_wrap(&cms, c->recipient.spki, plaintext, shape))
        return cv_local_refuse(c, 500, "KMSInternalException", "the reply cannot be encrypted");
    return cv_local_out_blob(c, "CiphertextForRecipient", cv_buf_view(&cms));
}

int cv_local_save(struct cv_local_kms_call *c)
{
    struct cv_error err;
    char why[512];
    cv_error_clear(&err);
    if (!cv_local_kms_state_save(&c->kms->state, &err))
        return 0;
    return cv_local_refuse(c, 500, "KMSInternalException", "%s",
                           cv_error_format(why, sizeof why, &err));
}
