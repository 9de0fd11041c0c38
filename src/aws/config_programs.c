/* SPDX-License-Identifier: Apache-2.0 */
/* Which programs the chain of credentials may have to run. */
#include "aws/config_private.h"
#include "program/program.h"

#define DEPTH_MAX 8 /* profiles that lead to each other */

int cv_aws_config_allow_programs(const struct cv_aws_config *config, struct cv_error *err)
{
    const char *profile = config->profile;
    if (!cv_program_helper_open()) {
        return 0;
    }
    for (int i = 0; i < DEPTH_MAX && profile != NULL; i++) {
        const char *command =
            cv_aws_ini_get(config->ini, CV_AWS_INI_PROFILE, profile, "credential_process");
        const char *argv[] = {"/bin/sh", "-c", command, NULL};
        int rc = command != NULL ? cv_program_helper_allow(argv, err) : 0;
        if (rc != 0) {
            return cv_error_wrap(err, "credential_process of profile %s", profile);
        }
        profile = cv_aws_ini_get(config->ini, CV_AWS_INI_PROFILE, profile, "source_profile");
    }
    return 0;
}
