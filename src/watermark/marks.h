/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of high watermarks: what was signed last for each key, chain and
 * kind of consensus operation; and which keys are known at all.
 *
 * Pure memory, no I/O, one owner. The rule (docs/watermarks.md): the same
 * request again is allowed; anything else must have a (level, round) greater
 * than the stored one. Levels are compared, never subtracted.
 */
#ifndef CV_WATERMARK_MARKS_H
#define CV_WATERMARK_MARKS_H

#include "common/bytes.h"
#include "tezos/keytext.h"

#define CV_MARK_HASH_LEN 32
#define CV_MARK_CHAIN_LEN 4
/* A key that is asked about ever new chains must not fill the memory: chains
 * that one key may have marks for. */
#define CV_MARK_CHAINS_MAX 16

/* One bucket for attestation and attestation_with_dal: two conflicting ones
 * at one level and round are a double attestation. */
enum cv_mark_kind {
    CV_MARK_KNOWN = 0, /* the key has a record; nothing may be signed yet */
    CV_MARK_BLOCK = 1,
    CV_MARK_PREATTESTATION = 2,
    CV_MARK_ATTESTATION = 3,
};
#define CV_MARK_KINDS 4

/* "block", "preattestation", "attestation"; "known" for CV_MARK_KNOWN. */
const char *cv_mark_kind_name(enum cv_mark_kind kind);

struct cv_mark {
    struct cv_pkh pkh;
    enum cv_mark_kind kind;
    uint8_t chain[CV_MARK_CHAIN_LEN]; /* zeros for CV_MARK_KNOWN */
    int32_t level;                    /* never negative */
    int32_t round;
    bool has_hash;                  /* false after a migration or a raise without one */
    uint8_t hash[CV_MARK_HASH_LEN]; /* BLAKE2b-256 of the request */
    uint64_t seq;                   /* of the record that holds it */
};

struct cv_marks;

/* CV_ERR_NOMEM. */
int cv_marks_new(struct cv_marks **out) CV_NODISCARD;
void cv_marks_free(struct cv_marks *marks);
size_t cv_marks_count(const struct cv_marks *marks);

/* The mark of a key, chain and kind, or NULL. Good until the next put. */
const struct cv_mark *cv_marks_find(const struct cv_marks *marks, const struct cv_pkh *pkh,
                                    enum cv_mark_kind kind, const uint8_t chain[CV_MARK_CHAIN_LEN]);
bool cv_marks_known(const struct cv_marks *marks, const struct cv_pkh *pkh);
/* Inserts or overwrites. A mark of a key makes the key known. CV_ERR_NOMEM,
 * CV_ERR_LIMIT (too many chains for one key). */
int cv_marks_put(struct cv_marks *marks, const struct cv_mark *mark) CV_NODISCARD;
/* Calls EACH for every mark, in no order, until it returns non-zero. */
int cv_marks_each(const struct cv_marks *marks, int (*each)(void *ctx, const struct cv_mark *mark),
                  void *ctx);

/* What the rule says of WANTED (its seq is ignored) against what is stored. */
enum cv_mark_verdict {
    CV_MARK_ADVANCE,  /* greater: store it, then sign */
    CV_MARK_REPEAT,   /* the same request: sign it again */
    CV_MARK_REFUSE,   /* not greater */
    CV_MARK_UNKNOWN,  /* the key has no record */
    CV_MARK_NEGATIVE, /* negative level or round */
};
enum cv_mark_verdict cv_marks_check(const struct cv_marks *marks, const struct cv_mark *wanted);

#endif
