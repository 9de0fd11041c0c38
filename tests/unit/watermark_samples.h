/* SPDX-License-Identifier: Apache-2.0 */
/* Marks for the tests of the watermark store. */
#ifndef TESTS_WATERMARK_SAMPLES_H
#define TESTS_WATERMARK_SAMPLES_H

#include <string.h>

#include "watermark/marks.h"

static inline struct cv_pkh sample_pkh(unsigned n)
{
    struct cv_pkh pkh = {.scheme = (enum cv_scheme)(n % CV_SCHEME_COUNT)};
    memset(pkh.p, 0x11, sizeof pkh.p);
    pkh.p[0] = (uint8_t)(n >> 8);
    pkh.p[1] = (uint8_t)n;
    return pkh;
}

static inline struct cv_mark sample_mark(unsigned key, enum cv_mark_kind kind, int32_t level,
                                         int32_t round, uint8_t hash)
{
    struct cv_mark m = {
        .pkh = sample_pkh(key), .kind = kind, .level = level, .round = round, .has_hash = true};
    if (kind != CV_MARK_KNOWN) {
        memcpy(m.chain, "\x7a\x06\xa7\x70", CV_MARK_CHAIN_LEN);
    }
    memset(m.hash, hash, sizeof m.hash);
    return m;
}

static inline struct cv_mark sample_known(unsigned key)
{
    struct cv_mark m = {.pkh = sample_pkh(key), .kind = CV_MARK_KNOWN};
    return m;
}

#endif
