/* SPDX-License-Identifier: Apache-2.0 */
/* An open-addressing table: a lookup on the signing path allocates nothing. */
#include "watermark/marks.h"

#include <stdlib.h>
#include <string.h>

#include "common/secret.h"

#define SLOTS_MIN 256u

struct slot {
    bool used;
    unsigned chains; /* of a CV_MARK_KNOWN mark: chains this key has marks for */
    struct cv_mark mark;
};

struct cv_marks {
    struct slot *slots;
    size_t size; /* power of two */
    size_t used;
    uint64_t seed;
};

const char *cv_mark_kind_name(enum cv_mark_kind kind)
{
    static const char *const names[CV_MARK_KINDS] = {"known", "block", "preattestation",
                                                     "attestation"};
    return (unsigned)kind < CV_MARK_KINDS ? names[kind] : "unknown";
}

int cv_marks_new(struct cv_marks **out)
{
    struct cv_marks *m = calloc(1, sizeof *m);
    if (m != NULL) {
        m->slots = calloc(SLOTS_MIN, sizeof *m->slots);
    }
    if (m == NULL || m->slots == NULL) {
        free(m);
        return CV_ERR_NOMEM;
    }
    m->size = SLOTS_MIN;
    /* Chain ids come from clients: a seed keeps them from choosing collisions. */
    cv_random(&m->seed, sizeof m->seed);
    *out = m;
    return CV_OK;
}

void cv_marks_free(struct cv_marks *marks)
{
    if (marks != NULL) {
        free(marks->slots);
        free(marks);
    }
}

size_t cv_marks_count(const struct cv_marks *marks)
{
    return marks->used;
}

static uint64_t mix(uint64_t h, const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++) {
        h = (h ^ b[i]) * 0x100000001b3u; /* FNV-1a */
    }
    return h;
}

static size_t slot_of(const struct cv_marks *m, const struct cv_pkh *pkh, enum cv_mark_kind kind,
                      const uint8_t chain[CV_MARK_CHAIN_LEN])
{
    uint8_t tags[2] = {(uint8_t)pkh->scheme, (uint8_t)kind};
    uint64_t h = mix(0xcbf29ce484222325u ^ m->seed, pkh->p, CV_PKH_LEN);
    h = mix(mix(h, tags, sizeof tags), chain, CV_MARK_CHAIN_LEN);
    h ^= h >> 32;
    size_t i = (size_t)h & (m->size - 1);
    while (m->slots[i].used) {
        const struct cv_mark *at = &m->slots[i].mark;
        if (at->kind == kind && cv_pkh_equal(&at->pkh, pkh) &&
            memcmp(at->chain, chain, CV_MARK_CHAIN_LEN) == 0) {
            break;
        }
        i = (i + 1) & (m->size - 1);
    }
    return i;
}

static const uint8_t no_chain[CV_MARK_CHAIN_LEN];

const struct cv_mark *cv_marks_find(const struct cv_marks *marks, const struct cv_pkh *pkh,
                                    enum cv_mark_kind kind, const uint8_t chain[CV_MARK_CHAIN_LEN])
{
    const struct slot *s = &marks->slots[slot_of(marks, pkh, kind, chain)];
    return s->used ? &s->mark : NULL;
}

bool cv_marks_known(const struct cv_marks *marks, const struct cv_pkh *pkh)
{
    return cv_marks_find(marks, pkh, CV_MARK_KNOWN, no_chain) != NULL;
}

static int grow(struct cv_marks *m)
{
    if (m->used < m->size / 2) {
        return CV_OK;
    }
    struct slot *old = m->slots;
    size_t size = m->size;
    struct slot *slots = calloc(size * 2, sizeof *slots);
    if (slots == NULL) {
        return CV_ERR_NOMEM;
    }
    m->slots = slots;
    m->size = size * 2;
    for (size_t i = 0; i < size; i++) {
        if (old[i].used) {
            const struct cv_mark *at = &old[i].mark;
            m->slots[slot_of(m, &at->pkh, at->kind, at->chain)] = old[i];
        }
    }
    free(old);
    return CV_OK;
}

/* The slot of the key itself, made when absent. */
static int know(struct cv_marks *m, const struct cv_mark *mark, struct slot **out)
{
    int r = grow(m);
    if (r != CV_OK) {
        return r;
    }
    struct slot *s = &m->slots[slot_of(m, &mark->pkh, CV_MARK_KNOWN, no_chain)];
    if (!s->used) {
        *s = (struct slot){.used = true};
        s->mark.pkh = mark->pkh;
        s->mark.kind = CV_MARK_KNOWN;
        s->mark.seq = mark->seq;
        m->used++;
    }
    *out = s;
    return CV_OK;
}

static bool has_chain(const struct cv_marks *m, const struct cv_mark *mark)
{
    for (int kind = CV_MARK_BLOCK; kind < CV_MARK_KINDS; kind++) {
        if (cv_marks_find(m, &mark->pkh, (enum cv_mark_kind)kind, mark->chain) != NULL) {
            return true;
        }
    }
    return false;
}

int cv_marks_put(struct cv_marks *marks, const struct cv_mark *mark)
{
    struct slot *key;
    int r = know(marks, mark, &key);
    if (r != CV_OK || mark->kind == CV_MARK_KNOWN) {
        return r;
    }
    if (!has_chain(marks, mark)) {
        if (key->chains >= CV_MARK_CHAINS_MAX) {
            return CV_ERR_LIMIT;
        }
        key->chains++;
    }
    if ((r = grow(marks)) != CV_OK) {
        return r;
    }
    struct slot *s = &marks->slots[slot_of(marks, &mark->pkh, mark->kind, mark->chain)];
    if (!s->used) {
        marks->used++;
    }
    s->used = true;
    s->mark = *mark;
    return CV_OK;
}

int cv_marks_each(const struct cv_marks *marks, int (*each)(void *ctx, const struct cv_mark *mark),
                  void *ctx)
{
    for (size_t i = 0; i < marks->size; i++) {
        if (marks->slots[i].used) {
            int r = each(ctx, &marks->slots[i].mark);
            if (r != 0) {
                return r;
            }
        }
    }
    return 0;
}

enum cv_mark_verdict cv_marks_check(const struct cv_marks *marks, const struct cv_mark *wanted)
{
    if (wanted->level < 0 || wanted->round < 0) {
        return CV_MARK_NEGATIVE;
    }
    if (!cv_marks_known(marks, &wanted->pkh)) {
        return CV_MARK_UNKNOWN;
    }
    const struct cv_mark *stored = cv_marks_find(marks, &wanted->pkh, wanted->kind, wanted->chain);
    if (stored == NULL) {
        return CV_MARK_ADVANCE;
    }
    if (stored->has_hash && wanted->has_hash &&
        memcmp(stored->hash, wanted->hash, CV_MARK_HASH_LEN) == 0) {
        return CV_MARK_REPEAT;
    }
    if (wanted->level > stored->level ||
        (wanted->level == stored->level && wanted->round > stored->round)) {
        return CV_MARK_ADVANCE;
    }
    return CV_MARK_REFUSE;
}
