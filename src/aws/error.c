/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/error.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "aws/xml.h"
#include "json/json.h"

#define BODY_MAX 65536 /* longer error bodies are no error documents */

/* A shape's name: "com.amazonaws.x#Name", "Name:http://…" → "Name". Only what
 * can be a name is kept. */
static void set_code(struct cv_aws_error *e, const char *text, size_t n)
{
    const char *hash = memchr(text, '#', n);
    size_t used = 0;
    if (hash != NULL) {
        n -= (size_t)(hash + 1 - text);
        text = hash + 1;
    }
    for (size_t i = 0; i < n && used < sizeof e->code - 1; i++) {
        char c = text[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && c != '.' && c != '_' && c != '-')
            break;
        e->code[used++] = c;
    }
    e->code[used] = '\0';
}

static void set_text(char *out, size_t size, const char *text, size_t n)
{
    cv_error_quote(out, size, text, n);
}

static bool decode_json(struct cv_aws_error *e, struct cv_bytes body)
{
    static const char *const codes[] = {"__type", "code", "Code"};
    static const char *const messages[] = {"message", "Message", "errorMessage"};
    CV_JSON_AUTO json_t *doc = NULL;
    if (cv_json_parse_object(&doc, body, BODY_MAX, "error", NULL) != 0)
        return false;
    for (size_t i = 0; i < 3 && e->code[0] == '\0'; i++) {
        const char *v = json_string_value(json_object_get(doc, codes[i]));
        if (v != NULL)
            set_code(e, v, strlen(v));
    }
    for (size_t i = 0; i < 3 && e->message[0] == '\0'; i++) {
        const char *v = json_string_value(json_object_get(doc, messages[i]));
        if (v != NULL)
            set_text(e->message, sizeof e->message, v, strlen(v));
    }
    return true;
}

static bool decode_xml(struct cv_aws_error *e, struct cv_bytes body)
{
    struct cv_bytes code = cv_xml_element(body, "Code");
    struct cv_bytes message = cv_xml_element(body, "Message");
    struct cv_bytes id = cv_xml_element(body, "RequestId");
    struct cv_bytes region = cv_xml_element(body, "Region");
    char copy[CV_AWS_MESSAGE_MAX];
    if (code.n == 0)
        return false;
    set_code(e, (const char *)code.p, code.n);
    size_t n = message.n < sizeof copy ? message.n : sizeof copy;
    if (n > 0)
        memcpy(copy, message.p, n);
    set_text(e->message, sizeof e->message, copy, cv_xml_unescape(copy, n));
    if (id.n > 0 && e->request_id[0] == '\0')
        set_text(e->request_id, sizeof e->request_id, (const char *)id.p, id.n);
    if (region.n > 0 && e->region[0] == '\0')
        set_text(e->region, sizeof e->region, (const char *)region.p, region.n);
    return true;
}

void cv_aws_error_decode(struct cv_aws_error *e, const struct cv_http_message *m)
{
    const char *type = cv_http_header(m, "x-amzn-errortype");
    const char *id = cv_http_header(m, "x-amzn-requestid");
    const char *region = cv_http_header(m, "x-amz-bucket-region");
    struct cv_bytes body = cv_buf_view(&m->body);
    memset(e, 0, sizeof *e);
    e->status = m->status;
    if (id == NULL)
        id = cv_http_header(m, "x-amz-request-id");
    if (id != NULL)
        set_text(e->request_id, sizeof e->request_id, id, strlen(id));
    if (region != NULL)
        set_text(e->region, sizeof e->region, region, strlen(region));
    if (type != NULL)
        set_code(e, type, strlen(type));
    if (body.n == 0 || decode_json(e, body) || (body.n <= BODY_MAX && decode_xml(e, body)))
        return;
    /* Not from AWS: a proxy's page, or an endpoint that is something else. */
    set_text(e->message, sizeof e->message, (const char *)body.p, body.n < 120 ? body.n : 120);
}

char *cv_aws_error_format(char *out, size_t size, const struct cv_aws_error *e)
{
    char http[CV_AWS_CODE_MAX + 48];
    if (e->request_id[0] != '\0')
        snprintf(http, sizeof http, "HTTP %d, request id %s", e->status, e->request_id);
    else
        snprintf(http, sizeof http, "HTTP %d", e->status);
    snprintf(out, size, "%s (%s)%s%s", e->code[0] != '\0' ? e->code : "an error without a code",
             http, e->message[0] != '\0' ? ": " : "", e->message);
    return out;
}

static bool one_of(const char *code, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(code, *list) == 0)
            return true;
    return false;
}

/* The lists of the AWS SDKs' "standard" retry mode. */
static const char *const throttles[] = {
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottledException",
    "RequestThrottled",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "SlowDown",
    "EC2ThrottledException",
    "PriorRequestNotComplete",
    NULL,
};
static const char *const transients[] = {
    "RequestTimeout",
    "RequestTimeoutException",
    "IDPCommunicationError",
    "KMSInternalException",
    "DependencyTimeoutException",
    "KeyUnavailableException",
    "InternalServerError",
    "InternalFailure",
    "InternalError",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    NULL,
};
static const char *const skews[] = {
    "RequestTimeTooSkewed",
    "RequestExpired",
    "RequestInTheFuture",
    NULL,
};
static const char *const signatures[] = {
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "AccessDeniedException",
    NULL,
};
static const char *const credentials[] = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "InvalidToken",
    NULL,
};

enum cv_aws_error_class cv_aws_error_classify(const struct cv_aws_error *e)
{
    if (one_of(e->code, throttles))
        return CV_AWS_THROTTLE;
    if (one_of(e->code, skews))
        return CV_AWS_CLOCK_SKEW;
    /* "Signature expired: … is now earlier than …", "Signature not yet current". */
    if (one_of(e->code, signatures) && (strstr(e->message, "Signature expired") != NULL ||
                                        strstr(e->message, "Signature not yet current") != NULL))
        return CV_AWS_CLOCK_SKEW;
    if (one_of(e->code, credentials))
        return CV_AWS_CREDENTIALS;
    if (one_of(e->code, transients))
        return CV_AWS_TRANSIENT;
    switch (e->status) {
    case 429:
        return CV_AWS_THROTTLE;
    case 500:
    case 502:
    case 503:
    case 504:
        return CV_AWS_TRANSIENT;
    default:
        return CV_AWS_FINAL;
    }
}

int cv_aws_error_code(const struct cv_aws_error *e)
{
    static const char *const absent[] = {
        "NotFoundException", "ResourceNotFoundException", "NoSuchKey", "NoSuchBucket", NULL,
    };
    static const char *const denied[] = {
        "AccessDeniedException",
        "AccessDenied",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "IncompleteSignature",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "OptInRequired",
        NULL,
    };
    switch (cv_aws_error_classify(e)) {
    case CV_AWS_THROTTLE:
        return CV_ERR_THROTTLED;
    case CV_AWS_CREDENTIALS:
    case CV_AWS_CLOCK_SKEW:
        return CV_ERR_DENIED;
    default:
        break;
    }
    if (one_of(e->code, absent) || (e->code[0] == '\0' && e->status == 404))
        return CV_ERR_NOT_FOUND;
    if (one_of(e->code, denied) || (e->code[0] == '\0' && (e->status == 401 || e->status == 403)))
        return CV_ERR_DENIED;
    return CV_ERR_REMOTE;
}
