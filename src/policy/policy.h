/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KMS key policies: parse and evaluate, as AWS IAM does.
 *
 * Pure: functions over bytes and request attributes, no I/O, no clock. The
 * local KMS decides with them, and `claviger policy explain` explains with
 * them, so that what is tested before a policy is installed is what decides.
 *
 * Rules: IAM User Guide, "Policy evaluation logic", "IAM JSON policy elements
 * reference"; KMS Developer Guide, "Key policies", "AWS KMS condition keys".
 * What AWS does not document is listed in docs/protocol/assumed.md.
 */
#ifndef CV_POLICY_POLICY_H
#define CV_POLICY_POLICY_H

#include <stdbool.h>

#include "common/bytes.h"
#include "common/error.h"

#define CV_POLICY_MAX 32768          /* bytes of a key policy document (KMS quota) */
#define CV_POLICY_STATEMENTS_MAX 512 /* more than fits into CV_POLICY_MAX in practice */

struct cv_policy;

enum cv_policy_kind {
    CV_POLICY_KEY,      /* every statement has Principal or NotPrincipal */
    CV_POLICY_IDENTITY, /* attached to a user or role: no statement has one */
};

/* Parses JSON strictly: at most CV_POLICY_MAX bytes, no duplicate names, no
 * unknown elements or operators, values of the type that the operator wants,
 * unique Sids. *OUT is the caller's, freed with cv_policy_free().
 * CV_ERR_INVALID with a sentence naming the statement, CV_ERR_LIMIT,
 * CV_ERR_NOMEM. */
int cv_policy_parse(struct cv_policy **out, enum cv_policy_kind kind, struct cv_bytes json,
                    struct cv_error *err) CV_NODISCARD;
/* Harmless on NULL. */
void cv_policy_free(struct cv_policy *p);
/* For CV_CLEANUP(). */
void cv_policy_freep(struct cv_policy **p);
size_t cv_policy_statements(const struct cv_policy *p);

/* One value of one condition key of the request. A multi-valued key
 * (kms:EncryptionContextKeys) is given once for each value; a key without any
 * entry is absent. Names are compared without regard to case, as IAM does. */
struct cv_policy_attr {
    const char *key; /* "kms:RecipientAttestation:PCR3", "aws:PrincipalArn" … */
    const char *value;
};

/* What is asked. All pointers are borrowed for the call. */
struct cv_policy_request {
    const char *action;        /* "kms:Decrypt" */
    const char *resource;      /* key ARN */
    const char *principal_arn; /* IAM user, assumed-role session, or account root ARN */
    const char *role_arn;      /* role of a session; NULL for users and root */
    const char *service;       /* calling AWS service ("x.amazonaws.com"); mostly NULL */
    const struct cv_policy_attr *attrs;
    size_t n_attrs;
};

enum cv_policy_effect {
    CV_POLICY_DENY_IMPLICIT, /* no statement allows it */
    CV_POLICY_DENY_EXPLICIT, /* a Deny statement matches: nothing can allow it */
    CV_POLICY_ALLOW,         /* allowed by this policy alone */
    /* A statement for the account (arn:…:root) or, for a caller of another
     * account, any Allow: the caller's own IAM policies must allow it as well. */
    CV_POLICY_DELEGATED,
};

#define CV_POLICY_TEXT 256 /* bytes kept of one name or value, NUL included */

/* One condition with what it wanted and what it got. */
struct cv_policy_condition_note {
    char op[64];                   /* "StringEqualsIgnoreCase" */
    char key[CV_POLICY_TEXT];      /* "kms:RecipientAttestation:ImageSha384" */
    char expected[CV_POLICY_TEXT]; /* the policy's values, joined with " | ", cut with "..." */
    char actual[CV_POLICY_TEXT];   /* the request's, the same way; "" when absent */
    bool absent;                   /* the request has no such key */
    bool satisfied;
};

struct cv_policy_decision {
    enum cv_policy_effect effect;
    int statement;            /* index of the deciding statement, -1 for an implicit deny */
    char sid[CV_POLICY_TEXT]; /* its Sid, or "Statement[i]" */
    /* For an implicit deny and a delegation: the Allow statement that came
     * nearest, all of it matching but one condition or more, and the first that
     * failed. For an explicit deny near_condition is the first condition of the
     * statement that struck. */
    int near_statement; /* -1 when there is none */
    char near_sid[CV_POLICY_TEXT];
    struct cv_policy_condition_note near_condition; /* op is "" when there is none */
};

/* Decides. Never fails: what cannot be compared does not match. */
void cv_policy_evaluate(struct cv_policy_decision *out, const struct cv_policy *p,
                        const struct cv_policy_request *req);

/* What one statement said to a request, for explanations. */
struct cv_policy_trace {
    size_t index;
    const char *sid;                              /* "" when it has none */
    bool allow;                                   /* Effect */
    bool principal, action, resource, conditions; /* which parts matched */
    bool delegates;                               /* matched through the account's root ARN */
    const struct cv_policy_condition_note *notes; /* every condition, in order */
    size_t n_notes;
};
/* Calls VISIT for each statement in order; OUT (may be NULL) gets the decision.
 * CV_ERR_NOMEM. */
int cv_policy_explain(const struct cv_policy *p, const struct cv_policy_request *req,
                      void (*visit)(void *ctx, const struct cv_policy_trace *t), void *ctx,
                      struct cv_policy_decision *out) CV_NODISCARD;

/* The key policy's decision together with the one of the caller's identity
 * policy (NULL: the caller has none). True = allowed. */
bool cv_policy_allowed(const struct cv_policy_decision *key,
                       const struct cv_policy_decision *identity);

/* One sentence: which statement decided, or which condition failed with both
 * values. Returns OUT. */
char *cv_policy_sentence(char *out, size_t size, const struct cv_policy_decision *d);

/* IAM's wildcards: * any run, ? any one character. */
bool cv_policy_wildcard(const char *pattern, const char *text, bool ignore_case);

#endif
