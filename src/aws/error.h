/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What AWS said when it said no: JSON protocols ("__type"), the query protocol
 * and S3 (XML), and bodies of proxies in between that are neither.
 */
#ifndef CV_AWS_ERROR_H
#define CV_AWS_ERROR_H

#include "http/message.h"

#define CV_AWS_CODE_MAX 96
#define CV_AWS_MESSAGE_MAX 768 /* a denial names the caller's ARN, the key's and why */

struct cv_aws_error {
    int status;                       /* HTTP status; 0 = there was no reply */
    char code[CV_AWS_CODE_MAX];       /* "AccessDeniedException"; "" when the body names none */
    char message[CV_AWS_MESSAGE_MAX]; /* printable; of an unknown body its first bytes, quoted */
    char request_id[CV_AWS_CODE_MAX];
    char region[64]; /* S3: where the bucket really is */
};

/* Fills *E from a response of status >= 300. Never fails: what cannot be
 * understood is told by status and first bytes. */
void cv_aws_error_decode(struct cv_aws_error *e, const struct cv_http_message *response);
/* "AccessDeniedException (HTTP 400, request id …): …" into OUT; returns OUT. */
char *cv_aws_error_format(char *out, size_t size, const struct cv_aws_error *e);

enum cv_aws_error_class {
    CV_AWS_FINAL,       /* asking again gives the same answer */
    CV_AWS_TRANSIENT,   /* 5xx and its like: ask again */
    CV_AWS_THROTTLE,    /* ask again, slower */
    CV_AWS_CLOCK_SKEW,  /* correct the clock by the reply's Date, ask again once */
    CV_AWS_CREDENTIALS, /* expired or unknown credentials: renew, ask again once */
};
enum cv_aws_error_class cv_aws_error_classify(const struct cv_aws_error *e);
/* Our code: CV_ERR_DENIED, _THROTTLED, _NOT_FOUND, _REMOTE … */
int cv_aws_error_code(const struct cv_aws_error *e);

#endif
