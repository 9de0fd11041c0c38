/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/build.h"

const struct cv_enclave_build cv_enclave_build = {
    .name = "release",
    .settings = CV_SETTINGS_RELEASE,
    .lock = CV_LOCK_FATAL,
    .settings_option = false,
    .must_credit = true,
};
