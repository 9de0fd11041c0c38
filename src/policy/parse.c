/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy document: strict JSON, the grammar of the IAM User Guide ("Grammar
 * of the IAM JSON policy language"), and what PutKeyPolicy refuses beyond it.
 */
#include "policy/model.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    struct cv_policy *p;
    struct cv_error *err;
    char where[CV_POLICY_TEXT]; /* "statement 2 (EnclaveDecrypt)" */
};

#define BAD(ps, ...) cv_error_set((ps)->err, CV_ERR_INVALID, __VA_ARGS__)

static void *own(struct cv_policy *p, size_t size)
{
    if (p->n_owned == p->cap_owned) {
        size_t cap = p->cap_owned ? p->cap_owned * 2 : 64;
        void **more = reallocarray(p->owned, cap, sizeof *more);
        if (!more)
            return NULL;
        p->owned = more;
        p->cap_owned = cap;
    }
    void *mem = calloc(1, size ? size : 1);
    if (mem)
        p->owned[p->n_owned++] = mem;
    return mem;
}

static const char *own_text(struct cv_policy *p, const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = own(p, n);
    if (copy)
        memcpy(copy, s, n);
    return copy;
}

void cv_policy_free(struct cv_policy *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n_owned; i++)
        free(p->owned[i]);
    free(p->owned);
    free(p);
}

void cv_policy_freep(struct cv_policy **p)
{
    cv_policy_free(*p);
    *p = NULL;
}

size_t cv_policy_statements(const struct cv_policy *p)
{
    return p->n_statements;
}

/* Text of a JSON string, and where SCALARS of a Boolean or a number too. */
static int scalar_text(const struct parser *ps, const json_t *v, bool scalars, const char **out)
{
    char number[64];
    if (json_is_string(v))
        *out = own_text(ps->p, json_string_value(v));
    else if (scalars && json_is_boolean(v))
        *out = own_text(ps->p, json_is_true(v) ? "true" : "false");
    else if (scalars && json_is_integer(v)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(v));
        *out = own_text(ps->p, number);
    } else if (scalars && json_is_real(v)) {
        snprintf(number, sizeof number, "%.17g", json_real_value(v));
        *out = own_text(ps->p, number);
    } else {
        return CV_ERR_INVALID;
    }
    return *out ? 0 : CV_ERR_NOMEM;
}

/* One value or an array of them; an empty array only where EMPTY_OK. */
static int read_list(const struct parser *ps, const json_t *v, const char *what, bool scalars,
                     bool empty_ok, struct cv_policy_list *out)
{
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    if (n == 0 && !empty_ok)
        return BAD(ps, "%s: %s is empty", ps->where, what);
    out->v = own(ps->p, n * sizeof *out->v);
    if (!out->v)
        return CV_ERR_NOMEM;
    for (out->n = 0; out->n < n; out->n++) {
        const json_t *one = json_is_array(v) ? json_array_get(v, out->n) : v;
        int rc = scalar_text(ps, one, scalars, &out->v[out->n]);
        if (rc == CV_ERR_INVALID)
            return BAD(ps, "%s: %s must be a string or a list of strings", ps->where, what);
        if (rc)
            return rc;
    }
    return 0;
}

static int check_each(const struct parser *ps, const struct cv_policy_list *l, const char *what,
                      bool (*ok)(const char *))
{
    char quoted[128];
    for (size_t i = 0; i < l->n; i++)
        if (!ok(l->v[i]))
            return BAD(ps, "%s: '%s' is no valid %s", ps->where,
                       cv_error_quote(quoted, sizeof quoted, l->v[i], strlen(l->v[i])), what);
    return 0;
}

static bool action_ok(const char *s)
{
    const char *colon = strchr(s, ':');
    if (!strcmp(s, "*"))
        return true;
    if (!colon || colon == s || !colon[1])
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && !strchr(":*?-", *s))
            return false;
    return true;
}

/* Everything is there, or an ARN; wildcards may stand anywhere in it. */
static bool resource_ok(const char *s)
{
    return !strcmp(s, "*") || !strncmp(s, "arn:", 4);
}

static bool service_ok(const char *s)
{
    return strchr(s, '.') != NULL && !strpbrk(s, "*? ");
}

static bool any_text_ok(const char *s)
{
    return *s != '\0';
}

static int read_principal_map(struct parser *ps, json_t *v, const char *what,
                              struct cv_policy_principals *out)
{
    const char *name;
    json_t *value;
    if (json_object_size(v) == 0)
        return BAD(ps, "%s: %s is empty", ps->where, what);
    json_object_foreach (v, name, value) {
        struct cv_policy_list *list;
        bool (*ok)(const char *);
        if (!strcmp(name, "AWS")) {
            list = &out->aws;
            ok = cv_policy_principal_valid;
        } else if (!strcmp(name, "Service")) {
            list = &out->service;
            ok = service_ok;
        } else if (!strcmp(name, "Federated")) {
            list = &out->federated;
            ok = any_text_ok;
        } else if (!strcmp(name, "CanonicalUser")) {
            list = &out->canonical;
            ok = any_text_ok;
        } else {
            return BAD(ps,
                       "%s: %s has an unknown kind of principal; AWS, Service, Federated "
                       "and CanonicalUser exist",
                       ps->where, what);
        }
        int rc = read_list(ps, value, what, false, false, list);
        if (rc || (rc = check_each(ps, list, "principal", ok)))
            return rc;
    }
    for (size_t i = 0; i < out->aws.n; i++)
        out->everyone = out->everyone || !strcmp(out->aws.v[i], "*");
    return 0;
}

static int read_principals(struct parser *ps, json_t *o, struct cv_policy_principals *out)
{
    json_t *yes = json_object_get(o, "Principal"), *no = json_object_get(o, "NotPrincipal");
    const char *what = yes ? "Principal" : "NotPrincipal";
    json_t *v = yes ? yes : no;
    if (yes && no)
        return BAD(ps, "%s: Principal and NotPrincipal exclude each other", ps->where);
    if (ps->p->kind == CV_POLICY_IDENTITY)
        return v ? BAD(ps, "%s: an identity policy has no %s", ps->where, what) : 0;
    if (!v)
        return BAD(ps, "%s: a key policy's statement needs a Principal", ps->where);
    out->present = true;
    out->negated = !yes;
    if (json_is_string(v) && !strcmp(json_string_value(v), "*")) {
        out->everyone = true;
        return 0;
    }
    if (!json_is_object(v))
        return BAD(ps, "%s: %s must be \"*\" or an object such as {\"AWS\": …}", ps->where, what);
    return read_principal_map(ps, v, what, out);
}

/* Exactly one of NAME and NotNAME. */
static int read_either(struct parser *ps, json_t *o, const char *name, const char *not_name,
                       const char *what, bool (*ok)(const char *), struct cv_policy_list *out,
                       bool *negated)
{
    json_t *yes = json_object_get(o, name), *no = json_object_get(o, not_name);
    if (!yes == !no)
        return BAD(ps, "%s: needs %s or %s, and not both", ps->where, name, not_name);
    *negated = no != NULL;
    int rc = read_list(ps, yes ? yes : no, yes ? name : not_name, false, false, out);
    return rc ? rc : check_each(ps, out, what, ok);
}

/* "ForAnyValue:StringLikeIfExists" */
static int read_operator(struct parser *ps, const char *name, struct cv_policy_condition *c)
{
    char quoted[96];
    const char *base = name;
    if (!strncmp(base, "ForAllValues:", 13)) {
        c->set = CV_SET_ALL_VALUES;
        base += 13;
    } else if (!strncmp(base, "ForAnyValue:", 12)) {
        c->set = CV_SET_ANY_VALUE;
        base += 12;
    }
    size_t n = strlen(base);
    if (n > 8 && !strcmp(base + n - 8, "IfExists")) {
        c->if_exists = true;
        n -= 8;
    }
    c->op = cv_policy_operator_find(base, n);
    if (!c->op || (c->op->compare == CV_CMP_NULL && c->if_exists))
        return BAD(ps, "%s: '%s' is no condition operator", ps->where,
                   cv_error_quote(quoted, sizeof quoted, name, strlen(name)));
    c->name = own_text(ps->p, name);
    return c->name ? 0 : CV_ERR_NOMEM;
}

static int read_condition(struct parser *ps, const char *op, const char *key, const json_t *value,
                          struct cv_policy_condition *c)
{
    char quoted[96], name[CV_POLICY_TEXT];
    int rc = read_operator(ps, op, c);
    if (rc)
        return rc;
    cv_error_quote(name, sizeof name, key, strlen(key));
    if (!strchr(key, ':') || strlen(key) >= CV_POLICY_TEXT)
        return BAD(ps, "%s: '%.100s' is no condition key (a service prefix is missing)", ps->where,
                   name);
    c->key = own_text(ps->p, key);
    if (!c->key)
        return CV_ERR_NOMEM;
    rc = read_list(ps, value, name, true, true, &c->values);
    for (size_t i = 0; !rc && i < c->values.n; i++)
        if (!cv_policy_operator_accepts(c->op, c->values.v[i]))
            rc = BAD(ps, "%s: '%s' is no value for %s", ps->where,
                     cv_error_quote(quoted, sizeof quoted, c->values.v[i], strlen(c->values.v[i])),
                     c->name);
    return rc;
}

static int read_conditions(struct parser *ps, json_t *v, struct cv_policy_statement *s)
{
    const char *op, *key;
    json_t *keys, *value;
    if (!v)
        return 0;
    if (!json_is_object(v))
        return BAD(ps, "%s: Condition must be an object", ps->where);
    size_t n = 0;
    json_object_foreach (v, op, keys) {
        if (!json_is_object(keys))
            return BAD(ps, "%s: each operator of Condition holds an object of keys", ps->where);
        n += json_object_size(keys);
    }
    s->conditions = own(ps->p, n * sizeof *s->conditions);
    if (!s->conditions)
        return CV_ERR_NOMEM;
    json_object_foreach (v, op, keys)
        json_object_foreach (keys, key, value) {
            int rc = read_condition(ps, op, key, value, &s->conditions[s->n_conditions]);
            if (rc)
                return rc;
            s->n_conditions++;
        }
    return 0;
}

static int check_names(struct parser *ps, json_t *o, const char *const *known, const char *where)
{
    const char *name;
    json_t *value;
    char quoted[96];
    json_object_foreach (o, name, value) {
        size_t i = 0;
        while (known[i] && strcmp(known[i], name))
            i++;
        if (!known[i])
            return BAD(ps, "%s: unknown element '%s'", where,
                       cv_error_quote(quoted, sizeof quoted, name, strlen(name)));
    }
    return 0;
}

static int read_sid(struct parser *ps, json_t *o, size_t index, struct cv_policy_statement *s)
{
    json_t *v = json_object_get(o, "Sid");
    s->sid = "";
    snprintf(ps->where, sizeof ps->where, "statement %zu", index + 1);
    if (!v)
        return 0;
    if (!json_is_string(v) || strlen(json_string_value(v)) > 128)
        return BAD(ps, "%s: Sid must be a string of at most 128 characters", ps->where);
    for (const char *c = json_string_value(v); *c; c++)
        if (!isalnum((unsigned char)*c) && *c != ' ' && *c != '-' && *c != '_')
            return BAD(ps, "%s: Sid holds a character that is no letter, digit or space",
                       ps->where);
    s->sid = own_text(ps->p, json_string_value(v));
    if (!s->sid)
        return CV_ERR_NOMEM;
    if (*s->sid)
        snprintf(ps->where, sizeof ps->where, "statement %zu (%.128s)", index + 1, s->sid);
    for (size_t i = 0; *s->sid && i < index; i++)
        if (!strcmp(ps->p->statements[i].sid, s->sid))
            return BAD(ps, "%s: another statement has the same Sid", ps->where);
    return 0;
}

static int read_statement(struct parser *ps, json_t *o, size_t index, struct cv_policy_statement *s)
{
    static const char *const known[] = {"Sid",       "Effect",    "Principal", "NotPrincipal",
                                        "Action",    "NotAction", "Resource",  "NotResource",
                                        "Condition", NULL};
    snprintf(ps->where, sizeof ps->where, "statement %zu", index + 1);
    if (!json_is_object(o))
        return BAD(ps, "%s is not an object", ps->where);
    int rc = read_sid(ps, o, index, s);
    if (rc || (rc = check_names(ps, o, known, ps->where)))
        return rc;
    const char *effect = json_string_value(json_object_get(o, "Effect"));
    if (!effect || (strcmp(effect, "Allow") && strcmp(effect, "Deny")))
        return BAD(ps, "%s: Effect must be \"Allow\" or \"Deny\"", ps->where);
    s->allow = !strcmp(effect, "Allow");
    if ((rc = read_principals(ps, o, &s->principals)) ||
        (rc = read_either(ps, o, "Action", "NotAction", "action", action_ok, &s->actions,
                          &s->not_action)) ||
        (rc = read_either(ps, o, "Resource", "NotResource", "resource", resource_ok, &s->resources,
                          &s->not_resource)) ||
        (rc = read_conditions(ps, json_object_get(o, "Condition"), s)))
        return rc;
    if (s->allow && s->principals.negated)
        return BAD(ps, "%s: NotPrincipal cannot be used with \"Effect\": \"Allow\"", ps->where);
    return 0;
}

static int read_version(struct parser *ps, json_t *root)
{
    json_t *v = json_object_get(root, "Version");
    const char *text = v ? json_string_value(v) : "2008-10-17";
    if (!text || (strcmp(text, "2012-10-17") && strcmp(text, "2008-10-17")))
        return BAD(ps, "Version must be \"2012-10-17\" or \"2008-10-17\"");
    ps->p->variables = !strcmp(text, "2012-10-17");
    json_t *id = json_object_get(root, "Id");
    return id && !json_is_string(id) ? BAD(ps, "Id must be a string") : 0;
}

static int read_document(struct parser *ps, json_t *root)
{
    static const char *const known[] = {"Version", "Id", "Statement", NULL};
    if (!json_is_object(root))
        return BAD(ps, "a policy is a JSON object");
    int rc = check_names(ps, root, known, "policy");
    if (rc || (rc = read_version(ps, root)))
        return rc;
    json_t *list = json_object_get(root, "Statement");
    bool many = json_is_array(list);
    size_t n = many ? json_array_size(list) : 1;
    if (!list || n == 0)
        return BAD(ps, "the policy has no Statement");
    if (n > CV_POLICY_STATEMENTS_MAX)
        return cv_error_set(ps->err, CV_ERR_LIMIT, "the policy has more than %d statements",
                            CV_POLICY_STATEMENTS_MAX);
    ps->p->statements = own(ps->p, n * sizeof *ps->p->statements);
    if (!ps->p->statements)
        return CV_ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        rc = read_statement(ps, many ? json_array_get(list, i) : list, i, &ps->p->statements[i]);
        if (rc)
            return rc;
        ps->p->n_statements++;
    }
    return 0;
}

int cv_policy_parse(struct cv_policy **out, enum cv_policy_kind kind, struct cv_bytes json,
                    struct cv_error *err)
{
    json_error_t why;
    if (json.n > CV_POLICY_MAX)
        return cv_error_set(err, CV_ERR_LIMIT, "the policy is longer than %d bytes", CV_POLICY_MAX);
    json_t *root =
        json_loadb(json.n ? (const char *)json.p : "", json.n, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        return cv_error_set(err, CV_ERR_INVALID, "the policy is not valid JSON: line %d column %d",
                            why.line, why.column);
    struct cv_policy *p = calloc(1, sizeof *p);
    struct parser ps = {.p = p, .err = err};
    int rc = CV_ERR_NOMEM;
    if (p) {
        p->kind = kind;
        rc = read_document(&ps, root);
    }
    json_decref(root);
    if (rc == CV_ERR_NOMEM)
        cv_error_set(err, rc, "no memory for the policy");
    if (rc) {
        cv_policy_free(p);
        return rc;
    }
    *out = p;
    return 0;
}
