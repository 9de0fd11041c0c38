/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CBOR (RFC 8949), bounded reader and writer, no heap.
 *
 * The reader walks an encoded item in place over a struct cv_reader: heads of
 * any width, definite and indefinite lengths, tags. It never trusts a length:
 * strings are views into the input, and containers are walked item by item.
 * The writer emits definite lengths and shortest heads, as all our protocols
 * want.
 */
#ifndef CV_CBOR_CBOR_H
#define CV_CBOR_CBOR_H

#include "common/reader.h"
#include "common/utf8.h"
#include "common/writer.h"

enum cv_cbor_major {
    CV_CBOR_UINT = 0,
    CV_CBOR_NINT = 1,
    CV_CBOR_BSTR = 2,
    CV_CBOR_TSTR = 3,
    CV_CBOR_ARRAY = 4,
    CV_CBOR_MAP = 5,
    CV_CBOR_TAG = 6,
    CV_CBOR_SIMPLE = 7,
};

#define CV_CBOR_FALSE 20
#define CV_CBOR_TRUE 21
#define CV_CBOR_NULL 22
#define CV_CBOR_UNDEFINED 23
#define CV_CBOR_MAX_DEPTH 256

/* The head of an item. */
struct cv_cbor_head {
    enum cv_cbor_major major;
    bool indefinite; /* 0x5f 0x7f 0x9f 0xbf; with major SIMPLE: the break 0xff */
    uint8_t info;    /* low five bits: tells a float (25..27) from a simple value */
    uint64_t value;  /* argument: integer, length, count, tag, simple value, float bits */
};

/* Reads one head. CV_ERR_TRUNCATED, or CV_ERR_INVALID for reserved info
 * values 28..30, indefinite integers and tags, and two-byte simple values under
 * 32. On an error the reader's error is set and its offset stays at the head
 * that is wrong; the same holds for every function below. */
int cv_cbor_read_head(struct cv_reader *r, struct cv_cbor_head *head);
/* The next head without taking it; same errors, the reader is not touched. */
int cv_cbor_peek(const struct cv_reader *r, struct cv_cbor_head *head);

/* Each reads one item of one type. On another type: CV_ERR_INVALID, and the
 * reader's error is set. Leading tags are not skipped. */
int cv_cbor_read_uint(struct cv_reader *r, uint64_t *v);
int cv_cbor_read_int(struct cv_reader *r, int64_t *v);
int cv_cbor_read_bool(struct cv_reader *r, bool *v);
int cv_cbor_read_null(struct cv_reader *r);
/* Definite strings only; a view. Text must be valid UTF-8. */
int cv_cbor_read_bstr(struct cv_reader *r, struct cv_bytes *v);
int cv_cbor_read_tstr(struct cv_reader *r, struct cv_bytes *v);
/* True, and the null taken, when the next item is null (0xf6). */
bool cv_cbor_take_null(struct cv_reader *r);

/* Containers, definite or not:
 *     struct cv_cbor_iter it;
 *     cv_cbor_enter_map(r, &it);
 *     while (cv_cbor_next(r, &it)) { read key; read value; }
 * cv_cbor_next() is false at the end and on error; the caller looks at r->err. */
struct cv_cbor_iter {
    bool indefinite;
    bool map;
    uint64_t left; /* items or pairs, when definite */
};
int cv_cbor_enter_array(struct cv_reader *r, struct cv_cbor_iter *it);
int cv_cbor_enter_map(struct cv_reader *r, struct cv_cbor_iter *it);
bool cv_cbor_next(struct cv_reader *r, struct cv_cbor_iter *it);

/* Skips one whole item, whatever it is, iteratively, at most MAX_DEPTH levels
 * deep (CV_ERR_LIMIT). RAW, when not NULL, gets a view of it. */
int cv_cbor_skip(struct cv_reader *r, unsigned max_depth, struct cv_bytes *raw);

void cv_cbor_write_head(struct cv_writer *w, enum cv_cbor_major major, uint64_t value);
void cv_cbor_write_uint(struct cv_writer *w, uint64_t v);
void cv_cbor_write_int(struct cv_writer *w, int64_t v);
void cv_cbor_write_bstr(struct cv_writer *w, struct cv_bytes v);
void cv_cbor_write_tstr(struct cv_writer *w, const char *v);
void cv_cbor_write_text(struct cv_writer *w, struct cv_bytes v);
void cv_cbor_write_bool(struct cv_writer *w, bool v);
void cv_cbor_write_null(struct cv_writer *w);
void cv_cbor_write_array(struct cv_writer *w, uint64_t count);
void cv_cbor_write_map(struct cv_writer *w, uint64_t pairs);

#endif
