/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of AWS KMS; replies are in kms_reply.c. */
#include "aws/kms.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/kms_private.h"
#include "common/hex.h"
#include "common/utf8.h"
#include "json/json.h"

#define REPLY_MAX (1u << 20)
#define BODY_LIMIT (CV_BASE64_LEN(CV_KMS_DOCUMENT_MAX) + 65536)

struct cv_kms {
    struct cv_aws_client *client;
};

int cv_kms_new(struct cv_kms **out, const struct cv_kms_config *config, struct cv_error *err)
{
    struct cv_aws_client_config cc = {
        .service = "kms",
        .region = config->region,
        .endpoint = config->endpoint,
        .transport = config->transport,
        .provider = config->provider,
        .max_attempts = config->max_attempts,
        .attempt_ms = config->attempt_ms,
        .retry_base_ms = config->retry_base_ms,
        .reply_max = REPLY_MAX,
    };
    struct cv_kms *k = calloc(1, sizeof *k);
    *out = NULL;
    if (k == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a KMS client");
    int rc = cv_aws_client_new(&k->client, &cc, err);
    if (rc != 0) {
        free(k);
        return rc;
    }
    *out = k;
    return 0;
}

void cv_kms_free(struct cv_kms **kms)
{
    if (kms == NULL || *kms == NULL)
        return;
    cv_aws_client_free(&(*kms)->client);
    free(*kms);
    *kms = NULL;
}

struct cv_aws_client *cv_kms_client(struct cv_kms *kms)
{
    return kms->client;
}

void cv_kms_result_init(struct cv_kms_result *r)
{
    memset(r, 0, sizeof *r);
    cv_buf_init(&r->ciphertext, CV_KMS_CIPHERTEXT_MAX);
}

void cv_kms_result_free(struct cv_kms_result *r)
{
    cv_buf_free(&r->ciphertext);
    cv_secret_free(&r->plaintext);
    r->key_id[0] = '\0';
}

/* ---- the request's JSON ---- */

/* `,"NAME":` or `{"NAME":`; names are ours and need no escaping. */
static int member(struct cv_buf *out, const char *name)
{
    return cv_buf_printf(out, "%c\"%s\":", out->n == 0 ? '{' : ',', name);
}

static int member_text(struct cv_buf *out, const char *name, const char *value)
{
    int rc = member(out, name);
    return rc != 0 ? rc : cv_json_append_str(out, cv_bytes_str(value));
}

static int base64_text(struct cv_buf *out, struct cv_bytes b)
{
    int rc = cv_buf_append_u8(out, '"');
    if (rc == 0)
        rc = cv_base64_append(out, b.p, b.n);
    return rc == 0 ? cv_buf_append_u8(out, '"') : rc;
}

static int member_blob(struct cv_buf *out, const char *name, struct cv_bytes b)
{
    int rc = member(out, name);
    return rc != 0 ? rc : base64_text(out, b);
}

static int member_context(struct cv_buf *out, const struct cv_kms_context *context)
{
    int rc = member(out, "EncryptionContext");
    for (size_t i = 0; i < context->n && rc == 0; i++) {
        rc = cv_buf_append_u8(out, i == 0 ? '{' : ',');
        if (rc == 0)
            rc = cv_json_append_str(out, cv_bytes_str(context->pairs[i].name));
        if (rc == 0)
            rc = cv_buf_append_u8(out, ':');
        if (rc == 0)
            rc = cv_json_append_str(out, cv_bytes_str(context->pairs[i].value));
    }
    return rc == 0 ? cv_buf_append_u8(out, '}') : rc;
}

static int member_recipient(struct cv_buf *out, const struct cv_kms_recipient *recipient,
                            struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf document;
    cv_buf_init(&document, CV_KMS_DOCUMENT_MAX);
    int rc = recipient->document(recipient->ctx, &document, err);
    if (rc != 0) {
        cv_error_wrap(err, "getting an attestation document");
        return rc;
    }
    if ((rc = member(out, "Recipient")) != 0 ||
        (rc = cv_buf_append_str(out, "{\"KeyEncryptionAlgorithm\":\"RSAES_OAEP_SHA_256\","
                                     "\"AttestationDocument\":")) != 0 ||
        (rc = base64_text(out, cv_buf_view(&document))) != 0)
        return rc;
    return cv_buf_append_u8(out, '}');
}

static int write_body(void *ctx, struct cv_buf *out, unsigned attempt, struct cv_error *err)
{
    const struct cv_kms_call *k = ctx;
    int rc = 0;
    (void)attempt;
    if (k->key_id != NULL)
        rc = member_text(out, "KeyId", k->key_id);
    if (rc == 0 && k->plaintext.n > 0)
        rc = member_blob(out, "Plaintext", k->plaintext);
    if (rc == 0 && k->ciphertext.n > 0)
        rc = member_blob(out, "CiphertextBlob", k->ciphertext);
    if (rc == 0 && k->encryption_algorithm != NULL)
        rc = member_text(out, "EncryptionAlgorithm", k->encryption_algorithm);
    if (rc == 0 && k->key_spec != NULL)
        rc = member_text(out, "KeySpec", k->key_spec);
    if (rc == 0 && k->number_of_bytes != 0)
        rc = cv_buf_printf(out, "%c\"NumberOfBytes\":%zu", out->n == 0 ? '{' : ',',
                           k->number_of_bytes);
    if (rc == 0 && k->context != NULL && k->context->n > 0)
        rc = member_context(out, k->context);
    if (rc == 0 && k->recipient != NULL) {
        /* The callback may have an error of its own to tell. */
        rc = member_recipient(out, k->recipient, err);
        if (rc != 0 && rc != CV_ERR_LIMIT)
            return rc;
    }
    if (rc == 0)
        rc = cv_buf_append_str(out, out->n == 0 ? "{}" : "}");
    return rc == 0 ? 0 : cv_error_set(err, rc, "the request does not fit: %s", cv_strerror(rc));
}

/* ---- checks before anything is sent ---- */

static int check_context(const struct cv_kms_context *c, struct cv_error *err)
{
    size_t total = 0;
    for (size_t i = 0; c != NULL && i < c->n; i++) {
        struct cv_bytes name = cv_bytes_str(c->pairs[i].name);
        struct cv_bytes value = cv_bytes_str(c->pairs[i].value);
        total += name.n + value.n;
        if (name.n == 0 || !cv_utf8_valid(name) || !cv_utf8_valid(value))
            return cv_error_set(err, CV_ERR_INVALID,
                                "an encryption context needs names, and UTF-8");
        for (size_t j = 0; j < i; j++)
            if (cv_bytes_equal(name, cv_bytes_str(c->pairs[j].name)))
                return cv_error_set(err, CV_ERR_INVALID,
                                    "a name stands twice in the encryption context");
    }
    return total <= CV_KMS_CONTEXT_MAX
               ? 0
               : cv_error_set(err, CV_ERR_LIMIT, "the encryption context is larger than %d bytes",
                              CV_KMS_CONTEXT_MAX);
}

static int check(const struct cv_kms_call *k, struct cv_error *err)
{
    size_t n = k->key_id != NULL ? strlen(k->key_id) : 1;
    if (n == 0 || n > CV_KMS_KEY_ID_MAX)
        return cv_error_set(err, CV_ERR_INVALID, "a KMS key id has 1 to %d characters",
                            CV_KMS_KEY_ID_MAX);
    if (k->wants_plaintext && (k->plaintext.n == 0 || k->plaintext.n > CV_KMS_PLAINTEXT_MAX))
        return cv_error_set(err, CV_ERR_INVALID, "KMS encrypts 1 to %d bytes",
                            CV_KMS_PLAINTEXT_MAX);
    if (k->wants_ciphertext && (k->ciphertext.n == 0 || k->ciphertext.n > CV_KMS_CIPHERTEXT_MAX))
        return cv_error_set(err, CV_ERR_INVALID, "a KMS ciphertext has 1 to %d bytes",
                            CV_KMS_CIPHERTEXT_MAX);
    if (k->length > CV_KMS_RANDOM_MAX)
        return cv_error_set(err, CV_ERR_INVALID, "KMS generates 1 to %d bytes", CV_KMS_RANDOM_MAX);
    return check_context(k->context, err);
}

static int call(struct cv_kms *kms, const struct cv_kms_call *k, struct cv_kms_result *out,
                int64_t deadline, struct cv_error *err)
{
    char target[64];
    struct cv_http_header headers[] = {
        {"Content-Type", "application/x-amz-json-1.1"},
        {"X-Amz-Target", target},
    };
    struct cv_kms_call copy = *k;
    struct cv_aws_request r = {
        .method = "POST",
        .headers = headers,
        .nheaders = 2,
        .body = write_body,
        .ctx = &copy,
        .body_limit = BODY_LIMIT,
    };
    struct cv_http_message m;
    cv_kms_result_free(out);
    memset(&out->aws, 0, sizeof out->aws);
    out->request_id[0] = '\0';
    snprintf(target, sizeof target, "TrentService.%s", k->action);
    int rc = check(k, err);
    if (rc == 0) {
        rc = cv_aws_call(kms->client, &r, &m, &out->aws, deadline, err);
        cv_kms_note_request_id(out, &m);
        if (rc == 0)
            rc = cv_kms_read_reply(out, k, cv_buf_view(&m.body), err);
        cv_http_message_free(&m);
    }
    if (rc != 0) {
        cv_kms_result_free(out);
        cv_error_wrap(err, "KMS %s", k->action);
    }
    return rc;
}

/* ---- the actions ---- */

int cv_kms_encrypt(struct cv_kms *kms, const char *key_id, struct cv_bytes plaintext,
                   const struct cv_kms_context *context, struct cv_kms_result *out,
                   int64_t deadline, struct cv_error *err)
{
    struct cv_kms_call k = {
        .action = "Encrypt",
        .key_id = key_id,
        .plaintext = plaintext,
        .wants_plaintext = true,
        .context = context,
        .reply = CV_KMS_REPLY_KEY_ID | CV_KMS_REPLY_CIPHERTEXT,
    };
    return call(kms, &k, out, deadline, err);
}

int cv_kms_decrypt_with(struct cv_kms *kms, const char *key_id, const char *encryption_algorithm,
                        struct cv_bytes ciphertext, const struct cv_kms_context *context,
                        const struct cv_kms_recipient *recipient, struct cv_kms_result *out,
                        int64_t deadline, struct cv_error *err)
{
    struct cv_kms_call k = {
        .action = "Decrypt",
        .key_id = key_id,
        .encryption_algorithm = encryption_algorithm,
        .ciphertext = ciphertext,
        .wants_ciphertext = true,
        .context = context,
        .recipient = recipient,
        .reply = CV_KMS_REPLY_KEY_ID | CV_KMS_REPLY_PLAINTEXT,
    };
    return call(kms, &k, out, deadline, err);
}

int cv_kms_decrypt(struct cv_kms *kms, const char *key_id, struct cv_bytes ciphertext,
                   const struct cv_kms_context *context, const struct cv_kms_recipient *recipient,
                   struct cv_kms_result *out, int64_t deadline, struct cv_error *err)
{
    return cv_kms_decrypt_with(kms, key_id, NULL, ciphertext, context, recipient, out, deadline,
                               err);
}

int cv_kms_generate_data_key(struct cv_kms *kms, const char *key_id, size_t bytes,
                             const struct cv_kms_context *context,
                             const struct cv_kms_recipient *recipient, struct cv_kms_result *out,
                             int64_t deadline, struct cv_error *err)
{
    const char *spec = bytes == 32 ? "AES_256" : bytes == 16 ? "AES_128" : NULL;
    struct cv_kms_call k = {
        .action = "GenerateDataKey",
        .key_id = key_id,
        .key_spec = spec,
        .number_of_bytes = spec == NULL ? bytes : 0,
        .length = bytes,
        .context = context,
        .recipient = recipient,
        .reply = CV_KMS_REPLY_KEY_ID | CV_KMS_REPLY_CIPHERTEXT | CV_KMS_REPLY_PLAINTEXT,
    };
    return call(kms, &k, out, deadline, err);
}

int cv_kms_generate_random(struct cv_kms *kms, size_t bytes,
                           const struct cv_kms_recipient *recipient, struct cv_kms_result *out,
                           int64_t deadline, struct cv_error *err)
{
    struct cv_kms_call k = {
        .action = "GenerateRandom",
        .number_of_bytes = bytes,
        .length = bytes,
        .recipient = recipient,
        .reply = CV_KMS_REPLY_PLAINTEXT,
    };
    return call(kms, &k, out, deadline, err);
}

int cv_kms_describe_key(struct cv_kms *kms, const char *key_id, struct cv_kms_result *out,
                        int64_t deadline, struct cv_error *err)
{
    struct cv_kms_call k = {
        .action = "DescribeKey",
        .key_id = key_id,
        .reply = CV_KMS_REPLY_METADATA,
    };
    return call(kms, &k, out, deadline, err);
}

/* ---- names of keys ---- */

bool cv_kms_key_matches(const char *arn, const char *id)
{
    const char *slash = strstr(arn, ":key/");
    if (*id == '\0')
        return false;
    return strcmp(arn, id) == 0 || (slash != NULL && strcmp(slash + 5, id) == 0);
}

int cv_kms_arn_region(char out[CV_AWS_REGION_MAX + 1], const char *arn)
{
    const char *p = arn;
    if (strncmp(p, "arn:aws", 7) != 0 || (p = strchr(p + 4, ':')) == NULL ||
        strncmp(p, ":kms:", 5) != 0)
        return CV_ERR_INVALID;
    p += 5;
    size_t n = strcspn(p, ":");
    if (p[n] != ':' || n == 0 || n > CV_AWS_REGION_MAX)
        return CV_ERR_INVALID;
    memcpy(out, p, n);
    out[n] = '\0';
    return cv_aws_region_valid(out) ? 0 : CV_ERR_INVALID;
}
