/* SPDX-License-Identifier: Apache-2.0 */
/* What a caller expects of a document that is genuine. */
#include <stdio.h>
#include <string.h>

#include "attest/internal.h"
#include "common/hex.h"

#define MAX_AHEAD_MS 60000

static const uint8_t empty[1];

void cv_attest_policy_init(struct cv_attest_policy *policy)
{
    size_t n = 0;

    memset(policy, 0, sizeof *policy);
    policy->max_ahead_ms = MAX_AHEAD_MS;
    if (cv_hex_decode(policy->root_sha256, sizeof policy->root_sha256, &n,
                      CV_BYTES_LIT(CV_ATTEST_AWS_ROOT_SHA256)) != 0)
        memset(policy->root_sha256, 0, sizeof policy->root_sha256);
}

enum cv_attest_code cv_attest_expect_pcr(struct cv_attest_policy *policy, unsigned index,
                                         const void *value, size_t n)
{
    if (index >= CV_ATTEST_PCRS || value == NULL || (n != 32 && n != 48 && n != 64))
        return CV_ATTEST_ERR_ARGUMENT;
    if ((policy->pcr_mask >> index & 1) != 0 &&
        (policy->pcr_len[index] != n || memcmp(policy->pcr[index], value, n) != 0))
        return CV_ATTEST_ERR_ARGUMENT;
    policy->pcr_mask |= UINT32_C(1) << index;
    policy->pcr_len[index] = n;
    memcpy(policy->pcr[index], value, n);
    return CV_ATTEST_OK;
}

static struct cv_attest_span expected(const void *p, size_t n)
{
    return (struct cv_attest_span){p != NULL ? p : empty, n};
}

void cv_attest_expect_nonce(struct cv_attest_policy *policy, const void *p, size_t n)
{
    policy->nonce = expected(p, n);
}

void cv_attest_expect_user_data(struct cv_attest_policy *policy, const void *p, size_t n)
{
    policy->user_data = expected(p, n);
}

void cv_attest_expect_public_key(struct cv_attest_policy *policy, const void *p, size_t n)
{
    policy->public_key = expected(p, n);
}

void cv_attest_expect_module_id(struct cv_attest_policy *policy, const char *module_id)
{
    policy->module_id = expected(module_id, strlen(module_id));
}

enum cv_attest_code cv_attest_policy_sane(const struct cv_attest_policy *policy,
                                          struct cv_attest_error *err)
{
    static const uint8_t zeros[32];

    if (policy->root == NULL && memcmp(policy->root_sha256, zeros, sizeof zeros) == 0)
        return cv_attest_fail(err, CV_ATTEST_ERR_ARGUMENT, "root",
                              "no root is trusted; was the policy made by cv_attest_policy_init?");
    if (policy->time_ms < 0 || policy->now_ms < 0 || policy->max_age_ms < 0 ||
        policy->max_ahead_ms < 0)
        return cv_attest_fail(err, CV_ATTEST_ERR_ARGUMENT, "time",
                              "times and ages are not negative");
    if (policy->max_age_ms > 0 && policy->now_ms == 0)
        return cv_attest_fail(err, CV_ATTEST_ERR_ARGUMENT, "now_ms",
                              "a maximum age needs the present time");
    for (unsigned i = 0; i < CV_ATTEST_PCRS; i++) {
        if ((policy->pcr_mask >> i & 1) != 0 && policy->pcr_len[i] > CV_ATTEST_PCR_MAX)
            return cv_attest_fail(err, CV_ATTEST_ERR_ARGUMENT, "pcr",
                                  "an expected register is too long");
    }
    return CV_ATTEST_OK;
}

bool cv_attest_is_debug(const struct cv_attest_document *doc)
{
    const struct cv_attest_span pcr0 = doc->pcr[0];

    if ((doc->pcr_mask & 1) == 0)
        return true;
    for (size_t i = 0; i < pcr0.n; i++) {
        if (pcr0.p[i] != 0)
            return false;
    }
    return true;
}

static enum cv_attest_code check_pcr(const struct cv_attest_document *doc,
                                     const struct cv_attest_policy *policy, unsigned i,
                                     struct cv_attest_error *err)
{
    struct cv_bytes want = {policy->pcr[i], policy->pcr_len[i]};
    char field[16], found_hex[2 * CV_ATTEST_PCR_MAX + 1], want_hex[2 * CV_ATTEST_PCR_MAX + 1];

    if (cv_bytes_equal(cv_attest_bytes(doc->pcr[i]), want))
        return CV_ATTEST_OK;
    snprintf(field, sizeof field, "pcrs[%u]", i);
    cv_hex_encode(want_hex, want.p, want.n);
    if ((doc->pcr_mask >> i & 1) == 0)
        return cv_attest_fail(err, CV_ATTEST_ERR_PCR, field, "is not in the document; expected %s",
                              want_hex);
    cv_hex_encode(found_hex, doc->pcr[i].p, doc->pcr[i].n);
    return cv_attest_fail(err, CV_ATTEST_ERR_PCR, field, "is %s; expected %s", found_hex, want_hex);
}

static enum cv_attest_code check_field(struct cv_attest_span found, struct cv_attest_span want,
                                       enum cv_attest_code code, const char *field,
                                       struct cv_attest_error *err)
{
    if (want.p == NULL || cv_bytes_equal(cv_attest_bytes(found), cv_attest_bytes(want)))
        return CV_ATTEST_OK;
    if (found.p == NULL)
        return cv_attest_fail(err, code, field, "is not in the document; %zu bytes were expected",
                              want.n);
    return cv_attest_fail(err, code, field, "is not as expected (%zu bytes found, %zu expected)",
                          found.n, want.n);
}

static enum cv_attest_code check_age(const struct cv_attest_document *doc,
                                     const struct cv_attest_policy *policy,
                                     struct cv_attest_error *err)
{
    /* Both are below the year 10000, or now. */
    int64_t age = policy->now_ms - (int64_t)doc->timestamp_ms;

    if (policy->max_age_ms == 0)
        return CV_ATTEST_OK;
    if (age > policy->max_age_ms)
        return cv_attest_fail(err, CV_ATTEST_ERR_TOO_OLD, "timestamp",
                              "the document is %lld seconds old; at most %lld are allowed",
                              (long long)(age / 1000), (long long)(policy->max_age_ms / 1000));
    if (age < -policy->max_ahead_ms)
        return cv_attest_fail(err, CV_ATTEST_ERR_FUTURE, "timestamp",
                              "the document is from %lld seconds in the future",
                              (long long)(-age / 1000));
    return CV_ATTEST_OK;
}

enum cv_attest_code cv_attest_check_policy(const struct cv_attest_document *doc,
                                           const struct cv_attest_policy *policy,
                                           struct cv_attest_error *err)
{
    enum cv_attest_code code;

    if (!policy->allow_debug && cv_attest_is_debug(doc))
        return cv_attest_fail(
            err, CV_ATTEST_ERR_DEBUG, "pcrs[0]",
            "%s: the enclave runs in debug mode, its memory is open to the parent, and "
            "this document proves nothing about it",
            (doc->pcr_mask & 1) != 0 ? "is all zeros" : "is not in the document");
    for (unsigned i = 0; i < CV_ATTEST_PCRS; i++) {
        if ((policy->pcr_mask >> i & 1) != 0 &&
            (code = check_pcr(doc, policy, i, err)) != CV_ATTEST_OK)
            return code;
    }
    if ((code = check_field(doc->nonce, policy->nonce, CV_ATTEST_ERR_NONCE, "nonce", err)) != 0 ||
        (code = check_field(doc->user_data, policy->user_data, CV_ATTEST_ERR_USER_DATA, "user_data",
                            err)) != 0 ||
        (code = check_field(doc->public_key, policy->public_key, CV_ATTEST_ERR_PUBLIC_KEY,
                            "public_key", err)) != 0 ||
        (code = check_field(doc->module_id, policy->module_id, CV_ATTEST_ERR_MODULE_ID, "module_id",
                            err)) != 0)
        return code;
    return check_age(doc, policy, err);
}
