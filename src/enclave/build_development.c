/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/build.h"

const struct cv_enclave_build cv_enclave_build = {
    .name = "development",
    .settings = CV_SETTINGS_DEVELOPMENT,
    .lock = CV_LOCK_WARN,
    .settings_option = true,
    .must_credit = false,
};
