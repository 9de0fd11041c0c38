/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who signed a request (AWS General Reference, "Signature Version 4"; error
 * names and texts as the KMS endpoint gives them).
 */
#include "local/kms_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "aws/sigv4.h"
#include "common/clock.h"

#define ALGORITHM "AWS4-HMAC-SHA256"

struct authorization {
    char text[8192];
    const char *access_key_id, *date, *region, *service, *terminator;
    const char *signed_headers, *signature;
};

static int incomplete(struct cv_local_kms_call *c, const char *what)
{
    return cv_local_refuse(c, 400, "IncompleteSignatureException",
                           "Authorization header requires %s", what);
}

/* "AWS4-HMAC-SHA256 Credential=ID/DATE/REGION/SERVICE/aws4_request,
 *  SignedHeaders=a;b, Signature=hex" */
static int split(struct cv_local_kms_call *c, struct authorization *a, const char *header)
{
    char *save = NULL, *credential = NULL;
    if (strlen(header) >= sizeof a->text)
        return incomplete(c, "fewer than 8192 bytes");
    memcpy(a->text, header, strlen(header) + 1);
    if (strncmp(a->text, ALGORITHM " ", sizeof ALGORITHM))
        return incomplete(c, "the algorithm AWS4-HMAC-SHA256");
    for (char *s = strtok_r(a->text + sizeof ALGORITHM, ", ", &save); s;
         s = strtok_r(NULL, ", ", &save)) {
        if (!strncmp(s, "Credential=", 11))
            credential = s + 11;
        else if (!strncmp(s, "SignedHeaders=", 14))
            a->signed_headers = s + 14;
        else if (!strncmp(s, "Signature=", 10))
            a->signature = s + 10;
    }
    if (!credential || !*credential)
        return incomplete(c, "'Credential' parameter.");
    if (!a->signed_headers || !*a->signed_headers)
        return incomplete(c, "'SignedHeaders' parameter.");
    if (!a->signature || !*a->signature)
        return incomplete(c, "'Signature' parameter.");
    save = NULL;
    a->access_key_id = strtok_r(credential, "/", &save);
    a->date = strtok_r(NULL, "/", &save);
    a->region = strtok_r(NULL, "/", &save);
    a->service = strtok_r(NULL, "/", &save);
    a->terminator = strtok_r(NULL, "/", &save);
    if (!a->terminator || strtok_r(NULL, "/", &save))
        return incomplete(c, "a credential of five parts");
    return 0;
}

static int invalid_signature(struct cv_local_kms_call *c, const char *fmt, const char *a,
                             const char *b)
{
    char text[400];
    /* Two short texts of ours and of the request, never a format. */
    snprintf(text, sizeof text, "%s%.120s%s%.120s", fmt, a, *b ? ", must be " : "", b);
    return cv_local_refuse(c, 400, "InvalidSignatureException", "%s", text);
}

static int check_scope(struct cv_local_kms_call *c, const struct authorization *a,
                       const char *amz_date)
{
    char quoted[130];
    /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
    cv_error_quote(quoted, sizeof quoted, a->region, strlen(a->region));
    if (strcmp(a->region, c->kms->state.region))
        return invalid_signature(c, "Credential should be scoped to a valid region: has ", quoted,
                                 c->kms->state.region);
    if (strcmp(a->service, c->service))
        return invalid_signature(c, "Credential should be scoped to correct service: ", c->service,
                                 "");
    if (strcmp(a->terminator, "aws4_request"))
        return invalid_signature(
            c, "Credential should be scoped with a valid terminator: ", "aws4_request", "");
    if (strlen(a->date) != 8 || strncmp(a->date, amz_date, 8))
        return invalid_signature(c, "Date in Credential scope does not match YYYYMMDD from ",
                                 "X-Amz-Date", "");
    return 0;
}

/* "20261129T062512Z" → Unix ms. */
static bool read_amz_date(const char *s, int64_t *ms)
{
    char iso[32];
    static const char shape[] = "00000000T000000Z";
    if (strlen(s) != 16)
        return false;
    for (int i = 0; i < 16; i++)
        if (shape[i] == '0' ? s[i] < '0' || s[i] > '9' : s[i] != shape[i])
            return false;
    snprintf(iso, sizeof iso, "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", s, s + 4, s + 6, s + 9, s + 11,
             s + 13);
    return cv_rfc3339_parse(ms, iso) == 0;
}

static int check_time(struct cv_local_kms_call *c, const char *amz_date)
{
    char now_text[17], edge[17];
    int64_t then, now = cv_local_now(c->kms);
    if (!read_amz_date(amz_date, &then))
        return cv_local_refuse(c, 400, "IncompleteSignatureException",
                               "Date must be in ISO-8601 'basic format'.");
    cv_amz_date(now_text, now);
    bool late = then<now - CV_LOCAL_KMS_SKEW_MS, early = then> now + CV_LOCAL_KMS_SKEW_MS;
    cv_amz_date(edge, late ? now - CV_LOCAL_KMS_SKEW_MS : now + CV_LOCAL_KMS_SKEW_MS);
    if (late)
        return cv_local_refuse(c, 400, "InvalidSignatureException",
                               "Signature expired: %s is now earlier than %s (%s - 5 min.)",
                               amz_date, edge, now_text);
    if (early)
        return cv_local_refuse(c, 400, "InvalidSignatureException",
                               "Signature not yet current: %s is still later than %s (%s + 5 min.)",
                               amz_date, edge, now_text);
    return 0;
}

/* True when NAME is among "a;b;c". */
static bool is_signed(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *s = list; s; s = strchr(s, ';') ? strchr(s, ';') + 1 : NULL)
        if (!strncmp(s, name, n) && (s[n] == ';' || !s[n]))
            return true;
    return false;
}

/* Host, and every x-amz-* header that was sent, must be signed. */
static int check_signed_headers(struct cv_local_kms_call *c, const struct authorization *a,
                                const struct cv_http_message *request)
{
    char lower[128];
    if (!is_signed(a->signed_headers, "host"))
        return invalid_signature(c, "'Host' or ':authority' must be a 'SignedHeader' ",
                                 "in the AWS Authorization.", "");
    for (size_t i = 0; i < request->nheaders; i++) {
        const char *name = request->headers[i].name;
        size_t n = strlen(name);
        if (n < 6 || n >= sizeof lower || strncasecmp(name, "x-amz-", 6))
            continue;
        for (size_t k = 0; k <= n; k++)
            lower[k] = (char)(name[k] >= 'A' && name[k] <= 'Z' ? name[k] + 32 : name[k]);
        if (!is_signed(a->signed_headers, lower))
            return invalid_signature(c, "a header that was sent is not signed: ", lower, "");
    }
    return 0;
}

static int check_token(struct cv_local_kms_call *c, const struct cv_local_principal *who,
                       const char *token)
{
    const char *want = who->session_token;
    size_t n = want ? strlen(want) : 0;
    if (!want != !token || (want && (strlen(token) != n || !cv_equal_ct(want, token, n))))
        return cv_local_refuse(c, 400, "UnrecognizedClientException",
                               "The security token included in the request is invalid.");
    if (who->expires_ms && who->expires_ms <= cv_local_now(c->kms))
        return cv_local_refuse(c, 400, "ExpiredTokenException",
                               "The security token included in the request is expired");
    return 0;
}

static int check_signature(struct cv_local_kms_call *c, const struct authorization *a,
                           const struct cv_local_principal *who, const char *amz_date,
                           const struct cv_http_message *request)
{
    char expected[CV_SHA256_HEX];
    int rc = cv_sigv4_expected(expected, cv_bytes_str(who->secret_access_key), a->region,
                               a->service, amz_date, a->signed_headers, request, NULL);
    if (!rc && strlen(a->signature) == sizeof expected - 1 &&
        cv_equal_ct(expected, a->signature, sizeof expected - 1))
        return 0;
    return cv_local_refuse(c, 400, "InvalidSignatureException",
                           "The request signature we calculated does not match the signature you "
                           "provided. Check your AWS Secret Access Key and signing method. Consult "
                           "the service documentation for details.");
}

int cv_local_authenticate(struct cv_local_kms_call *c, const struct cv_http_message *request,
                          const struct cv_local_principal **out)
{
    struct authorization a = {.access_key_id = NULL};
    const char *header = cv_http_header(request, "authorization");
    const char *amz_date = cv_http_header(request, "x-amz-date");
    const char *token = cv_http_header(request, "x-amz-security-token");
    if (!header || !*header)
        return cv_local_refuse(c, 400, "MissingAuthenticationTokenException",
                               "Missing Authentication Token");
    if (split(c, &a, header))
        return -1;
    if (!amz_date)
        return incomplete(c, "existence of either a 'X-Amz-Date' or a 'Date' header.");
    const struct cv_local_principal *who = cv_local_kms_principal(&c->kms->state, a.access_key_id);
    if (!who && token &&
        !cv_local_session_open(&c->session, &c->kms->state, a.access_key_id, token))
        who = &c->session.principal;
    if (!who)
        return cv_local_refuse(c, 400, "UnrecognizedClientException",
                               "The security token included in the request is invalid.");
    if (check_time(c, amz_date) || check_scope(c, &a, amz_date) || check_token(c, who, token) ||
        check_signed_headers(c, &a, request) || check_signature(c, &a, who, amz_date, request))
        return -1;
    *out = who;
    return 0;
}
