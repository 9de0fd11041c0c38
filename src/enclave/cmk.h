/* SPDX-License-Identifier: Apache-2.0 */
/* Which CMK may be used, and under which name. */
#ifndef CV_ENCLAVE_CMK_H
#define CV_ENCLAVE_CMK_H

#include "settings/settings.h"

/* What to name to KMS when the parent says ID: with pinned keys, the pinned ARN
 * that ID names (equal, or its last part). An alias stays as it is: whoever
 * uses it compares the ARN that KMS answers with by cv_cmk_is(). CV_ERR_DENIED
 * for any other, CV_ERR_LIMIT when OUT is too small. */
int cv_cmk_name(char *out, size_t size, const struct cv_settings *s, struct cv_bytes id,
                struct cv_error *err) CV_NODISCARD;
/* True for "alias/…" and the ARN of an alias. */
bool cv_cmk_is_alias(const char *id);
/* True when ARN, as KMS returned it, is a key that this image may use and the
 * one that ID names; an alias names whatever KMS says, if it is pinned. */
bool cv_cmk_is(const struct cv_settings *s, const char *arn, const char *id);

#endif
