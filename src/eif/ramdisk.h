/* SPDX-License-Identifier: Apache-2.0 */
/* A tree as a cpio archive: sorted, owners and modes kept, times zero, hard
 * links as such with the data at the last name. */
#ifndef CV_EIF_RAMDISK_H
#define CV_EIF_RAMDISK_H

#include "eif/cpio.h"
#include "eif/tree.h"

struct cv_ramdisk_progress {
    void (*step)(void *ctx, const char *what, uint64_t done, uint64_t total);
    void *ctx;
};

/* Writes the tree's root as the folder PREFIX (no slashes) and everything
 * below it. PROGRESS may be NULL. */
int cv_ramdisk_tree(struct cv_cpio *c, struct cv_tree *t, const char *prefix,
                    const struct cv_ramdisk_progress *progress, struct cv_error *err) CV_NODISCARD;
/* One regular file, one folder, both root's. */
int cv_ramdisk_file(struct cv_cpio *c, const char *name, uint32_t mode, struct cv_bytes content,
                    struct cv_error *err) CV_NODISCARD;
int cv_ramdisk_folder(struct cv_cpio *c, const char *name, uint32_t mode,
                      struct cv_error *err) CV_NODISCARD;
/* A file whose SIZE bytes come from FD. */
int cv_ramdisk_fd(struct cv_cpio *c, const char *name, uint32_t mode, int fd, uint64_t size,
                  struct cv_error *err) CV_NODISCARD;

#endif
