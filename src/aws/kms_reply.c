/* SPDX-License-Identifier: Apache-2.0 */
/* Replies of AWS KMS: bytes of a peer that TLS has named, checked all the same. */
#include <string.h>

#include "aws/kms_private.h"
#include "common/hex.h"
#include "json/json.h"

#define REPLY_MAX (1u << 20)
#define CMS_MAX 16384 /* KMS wraps at most 4096 bytes */

static int bad(struct cv_error *err, const char *what)
{
    return cv_error_set(err, CV_ERR_PROTOCOL, "the reply is not what KMS answers: %s", what);
}

void cv_kms_note_request_id(struct cv_kms_result *out, const struct cv_http_message *m)
{
    const char *id = cv_http_header(m, "x-amzn-requestid");
    if (id != NULL)
        cv_error_quote(out->request_id, sizeof out->request_id, id, strlen(id));
}

static int copy_text(char *out, size_t size, const json_t *obj, const char *key)
{
    const char *v = json_string_value(json_object_get(obj, key));
    size_t n = v != NULL ? strlen(v) : 0;
    if (n == 0 || n >= size)
        return CV_ERR_PROTOCOL;
    for (size_t i = 0; i < n; i++)
        if (v[i] <= 0x20 || v[i] >= 0x7f)
            return CV_ERR_PROTOCOL;
    memcpy(out, v, n + 1);
    return 0;
}

/* An absent, null or empty member: KMS sends any of them for "nothing". */
static bool absent(const json_t *v)
{
    return v == NULL || json_is_null(v) || (json_is_string(v) && json_string_length(v) == 0);
}

static int decode_secret(struct cv_secret *out, const json_t *v, size_t max)
{
    size_t n = json_string_length(v), got = 0;
    if (n == 0 || n > CV_BASE64_LEN(max))
        return CV_ERR_PROTOCOL;
    int rc = cv_secret_alloc(out, CV_BASE64_MAX(n));
    if (rc == 0)
        rc = cv_base64_decode(out->p, out->n, &got, CV_BYTES(json_string_value(v), n));
    if (rc != 0) {
        cv_secret_free(out);
        return rc == CV_ERR_NOMEM ? rc : CV_ERR_PROTOCOL;
    }
    cv_secret_shrink(out, got);
    return 0;
}

static int read_attested(struct cv_kms_result *out, const struct cv_kms_call *k, const json_t *doc,
                         struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf cms;
    cv_buf_init(&cms, CMS_MAX);
    /* A KMS that does not know Recipient answers in the clear: whoever sits
     * between has seen the secret, so it must not be used. */
    if (!absent(json_object_get(doc, "Plaintext")))
        return bad(err, "it holds a Plaintext although a Recipient was sent");
    if (cv_json_get_base64(doc, "CiphertextForRecipient", &cms, NULL) != 0 || cms.n == 0)
        return bad(err, "it holds no CiphertextForRecipient");
    int rc = k->recipient->unwrap(k->recipient->ctx, &out->plaintext, cv_buf_view(&cms), err);
    if (rc != 0)
        cv_error_wrap(err, "opening CiphertextForRecipient");
    return rc;
}

static int read_plaintext(struct cv_kms_result *out, const struct cv_kms_call *k, const json_t *doc,
                          struct cv_error *err)
{
    int rc;
    if (k->recipient != NULL) {
        rc = read_attested(out, k, doc, err);
        if (rc != 0)
            return rc;
    } else {
        rc =
            decode_secret(&out->plaintext, json_object_get(doc, "Plaintext"), CV_KMS_PLAINTEXT_MAX);
        if (rc != 0)
            return rc == CV_ERR_NOMEM ? cv_error_set(err, rc, "no secret memory for the plaintext")
                                      : bad(err, "it holds no Plaintext");
    }
    size_t n = out->plaintext.n;
    if (n == 0 || n > CV_KMS_PLAINTEXT_MAX || (k->length != 0 && n != k->length))
        return bad(err, "the plaintext has a wrong length");
    return 0;
}

static int read_metadata(struct cv_kms_result *out, const json_t *doc, struct cv_error *err)
{
    const json_t *meta = json_object_get(doc, "KeyMetadata");
    if (copy_text(out->key_id, sizeof out->key_id, meta, "Arn") != 0)
        return bad(err, "it holds no ARN");
    out->enabled = json_is_true(json_object_get(meta, "Enabled"));
    if (copy_text(out->key_spec, sizeof out->key_spec, meta, "KeySpec") != 0)
        out->key_spec[0] = '\0';
    if (copy_text(out->key_usage, sizeof out->key_usage, meta, "KeyUsage") != 0)
        out->key_usage[0] = '\0';
    return 0;
}

int cv_kms_read_reply(struct cv_kms_result *out, const struct cv_kms_call *k, struct cv_bytes body,
                      struct cv_error *err)
{
    CV_JSON_AUTO json_t *doc = NULL;
    int rc = cv_json_parse_object(&doc, body, REPLY_MAX, "the reply of KMS", err);
    if (rc == CV_ERR_NOMEM)
        return rc;
    if (rc != 0)
        return bad(err, "it is no JSON object");
    if ((k->reply & CV_KMS_REPLY_METADATA) != 0)
        return read_metadata(out, doc, err);
    if ((k->reply & CV_KMS_REPLY_KEY_ID) != 0 &&
        copy_text(out->key_id, sizeof out->key_id, doc, "KeyId") != 0)
        return bad(err, "it holds no KeyId");
    if ((k->reply & CV_KMS_REPLY_CIPHERTEXT) != 0 &&
        (cv_json_get_base64(doc, "CiphertextBlob", &out->ciphertext, NULL) != 0 ||
         out->ciphertext.n == 0))
        return bad(err, "it holds no CiphertextBlob");
    return (k->reply & CV_KMS_REPLY_PLAINTEXT) != 0 ? read_plaintext(out, k, doc, err) : 0;
}
