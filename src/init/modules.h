/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel modules of the first ramdisk (docs/protocol/measured-settings.md). */
#ifndef CV_INIT_MODULES_H
#define CV_INIT_MODULES_H

#include "common/bytes.h"

#define CV_MODULES_ORDER "modules-load-order"
#define CV_MODULES_MAX 64u

/* Names in TEXT, one a line, in their order; calls EACH for each of them until
 * it fails. CV_ERR_INVALID for a name that is a path or none. */
int cv_modules_each(struct cv_bytes text,
                    int (*each)(void *ctx, const char *name, struct cv_error *err), void *ctx,
                    struct cv_error *err) CV_NODISCARD;
/* Loads those that DIR/modules-load-order names, without such a file nsm.ko
 * when it is there, and removes the files: their memory is wanted. One that
 * the kernel has already is fine. */
int cv_modules_load(const char *dir, struct cv_error *err) CV_NODISCARD;

#endif
