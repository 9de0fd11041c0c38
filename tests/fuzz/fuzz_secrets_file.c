/* SPDX-License-Identifier: Apache-2.0 */
/* A secrets file that is read is written as YAML that gives the same again. */
#include <stdlib.h>

#include "sealed/secrets_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(const struct cv_secret *text)
{
    static struct cv_yaml_problems problems;
    struct cv_secrets s;
    struct cv_buf yaml;
    struct cv_secret back = CV_SECRET_INIT;
    cv_buf_init(&yaml, 4 * CV_SECRETS_MAX_BYTES);
    if (cv_secrets_decode(&s, cv_secret_view(text), NULL) != 0) {
        abort();
    }
    cv_yaml_problems_init(&problems, "again");
    if (cv_secrets_to_yaml(&yaml, &s, NULL) == 0) {
        if (cv_secrets_from_yaml(&back, cv_buf_view(&yaml), "/nonexistent", &problems) != 0 ||
            !cv_secret_equal(text, &back)) {
            abort();
        }
    }
    cv_secret_free(&back);
    cv_secrets_free(&s);
    cv_buf_free(&yaml);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cv_yaml_problems problems;
    for (int kind = 0; kind < 2; kind++) {
        struct cv_secret out = CV_SECRET_INIT;
        cv_yaml_problems_init(&problems, "fuzz");
        int rc = kind == 0
                     ? cv_secrets_from_yaml(&out, CV_BYTES(data, size), "/nonexistent", &problems)
                     : cv_secrets_from_env(&out, CV_BYTES(data, size), &problems);
        if ((rc == 0) != (problems.count == 0)) {
            abort();
        }
        if (rc == 0) {
            again(&out);
        }
        cv_secret_free(&out);
    }
    return 0;
}
