/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a build is. Release and development builds differ in two object files
 * only: build_release.c or build_development.c, and the NSM's transport.
 */
#ifndef CV_ENCLAVE_BUILD_H
#define CV_ENCLAVE_BUILD_H

#include "common/secret.h"
#include "settings/settings.h"

struct cv_enclave_build {
    const char *name;                /* "release" or "development" */
    enum cv_settings_build settings; /* which settings are known */
    enum cv_lock_policy lock;        /* when memory cannot be locked */
    bool settings_option;            /* --settings FILE is taken */
    bool must_credit;                /* entropy must be credited to the kernel */
};

extern const struct cv_enclave_build cv_enclave_build;

#endif
