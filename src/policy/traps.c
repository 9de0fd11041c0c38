/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ways in which a key policy does not bind what it seems to bind. Found by
 * looking at the statements, not at one request: conditions other than those on
 * the attestation are taken as ones that a caller can meet.
 */
#include "policy/explain.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy/model.h"

#define ATTESTATION "kms:RecipientAttestation"
#define REGISTER_HEX 96

struct hunt {
    const struct cv_policy *p;
    void (*visit)(void *ctx, const struct cv_policy_trap *t);
    void *ctx;
    size_t found;
};

static const char *name_of(char out[CV_POLICY_TEXT], const struct cv_policy *p, size_t i)
{
    if (*p->statements[i].sid)
        snprintf(out, CV_POLICY_TEXT, "%.128s", p->statements[i].sid);
    else
        snprintf(out, CV_POLICY_TEXT, "Statement[%zu]", i);
    return out;
}

static void report(struct hunt *h, const char *code, int statement, const char *fmt, ...)
    CV_PRINTF(4, 5);
static void report(struct hunt *h, const char *code, int statement, const char *fmt, ...)
{
    struct cv_policy_trap t = {.code = code, .statement = statement};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(t.text, sizeof t.text, fmt, ap);
    va_end(ap);
    h->found++;
    h->visit(h->ctx, &t);
}

static bool about_attestation(const struct cv_policy_condition *c)
{
    size_t n = sizeof ATTESTATION - 1;
    return !strncasecmp(c->key, ATTESTATION, n) && (c->key[n] == ':' || !c->key[n]);
}

/* Does the condition hold for a request without any attestation? */
static bool passes_without(const struct cv_policy *p, const struct cv_policy_condition *c)
{
    static const struct cv_policy_request none = {
        .action = "kms:Decrypt", .resource = "*", .principal_arn = ""};
    return cv_policy_condition_holds(p, c, &none);
}

static bool covers(const struct cv_policy_statement *s, const char *action)
{
    bool any = false;
    for (size_t i = 0; i < s->actions.n && !any; i++)
        any = cv_policy_wildcard(s->actions.v[i], action, true);
    return any != s->not_action;
}

/* Could an Allow apply to a caller without attestation? */
static bool open_to_unattested(const struct cv_policy *p, const struct cv_policy_statement *s)
{
    for (size_t i = 0; i < s->n_conditions; i++)
        if (about_attestation(&s->conditions[i]) && !passes_without(p, &s->conditions[i]))
            return false;
    return true;
}

/* A Deny for everybody that strikes whenever there is no attestation. */
static bool strikes_unattested(const struct cv_policy *p, const struct cv_policy_statement *s,
                               const char *action)
{
    if (s->allow || !s->principals.everyone || s->principals.negated || !covers(s, action) ||
        s->not_resource || s->resources.n != 1 || strcmp(s->resources.v[0], "*"))
        return false;
    for (size_t i = 0; i < s->n_conditions; i++)
        if (!about_attestation(&s->conditions[i]) || !passes_without(p, &s->conditions[i]))
            return false;
    return true;
}

static bool denied_without(const struct cv_policy *p, const char *action)
{
    for (size_t i = 0; i < p->n_statements; i++)
        if (strikes_unattested(p, &p->statements[i], action))
            return true;
    return false;
}

/* True when every principal is an account: IAM then decides who may. */
static bool only_accounts(const struct cv_policy_principals *ps)
{
    if (ps->everyone || ps->negated || ps->service.n || !ps->aws.n)
        return false;
    for (size_t i = 0; i < ps->aws.n; i++) {
        size_t n = strlen(ps->aws.v[i]);
        if (n != 12 && (n < 6 || strcmp(ps->aws.v[i] + n - 5, ":root")))
            return false;
    }
    return true;
}

static void look_for_openings(struct hunt *h)
{
    /* What must not be had without attestation, and why. */
    static const struct {
        const char *action, *code, *why;
    } guarded[] = {
        {"kms:Decrypt", "unattested-decrypt",
         "what the enclave alone should open, others open too"},
        {"kms:GenerateDataKey", "unattested-data-key",
         "the parent could make a data key that it knows"},
        {"kms:DeriveSharedSecret", "unattested-shared-secret", "a secret could be derived outside"},
        {"kms:ReEncryptFrom", "re-encrypt",
         "ciphertext could be moved to a key with a weaker policy"},
        {"kms:CreateGrant", "grant", "a grant allows decryption past this policy"},
        {"kms:Encrypt", "unattested-encrypt",
         "whoever may could hand the enclave a secret that he "
         "knows; only version 1 sealing needs it"},
    };
    for (size_t a = 0; a < sizeof guarded / sizeof guarded[0]; a++) {
        if (denied_without(h->p, guarded[a].action))
            continue;
        for (size_t i = 0; i < h->p->n_statements; i++) {
            const struct cv_policy_statement *s = &h->p->statements[i];
            char name[CV_POLICY_TEXT];
            if (!s->allow || !covers(s, guarded[a].action) || !open_to_unattested(h->p, s))
                continue;
            report(h, guarded[a].code, (int)i,
                   "%s allows %s without attestation%s: %s. Add the "
                   "condition there, or a Deny for everybody",
                   name_of(name, h->p, i), guarded[a].action,
                   only_accounts(&s->principals) ? " to whomever the account's IAM policies let"
                                                 : "",
                   guarded[a].why);
        }
    }
}

/* Conditions that hold when the key is absent let everybody in. */
static void look_at_operator(struct hunt *h, size_t i, const struct cv_policy_condition *c)
{
    char name[CV_POLICY_TEXT];
    if (!h->p->statements[i].allow || !passes_without(h->p, c))
        return;
    report(h, "passes-when-absent", (int)i,
           "%s: %s on %.100s holds when there is no attestation at "
           "all; use StringEqualsIgnoreCase",
           name_of(name, h->p, i), c->name, c->key);
}

static bool all_of(const char *s, const char *set)
{
    return s[strspn(s, set)] == '\0';
}

/* Does the condition hold for an enclave whose registers are all zero? */
static bool passes_zeros(const struct cv_policy *p, const struct cv_policy_condition *c)
{
    char zeros[REGISTER_HEX + 1];
    memset(zeros, '0', REGISTER_HEX);
    zeros[REGISTER_HEX] = '\0';
    const struct cv_policy_attr attr = {c->key, zeros};
    const struct cv_policy_request debug = {.action = "kms:Decrypt",
                                            .resource = "*",
                                            .principal_arn = "",
                                            .attrs = &attr,
                                            .n_attrs = 1};
    return cv_policy_condition_holds(p, c, &debug);
}

/* Zeros are written down in it: that is told already. */
static bool names_zeros(const struct cv_policy_condition *c)
{
    for (size_t j = 0; j < c->values.n; j++)
        if (*c->values.v[j] && c->values.v[j][strspn(c->values.v[j], "0")] == '\0')
            return true;
    return false;
}

static bool open_to_debug(const struct cv_policy *p, const struct cv_policy_statement *s)
{
    for (size_t k = 0; k < s->n_conditions; k++)
        if (about_attestation(&s->conditions[k]) &&
            (!passes_zeros(p, &s->conditions[k]) || names_zeros(&s->conditions[k])))
            return false;
    return true;
}

/* A Deny for everybody that strikes an enclave in debug mode. */
static bool denied_debug(const struct cv_policy *p, const char *action)
{
    for (size_t i = 0; i < p->n_statements; i++) {
        const struct cv_policy_statement *s = &p->statements[i];
        bool strikes = !s->allow && s->principals.everyone && !s->principals.negated &&
                       covers(s, action) && !s->not_resource && s->resources.n == 1 &&
                       !strcmp(s->resources.v[0], "*");
        for (size_t k = 0; k < s->n_conditions && strikes; k++)
            strikes = about_attestation(&s->conditions[k]) && passes_zeros(p, &s->conditions[k]);
        if (strikes)
            return true;
    }
    return false;
}

/* An attestation is wanted, but any will do: Null, a pattern that matches all,
 * a list of what it must not be. */
static void look_for_any_enclave(struct hunt *h)
{
    static const char *const guarded[] = {"kms:Decrypt", "kms:GenerateDataKey"};
    for (size_t i = 0; i < h->p->n_statements; i++) {
        const struct cv_policy_statement *s = &h->p->statements[i];
        bool found = false;
        char name[CV_POLICY_TEXT];
        for (size_t a = 0; a < 2 && s->allow; a++)
            found = found || (covers(s, guarded[a]) && open_to_debug(h->p, s) &&
                              !denied_debug(h->p, guarded[a]) &&
                              (!open_to_unattested(h->p, s) || denied_without(h->p, guarded[a])));
        if (found)
            report(
                h, "any-enclave", (int)i,
                "%s: an attestation is wanted, but of no certain image. Any enclave will do, one "
                "in debug mode too, whose memory the parent reads: compare a register with its "
                "value",
                name_of(name, h->p, i));
    }
}

static void look_at_values(struct hunt *h, size_t i, const struct cv_policy_condition *c)
{
    char name[CV_POLICY_TEXT];
    bool exact = c->op->compare == CV_CMP_STRING;
    if (c->op->compare != CV_CMP_STRING && c->op->compare != CV_CMP_STRING_NOCASE)
        return;
    for (size_t k = 0; k < c->values.n; k++) {
        const char *v = c->values.v[k];
        if (*v && all_of(v, "0") && h->p->statements[i].allow && !c->op->negated)
            report(h, "zero-register", (int)i,
                   "%s: %.100s may be zero, which every enclave in debug "
                   "mode has: anybody on the parent reads its memory",
                   name_of(name, h->p, i), c->key);
        else if (strlen(v) != REGISTER_HEX || !all_of(v, "0123456789abcdefABCDEF"))
            report(h, "bad-value", (int)i,
                   "%s: the value of %.100s is not 96 hex digits, so it never "
                   "matches",
                   name_of(name, h->p, i), c->key);
        else if (exact && strcspn(v, "ABCDEF") != strlen(v))
            report(h, "upper-case", (int)i,
                   "%s: KMS writes %.100s in lower case; %s with capital "
                   "letters never matches",
                   name_of(name, h->p, i), c->key, c->name);
    }
}

/* ImageSha384, PCR0 to PCR31, or those of NitroTPM. */
static bool known_key(const char *key)
{
    const char *s = key + sizeof ATTESTATION - 1;
    char *end;
    if (*s++ != ':')
        return false;
    if (!strcasecmp(s, "ImageSha384"))
        return true;
    if (!strncasecmp(s, "NitroTPMPCR", 11))
        s += 11;
    else if (!strncasecmp(s, "PCR", 3))
        s += 3;
    else
        return false;
    if (!isdigit((unsigned char)*s))
        return false;
    unsigned long n = strtoul(s, &end, 10);
    return !*end && n < 32;
}

static void look_at_conditions(struct hunt *h, size_t i)
{
    const struct cv_policy_statement *s = &h->p->statements[i];
    char name[CV_POLICY_TEXT];
    for (size_t k = 0; k < s->n_conditions; k++) {
        const struct cv_policy_condition *c = &s->conditions[k];
        if (!about_attestation(c))
            continue;
        if (!known_key(c->key))
            report(h, "unknown-key", (int)i,
                   "%s: there is no condition key %.100s; KMS has " ATTESTATION
                   ":ImageSha384 and " ATTESTATION ":PCR<n>",
                   name_of(name, h->p, i), c->key);
        look_at_operator(h, i, c);
        look_at_values(h, i, c);
    }
}

static void look_at_everyone(struct hunt *h, size_t i)
{
    const struct cv_policy_statement *s = &h->p->statements[i];
    char name[CV_POLICY_TEXT];
    if (s->allow && s->principals.everyone && open_to_unattested(h->p, s))
        report(h, "everybody", (int)i, "%s allows everybody, of any account, what it names",
               name_of(name, h->p, i));
}

static void look_for_administrators(struct hunt *h)
{
    char name[CV_POLICY_TEXT];
    for (size_t i = 0; i < h->p->n_statements; i++) {
        const struct cv_policy_statement *s = &h->p->statements[i];
        if (s->allow && covers(s, "kms:PutKeyPolicy"))
            report(h, "can-change-policy", (int)i,
                   "%s lets its principals replace this policy: who "
                   "they are is as much a part of the protection as the rest",
                   name_of(name, h->p, i));
    }
}

size_t cv_policy_traps(const struct cv_policy *p,
                       void (*visit)(void *ctx, const struct cv_policy_trap *t), void *ctx)
{
    struct hunt h = {.p = p, .visit = visit, .ctx = ctx};
    look_for_openings(&h);
    look_for_any_enclave(&h);
    for (size_t i = 0; i < p->n_statements; i++) {
        look_at_conditions(&h, i);
        look_at_everyone(&h, i);
    }
    look_for_administrators(&h);
    return h.found;
}
