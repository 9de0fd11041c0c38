/* SPDX-License-Identifier: Apache-2.0 */
/* File systems of the enclave. */
#ifndef CV_INIT_MOUNTS_H
#define CV_INIT_MOUNTS_H

#include "common/bytes.h"

/* devtmpfs on /dev of the first ramdisk, for /dev/console and /dev/nsm, and
 * the console as our standard descriptors where they are not open. */
int cv_mounts_early(struct cv_error *err) CV_NODISCARD;
/* Makes PATH the root directory, for good. A ramdisk's own root cannot be
 * pivoted away, so it is covered (as switch_root(8) does). */
int cv_mounts_switch_root(const char *path, struct cv_error *err) CV_NODISCARD;
/* What an application may expect: /dev, /dev/pts, /dev/shm, /dev/mqueue, /proc,
 * /sys, /sys/fs/cgroup, and memory on /run and /tmp where the image has nothing
 * there. OWN_DEV: /dev is made already, as development builds do. */
int cv_mounts_late(bool own_dev, struct cv_error *err) CV_NODISCARD;

#endif
