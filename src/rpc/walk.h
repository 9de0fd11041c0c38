/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks a CBOR item the way the original's decoder does (Rust's serde over
 * ciborium 0.2), so that the same inputs are accepted, and the others are
 * refused with the same text. Private to this directory.
 *
 * The input is writable: a byte or text string that comes in pieces, or a byte
 * string that comes as an array of integers, is put together in place. Every
 * element takes at least one byte of input, so the result never overtakes the
 * reader.
 *
 * All functions return false once a fault was found; the text is then in
 * w->text.
 */
#ifndef CV_RPC_WALK_H
#define CV_RPC_WALK_H

#include "cbor/cbor.h"

#define CV_WALK_DEPTH 256       /* the original's recursion limit */
#define CV_WALK_IDENTIFIER 4096 /* longest name of a key or variant it looks at */

struct cv_walk {
    uint8_t *p;
    size_t n;
    size_t off;
    unsigned depth; /* levels left */
    char *text;     /* fault text, at least 1 byte */
    size_t size;
    size_t len; /* of the text so far */
};

void cv_walk_init(struct cv_walk *w, uint8_t *p, size_t n, char *text, size_t size);

/* ---- faults; each returns false ---- */
bool cv_walk_eof(struct cv_walk *w);
bool cv_walk_syntax(struct cv_walk *w, size_t offset);
/* Semantic(None, "…"): FMT is plain text without quotes or backslashes. */
bool cv_walk_semantic(struct cv_walk *w, const char *fmt, ...) CV_PRINTF(2, 3);
/* invalid type: what the head is, expected KIND */
bool cv_walk_expected(struct cv_walk *w, const struct cv_cbor_head *h, const char *kind);
/* unknown variant `NAME`, expected one of … (LIST as the original prints it) */
bool cv_walk_unknown_variant(struct cv_walk *w, struct cv_bytes name, const char *list);

/* ---- heads ---- */
bool cv_walk_head(struct cv_walk *w, struct cv_cbor_head *h);
/* Skips tags; *AT (may be NULL) = offset of the head itself. */
bool cv_walk_untagged(struct cv_walk *w, struct cv_cbor_head *h, size_t *at);
bool cv_walk_enter(struct cv_walk *w); /* one level deeper */
void cv_walk_leave(struct cv_walk *w);

/* ---- containers: after the head was taken ---- */
struct cv_walk_items {
    bool indefinite;
    uint64_t left;
};
struct cv_walk_items cv_walk_items(const struct cv_cbor_head *h);
/* 1: another item (or pair) follows; 0: the end; -1: fault. */
int cv_walk_next(struct cv_walk *w, struct cv_walk_items *it);

/* ---- values ---- */
/* A key or a variant's name: text, or bytes, definite. */
bool cv_walk_identifier(struct cv_walk *w, struct cv_bytes *name);
/* An unsigned integer of up to MAX; TYPE is Rust's name of it ("u8"). */
bool cv_walk_uint(struct cv_walk *w, uint64_t *v, uint64_t max, const char *type);
/* Text, whole or in pieces. */
bool cv_walk_text(struct cv_walk *w, struct cv_bytes *v);
/* True when null or undefined was next, and is taken. */
bool cv_walk_take_none(struct cv_walk *w, bool *none);
/* A byte string: whole, in pieces, or as an array of integers. */
bool cv_walk_bytes(struct cv_walk *w, struct cv_bytes *v);
/* The start of an enum: a map of one pair, or a text that is its name. */
bool cv_walk_enum(struct cv_walk *w);
/* Any item, thrown away. */
bool cv_walk_ignore(struct cv_walk *w);

#endif
