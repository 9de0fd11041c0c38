/* SPDX-License-Identifier: Apache-2.0 */
/* Reading newc cpio archives, one after the other, as the kernel does (see
 * cpio.h for the format). Nothing is allocated from an announced size. */
#ifndef CV_EIF_CPIO_READ_H
#define CV_EIF_CPIO_READ_H

#include "eif/cpio.h"
#include "eif/input.h"

#define CV_CPIO_TRAILER "TRAILER!!!"

struct cv_cpio_found {
    char name[CV_CPIO_MAX_NAME]; /* as it stands there */
    uint32_t ino, mode, uid, gid, nlink, mtime;
    uint32_t size; /* of the data that follow */
};

/* 1 with the next entry, trailers included; 0 at the end; or CV_ERR_INVALID,
 * CV_ERR_TRUNCATED … After an entry its SIZE bytes are read or skipped, and
 * then cv_cpio_pad() is called. */
int cv_cpio_next(struct cv_input *in, struct cv_cpio_found *e, struct cv_error *err) CV_NODISCARD;
/* Skips what fills up to the next header. */
int cv_cpio_pad(struct cv_input *in, const struct cv_cpio_found *e,
                struct cv_error *err) CV_NODISCARD;

#endif
