/* SPDX-License-Identifier: Apache-2.0 */
/* The whole verification, in the order that the header promises. */
#include <openssl/err.h>
#include <string.h>

#include "attest/internal.h"

static void clear_error(struct cv_attest_error *err)
{
    if (err != NULL)
        memset(err, 0, sizeof *err);
}

enum cv_attest_code cv_attest_parse_unverified(struct cv_attest_document *doc, const void *bytes,
                                               size_t len, bool strict, struct cv_attest_error *err)
{
    enum cv_attest_code code;

    clear_error(err);
    if (doc == NULL || (bytes == NULL && len > 0))
        return cv_attest_fail(err, CV_ATTEST_ERR_ARGUMENT, "", "a pointer is NULL");
    memset(doc, 0, sizeof *doc);
    code = cv_attest_read_cose(doc, CV_BYTES(bytes, len), err);
    if (code == CV_ATTEST_OK)
        code = cv_attest_read_payload(doc, strict, err);
    if (code != CV_ATTEST_OK)
        memset(doc, 0, sizeof *doc);
    return code;
}

static enum cv_attest_code verify_parsed(const struct cv_attest_document *doc,
                                         const struct cv_attest_policy *policy,
                                         struct cv_attest_error *err)
{
    struct cv_attest_chain chain = {0};
    /* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign) */
    int64_t time_ms = policy->time_ms != 0 ? policy->time_ms : (int64_t)doc->timestamp_ms;

    enum cv_attest_code code = cv_attest_chain_read(&chain, doc, err);
    if (code == CV_ATTEST_OK)
        code = cv_attest_chain_verify(&chain, doc, policy, time_ms, err);
    if (code == CV_ATTEST_OK)
        code = cv_attest_verify_signature(chain.cert[0], doc, err);
    cv_attest_chain_free(&chain);
    return code == CV_ATTEST_OK ? cv_attest_check_policy(doc, policy, err) : code;
}

enum cv_attest_code cv_attest_verify(struct cv_attest_document *doc, const void *bytes, size_t len,
                                     const struct cv_attest_policy *policy,
                                     struct cv_attest_error *err)
{
    struct cv_attest_policy standard;
    struct cv_attest_document parsed = {0};

    clear_error(err);
    if (doc != NULL)
        memset(doc, 0, sizeof *doc);
    if (policy == NULL) {
        cv_attest_policy_init(&standard);
        policy = &standard;
    }
    enum cv_attest_code code = cv_attest_policy_sane(policy, err);
    if (code == CV_ATTEST_OK)
        code = cv_attest_parse_unverified(&parsed, bytes, len, policy->strict, err);
    if (code == CV_ATTEST_OK) {
        /* OpenSSL's queue of errors is the thread's; ours are not left in it. */
        ERR_set_mark();
        code = verify_parsed(&parsed, policy, err);
        ERR_pop_to_mark();
    }
    if (code == CV_ATTEST_OK && doc != NULL)
        *doc = parsed;
    return code;
}
