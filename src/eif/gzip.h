/* SPDX-License-Identifier: Apache-2.0 */
/* A sink that compresses: gzip without name and time, level 9, padded with
 * zeros to a multiple of 512, so that another archive can follow. */
#ifndef CV_EIF_GZIP_H
#define CV_EIF_GZIP_H

#include <zlib.h>

#include "eif/cpio.h"

struct cv_gzip {
    struct cv_sink to;
    z_stream z;
    gz_header header;
    uint8_t *buffer;
    uint64_t total; /* bytes written */
};

int cv_gzip_open(struct cv_gzip *g, struct cv_sink to, struct cv_error *err) CV_NODISCARD;
struct cv_sink cv_gzip_sink(struct cv_gzip *g);
/* Writes what is left and the padding. */
int cv_gzip_end(struct cv_gzip *g, struct cv_error *err) CV_NODISCARD;
/* Harmless twice, and on one that was never opened but zeroed. */
void cv_gzip_close(struct cv_gzip *g);

#endif
