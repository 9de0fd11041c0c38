/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files with secrets, in the image's root directory. A file appears at once
 * with its whole content, owner and mode, and replaces an older one in one
 * step, so that a reader never sees half of it, or one that it may not read.
 *
 * Links on the way are followed inside the root, and only those of root: the
 * application must not be able to lead the init elsewhere. Nothing is written
 * into proc, sysfs, cgroup or the file system of /dev, wherever a link leads.
 */
#ifndef CV_INIT_FILES_H
#define CV_INIT_FILES_H

#include <sys/types.h>

#include "common/bytes.h"

struct cv_file_owner {
    uid_t uid;
    gid_t gid;
    mode_t mode; /* 07777 at most */
};

/* Writes PATH (absolute, plain) below the directory ROOT. Missing parents are
 * made, root's, with mode 0755. The sentence names path and step. */
int cv_files_write(int root, const char *path, const struct cv_file_owner *owner,
                   struct cv_bytes content, struct cv_error *err) CV_NODISCARD;
/* Removes it; an absent file is fine. */
int cv_files_remove(int root, const char *path, struct cv_error *err) CV_NODISCARD;

#endif
