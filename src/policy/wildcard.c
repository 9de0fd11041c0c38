/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wildcards and policy variables (IAM User Guide, "IAM policy elements:
 * Variables and tags"). A pattern becomes a list of tokens first, so that what
 * a variable brings in is never taken for a wildcard.
 */
#include "policy/model.h"

#include <string.h>
#include <strings.h>

#define TOKENS_MAX 4096
#define TOKEN_ANY_RUN 0x100 /* * */
#define TOKEN_ANY_ONE 0x101 /* ? */

struct tokens {
    uint16_t v[TOKENS_MAX];
    size_t n;
};

static bool push(struct tokens *t, unsigned token)
{
    if (t->n == TOKENS_MAX)
        return false;
    t->v[t->n++] = (uint16_t)token;
    return true;
}

static bool push_literal(struct tokens *t, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!push(t, (unsigned char)s[i]))
            return false;
    return true;
}

const char *cv_policy_attr(const struct cv_policy_request *req, const char *key, size_t i)
{
    for (size_t k = 0; k < req->n_attrs; k++)
        if (!strcasecmp(req->attrs[k].key, key) && i-- == 0)
            return req->attrs[k].value;
    return NULL;
}

/* The inside of "${…}": a key, or a key and a default in single quotes. */
static bool push_variable(struct tokens *t, const struct cv_policy_request *req, const char *inside,
                          size_t n)
{
    char name[CV_POLICY_TEXT];
    if (n == 1 && (*inside == '*' || *inside == '?' || *inside == '$'))
        return push_literal(t, inside, 1);
    const char *comma = memchr(inside, ',', n);
    size_t name_n = comma ? (size_t)(comma - inside) : n;
    while (name_n && inside[name_n - 1] == ' ')
        name_n--;
    if (name_n == 0 || name_n >= sizeof name)
        return false;
    memcpy(name, inside, name_n);
    name[name_n] = '\0';
    const char *value = cv_policy_attr(req, name, 0);
    /* A key with several values cannot stand for one text. */
    if (value && !cv_policy_attr(req, name, 1))
        return push_literal(t, value, strlen(value));
    if (value || !comma)
        return false;
    const char *open = memchr(comma, '\'', n - (size_t)(comma - inside));
    if (!open || inside[n - 1] != '\'' || open == inside + n - 1)
        return false;
    return push_literal(t, open + 1, (size_t)(inside + n - 1 - (open + 1)));
}

static bool tokenize(struct tokens *t, const struct cv_policy_request *req, const char *pattern,
                     bool variables, bool wild)
{
    t->n = 0;
    for (const char *s = pattern; *s; s++) {
        const char *end = NULL;
        if (variables && s[0] == '$' && s[1] == '{' && (end = strchr(s, '}'))) {
            if (!push_variable(t, req, s + 2, (size_t)(end - s - 2)))
                return false;
            s = end;
        } else if (wild && *s == '*') {
            if (!push(t, TOKEN_ANY_RUN))
                return false;
        } else if (wild && *s == '?') {
            if (!push(t, TOKEN_ANY_ONE))
                return false;
        } else if (!push(t, (unsigned char)*s)) {
            return false;
        }
    }
    return true;
}

static unsigned fold(unsigned c, bool ignore_case)
{
    return ignore_case && c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

/* Remembers the last run of "*" and lengthens it when what follows fails:
 * never more than tokens times characters steps. */
static bool run(const struct tokens *t, const char *text, bool ignore_case)
{
    size_t i = 0, star = SIZE_MAX;
    const char *retry = NULL;
    while (*text) {
        if (i < t->n && t->v[i] == TOKEN_ANY_RUN) {
            star = i++;
            retry = text;
        } else if (i < t->n &&
                   (t->v[i] == TOKEN_ANY_ONE ||
                    fold(t->v[i], ignore_case) == fold((unsigned char)*text, ignore_case))) {
            i++;
            text++;
        } else if (star != SIZE_MAX) {
            i = star + 1;
            text = ++retry;
        } else {
            return false;
        }
    }
    while (i < t->n && t->v[i] == TOKEN_ANY_RUN)
        i++;
    return i == t->n;
}

bool cv_policy_match(const struct cv_policy *p, const struct cv_policy_request *req,
                     const char *pattern, const char *text, bool wild, bool ignore_case)
{
    struct tokens t;
    return tokenize(&t, req, pattern, p->variables, wild) && run(&t, text, ignore_case);
}

bool cv_policy_wildcard(const char *pattern, const char *text, bool ignore_case)
{
    struct tokens t;
    return tokenize(&t, NULL, pattern, false, true) && run(&t, text, ignore_case);
}
