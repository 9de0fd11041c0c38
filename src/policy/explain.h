/* SPDX-License-Identifier: Apache-2.0 */
/* A key policy in words, and the traps in it. */
#ifndef CV_POLICY_EXPLAIN_H
#define CV_POLICY_EXPLAIN_H

#include "policy/policy.h"

/* Its Sid, "" when it has none. */
const char *cv_policy_sid(const struct cv_policy *p, size_t i);
/* Appends one sentence on statement I: who, what, on which keys, when. */
int cv_policy_say(struct cv_buf *out, const struct cv_policy *p, size_t i) CV_NODISCARD;

#define CV_POLICY_WHO 192 /* bytes of a principal's ARN, NUL included */
/* The I-th (from 0) of the distinct users, roles, sessions and accounts that
 * Allow statements name, an account as the ARN of its root; false past the last. */
bool cv_policy_named(const struct cv_policy *p, size_t i, char out[CV_POLICY_WHO]);

struct cv_policy_trap {
    const char *code; /* for programs: "unattested-allow", "zero-register" … */
    int statement;    /* -1 = the policy as a whole */
    char text[768];   /* for people: what it means and what to do */
};

/* Calls VISIT for each trap: ways in which a policy that looks as if it bound a
 * key to an enclave does not. Returns their number. */
size_t cv_policy_traps(const struct cv_policy *p,
                       void (*visit)(void *ctx, const struct cv_policy_trap *t), void *ctx);

#endif
