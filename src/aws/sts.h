/* SPDX-License-Identifier: Apache-2.0 */
/* AWS STS (query protocol, version 2011-06-15). */
#ifndef CV_AWS_STS_H
#define CV_AWS_STS_H

#include "aws/client.h"

struct cv_sts_identity {
    char account[16];
    char arn[256];
    char user_id[160];
};

/* Who we are. STS is a client of service "sts". */
int cv_sts_get_caller_identity(struct cv_aws_client *sts, struct cv_sts_identity *out,
                               int64_t deadline, struct cv_error *err) CV_NODISCARD;

struct cv_sts_role {
    const char *role_arn;
    const char *session_name;
    const char *external_id;   /* may be NULL */
    unsigned duration_seconds; /* 0 = 3600; 900..43200 */
};
/* Temporary credentials of a role. SOURCE is for people. */
int cv_sts_assume_role(struct cv_aws_client *sts, const struct cv_sts_role *role,
                       const char *source, struct cv_aws_credentials *out, int64_t deadline,
                       struct cv_error *err) CV_NODISCARD;
/* The same with a token of an identity provider; STS has no provider then. */
int cv_sts_assume_role_with_web_identity(struct cv_aws_client *sts, const struct cv_sts_role *role,
                                         struct cv_bytes token, const char *source,
                                         struct cv_aws_credentials *out, int64_t deadline,
                                         struct cv_error *err) CV_NODISCARD;

#endif
