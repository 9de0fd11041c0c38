/* SPDX-License-Identifier: Apache-2.0 */
/* AWS credentials as they are used; where they come from is a provider's matter. */
#ifndef CV_AWS_CREDENTIALS_H
#define CV_AWS_CREDENTIALS_H

#include "common/secret.h"

#define CV_AWS_KEY_ID_MAX 128 /* IAM: 16..128 characters */
#define CV_AWS_SECRET_MAX 256
#define CV_AWS_SESSION_TOKEN_MAX 16384
#define CV_AWS_SOURCE_MAX 160

struct cv_aws_credentials {
    char access_key_id[CV_AWS_KEY_ID_MAX + 1];
    struct cv_secret secret_access_key;
    struct cv_secret session_token; /* empty when there is none */
    int64_t expires_ms;             /* Unix ms; 0 = they do not expire */
    char source[CV_AWS_SOURCE_MAX]; /* for people: "environment", "profile x", "IMDS role y" */
};

#define CV_AWS_CREDENTIALS_INIT \
    {                           \
        .access_key_id = ""     \
    }
#define CV_AWS_CREDENTIALS_AUTO __attribute__((cleanup(cv_aws_credentials_free)))

/* Checks and copies; TOKEN may be NULL or empty. CV_ERR_INVALID for an empty or
 * over-long part, or characters that cannot stand in a header. C is freed first. */
int cv_aws_credentials_set(struct cv_aws_credentials *c, struct cv_bytes access_key_id,
                           struct cv_bytes secret_access_key, struct cv_bytes session_token,
                           int64_t expires_ms, const char *source,
                           struct cv_error *err) CV_NODISCARD;
int cv_aws_credentials_copy(struct cv_aws_credentials *to,
                            const struct cv_aws_credentials *from) CV_NODISCARD;
void cv_aws_credentials_free(struct cv_aws_credentials *c);

/* Where a client gets credentials for each attempt. Called from any thread. */
struct cv_aws_provider {
    /* Good credentials in *OUT (freed first). FORCE: what was given last was
     * refused as expired or unknown, get new ones if there are any. */
    int (*get)(struct cv_aws_provider *p, struct cv_aws_credentials *out, bool force,
               int64_t deadline, struct cv_error *err);
    void (*free)(struct cv_aws_provider *p);
};

/* A provider of one set of credentials that can be replaced at any time; none
 * yet is CV_ERR_STATE. */
int cv_aws_provider_static(struct cv_aws_provider **out, const struct cv_aws_credentials *c,
                           struct cv_error *err) CV_NODISCARD;
int cv_aws_provider_replace(struct cv_aws_provider *p, const struct cv_aws_credentials *c,
                            struct cv_error *err) CV_NODISCARD;
/* AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN (or the older
 * AWS_SECURITY_TOKEN), AWS_CREDENTIAL_EXPIRATION; an empty variable counts as
 * unset. CV_ERR_NOT_FOUND when neither key is set, CV_ERR_CONFIG for half. */
int cv_aws_credentials_from_env(struct cv_aws_credentials *out, struct cv_error *err) CV_NODISCARD;
/* {"AccessKeyId", "SecretAccessKey", "Token" or "SessionToken", "Expiration"},
 * at most 64 KiB; a "Code" other than "Success" is CV_ERR_DENIED. */
int cv_aws_credentials_from_json(struct cv_aws_credentials *out, struct cv_bytes json,
                                 const char *source, struct cv_error *err) CV_NODISCARD;
void cv_aws_provider_free(struct cv_aws_provider **p);

#endif
