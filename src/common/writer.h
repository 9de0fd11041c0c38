/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bounded writer: into a buffer of fixed size, with a sticky error.
 * What does not fit is not written, and cv_writer_end() says so.
 */
#ifndef CV_COMMON_WRITER_H
#define CV_COMMON_WRITER_H

#include "common/bytes.h"

struct cv_writer {
    uint8_t *p;
    size_t cap;
    size_t n;
    int err; /* 0 or CV_ERR_LIMIT */
};

void cv_writer_init(struct cv_writer *w, void *p, size_t cap);
void cv_write_u8(struct cv_writer *w, uint8_t v);
void cv_write_be16(struct cv_writer *w, uint16_t v);
void cv_write_be32(struct cv_writer *w, uint32_t v);
void cv_write_be64(struct cv_writer *w, uint64_t v);
void cv_write_bytes(struct cv_writer *w, struct cv_bytes b);
void cv_write_raw(struct cv_writer *w, const void *p, size_t n);
/* Room for N bytes to be filled by the caller; NULL with the error set. */
uint8_t *cv_write_room(struct cv_writer *w, size_t n);
/* 0 and the number of bytes in *N, or CV_ERR_LIMIT. N may be NULL. */
int cv_writer_end(const struct cv_writer *w, size_t *n) CV_NODISCARD;
struct cv_bytes cv_writer_view(const struct cv_writer *w);

#endif
