/* SPDX-License-Identifier: Apache-2.0 */
#include "kmstool/build.h"

const struct cv_kmstool_build cv_kmstool_build = {.name = "release", .lock = CV_LOCK_FATAL};
