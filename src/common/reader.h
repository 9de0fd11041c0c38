/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bounded reader: every byte from outside is read through it.
 *
 * The error is sticky: after a read past the end every further read gives
 * zeros or an empty view, and cv_reader_end() says what happened. So a parser
 * is a list of reads with one check at its end; but a value that steers the
 * parse (a length, a tag, a count) is checked before it is used.
 */
#ifndef CV_COMMON_READER_H
#define CV_COMMON_READER_H

#include "common/bytes.h"

struct cv_reader {
    const uint8_t *p;
    size_t n;
    size_t off; /* always <= n */
    int err;    /* 0, CV_ERR_TRUNCATED, or what cv_reader_fail() was told */
};

void cv_reader_init(struct cv_reader *r, struct cv_bytes in);
size_t cv_reader_left(const struct cv_reader *r);

uint8_t cv_read_u8(struct cv_reader *r);
uint16_t cv_read_be16(struct cv_reader *r);
uint32_t cv_read_be32(struct cv_reader *r);
uint64_t cv_read_be64(struct cv_reader *r);
int32_t cv_read_be_i32(struct cv_reader *r);
int64_t cv_read_be_i64(struct cv_reader *r);
/* The next byte without taking it; 0 at the end (no error). */
uint8_t cv_peek_u8(const struct cv_reader *r);
/* A view of the next N bytes; empty, with the error set, when fewer are left. */
struct cv_bytes cv_read_bytes(struct cv_reader *r, size_t n);
/* Copies exactly N bytes, zeros on error. */
void cv_read_copy(struct cv_reader *r, void *out, size_t n);
void cv_read_skip(struct cv_reader *r, size_t n);
/* A reader of the next N bytes alone; on error an empty one with the error. */
struct cv_reader cv_read_window(struct cv_reader *r, size_t n);

/* Records CODE (negative) unless an error is recorded already. */
void cv_reader_fail(struct cv_reader *r, int code);
/* 0 when all was read and nothing is left; the error; or CV_ERR_TRAILING. */
int cv_reader_end(const struct cv_reader *r) CV_NODISCARD;

#endif
