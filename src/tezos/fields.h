/* SPDX-License-Identifier: Apache-2.0 */
/* Fields that many operations are made of, over the sticky reader. The readers
 * return nothing: a fault stays in r->err (with what we call it in FAULT). */
#ifndef CV_TEZOS_FIELDS_H
#define CV_TEZOS_FIELDS_H

#include "common/reader.h"
#include "tezos/request.h"

/* The reader, and the sentence for what went wrong. */
struct cv_fields {
    struct cv_reader r;
    const char *fault; /* static; NULL: the code alone says it */
    int unknown_tag;   /* with CV_ERR_UNSUPPORTED */
};

void cv_fields_init(struct cv_fields *f, struct cv_bytes in);
void cv_fields_fail(struct cv_fields *f, int code, const char *fault);
void cv_fields_unknown_tag(struct cv_fields *f, int tag);
bool cv_fields_ok(const struct cv_fields *f);
size_t cv_fields_left(const struct cv_fields *f);
/* Fails with CV_ERR_TRAILING when bytes are left. */
void cv_fields_end(struct cv_fields *f);

void cv_field_skip(struct cv_fields *f, size_t n);
/* 0x00 or 0xff: a flag, or the head of an optional field. */
bool cv_field_bool(struct cv_fields *f);
/* u32 length and that many bytes. */
struct cv_bytes cv_field_dyn(struct cv_fields *f);
/* Enters a window of u32 length: reads until cv_field_leave(), which wants it
 * used up. Returns the outer end for it. */
size_t cv_field_enter(struct cv_fields *f);
void cv_field_leave(struct cv_fields *f, size_t outer);
/* 7-bit groups, least significant first, minimal. UINT64_MAX when larger. */
uint64_t cv_field_n(struct cv_fields *f);
/* The same with a sign bit; at most MAX bytes; the value is not kept. */
void cv_field_z(struct cv_fields *f, size_t max);
void cv_field_pkh(struct cv_fields *f, struct cv_pkh *out);
void cv_field_pk(struct cv_fields *f);
void cv_field_contract(struct cv_fields *f, struct cv_address *out);
void cv_field_originated(struct cv_fields *f);
/* dyn(X) where X fills the window in steps of UNIT bytes. */
void cv_field_dyn_units(struct cv_fields *f, size_t unit);
/* One Michelson expression; dyn(expression). */
void cv_field_michelson(struct cv_fields *f);
void cv_field_dyn_michelson(struct cv_fields *f);

#endif
