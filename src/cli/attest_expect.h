/* SPDX-License-Identifier: Apache-2.0 */
/* The options that say what is expected of an enclave, for every command that
 * verifies a document. */
#ifndef CV_CLI_ATTEST_EXPECT_H
#define CV_CLI_ATTEST_EXPECT_H

#include "claviger/attest.h"
#include "cli/command.h"
#include "common/bytes.h"

struct cv_expect_options {
    struct cv_option_list pcr; /* N=HEX */
    const char *pcrs;          /* file with nitro-cli's JSON */
    const char *eif;
    const char *role_arn;    /* PCR3 */
    const char *instance_id; /* PCR4 */
    const char *root;        /* PEM or DER file */
    bool allow_debug;
};

#define CV_EXPECT_OPTIONS(o)                                                                      \
    {"pcr", 0, CV_OPT_LIST, &(o)->pcr}, {"pcrs", 0, CV_OPT_TEXT, &(o)->pcrs},                     \
        {"eif", 0, CV_OPT_TEXT, &(o)->eif}, {"role-arn", 0, CV_OPT_TEXT, &(o)->role_arn},         \
        {"instance-id", 0, CV_OPT_TEXT, &(o)->instance_id}, {"root", 0, CV_OPT_TEXT, &(o)->root}, \
    {                                                                                             \
        "allow-debug", 0, CV_OPT_FLAG, &(o)->allow_debug                                          \
    }

#define CV_EXPECT_HELP                                                                        \
    "  --pcr N=HEX         register N must have this value (may be repeated)\n"               \
    "  --pcrs FILE         registers as nitro-cli prints them: build-enclave, describe-eif\n" \
    "  --eif IMAGE         registers of this image\n"                                         \
    "  --role-arn ARN      the parent's IAM role (PCR3)\n"                                    \
    "  --instance-id ID    the parent instance (PCR4)\n"                                      \
    "  --root FILE         trust this root certificate (PEM or DER) instead of AWS's\n"       \
    "  --allow-debug       accept an enclave in debug mode, which proves nothing\n"

/* Puts it all into POLICY, which was initialised. ROOT (initialised here) keeps
 * the root's bytes and must outlive POLICY. CV_ERR_CONFIG for an option that
 * makes no sense, or when two sources name different values of a register. */
int cv_expect_apply(struct cv_attest_policy *policy, struct cv_buf *root,
                    const struct cv_expect_options *o, struct cv_error *err) CV_NODISCARD;

/* The registers in a JSON text of nitro-cli. */
int cv_expect_pcrs_json(struct cv_attest_policy *policy, struct cv_bytes text, const char *name,
                        struct cv_error *err) CV_NODISCARD;
/* "N=HEX" */
int cv_expect_pcr_text(struct cv_attest_policy *policy, const char *text,
                       struct cv_error *err) CV_NODISCARD;

#endif
