/* SPDX-License-Identifier: Apache-2.0 */
/* What enclave.yaml is accepted becomes settings that can be written and read. */
#include <stdlib.h>

#include "eif/enclave_yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cv_yaml_problems problems;
    cv_yaml_problems_init(&problems, "fuzz");
    struct cv_enclave_config config;
    int rc = cv_enclave_config_parse(&config, CV_BYTES(data, size), ".", &problems);
    if ((rc == 0) != (problems.count == 0)) {
        abort();
    }
    if (rc == 0) {
        struct cv_boot_settings s, again;
        struct cv_buf text;
        cv_buf_init(&text, CV_BOOT_MAX_TEXT);
        cv_boot_init(&s);
        if (cv_enclave_config_apply(&config, &s, NULL) == 0 &&
            cv_boot_encode(&text, &s, NULL) == 0) {
            if (cv_boot_decode(&again, cv_buf_view(&text), NULL) != 0) {
                abort();
            }
            cv_boot_free(&again);
        }
        cv_boot_free(&s);
        cv_buf_free(&text);
    }
    cv_enclave_config_free(&config);
    return 0;
}
