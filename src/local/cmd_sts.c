/* SPDX-License-Identifier: Apache-2.0 */
/* claviger-local sts: who signed, and sessions of roles (AWS STS API Reference). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/sigv4.h"
#include "common/clock.h"
#include "common/log.h"
#include "local/local.h"
#include "local/standin.h"

const char cv_local_sts_usage[] =
    "usage: claviger-local sts --state FILE [OPTION]...\n"
    "\n"
    "GetCallerIdentity, AssumeRole and AssumeRoleWithWebIdentity. Signatures are checked;\n"
    "the KMS, IMDS and S3 stand-ins on the same state know the sessions.\n"
    "\n"
    "  --state FILE      kms.json of claviger-local kms; roles are those of its principals\n"
    "  --listen ADDRESS  default tcp:127.0.0.1:0\n"
    "  --ca FILE         serve over TLS, as claviger-local kms does; without it, plain HTTP\n"
    "  --token TEXT      the web identity token that is good; without it none is\n"
    "  --life SECONDS    give this life to sessions, whatever is asked for\n"
    "\n"
    "Prints 'ready ADDRESS' on standard output. For AWS_ENDPOINT_URL_STS.\n"
    "example: claviger-local sts --state kms.json --ca ca.pem\n";

#define NS "https://sts.amazonaws.com/doc/2011-06-15/"
#define FIELDS 16

struct form {
    char *text;
    struct cv_aws_param field[FIELDS];
    size_t n;
};

static int hex(char c)
{
    return c >= '0' && c <= '9'                     ? c - '0'
           : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                    : -1;
}

/* application/x-www-form-urlencoded, in place. */
static bool decode(char *s)
{
    char *out = s;
    for (; *s != '\0'; s++) {
        if (*s == '%') {
            int hi = hex(s[1]), lo = hi >= 0 ? hex(s[2]) : -1;
            if (lo < 0 || (hi == 0 && lo == 0))
                return false;
            *out++ = (char)(unsigned char)(hi * 16 + lo);
            s += 2;
        } else {
            *out++ = (char)(*s == '+' ? ' ' : *s);
        }
    }
    *out = '\0';
    return true;
}

static bool parse_form(struct form *f, const struct cv_http_message *q)
{
    char *save = NULL;
    *f = (struct form){.text = strndup(q->body.n > 0 ? (const char *)q->body.p : "", q->body.n)};
    if (f->text == NULL)
        return false;
    for (char *p = strtok_r(f->text, "&", &save); p != NULL && f->n < FIELDS;
         p = strtok_r(NULL, "&", &save)) {
        char *eq = strchr(p, '=');
        if (eq == NULL)
            return false;
        *eq = '\0';
        if (!decode(p) || !decode(eq + 1))
            return false;
        f->field[f->n++] = (struct cv_aws_param){p, eq + 1};
    }
    return true;
}

static const char *field(const struct form *f, const char *name)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->field[i].name, name) == 0)
            return f->field[i].value;
    return "";
}

static void refuse(struct cv_local_web_reply *r, int status, const char *code, const char *message)
{
    char id[CV_LOCAL_KMS_ID];
    cv_local_uuid(id);
    r->status = status;
    cv_buf_reset(&r->body);
    if (cv_buf_printf(&r->body,
                      "<ErrorResponse xmlns=\"" NS
                      "\"><Error><Type>Sender</Type><Code>%s</Code><Message>",
                      code) != 0 ||
        cv_local_xml_append(&r->body, message) != 0 ||
        cv_buf_printf(&r->body, "</Message></Error><RequestId>%s</RequestId></ErrorResponse>",
                      id) != 0)
        r->status = 500;
}

static int element(struct cv_buf *b, const char *tag, const char *text)
{
    int rc = cv_buf_printf(b, "<%s>", tag);
    if (rc == 0)
        rc = cv_local_xml_append(b, text);
    return rc == 0 ? cv_buf_printf(b, "</%s>", tag) : rc;
}

static void give_identity(struct cv_local_web_reply *r, const struct cv_local_kms_call *c)
{
    struct cv_buf *b = &r->body;
    bool ok = cv_buf_append_str(b, "<GetCallerIdentityResponse xmlns=\"" NS
                                   "\"><GetCallerIdentityResult>") == 0 &&
              element(b, "Arn", c->who->arn) == 0 &&
              element(b, "UserId", c->who->access_key_id) == 0 &&
              element(b, "Account", c->kms->state.account) == 0 &&
              cv_buf_append_str(b, "</GetCallerIdentityResult></GetCallerIdentityResponse>") == 0;
    r->status = ok ? 200 : 500;
}

static void give_session(struct cv_local_web_reply *r, struct cv_local_kms *kms,
                         const struct form *f, const char *action, unsigned life_s)
{
    struct cv_local_session s;
    struct cv_error err;
    char text[512], expires[CV_RFC3339_LEN];
    const char *asked = field(f, "DurationSeconds");
    unsigned long seconds = *asked == '\0' ? 3600 : strtoul(asked, NULL, 10);
    cv_error_clear(&err);
    if (seconds < 900 || seconds > 43200) {
        refuse(r, 400, "ValidationError", "DurationSeconds must be from 900 to 43200");
        return;
    }
    int64_t until = cv_unix_ms() + (life_s != 0 ? (int64_t)life_s : (int64_t)seconds) * 1000;
    if (cv_local_session_issue(&s, &kms->state, field(f, "RoleArn"), field(f, "RoleSessionName"),
                               until, &err) != 0) {
        refuse(r, err.code == CV_ERR_NOT_FOUND ? 403 : 400,
               err.code == CV_ERR_NOT_FOUND ? "AccessDenied" : "ValidationError",
               cv_error_format(text, sizeof text, &err));
        return;
    }
    cv_rfc3339_format(expires, until);
    struct cv_buf *b = &r->body;
    bool ok = cv_buf_printf(b, "<%sResponse xmlns=\"" NS "\"><%sResult><Credentials>", action,
                            action) == 0 &&
              element(b, "AccessKeyId", s.access_key_id) == 0 &&
              element(b, "SecretAccessKey", s.secret) == 0 &&
              element(b, "SessionToken", s.token) == 0 && element(b, "Expiration", expires) == 0 &&
              cv_buf_append_str(b, "</Credentials><AssumedRoleUser>") == 0 &&
              element(b, "Arn", s.arn) == 0 &&
              cv_buf_printf(b, "</AssumedRoleUser></%sResult></%sResponse>", action, action) == 0;
    r->status = ok ? 200 : 500;
    cv_local_session_wipe(&s);
}

/* KMS's names of errors are not STS's. */
static const char *code_of(const char *kms)
{
    static const char *const names[][2] = {
        {"UnrecognizedClientException", "InvalidClientTokenId"},
        {"InvalidSignatureException", "SignatureDoesNotMatch"},
        {"ExpiredTokenException", "ExpiredToken"},
        {"IncompleteSignatureException", "IncompleteSignature"},
        {"MissingAuthenticationTokenException", "MissingAuthenticationToken"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i][0], kms) == 0)
            return names[i][1];
    return kms;
}

static void act(const struct cv_local_standin_options *o, struct cv_local_kms_call *c,
                const struct cv_http_message *q, struct cv_local_web_reply *r, const struct form *f)
{
    const char *action = field(f, "Action");
    bool web = strcmp(action, "AssumeRoleWithWebIdentity") == 0;
    if (strcmp(q->method, "POST") != 0 || strcmp(field(f, "Version"), "2011-06-15") != 0)
        refuse(r, 400, "InvalidAction", "expected POST and Version=2011-06-15");
    else if (web && (o->token == NULL || strcmp(field(f, "WebIdentityToken"), o->token) != 0))
        refuse(r, 400, "InvalidIdentityToken", "the web identity token is not the one of --token");
    else if (!web && cv_local_authenticate(c, q, &c->who) != 0)
        refuse(r, 403, code_of(c->code), c->message);
    else if (strcmp(action, "GetCallerIdentity") == 0)
        give_identity(r, c);
    else if (web || strcmp(action, "AssumeRole") == 0)
        give_session(r, c->kms, f, action, o->life_s);
    else
        refuse(r, 400, "InvalidAction", "the local STS does not do this");
}

static void handle(void *ctx, const struct cv_http_message *q, struct cv_local_web_reply *r)
{
    struct cv_local_kms *kms;
    struct cv_error err;
    struct form f;
    cv_error_clear(&err);
    (void)cv_local_web_header(r, "Content-Type", "text/xml");
    struct cv_local_kms_call *c = malloc(sizeof *c);
    bool lawful = parse_form(&f, q);
    if (c == NULL ||
        cv_local_standin_state(&kms, ((struct cv_local_standin_options *)ctx)->state, &err) != 0) {
        refuse(r, 500, "InternalFailure", "the state cannot be read");
    } else {
        cv_local_call_init(c, kms, "sts");
        if (lawful)
            act(ctx, c, q, r, &f);
        else
            refuse(r, 400, "MalformedQueryString", "a malformed form");
        cv_local_call_free(c);
        cv_local_kms_free(kms);
    }
    free(f.text);
    free(c);
}

int cv_local_cmd_sts(int argc, char **argv)
{
    static struct cv_local_standin_options o = {.listen = "tcp:127.0.0.1:0"};
    struct cv_error err;
    cv_error_clear(&err);
    if (!cv_local_standin_read(&o, "sts", "state listen ca token life", argc, argv))
        return 2;
    struct cv_local_web web = {
        .name = "STS",
        .body_max = 131072,
        .handle = handle,
        .ctx = &o,
        .ca = o.ca,
        .host = "sts.amazonaws.com",
    };
    if (cv_addr_parse(&web.listen, o.listen, &err) != 0 || cv_local_web_run(&web, &err) != 0) {
        cv_log_error(CV_LOG_ERROR, "claviger-local sts ends", &err);
        return 1;
    }
    return 0;
}
