/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ramdisk into a folder, for a look at an image or a run without a virtual
 * machine. The image may be hostile: names are plain, no link is followed on
 * the way, and sizes are capped.
 */
#ifndef CV_EIF_UNPACK_H
#define CV_EIF_UNPACK_H

#include <sys/types.h>

#include "eif/read.h"

#define CV_UNPACK_MAX ((uint64_t)16 << 30) /* bytes of all files together */
#define CV_UNPACK_MAX_FILES 4000000u

struct cv_unpack_count {
    uint64_t files;   /* of all kinds */
    uint64_t skipped; /* device nodes and sockets, which are not made */
};

/* Unpacks SECTION, a ramdisk of EIF, into the folder DIR (a descriptor). Run by
 * root, owners are kept; otherwise everything is the caller's. Folders get
 * their modes at the end. CV_ERR_INVALID, CV_ERR_EXISTS, CV_ERR_LIMIT, CV_ERR_IO:
 * what was unpacked until then stays. */
int cv_eif_unpack(const struct cv_eif *eif, const struct cv_eif_section *section, int dir,
                  struct cv_unpack_count *count, struct cv_error *err) CV_NODISCARD;

#endif
