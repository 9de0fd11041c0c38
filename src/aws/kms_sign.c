/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/kms_sign.h"

#include <stdio.h>
#include <string.h>

#include "common/hex.h"
#include "json/json.h"

#define REPLY_MAX 65536

static int write_body(void *ctx, struct cv_buf *out, unsigned attempt, struct cv_error *err)
{
    (void)attempt;
    int rc = cv_json_dump(out, ctx);
    return rc == 0 ? 0 : cv_error_set(err, rc, "the request does not fit");
}

/* The reply's object, which must be about ARN. */
static int call(struct cv_aws_client *client, const char *action, const char *arn, json_t *request,
                json_t **reply, int64_t deadline, struct cv_error *err)
{
    char target[64];
    struct cv_http_header headers[] = {
        {"Content-Type", "application/x-amz-json-1.1"},
        {"X-Amz-Target", target},
    };
    struct cv_aws_request r = {
        .method = "POST", .headers = headers, .nheaders = 2, .body = write_body, .ctx = request};
    struct cv_http_message m;
    const char *id;
    snprintf(target, sizeof target, "TrentService.%s", action);
    int rc = cv_aws_call(client, &r, &m, NULL, deadline, err);
    if (rc == 0)
        rc = cv_json_parse_object(reply, cv_buf_view(&m.body), REPLY_MAX, "the reply of KMS", err);
    cv_http_message_free(&m);
    if (rc == 0 && (cv_json_get_str(*reply, "KeyId", &id, NULL) != 0 || strcmp(id, arn) != 0))
        rc = cv_error_set(err, CV_ERR_PROTOCOL, "the reply is not about this key");
    if (rc != 0)
        cv_error_wrap(err, "KMS %s with %s", action, arn);
    return rc;
}

static int take(const json_t *reply, const char *name, struct cv_buf *out, struct cv_error *err)
{
    cv_buf_reset(out);
    if (cv_json_get_base64(reply, name, out, NULL) != 0 || out->n == 0)
        return cv_error_set(err, CV_ERR_PROTOCOL, "KMS: the reply holds no %s", name);
    return 0;
}

int cv_kms_public_key(struct cv_aws_client *client, const char *arn, struct cv_buf *out,
                      int64_t deadline, struct cv_error *err)
{
    CV_JSON_AUTO json_t *request = json_pack("{s:s}", "KeyId", arn);
    CV_JSON_AUTO json_t *reply = NULL;
    const char *usage;
    if (request == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a request");
    int rc = call(client, "GetPublicKey", arn, request, &reply, deadline, err);
    if (rc != 0)
        return rc;
    if (cv_json_get_str(reply, "KeyUsage", &usage, NULL) != 0 || strcmp(usage, "SIGN_VERIFY") != 0)
        return cv_error_set(err, CV_ERR_CONFIG, "%s is not a key that signs (SIGN_VERIFY)", arn);
    return take(reply, "PublicKey", out, err);
}

int cv_kms_sign(struct cv_aws_client *client, const char *arn, const char *algorithm,
                struct cv_bytes digest, struct cv_buf *out, int64_t deadline, struct cv_error *err)
{
    char text[CV_BASE64_LEN(64) + 1];
    CV_JSON_AUTO json_t *reply = NULL;
    if (digest.n == 0 || digest.n > 64)
        return cv_error_set(err, CV_ERR_INVALID, "a digest has 1 to 64 bytes");
    cv_base64_encode(text, digest.p, digest.n);
    CV_JSON_AUTO json_t *request =
        json_pack("{s:s, s:s, s:s, s:s}", "KeyId", arn, "Message", text, "MessageType", "DIGEST",
                  "SigningAlgorithm", algorithm);
    if (request == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a request");
    int rc = call(client, "Sign", arn, request, &reply, deadline, err);
    return rc == 0 ? take(reply, "Signature", out, err) : rc;
}
