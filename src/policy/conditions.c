/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One condition of a statement: absent keys, several values, set operators
 * (IAM User Guide, "Conditions with multiple context keys or values" and
 * "Set operators for multivalued context keys").
 */
#include "policy/model.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The values of a policy are OR for a plain operator, NOR for a negated one. */
static bool value_satisfies(const struct cv_policy *p, const struct cv_policy_condition *c,
                            const struct cv_policy_request *req, const char *got)
{
    bool any = false;
    for (size_t i = 0; i < c->values.n && !any; i++)
        any = cv_policy_operator_match(c->op, p, req, c->values.v[i], got);
    return any != c->op->negated;
}

static bool null_holds(const struct cv_policy_condition *c, bool absent)
{
    for (size_t i = 0; i < c->values.n; i++)
        if (!strcasecmp(c->values.v[i], "true") == absent)
            return true;
    return false;
}

static bool absent_holds(const struct cv_policy_condition *c)
{
    if (c->if_exists || c->set == CV_SET_ALL_VALUES)
        return true;
    if (c->set == CV_SET_ANY_VALUE)
        return false;
    return c->op->negated;
}

bool cv_policy_condition_holds(const struct cv_policy *p, const struct cv_policy_condition *c,
                               const struct cv_policy_request *req)
{
    bool absent = cv_policy_attr(req, c->key, 0) == NULL;
    if (c->op->compare == CV_CMP_NULL)
        return null_holds(c, absent);
    if (absent)
        return absent_holds(c);
    bool all = true, any = false;
    const char *got;
    for (size_t i = 0; (got = cv_policy_attr(req, c->key, i)); i++) {
        bool ok = value_satisfies(p, c, req, got);
        all = all && ok;
        any = any || ok;
    }
    if (c->set == CV_SET_ALL_VALUES)
        return all;
    if (c->set == CV_SET_ANY_VALUE)
        return any;
    /* Without a set operator on a key of several values: one that matches is
     * enough for a plain operator, none may match for a negated one. */
    return c->op->negated ? all : any;
}

/* Appends TEXT to the note's field, values parted by " | ", "..." when cut. */
static void join(char out[CV_POLICY_TEXT], const char *text, bool first)
{
    size_t n = strlen(out);
    char quoted[CV_POLICY_TEXT];
    cv_error_quote(quoted, sizeof quoted, text, strlen(text));
    int wrote = snprintf(out + n, CV_POLICY_TEXT - n, "%s%s", first ? "" : " | ", quoted);
    if (wrote > 0 && n + (size_t)wrote >= CV_POLICY_TEXT)
        memcpy(out + CV_POLICY_TEXT - 4, "...", 4);
}

void cv_policy_condition_note(struct cv_policy_condition_note *out, const struct cv_policy *p,
                              const struct cv_policy_condition *c,
                              const struct cv_policy_request *req)
{
    memset(out, 0, sizeof *out);
    snprintf(out->op, sizeof out->op, "%s", c->name);
    cv_error_quote(out->key, sizeof out->key, c->key, strlen(c->key));
    for (size_t i = 0; i < c->values.n; i++)
        join(out->expected, c->values.v[i], i == 0);
    const char *got;
    for (size_t i = 0; (got = cv_policy_attr(req, c->key, i)); i++)
        join(out->actual, got, i == 0);
    out->absent = cv_policy_attr(req, c->key, 0) == NULL;
    out->satisfied = cv_policy_condition_holds(p, c, req);
}
