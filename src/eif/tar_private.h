/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the tar reader share. */
#ifndef CV_EIF_TAR_PRIVATE_H
#define CV_EIF_TAR_PRIVATE_H

#include "eif/tar.h"

#define CV_TAR_BLOCK_SIZE 512u

/* Offsets in a header block. */
enum {
    CV_TAR_AT_NAME = 0,
    CV_TAR_AT_MODE = 100,
    CV_TAR_AT_UID = 108,
    CV_TAR_AT_GID = 116,
    CV_TAR_AT_SIZE = 124,
    CV_TAR_AT_SUM = 148,
    CV_TAR_AT_TYPE = 156,
    CV_TAR_AT_LINK = 157,
    CV_TAR_AT_MAGIC = 257,
    CV_TAR_AT_MAJOR = 329,
    CV_TAR_AT_MINOR = 337,
    CV_TAR_AT_PREFIX = 345,
    CV_TAR_AT_SPARSE = 386,
    CV_TAR_AT_EXTENDED = 482,
    CV_TAR_AT_REAL = 483,
};

/* Says WHAT is wrong with the archive: CV_ERR_INVALID. */
int cv_tar_bad(struct cv_error *err, const char *what);
/* A header's number of N bytes: octal digits, or GNU's binary form with the top
 * bit set. False for anything else, and for what 64 bits do not hold. */
bool cv_tar_number(uint64_t *out, const uint8_t *p, size_t n) CV_NODISCARD;
/* The map of GNU's old format, in header H and the blocks that follow it. */
int cv_tar_sparse_old(struct cv_tar *t, const uint8_t *h, struct cv_error *err) CV_NODISCARD;
/* Takes the map into the entry, of which the data are about to be read. */
int cv_tar_sparse_set(struct cv_tar *t, struct cv_error *err) CV_NODISCARD;

#endif
