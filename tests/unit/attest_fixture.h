/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents with faults: a chain of certificates that a test may bend, and a
 * signed document made of it. Each certificate has a key of its own.
 */
#ifndef CV_TESTS_UNIT_ATTEST_FIXTURE_H
#define CV_TESTS_UNIT_ATTEST_FIXTURE_H

#include "claviger/attest.h"
#include "local/certificate.h"

#define FIXTURE_NOW_MS INT64_C(1800000000000)
#define FIXTURE_HOUR_MS INT64_C(3600000)

enum { F_ROOT, F_REGIONAL, F_ZONAL, F_INSTANCE, F_LEAF, F_LEVELS };

struct fixture {
    EVP_PKEY *key[F_LEVELS];
    X509 *cert[F_LEVELS];
    struct cv_buf der[F_LEVELS];
    /* What becomes of it in the document: */
    struct cv_bytes bundle[8];
    size_t bundle_count;
    struct cv_bytes leaf;
    EVP_PKEY *signer;
};

/* What a test may bend before a certificate is made. */
struct fixture_bend {
    int level;                           /* whose certificate; -1 = none */
    int profile;                         /* enum cv_local_profile; -1 = its own */
    int64_t not_before_ms, not_after_ms; /* 0 = its own */
    const char *curve;                   /* key's curve; NULL = P-384 */
    EVP_PKEY *issuer_key;                /* signs instead of the issuer's; NULL */
    const char *common_name;             /* NULL = its own */
};

/* Makes the chain root to leaf, with names "root" … "leaf". */
void fixture_make(struct fixture *f, const struct fixture_bend *bend);
void fixture_free(struct fixture *f);
/* One more certificate for LEVEL under the same issuer; the caller frees. */
X509 *fixture_sibling(const struct fixture *f, int level, EVP_PKEY **key);
/* Signs PAYLOAD into a document. */
void fixture_sign(struct cv_buf *out, EVP_PKEY *key, struct cv_bytes payload);
/* The document of the fixture: PCR0 is 48 times 0x11. */
void fixture_document(struct cv_buf *out, const struct fixture *f);
/* Trusts the fixture's root; at FIXTURE_NOW_MS. */
void fixture_policy(struct cv_attest_policy *policy, const struct fixture *f);

#endif
