/* SPDX-License-Identifier: Apache-2.0 */
/* The decision: an explicit Deny wins, then any Allow, then the implicit deny
 * (IAM User Guide, "Policy evaluation logic"). */
#include "policy/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct verdict {
    enum cv_policy_principal_match principal;
    bool action, resource, conditions;
    size_t failed; /* conditions that do not hold */
    size_t first_failed;
};

static bool any_matches(const struct cv_policy *p, const struct cv_policy_request *req,
                        const struct cv_policy_list *l, const char *text, bool variables,
                        bool ignore_case)
{
    for (size_t i = 0; i < l->n; i++)
        if (variables ? cv_policy_match(p, req, l->v[i], text, true, ignore_case)
                      : cv_policy_wildcard(l->v[i], text, ignore_case))
            return true;
    return false;
}

static void judge(struct verdict *v, const struct cv_policy *p, const struct cv_policy_statement *s,
                  const struct cv_policy_request *req)
{
    memset(v, 0, sizeof *v);
    v->principal = cv_policy_principal_match(&s->principals, req);
    /* Service prefix and action name are compared without regard to case. */
    v->action = any_matches(p, req, &s->actions, req->action, false, true) != s->not_action;
    v->resource = any_matches(p, req, &s->resources, req->resource, true, false) != s->not_resource;
    for (size_t i = s->n_conditions; i-- > 0;) {
        if (cv_policy_condition_holds(p, &s->conditions[i], req))
            continue;
        v->failed++;
        v->first_failed = i;
    }
    v->conditions = v->failed == 0;
}

static bool aimed(const struct verdict *v)
{
    return v->principal != CV_PRINCIPAL_NO && v->action && v->resource;
}

static void name_statement(char out[CV_POLICY_TEXT], const struct cv_policy_statement *s, size_t i)
{
    if (*s->sid)
        snprintf(out, CV_POLICY_TEXT, "%s", s->sid);
    else
        snprintf(out, CV_POLICY_TEXT, "Statement[%zu]", i);
}

static void decide(struct cv_policy_decision *d, enum cv_policy_effect effect,
                   const struct cv_policy *p, size_t i)
{
    d->effect = effect;
    d->statement = (int)i;
    name_statement(d->sid, &p->statements[i], i);
}

/* A caller of another account needs its own account's word as well. */
static bool foreign(const struct cv_policy_request *req)
{
    char caller[13], owner[13];
    return cv_policy_arn_account(caller, req->principal_arn) &&
           cv_policy_arn_account(owner, req->resource) && strcmp(caller, owner) != 0;
}

static void forget_near(struct cv_policy_decision *d)
{
    d->near_statement = -1;
    d->near_sid[0] = '\0';
    memset(&d->near_condition, 0, sizeof d->near_condition);
}

/* Takes statement I into the decision so far. */
static void weigh(struct cv_policy_decision *d, size_t *near_failed, const struct cv_policy *p,
                  size_t i, const struct verdict *v, const struct cv_policy_request *req)
{
    const struct cv_policy_statement *s = &p->statements[i];
    if (!aimed(v) || d->effect == CV_POLICY_DENY_EXPLICIT)
        return;
    if (!s->allow) {
        if (!v->conditions)
            return;
        decide(d, CV_POLICY_DENY_EXPLICIT, p, i);
        forget_near(d);
        /* Why it struck: the first of its conditions. */
        if (s->n_conditions)
            cv_policy_condition_note(&d->near_condition, p, &s->conditions[0], req);
    } else if (v->conditions) {
        bool direct = v->principal == CV_PRINCIPAL_SELF && !foreign(req);
        if (direct && d->effect != CV_POLICY_ALLOW)
            decide(d, CV_POLICY_ALLOW, p, i);
        else if (!direct && d->effect == CV_POLICY_DENY_IMPLICIT)
            decide(d, CV_POLICY_DELEGATED, p, i);
    } else if (v->failed < *near_failed) {
        *near_failed = v->failed;
        d->near_statement = (int)i;
        name_statement(d->near_sid, s, i);
        cv_policy_condition_note(&d->near_condition, p, &s->conditions[v->first_failed], req);
    }
}

static void start(struct cv_policy_decision *d)
{
    memset(d, 0, sizeof *d);
    d->effect = CV_POLICY_DENY_IMPLICIT;
    d->statement = -1;
    d->near_statement = -1;
}

void cv_policy_evaluate(struct cv_policy_decision *out, const struct cv_policy *p,
                        const struct cv_policy_request *req)
{
    size_t near_failed = SIZE_MAX;
    start(out);
    for (size_t i = 0; i < p->n_statements; i++) {
        struct verdict v;
        judge(&v, p, &p->statements[i], req);
        weigh(out, &near_failed, p, i, &v, req);
    }
    /* What nearly allowed it is of no interest once something did. */
    if (out->effect == CV_POLICY_ALLOW)
        forget_near(out);
}

int cv_policy_explain(const struct cv_policy *p, const struct cv_policy_request *req,
                      void (*visit)(void *ctx, const struct cv_policy_trace *t), void *ctx,
                      struct cv_policy_decision *out)
{
    for (size_t i = 0; i < p->n_statements; i++) {
        const struct cv_policy_statement *s = &p->statements[i];
        struct cv_policy_condition_note *notes = NULL;
        struct verdict v;
        judge(&v, p, s, req);
        if (s->n_conditions && !(notes = calloc(s->n_conditions, sizeof *notes)))
            return CV_ERR_NOMEM;
        for (size_t k = 0; k < s->n_conditions; k++)
            cv_policy_condition_note(&notes[k], p, &s->conditions[k], req);
        struct cv_policy_trace t = {
            .index = i,
            .sid = s->sid,
            .allow = s->allow,
            .principal = v.principal != CV_PRINCIPAL_NO,
            .action = v.action,
            .resource = v.resource,
            .conditions = v.conditions,
            .delegates = v.principal == CV_PRINCIPAL_ACCOUNT,
            .notes = notes,
            .n_notes = s->n_conditions,
        };
        visit(ctx, &t);
        free(notes);
    }
    if (out)
        cv_policy_evaluate(out, p, req);
    return 0;
}

bool cv_policy_allowed(const struct cv_policy_decision *key,
                       const struct cv_policy_decision *identity)
{
    if (key->effect == CV_POLICY_DENY_EXPLICIT ||
        (identity && identity->effect == CV_POLICY_DENY_EXPLICIT))
        return false;
    if (key->effect == CV_POLICY_ALLOW)
        return true;
    return key->effect == CV_POLICY_DELEGATED && identity &&
           (identity->effect == CV_POLICY_ALLOW || identity->effect == CV_POLICY_DELEGATED);
}

static void say_condition(char *out, size_t size, const struct cv_policy_condition_note *n)
{
    snprintf(out, size, "%s %s: expected %s, %s%s%s", n->op, n->key, n->expected,
             n->absent ? "the request has none" : "the request has '", n->absent ? "" : n->actual,
             n->absent ? "" : "'");
}

char *cv_policy_sentence(char *out, size_t size, const struct cv_policy_decision *d)
{
    char condition[1024] = "";
    if (d->near_condition.op[0])
        say_condition(condition, sizeof condition, &d->near_condition);
    switch (d->effect) {
    case CV_POLICY_ALLOW:
        snprintf(out, size, "allowed by statement %s", d->sid);
        break;
    case CV_POLICY_DELEGATED:
        snprintf(out, size, "left to the caller's IAM policies by statement %s%s%s%s%s", d->sid,
                 d->near_statement >= 0 ? " (statement " : "", d->near_sid,
                 d->near_statement >= 0 ? " does not allow it by itself: " : "",
                 d->near_statement >= 0 ? condition : "");
        if (d->near_statement >= 0 && strlen(out) + 1 < size)
            memcpy(out + strlen(out), ")", 2);
        break;
    case CV_POLICY_DENY_EXPLICIT:
        snprintf(out, size, "denied by statement %s%s%s", d->sid, *condition ? ": " : "",
                 condition);
        break;
    case CV_POLICY_DENY_IMPLICIT:
        if (d->near_statement >= 0)
            snprintf(out, size, "no statement allows it; nearest is %s, whose condition fails: %s",
                     d->near_sid, condition);
        else
            snprintf(out, size, "no statement is about this principal, action and key");
        break;
    }
    return out;
}
