/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether what the NSM calls random can be. In the manner of the health tests
 * of NIST SP 800-90B, section 4.4, with limits that a sound source does not
 * reach in the age of the universe: they find a source that is broken, not one
 * that is weak.
 */
#include "nsm/entropy.h"

#define JUDGED 16 /* shorter replies tell too little */

static size_t distinct(struct cv_bytes b)
{
    uint64_t seen[4] = {0};
    size_t n = 0;
    for (size_t i = 0; i < b.n; i++)
        seen[b.p[i] / 64] |= UINT64_C(1) << b.p[i] % 64;
    for (size_t i = 0; i < 4; i++)
        n += (size_t)__builtin_popcountll(seen[i]);
    return n;
}

/* FNV-1a: tells replies apart without keeping one, which may be a key by now. */
static uint64_t fingerprint(struct cv_bytes b)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < b.n; i++)
        h = (h ^ b.p[i]) * UINT64_C(0x100000001b3);
    return h;
}

int cv_nsm_entropy_check(uint64_t *last, struct cv_bytes reply, struct cv_error *err)
{
    if (reply.n < JUDGED)
        return 0;
    size_t judged = reply.n < 256 ? reply.n : 256;
    uint64_t now = fingerprint(reply);
    bool repeated = *last == now;
    *last = now;
    if (distinct(reply) <= judged / JUDGED)
        return cv_error_set(err, CV_ERR_CRYPTO,
                            "the NSM's entropy is no entropy: the same few bytes over and over");
    if (repeated)
        return cv_error_set(err, CV_ERR_CRYPTO,
                            "the NSM's entropy is no entropy: it gave the same bytes twice");
    return 0;
}
