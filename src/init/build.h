/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a build is. Release and development builds differ in two object files
 * only: build_release.c or build_development.c, and the NSM's transport.
 */
#ifndef CV_INIT_BUILD_H
#define CV_INIT_BUILD_H

#include "common/secret.h"

/* Where things are. In a release build all but image is NULL. */
struct cv_init_options {
    const char *image;        /* folder of the ramdisks' content: claviger/boot.conf, rootfs/ */
    const char *parent;       /* folder of UNIX sockets that stand for vsock ports */
    const char *nsm;          /* socket of the NSM stand-in */
    const char *ca_file;      /* roots of TLS, instead of the image's */
    const char *kms_endpoint; /* URL */
    const char *s3_endpoint;  /* URL */
};

struct cv_init_build {
    const char *name; /* "release" or "development" */
    bool development;
    enum cv_lock_policy lock; /* when memory cannot be locked */
    bool machine;             /* we are the machine: devices, modules, clock, reboot at the end */
    /* Reads the command line and makes this process what it must be: the first
     * of its machine or of its namespaces. False: end now with *STATUS. */
    bool (*prepare)(struct cv_init_options *o, int argc, char **argv, int *status);
};

extern const struct cv_init_build cv_init_build;

#endif
