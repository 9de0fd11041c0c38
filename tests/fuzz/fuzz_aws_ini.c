/* SPDX-License-Identifier: Apache-2.0 */
/* cv_aws_ini_add: the shared AWS files. */
#include <string.h>

#include "aws/ini.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct cv_aws_ini *ini;
    struct cv_error err;
    cv_error_clear(&err);
    if (n < 1 || cv_aws_ini_new(&ini) != 0)
        return 0;
    int rc = cv_aws_ini_add(ini, p[0] & 1, CV_BYTES(p + 1, n - 1), "file", &err);
    if (rc != 0 && strstr(cv_error_text(&err, 0), "file") == NULL)
        __builtin_trap();
    (void)cv_aws_ini_get(ini, CV_AWS_INI_PROFILE, "default", "region");
    (void)cv_aws_ini_has(ini, CV_AWS_INI_SERVICES, "local");
    cv_aws_ini_free(&ini);
    return 0;
}
