/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A parsed policy. Shared by the files of this module and by
 * `claviger policy explain`, which looks for traps in it; everybody else uses
 * policy/policy.h.
 */
#ifndef CV_POLICY_MODEL_H
#define CV_POLICY_MODEL_H

#include "policy/policy.h"

/* Strings that the policy owns. */
struct cv_policy_list {
    const char **v;
    size_t n;
};

/* How an operator compares one value of the request with one of the policy. */
enum cv_policy_compare {
    CV_CMP_STRING,
    CV_CMP_STRING_NOCASE,
    CV_CMP_STRING_LIKE,
    CV_CMP_ARN, /* ArnEquals and ArnLike are the same (IAM User Guide) */
    CV_CMP_NUMERIC,
    CV_CMP_DATE,
    CV_CMP_BOOL,
    CV_CMP_BINARY,
    CV_CMP_IP,
    CV_CMP_NULL,
};

enum cv_policy_relation { CV_REL_EQ, CV_REL_LT, CV_REL_LE, CV_REL_GT, CV_REL_GE };

struct cv_policy_operator {
    const char *name;
    enum cv_policy_compare compare;
    enum cv_policy_relation relation;
    bool negated;
};

enum cv_policy_set { CV_SET_NONE, CV_SET_ALL_VALUES, CV_SET_ANY_VALUE };

struct cv_policy_condition {
    const char *name; /* as written: "ForAnyValue:StringLikeIfExists" */
    const struct cv_policy_operator *op;
    enum cv_policy_set set;
    bool if_exists;
    const char *key;
    struct cv_policy_list values;
};

struct cv_policy_principals {
    bool present;
    bool negated;  /* NotPrincipal */
    bool everyone; /* "*" or {"AWS": "*"} */
    struct cv_policy_list aws, service, federated, canonical;
};

struct cv_policy_statement {
    const char *sid; /* "" when it has none */
    bool allow;
    struct cv_policy_principals principals;
    bool not_action, not_resource;
    struct cv_policy_list actions, resources;
    struct cv_policy_condition *conditions;
    size_t n_conditions;
};

struct cv_policy {
    enum cv_policy_kind kind;
    bool variables; /* Version 2012-10-17: ${…} is replaced */
    struct cv_policy_statement *statements;
    size_t n_statements;
    void **owned; /* every allocation of this policy */
    size_t n_owned, cap_owned;
};

/* By base name, without set prefix and IfExists. NULL when unknown. */
const struct cv_policy_operator *cv_policy_operator_find(const char *name, size_t n);
/* True when VALUE is written as OP wants its values (a number, a date …). */
bool cv_policy_operator_accepts(const struct cv_policy_operator *op, const char *value);
/* One value against one value, negation not applied. */
bool cv_policy_operator_match(const struct cv_policy_operator *op, const struct cv_policy *p,
                              const struct cv_policy_request *req, const char *policy_value,
                              const char *request_value);

/* Matches TEXT against PATTERN after replacing variables (when the policy's
 * version has them). A variable without a value matches nothing. WILD: * and ?
 * of the pattern are wildcards. */
bool cv_policy_match(const struct cv_policy *p, const struct cv_policy_request *req,
                     const char *pattern, const char *text, bool wild, bool ignore_case);

/* The value of a condition key in the request: the I-th (from 0) of those
 * given, NULL past the last. */
const char *cv_policy_attr(const struct cv_policy_request *req, const char *key, size_t i);

bool cv_policy_condition_holds(const struct cv_policy *p, const struct cv_policy_condition *c,
                               const struct cv_policy_request *req);
void cv_policy_condition_note(struct cv_policy_condition_note *out, const struct cv_policy *p,
                              const struct cv_policy_condition *c,
                              const struct cv_policy_request *req);

enum cv_policy_principal_match { CV_PRINCIPAL_NO, CV_PRINCIPAL_ACCOUNT, CV_PRINCIPAL_SELF };
enum cv_policy_principal_match cv_policy_principal_match(const struct cv_policy_principals *ps,
                                                         const struct cv_policy_request *req);
/* True for "*", an account id, an IAM or STS ARN without wildcards, or the
 * unique id that stands for a deleted principal. */
bool cv_policy_principal_valid(const char *text);
/* The account of an ARN (12 digits) into OUT; false when it has none. */
bool cv_policy_arn_account(char out[13], const char *arn);

#endif
