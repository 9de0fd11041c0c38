/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "aws/config_private.h"
#include "common/file.h"

static bool speaks_of(const char *path, const char *word)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, CV_AWS_INI_MAX);
    return path != NULL && cv_file_read(&text, path, NULL) == 0 && text.n > 0 &&
           strstr((const char *)text.p, word) != NULL;
}

bool cv_aws_config_runs_programs(const struct cv_aws_config *config)
{
    return speaks_of(config->config_file, "credential_process") ||
           speaks_of(config->credentials_file, "credential_process");
}
