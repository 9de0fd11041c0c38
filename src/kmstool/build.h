/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a build is. Release and development builds differ in two object files
 * only: build_release.c or build_development.c, and the NSM's transport.
 */
#ifndef CV_KMSTOOL_BUILD_H
#define CV_KMSTOOL_BUILD_H

#include "common/secret.h"

struct cv_kmstool_build {
    const char *name;         /* "release" or "development" */
    enum cv_lock_policy lock; /* when memory cannot be locked */
};

extern const struct cv_kmstool_build cv_kmstool_build;

#endif
