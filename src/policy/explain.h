/* SPDX-License-Identifier: Apache-2.0 */
/* A key policy in words, and the traps in it. */
#ifndef CV_POLICY_EXPLAIN_H
#define CV_POLICY_EXPLAIN_H

#include "policy/policy.h"

/* Its Sid, "" when it has none. */
const char *cv_policy_sid(const struct cv_policy *p, size_t i);
/* Appends one sentence on statement I: who, what, on which keys, when. */
int cv_policy_say(struct cv_buf *out, const struct cv_policy *p, size_t i) CV_NODISCARD;

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
