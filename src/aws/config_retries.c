/* SPDX-License-Identifier: Apache-2.0 */
/* How often and how fast AWS is asked again, as the machine is set up for it
 * (AWS SDKs and Tools Reference Guide, "Retry behavior"). */
#include <string.h>
#include <strings.h>

#include "aws/config_private.h"
#include "aws/pacer.h"

#define LEGACY_ATTEMPTS 5

static const char *mode_of(const struct cv_aws_config *c)
{
    const char *v = cv_aws_setting(c, "AWS_RETRY_MODE", "retry_mode");
    return v != NULL ? v : "standard";
}

int cv_aws_config_check_retries(const struct cv_aws_config *c, struct cv_error *err)
{
    const char *mode = mode_of(c);
    const char *attempts = cv_aws_setting(c, "AWS_MAX_ATTEMPTS", "max_attempts");
    char quoted[80];
    unsigned n;
    if (strcasecmp(mode, "standard") != 0 && strcasecmp(mode, "adaptive") != 0 &&
        strcasecmp(mode, "legacy") != 0)
        return cv_error_set(
            err, CV_ERR_CONFIG,
            "AWS_RETRY_MODE (or retry_mode of the profile %s) is standard, adaptive "
            "or legacy, not \"%s\"",
            c->profile, cv_error_quote(quoted, sizeof quoted, mode, strlen(mode)));
    if (attempts != NULL && !cv_aws_number(&n, attempts, 1, 100))
        return cv_error_set(
            err, CV_ERR_CONFIG,
            "AWS_MAX_ATTEMPTS (or max_attempts of the profile %s) is a number from 1 to 100, not "
            "\"%s\"",
            c->profile, cv_error_quote(quoted, sizeof quoted, attempts, strlen(attempts)));
    return 0;
}

unsigned cv_aws_config_max_attempts(const struct cv_aws_config *c)
{
    const char *v = cv_aws_setting(c, "AWS_MAX_ATTEMPTS", "max_attempts");
    unsigned n = 0;
    if (v != NULL && cv_aws_number(&n, v, 1, 100))
        return n;
    return strcasecmp(mode_of(c), "legacy") == 0 ? LEGACY_ATTEMPTS : CV_AWS_MAX_ATTEMPTS;
}

int cv_aws_config_retries(const struct cv_aws_config *c, struct cv_aws_client_config *cc,
                          struct cv_error *err)
{
    cc->max_attempts = cv_aws_config_max_attempts(c);
    cc->no_quota = strcasecmp(mode_of(c), "legacy") == 0;
    if (strcasecmp(mode_of(c), "adaptive") == 0 && cv_aws_pacer_new(&cc->pacer) != 0)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for an AWS client");
    return 0;
}
