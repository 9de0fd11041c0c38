/* SPDX-License-Identifier: Apache-2.0 */
/* What the ways of unpacking share. */
#ifndef CV_EIF_INPUT_PRIVATE_H
#define CV_EIF_INPUT_PRIVATE_H

#include "eif/input.h"

#define CV_INPUT_PIECE 65536u

/* Reads raw bytes when all were used up; raw_at == raw_n afterwards at the end
 * of the data only. */
int cv_input_refill(struct cv_input *in, struct cv_error *err) CV_NODISCARD;

/* A way of unpacking. `read` gives up to N bytes at P; *GOT is 0 at the end only. */
struct cv_unpacker {
    bool (*open)(struct cv_input *in); /* false: no memory */
    int (*read)(struct cv_input *in, void *p, size_t n, size_t *got, struct cv_error *err);
    void (*close)(struct cv_input *in);
};
extern const struct cv_unpacker cv_input_gzip, cv_input_zstd;

#endif
