/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/sts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/xml.h"
#include "common/clock.h"

#define ROLE_DURATION 3600

static int add(struct cv_buf *out, const char *name, struct cv_bytes value)
{
    int rc = cv_buf_printf(out, "&%s=", name);
    return rc == 0 ? cv_aws_uri_encode(out, value.p, value.n, false) : rc;
}

/* The request's body was written before: attempts only copy it. */
static int copy_body(void *ctx, struct cv_buf *out, unsigned attempt, struct cv_error *err)
{
    const struct cv_buf *form = ctx;
    (void)attempt;
    int rc = cv_buf_append(out, form->p, form->n);
    return rc == 0 ? 0 : cv_error_set(err, rc, "the request does not fit");
}

static int call(struct cv_aws_client *sts, const char *action, struct cv_buf *form,
                struct cv_http_message *m, int64_t deadline, struct cv_error *err)
{
    struct cv_http_header type = {"Content-Type",
                                  "application/x-www-form-urlencoded; charset=utf-8"};
    struct cv_aws_request r = {
        .method = "POST",
        .headers = &type,
        .nheaders = 1,
        .body = copy_body,
        .ctx = form,
    };
    int rc = cv_aws_call(sts, &r, m, NULL, deadline, err);
    if (rc != 0)
        cv_error_wrap(err, "STS %s", action);
    return rc;
}

int cv_sts_get_caller_identity(struct cv_aws_client *sts, struct cv_sts_identity *out,
                               int64_t deadline, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf form;
    struct cv_http_message m;
    cv_buf_init(&form, 1024);
    memset(out, 0, sizeof *out);
    if (cv_buf_append_str(&form, "Action=GetCallerIdentity&Version=2011-06-15") != 0)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a request");
    int rc = call(sts, "GetCallerIdentity", &form, &m, deadline, err);
    struct cv_bytes body = cv_buf_view(&m.body);
    if (rc == 0 && (cv_xml_text(out->account, sizeof out->account, body, "Account") != 0 ||
                    cv_xml_text(out->arn, sizeof out->arn, body, "Arn") != 0 ||
                    cv_xml_text(out->user_id, sizeof out->user_id, body, "UserId") != 0))
        rc = cv_error_set(err, CV_ERR_PROTOCOL,
                          "STS GetCallerIdentity: the reply names no identity");
    cv_http_message_free(&m);
    return rc;
}

static int read_credentials(struct cv_aws_credentials *out, struct cv_bytes body,
                            const char *source, struct cv_error *err)
{
    struct cv_bytes c = cv_xml_element(body, "Credentials");
    char expires[40];
    int64_t ms;
    if (cv_xml_text(expires, sizeof expires, c, "Expiration") != 0 ||
        cv_rfc3339_parse(&ms, expires) != 0)
        return cv_error_set(err, CV_ERR_PROTOCOL, "STS: the reply holds no credentials");
    return cv_aws_credentials_set(out, cv_xml_element(c, "AccessKeyId"),
                                  cv_xml_element(c, "SecretAccessKey"),
                                  cv_xml_element(c, "SessionToken"), ms, source, err);
}

static int assume(struct cv_aws_client *sts, const char *action, const struct cv_sts_role *role,
                  struct cv_bytes token, const char *source, struct cv_aws_credentials *out,
                  int64_t deadline, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf form;
    struct cv_http_message m;
    unsigned duration = role->duration_seconds != 0 ? role->duration_seconds : ROLE_DURATION;
    cv_buf_init(&form, 131072);
    int rc =
        cv_buf_printf(&form, "Action=%s&Version=2011-06-15&DurationSeconds=%u", action, duration);
    if (rc == 0)
        rc = add(&form, "RoleArn", cv_bytes_str(role->role_arn));
    if (rc == 0)
        rc = add(&form, "RoleSessionName", cv_bytes_str(role->session_name));
    if (rc == 0 && role->external_id != NULL)
        rc = add(&form, "ExternalId", cv_bytes_str(role->external_id));
    if (rc == 0 && token.n > 0)
        rc = add(&form, "WebIdentityToken", token);
    if (rc != 0)
        return cv_error_set(err, rc, "the request does not fit");
    rc = call(sts, action, &form, &m, deadline, err);
    if (rc == 0)
        rc = read_credentials(out, cv_buf_view(&m.body), source, err);
    cv_http_message_free(&m);
    if (rc != 0)
        cv_error_wrap(err, "role %s", role->role_arn);
    return rc;
}

int cv_sts_assume_role(struct cv_aws_client *sts, const struct cv_sts_role *role,
                       const char *source, struct cv_aws_credentials *out, int64_t deadline,
                       struct cv_error *err)
{
    return assume(sts, "AssumeRole", role, CV_BYTES(NULL, 0), source, out, deadline, err);
}

int cv_sts_assume_role_with_web_identity(struct cv_aws_client *sts, const struct cv_sts_role *role,
                                         struct cv_bytes token, const char *source,
                                         struct cv_aws_credentials *out, int64_t deadline,
                                         struct cv_error *err)
{
    if (token.n == 0)
        return cv_error_set(err, CV_ERR_CONFIG, "the web identity token is empty");
    return assume(sts, "AssumeRoleWithWebIdentity", role, token, source, out, deadline, err);
}
