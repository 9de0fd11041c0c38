/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON Web Tokens (RFC 7519) of our own issue: HS256 signed with the user's
 * secret; HS384 and HS512 are accepted too. "alg" is never trusted beyond the
 * choice among these three.
 */
#ifndef CV_SIGNER_JWT_H
#define CV_SIGNER_JWT_H

#include "signer/config.h"

#define CV_JWT_MAX 4096

/* Both return NULL when the user is let in, else the text of the refusal (401),
 * which is static. NOW is Unix time in ms. */

/* A request: its headers Authorization and username. */
const char *cv_jwt_check(const struct cv_config *config, const char *authorization,
                         const char *user, int64_t now);
/* A login: on success the token is appended to OUT. */
const char *cv_jwt_login(const struct cv_config *config, const char *user, const char *password,
                         int64_t now, struct cv_buf *out);

#endif
