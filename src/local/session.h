/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Temporary credentials of roles, as STS and instance metadata give them. A
 * session token carries its session under a MAC whose key comes from the state
 * (kms.json), so the stand-ins that issue them and the KMS that takes them need
 * not talk to each other.
 */
#ifndef CV_LOCAL_SESSION_H
#define CV_LOCAL_SESSION_H

#include "local/kms_state.h"

#define CV_LOCAL_SESSION_TOKEN 1024

struct cv_local_session {
    struct cv_local_principal principal; /* its texts are the arrays below */
    char access_key_id[24];
    char secret[72];
    char token[CV_LOCAL_SESSION_TOKEN];
    char arn[256];
    char role_arn[160];
};

/* A session NAME of ROLE (a name, or an ARN of the state's account) until
 * EXPIRES_MS (Unix). CV_ERR_NOT_FOUND for a role that no principal of the state
 * has; CV_ERR_INVALID for a malformed name. */
int cv_local_session_issue(struct cv_local_session *out, const struct cv_local_kms_state *state,
                           const char *role, const char *name, int64_t expires_ms,
                           struct cv_error *err) CV_NODISCARD;
/* The session of a token that this state issued to ACCESS_KEY_ID, whether it
 * has expired or not; CV_ERR_DENIED for any other. */
int cv_local_session_open(struct cv_local_session *out, const struct cv_local_kms_state *state,
                          const char *access_key_id, const char *token) CV_NODISCARD;
void cv_local_session_wipe(struct cv_local_session *s);

#endif
