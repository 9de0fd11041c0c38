/* SPDX-License-Identifier: Apache-2.0 */
/* Statements as sentences. */
#include "policy/explain.h"

#include <stdio.h>
#include <string.h>

#include "policy/model.h"

static int quoted(struct cv_buf *out, const char *s)
{
    char text[CV_POLICY_TEXT];
    return cv_buf_append_str(out, cv_error_quote(text, sizeof text, s, strlen(s)));
}

static int list(struct cv_buf *out, const struct cv_policy_list *l, const char *last)
{
    int rc = 0;
    for (size_t i = 0; i < l->n && !rc; i++) {
        if (i)
            rc = cv_buf_append_str(out, i + 1 < l->n ? ", " : last);
        if (!rc)
            rc = quoted(out, l->v[i]);
    }
    return rc;
}

static int group(struct cv_buf *out, const char *name, const struct cv_policy_list *l, bool *first)
{
    int rc;
    if (!l->n)
        return 0;
    if ((rc = cv_buf_append_str(out, *first ? "" : "; ")) || (rc = cv_buf_append_str(out, name)))
        return rc;
    *first = false;
    return list(out, l, ", ");
}

static int principals(struct cv_buf *out, const struct cv_policy_principals *ps)
{
    bool first = true;
    int rc = 0;
    if (!ps->present)
        return cv_buf_append_str(out, "whom it is attached to");
    if (ps->negated && (rc = cv_buf_append_str(out, "everybody but ")))
        return rc;
    if (ps->everyone)
        return cv_buf_append_str(out, "everybody");
    if ((rc = group(out, "", &ps->aws, &first)) ||
        (rc = group(out, "the service ", &ps->service, &first)) ||
        (rc = group(out, "the identity provider ", &ps->federated, &first)))
        return rc;
    return group(out, "the canonical user ", &ps->canonical, &first);
}

static const char *relation(const struct cv_policy_operator *op)
{
    static const char *const numeric[] = {"is", "is less than", "is at most", "is greater than",
                                          "is at least"};
    switch (op->compare) {
    case CV_CMP_STRING_LIKE:
        return op->negated ? "does not match" : "matches";
    case CV_CMP_ARN:
        return op->negated ? "is not the ARN" : "is the ARN";
    case CV_CMP_IP:
        return op->negated ? "is not in" : "is in";
    case CV_CMP_NULL:
        return "";
    default:
        return op->negated ? "is not" : numeric[op->relation];
    }
}

static int condition(struct cv_buf *out, const struct cv_policy_condition *c)
{
    int rc;
    if (c->op->compare == CV_CMP_NULL) {
        bool absent = c->values.n && (c->values.v[0][0] == 't' || c->values.v[0][0] == 'T');
        if ((rc = quoted(out, c->key)))
            return rc;
        return cv_buf_append_str(out, absent ? " is absent" : " is present");
    }
    if ((c->set == CV_SET_ALL_VALUES && (rc = cv_buf_append_str(out, "every value of "))) ||
        (c->set == CV_SET_ANY_VALUE && (rc = cv_buf_append_str(out, "some value of "))) ||
        (rc = quoted(out, c->key)) || (rc = cv_buf_append_u8(out, ' ')) ||
        (rc = cv_buf_append_str(out, relation(c->op))) || (rc = cv_buf_append_u8(out, ' ')) ||
        (rc = list(out, &c->values, c->op->negated ? " nor " : " or ")))
        return rc;
    if (c->op->compare == CV_CMP_STRING_NOCASE && (rc = cv_buf_append_str(out, " (in any case)")))
        return rc;
    if (c->if_exists || c->set == CV_SET_ALL_VALUES)
        return cv_buf_append_str(out, ", or it is absent");
    return 0;
}

const char *cv_policy_sid(const struct cv_policy *p, size_t i)
{
    return p->statements[i].sid;
}

/* An account's id as the ARN of its root; false for what is no ARN. */
static bool arn_of(char out[CV_POLICY_WHO], const char *principal)
{
    bool account = strlen(principal) == 12 && strspn(principal, "0123456789") == 12;
    if (!account && (strncmp(principal, "arn:", 4) || strlen(principal) >= CV_POLICY_WHO))
        return false;
    snprintf(out, CV_POLICY_WHO, account ? "arn:aws:iam::%s:root" : "%s", principal);
    return true;
}

/* True when what stands before statement S's principal K names WHO too. */
static bool named_before(const struct cv_policy *p, size_t s, size_t k, const char *who)
{
    char other[CV_POLICY_WHO];
    for (size_t i = 0; i <= s; i++) {
        const struct cv_policy_list *l = &p->statements[i].principals.aws;
        if (!p->statements[i].allow)
            continue;
        for (size_t j = 0; j < l->n && (i < s || j < k); j++)
            if (arn_of(other, l->v[j]) && !strcmp(other, who))
                return true;
    }
    return false;
}

bool cv_policy_named(const struct cv_policy *p, size_t i, char out[CV_POLICY_WHO])
{
    for (size_t s = 0; s < p->n_statements; s++) {
        const struct cv_policy_list *l = &p->statements[s].principals.aws;
        for (size_t k = 0; p->statements[s].allow && k < l->n; k++)
            if (arn_of(out, l->v[k]) && !named_before(p, s, k, out) && i-- == 0)
                return true;
    }
    return false;
}

int cv_policy_say(struct cv_buf *out, const struct cv_policy *p, size_t i)
{
    const struct cv_policy_statement *s = &p->statements[i];
    bool every = s->resources.n == 1 && !strcmp(s->resources.v[0], "*");
    int rc;
    if ((rc = cv_buf_append_str(out, s->allow ? "allows " : "denies ")) ||
        (rc = principals(out, &s->principals)) ||
        (rc = cv_buf_append_str(out, s->not_action ? " everything but " : " ")) ||
        (rc = list(out, &s->actions, ", ")))
        return rc;
    if (!every || s->not_resource) {
        if ((rc = cv_buf_append_str(out, s->not_resource ? " on all but " : " on ")) ||
            (rc = list(out, &s->resources, ", ")))
            return rc;
    }
    for (size_t k = 0; k < s->n_conditions; k++)
        if ((rc = cv_buf_append_str(out, k ? ", and " : ", if ")) ||
            (rc = condition(out, &s->conditions[k])))
            return rc;
    return 0;
}
