/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The newc cpio archive, as the Linux kernel unpacks it (Documentation/
 * driver-api/early-userspace/buffer-format.rst): "070701" and 13 numbers of 8
 * hexadecimal digits, name, padding to 4, data, padding to 4; "TRAILER!!!";
 * zeros up to a multiple of 512, so that archives can follow each other.
 * Written so that the bytes depend on the content alone: device 0, inode
 * numbers in sequence.
 */
#ifndef CV_EIF_CPIO_H
#define CV_EIF_CPIO_H

#include <stdio.h>

#include "common/bytes.h"

#define CV_CPIO_MAX_FILE UINT32_MAX /* bytes of one file: eight digits */
#define CV_CPIO_MAX_NAME 4096u      /* PATH_MAX, the kernel's limit */

/* Where the archive goes; returns 0 or a negative code and fills ERR. */
struct cv_sink {
    int (*write)(void *ctx, const void *p, size_t n, struct cv_error *err);
    void *ctx;
};

struct cv_cpio_entry {
    const char *name; /* relative, no leading slash, no "." or ".." */
    uint32_t mode;    /* with the type bits */
    uint32_t uid, gid;
    uint32_t nlink;
    uint32_t mtime;
    uint32_t rmajor, rminor; /* of a device node */
    uint32_t ino;            /* 0: the next of the sequence */
    uint64_t size;           /* of the data that follow */
};

struct cv_cpio {
    struct cv_sink sink;
    uint64_t total; /* bytes written */
    uint64_t left;  /* data of the open entry still to come */
    uint32_t next_ino;
};

void cv_cpio_init(struct cv_cpio *c, struct cv_sink sink);
/* Writes an entry's header and name; then SIZE bytes with cv_cpio_data(). */
int cv_cpio_entry(struct cv_cpio *c, const struct cv_cpio_entry *e,
                  struct cv_error *err) CV_NODISCARD;
int cv_cpio_data(struct cv_cpio *c, const void *p, size_t n, struct cv_error *err) CV_NODISCARD;
/* Trailer and padding. */
int cv_cpio_end(struct cv_cpio *c, struct cv_error *err) CV_NODISCARD;

#endif
