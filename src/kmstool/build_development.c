/* SPDX-License-Identifier: Apache-2.0 */
#include "kmstool/build.h"

const struct cv_kmstool_build cv_kmstool_build = {.name = "development", .lock = CV_LOCK_WARN};
