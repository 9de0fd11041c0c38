/* SPDX-License-Identifier: Apache-2.0 */
/* A settings file of any bytes: what is accepted holds the promises that the
 * enclave relies on. */
#include <stdlib.h>
#include <string.h>

#include "settings/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int build = CV_SETTINGS_RELEASE; build <= CV_SETTINGS_DEVELOPMENT; build++) {
        struct cv_settings s;
        struct cv_error err;
        cv_settings_default(&s);
        if (cv_settings_parse(&s, CV_BYTES(data, size), "f", (enum cv_settings_build)build, &err) !=
            0) {
            must(err.count > 0 && err.code < 0);
            continue;
        }
        must(s.cmk_count <= CV_SETTINGS_CMKS);
        must(s.region[0] == '\0' || cv_region_valid(cv_bytes_str(s.region)));
        for (size_t i = 0; i < s.cmk_count; i++) {
            struct cv_kms_arn arn;
            must(cv_kms_arn_parse(&arn, cv_bytes_str(s.cmk_arn[i])) == 0);
            must(cv_bytes_equal_str(arn.region, s.region));
            must(cv_settings_allows_cmk(&s, cv_bytes_str(s.cmk_arn[i])));
        }
        must(s.cmk_count == 0 || !cv_settings_allows_cmk(&s, CV_BYTES_LIT("alias/other")));
        if (build == CV_SETTINGS_RELEASE) {
            must(s.listen_address[0] == '\0' && s.proxy_address[0] == '\0' &&
                 s.nsm_address[0] == '\0');
            must(s.endpoint[0] == '\0' || strncmp(s.endpoint, "https://", 8) == 0);
        }
    }
    return 0;
}
