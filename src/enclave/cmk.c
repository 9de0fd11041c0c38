/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/cmk.h"

#include <string.h>

#include "aws/kms.h"

bool cv_cmk_is_alias(const char *id)
{
    return strncmp(id, "alias/", 6) == 0 ||
           (strncmp(id, "arn:", 4) == 0 && strstr(id, ":alias/") != NULL);
}

static int copy(char *out, size_t size, struct cv_bytes text, struct cv_error *err)
{
    if (text.n >= size)
        return cv_error_set(err, CV_ERR_LIMIT, "the name of the CMK is too long");
    memcpy(out, text.p, text.n);
    out[text.n] = '\0';
    return 0;
}

int cv_cmk_name(char *out, size_t size, const struct cv_settings *s, struct cv_bytes id,
                struct cv_error *err)
{
    for (size_t i = 0; i < id.n; i++)
        if (id.p[i] <= ' ' || id.p[i] > '~')
            return cv_error_set(err, CV_ERR_INVALID,
                                "the name of the CMK has an unlawful character");
    if (id.n == 0)
        return cv_error_set(err, CV_ERR_INVALID, "the name of the CMK is empty");
    int rc = copy(out, size, id, err);
    if (rc != 0 || s->cmk_count == 0 || cv_cmk_is_alias(out))
        return rc;
    for (size_t i = 0; i < s->cmk_count; i++)
        if (cv_kms_key_matches(s->cmk_arn[i], out))
            return copy(out, size, cv_bytes_str(s->cmk_arn[i]), err);
    return cv_error_set(err, CV_ERR_DENIED,
                        "this image is pinned to other CMKs: its cmk_arn does not list this one");
}

bool cv_cmk_is(const struct cv_settings *s, const char *arn, const char *id)
{
    if (!cv_settings_allows_cmk(s, cv_bytes_str(arn)))
        return false;
    return cv_cmk_is_alias(id) || cv_kms_key_matches(arn, id);
}
