/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "init/build.h"

static bool prepare(struct cv_init_options *o, int argc, char **argv, int *status)
{
    *o = (struct cv_init_options){.image = "/"};
    *status = 0;
    if (getpid() == 1)
        return true; /* whatever the kernel's command line gave us */
    const char *only = argc == 2 ? argv[1] : "";
    if (strcmp(only, "--version") == 0 || strcmp(only, "-V") == 0) {
        printf("claviger-init %s (release build)\n", CV_VERSION);
        return false;
    }
    printf("usage: claviger-init [--version]\n\n"
           "The first process of an enclave image made by \"claviger eif build\". It wants to be\n"
           "process 1 of an enclave; see claviger-init(8).\n");
    *status = strcmp(only, "--help") == 0 || strcmp(only, "-h") == 0 ? 0 : 2;
    return false;
}

const struct cv_init_build cv_init_build = {
    .name = "release",
    .development = false,
    .lock = CV_LOCK_FATAL,
    .machine = true,
    .prepare = prepare,
};
