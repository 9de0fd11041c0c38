/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of libclaviger-attest share; nothing of it is exported. */
#ifndef CV_ATTEST_INTERNAL_H
#define CV_ATTEST_INTERNAL_H

#include <openssl/x509.h>

#include "claviger/attest.h"
#include "common/bytes.h"

#define CV_ATTEST_HIDDEN __attribute__((visibility("hidden")))
/* Fills ERR (may be NULL) and returns CODE. FIELD may be "". */
CV_ATTEST_HIDDEN enum cv_attest_code cv_attest_fail(struct cv_attest_error *err,
                                                    enum cv_attest_code code, const char *field,
                                                    const char *fmt, ...) CV_PRINTF(4, 5);

/* The COSE_Sign1 around the payload: fills tagged, protected_header, payload
 * and signature of DOC. */
CV_ATTEST_HIDDEN enum cv_attest_code cv_attest_read_cose(struct cv_attest_document *doc,
                                                         struct cv_bytes in,
                                                         struct cv_attest_error *err);
/* The payload: fills the other fields. */
CV_ATTEST_HIDDEN enum cv_attest_code cv_attest_read_payload(struct cv_attest_document *doc,
                                                            bool strict,
                                                            struct cv_attest_error *err);

/* The certificates of a document, parsed: [0] is the leaf, [count-1] the root. */
#define CV_ATTEST_CHAIN_MAX (CV_ATTEST_MAX_CABUNDLE + 1)
struct cv_attest_chain {
    X509 *cert[CV_ATTEST_CHAIN_MAX];
    size_t count;
};
CV_ATTEST_HIDDEN enum cv_attest_code cv_attest_chain_read(struct cv_attest_chain *chain,
                                                          const struct cv_attest_document *doc,
                                                          struct cv_attest_error *err);
CV_ATTEST_HIDDEN void cv_attest_chain_free(struct cv_attest_chain *chain);
/* Root, names, rules, validity at TIME_MS, and all certificate signatures. */
CV_ATTEST_HIDDEN enum cv_attest_code cv_attest_chain_verify(const struct cv_attest_chain *chain,
                                                            const struct cv_attest_document *doc,
                                                            const struct cv_attest_policy *policy,
                                                            int64_t time_ms,
                                                            struct cv_attest_error *err);
/* The COSE signature under the key of the leaf. */
CV_ATTEST_HIDDEN enum cv_attest_code cv_attest_verify_signature(
    X509 *leaf, const struct cv_attest_document *doc, struct cv_attest_error *err);
/* Debug mode, registers, fields, age. */
CV_ATTEST_HIDDEN enum cv_attest_code cv_attest_check_policy(const struct cv_attest_document *doc,
                                                            const struct cv_attest_policy *policy,
                                                            struct cv_attest_error *err);
/* A policy that makes no sense: CV_ATTEST_ERR_ARGUMENT. */
CV_ATTEST_HIDDEN enum cv_attest_code cv_attest_policy_sane(const struct cv_attest_policy *policy,
                                                           struct cv_attest_error *err);

/* "cabundle[N]", or "certificate" for the leaf; POSITION as in the chain. */
CV_ATTEST_HIDDEN const char *cv_attest_chain_field(char out[48],
                                                   const struct cv_attest_chain *chain,
                                                   size_t position);
/* A certificate's time in ms; false when it cannot be read. */
CV_ATTEST_HIDDEN bool cv_attest_asn1_time(int64_t *ms, const ASN1_TIME *time);
/* One certificate, all of N bytes; NULL. */
CV_ATTEST_HIDDEN X509 *cv_attest_x509_read(const uint8_t *der, size_t n);

static inline struct cv_bytes cv_attest_bytes(struct cv_attest_span s)
{
    return (struct cv_bytes){s.p, s.n};
}

/* Present, even when it has no bytes. */
static inline struct cv_attest_span cv_attest_span(struct cv_bytes b)
{
    static const uint8_t none[1];
    return (struct cv_attest_span){b.p != NULL ? b.p : none, b.n};
}

#endif
