/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/aws_section.h"

int cv_aws_section_load(struct cv_aws_config **out, const struct cv_config_credentials *section,
                        struct cv_error *err)
{
    CV_AWS_CREDENTIALS_AUTO struct cv_aws_credentials given = CV_AWS_CREDENTIALS_INIT;
    struct cv_aws_options o = {
        .region = section->region != NULL && section->region[0] != 0 ? section->region : NULL};
    if (section->access_key_id != NULL && section->access_key_id[0] != 0) {
        int rc = cv_aws_credentials_set(&given, cv_bytes_str(section->access_key_id),
                                        cv_secret_view(&section->secret_access_key),
                                        cv_secret_view(&section->session_token), 0, "configuration",
                                        err);
        if (rc != 0) {
            return rc;
        }
        o.credentials = &given;
    }
    int rc = cv_aws_config_load(out, &o, err);
    if (rc == 0 && o.credentials == NULL && (rc = cv_aws_config_allow_programs(*out, err)) != 0) {
        cv_aws_config_free(out);
    }
    return rc;
}
