/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/write.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/context.h"
#include "policy/model.h"

#define PREFIX "kms:RecipientAttestation:PCR"

struct draft {
    const struct cv_policy_spec *spec;
    json_t *statements;
    struct cv_error *err;
};

static int bad(struct draft *d, const char *what, const char *text)
{
    char quoted[160];
    return cv_error_set(d->err, CV_ERR_INVALID, "%s: '%s'", what,
                        cv_error_quote(quoted, sizeof quoted, text, strlen(text)));
}

static int no_memory(struct draft *d)
{
    return cv_error_set(d->err, CV_ERR_NOMEM, "no memory for the policy");
}

static bool is_digits12(const char *s)
{
    return strlen(s) == 12 && strspn(s, "0123456789") == 12;
}

static int check(struct draft *d)
{
    const struct cv_policy_spec *s = d->spec;
    char account[13];
    if (!s->n_principals)
        return cv_error_set(d->err, CV_ERR_INVALID,
                            "no principal: name the role whose credentials "
                            "the enclave uses");
    for (size_t i = 0; i < s->n_principals; i++)
        if (!cv_policy_principal_valid(s->principals[i]) || !strcmp(s->principals[i], "*") ||
            !cv_policy_arn_account(account, s->principals[i]))
            return bad(d, "the principal is no ARN of a role or a user", s->principals[i]);
    for (size_t i = 0; i < s->n_admins; i++)
        if (!cv_policy_principal_valid(s->admins[i]) || !strcmp(s->admins[i], "*"))
            return bad(d, "the administrator is neither an ARN nor an account", s->admins[i]);
    for (size_t i = 0; i < s->n_publishers; i++)
        if (!cv_policy_principal_valid(s->publishers[i]) || !strcmp(s->publishers[i], "*") ||
            !cv_policy_arn_account(account, s->publishers[i]))
            return bad(d, "the publisher is no ARN of a role or a user", s->publishers[i]);
    if (!s->n_images)
        return cv_error_set(d->err, CV_ERR_INVALID,
                            "no image: without registers any enclave, and "
                            "anybody, could open the key");
    for (size_t i = 0; i < s->n_images; i++)
        if (!s->images[i].mask)
            return cv_error_set(d->err, CV_ERR_INVALID, "image %zu has no registers", i + 1);
    return 0;
}

static int add(struct draft *d, json_t *statement)
{
    return json_array_append_new(d->statements, statement) ? no_memory(d) : 0;
}

/* One text, or a list of several. */
static json_t *texts(const char *const *v, size_t n)
{
    json_t *list = json_array();
    if (n == 1) {
        json_decref(list);
        return json_string(v[0]);
    }
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(v[i]));
    return list;
}

/* The account roots of the principals, each once. */
static json_t *default_admins(const struct cv_policy_spec *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->n_principals; i++) {
        char account[13], root[64], partition[32];
        const char *p = s->principals[i] + 4, *colon = strchr(p, ':');
        size_t n = colon ? (size_t)(colon - p) : 0, k = 0;
        cv_policy_arn_account(account, s->principals[i]);
        snprintf(partition, sizeof partition, "%.*s", n < sizeof partition ? (int)n : 0, p);
        snprintf(root, sizeof root, "arn:%s:iam::%s:root", partition, account);
        while (k < json_array_size(list) &&
               strcmp(json_string_value(json_array_get(list, k)), root))
            k++;
        if (k == json_array_size(list))
            json_array_append_new(list, json_string(root));
    }
    return list;
}

static json_t *admins(const struct cv_policy_spec *s)
{
    if (!s->n_admins)
        return default_admins(s);
    json_t *list = json_array();
    for (size_t i = 0; i < s->n_admins; i++) {
        char root[64];
        snprintf(root, sizeof root, "arn:aws:iam::%.12s:root", s->admins[i]);
        json_array_append_new(list, json_string(is_digits12(s->admins[i]) ? root : s->admins[i]));
    }
    return list;
}

/* AWS's own list for administrators of a key (console default). */
static int administration(struct draft *d)
{
    return add(d,
               json_pack("{s:s, s:s, s:{s:o}, s:[s,s,s,s,s,s,s,s,s,s,s,s,s,s], s:s}", "Sid",
                         "Administration", "Effect", "Allow", "Principal", "AWS", admins(d->spec),
                         "Action", "kms:Create*", "kms:Describe*", "kms:Enable*", "kms:List*",
                         "kms:Put*", "kms:Update*", "kms:Revoke*", "kms:Disable*", "kms:Get*",
                         "kms:Delete*", "kms:TagResource", "kms:UntagResource",
                         "kms:ScheduleKeyDeletion", "kms:CancelKeyDeletion", "Resource", "*"));
}

/* The one register in which the images differ, 32 when they are all alike, -1
 * when there are several or not the same registers. */
static int differing(const struct cv_policy_spec *s)
{
    int found = CV_POLICY_REGISTERS;
    for (size_t i = 1; i < s->n_images; i++) {
        if (s->images[i].mask != s->images[0].mask)
            return -1;
        for (int r = 0; r < CV_POLICY_REGISTERS; r++) {
            if (!(s->images[0].mask & (UINT32_C(1) << r)) ||
                !strcmp(s->images[i].pcr[r], s->images[0].pcr[r]))
                continue;
            if (found != CV_POLICY_REGISTERS && found != r)
                return -1;
            found = r;
        }
    }
    return found;
}

/* Values of register R over the images FIRST to LAST-1, each once. */
static json_t *values_of(const struct cv_policy_spec *s, size_t first, size_t last, int r)
{
    const char *v[64];
    size_t n = 0;
    for (size_t i = first; i < last && n < 64; i++) {
        size_t k = 0;
        while (k < n && strcmp(v[k], s->images[i].pcr[r]))
            k++;
        if (k == n)
            v[n++] = s->images[i].pcr[r];
    }
    return texts(v, n);
}

/* {"kms:EncryptionContext:NAME": value …}, or NULL without a context. */
static json_t *context_equals(const struct cv_policy_spec *s)
{
    json_t *context = s->n_context ? json_object() : NULL;
    for (size_t i = 0; i < s->n_context; i++) {
        char key[CV_POLICY_TEXT];
        snprintf(key, sizeof key, "kms:EncryptionContext:%.200s", s->context[i].key);
        json_object_set_new(context, key, json_string(s->context[i].value));
    }
    return context;
}

static json_t *condition(const struct cv_policy_spec *s, size_t first, size_t last)
{
    json_t *registers = json_object(), *context = context_equals(s);
    for (int r = 0; r < CV_POLICY_REGISTERS; r++) {
        char key[64];
        if (!(s->images[first].mask & (UINT32_C(1) << r)))
            continue;
        snprintf(key, sizeof key, PREFIX "%d", r);
        json_object_set_new(registers, key, values_of(s, first, last, r));
    }
    json_t *out = json_pack("{s:o}", "StringEqualsIgnoreCase", registers);
    if (context)
        json_object_set_new(out, "StringEquals", context);
    return out;
}

static int allow(struct draft *d, const char *sid, size_t first, size_t last)
{
    const struct cv_policy_spec *s = d->spec;
    json_t *actions = s->n_publishers ? json_string("kms:Decrypt")
                                      : json_pack("[s,s]", "kms:Decrypt", "kms:GenerateDataKey");
    return add(d, json_pack("{s:s, s:s, s:{s:o}, s:o, s:s, s:o}", "Sid", sid, "Effect", "Allow",
                            "Principal", "AWS", texts(s->principals, s->n_principals), "Action",
                            actions, "Resource", "*", "Condition", condition(s, first, last)));
}

static int enclaves(struct draft *d)
{
    if (differing(d->spec) >= 0)
        return allow(d, "EnclaveMayUse", 0, d->spec->n_images);
    int rc = 0;
    for (size_t i = 0; i < d->spec->n_images && !rc; i++) {
        char sid[40];
        snprintf(sid, sizeof sid, "Enclave%zuMayUse", i + 1);
        rc = allow(d, sid, i, i + 1);
    }
    return rc;
}

static int deny_attested(struct draft *d, const char *sid, json_t *condition)
{
    json_t *actions = json_pack("[s,s]", "kms:Decrypt", "kms:DeriveSharedSecret");
    if (!d->spec->n_publishers)
        json_array_insert_new(actions, 1, json_string("kms:GenerateDataKey*"));
    return add(d, json_pack("{s:s, s:s, s:s, s:o, s:s, s:o}", "Sid", sid, "Effect", "Deny",
                            "Principal", "*", "Action", actions, "Resource", "*", "Condition",
                            condition));
}

/* Who may make data keys may write configurations: nobody else, whatever IAM
 * says, and only with the context that the enclaves ask for. */
static int publishers(struct draft *d)
{
    const struct cv_policy_spec *s = d->spec;
    if (!s->n_publishers)
        return 0;
    json_t *statement =
               json_pack("{s:s, s:s, s:{s:o}, s:s, s:s}", "Sid", "PublishersMayEncrypt", "Effect",
                         "Allow", "Principal", "AWS", texts(s->publishers, s->n_publishers),
                         "Action", "kms:GenerateDataKey", "Resource", "*"),
           *context = context_equals(s);
    if (context)
        json_object_set_new(statement, "Condition", json_pack("{s:o}", "StringEquals", context));
    int rc = add(d, statement);
    if (rc)
        return rc;
    return add(d, json_pack("{s:s, s:s, s:s, s:s, s:s, s:{s:{s:o}}}", "Sid", "DenyOtherPublishers",
                            "Effect", "Deny", "Principal", "*", "Action", "kms:GenerateDataKey*",
                            "Resource", "*", "Condition", "ArnNotEquals", "aws:PrincipalArn",
                            texts(s->publishers, s->n_publishers)));
}

/* A register that every image has can be demanded of every caller: conditions
 * of one statement are AND, so each register has a statement of its own. The
 * negated operator also holds when there is no attestation at all. */
static int deny_others(struct draft *d)
{
    const struct cv_policy_spec *s = d->spec;
    uint32_t common = UINT32_MAX;
    int rc = 0;
    for (size_t i = 0; i < s->n_images; i++)
        common &= s->images[i].mask;
    if (!common)
        return deny_attested(
            d, "DenyWithoutAttestation",
            json_pack("{s:{s:s}}", "Null", "kms:RecipientAttestation:ImageSha384", "true"));
    for (int r = 0; r < CV_POLICY_REGISTERS && !rc; r++) {
        char sid[40], key[64];
        if (!(common & (UINT32_C(1) << r)))
            continue;
        snprintf(sid, sizeof sid, "DenyOtherPCR%d", r);
        snprintf(key, sizeof key, PREFIX "%d", r);
        rc = deny_attested(d, sid,
                           json_pack("{s:{s:o}}", "StringNotEqualsIgnoreCase", key,
                                     values_of(s, 0, s->n_images, r)));
    }
    return rc;
}

static int deny_detours(struct draft *d)
{
    const struct cv_policy_spec *s = d->spec;
    int rc = add(d, json_pack("{s:s, s:s, s:s, s:[s,s], s:s}", "Sid", "DenyDetours", "Effect",
                              "Deny", "Principal", "*", "Action", "kms:CreateGrant",
                              "kms:ReEncryptFrom", "Resource", "*"));
    if (rc)
        return rc;
    if (s->encrypt)
        return add(d,
                   json_pack("{s:s, s:s, s:{s:o}, s:s, s:s}", "Sid", "EncryptForVersion1", "Effect",
                             "Allow", "Principal", "AWS", texts(s->principals, s->n_principals),
                             "Action", "kms:Encrypt", "Resource", "*"));
    /* Whoever may encrypt could hand the enclave a key that he knows. */
    return add(d, json_pack("{s:s, s:s, s:s, s:[s,s], s:s}", "Sid", "DenyEncrypt", "Effect", "Deny",
                            "Principal", "*", "Action", "kms:Encrypt", "kms:ReEncryptTo",
                            "Resource", "*"));
}

/* What the policy was written for, asked of the policy itself. */
static int prove(struct draft *d, const struct cv_policy *p)
{
    const struct cv_policy_spec *s = d->spec;
    struct cv_policy_context *c = malloc(sizeof *c);
    struct cv_policy_decision with, without;
    char account[13], key[160];
    int rc = 0;
    if (!c)
        return no_memory(d);
    cv_policy_context_init(c);
    cv_policy_arn_account(account, s->principals[0]);
    snprintf(key, sizeof key, "arn:aws:kms:us-east-1:%s:key/x", account);
    struct cv_policy_request r = {.action = "kms:Decrypt",
                                  .resource = key,
                                  .principal_arn = s->principals[0],
                                  .attrs = c->attrs};
    rc = cv_policy_context_add_caller(c, s->principals[0], NULL);
    for (size_t i = 0; i < s->n_context && !rc; i++)
        rc = cv_policy_context_add_encryption(c, s->context[i].key, s->context[i].value);
    r.n_attrs = c->n;
    cv_policy_evaluate(&without, p, &r);
    for (int i = 0; i < CV_POLICY_REGISTERS && !rc; i++) {
        char name[64];
        if (!(s->images[0].mask & (UINT32_C(1) << i)))
            continue;
        snprintf(name, sizeof name, PREFIX "%d", i);
        rc = cv_policy_context_add(c, name, s->images[0].pcr[i]);
    }
    if (!rc)
        rc = cv_policy_context_add(c, "kms:RecipientAttestation:ImageSha384", s->images[0].pcr[0]);
    r.n_attrs = c->n;
    cv_policy_evaluate(&with, p, &r);
    cv_policy_context_free(c);
    free(c);
    if (rc)
        return no_memory(d);
    return without.effect == CV_POLICY_DENY_EXPLICIT && with.effect == CV_POLICY_ALLOW
               ? 0
               : cv_error_set(d->err, CV_ERR_INTERNAL,
                              "the policy does not do what it was written for");
}

static int finish(struct draft *d, struct cv_buf *out)
{
    struct cv_policy *parsed = NULL;
    json_t *doc = json_pack("{s:s, s:s, s:O}", "Version", "2012-10-17", "Id", "claviger",
                            "Statement", d->statements);
    char *text = doc ? json_dumps(doc, JSON_INDENT(2)) : NULL;
    json_decref(doc);
    int rc = text ? 0 : no_memory(d);
    if (!rc)
        rc = cv_policy_parse(&parsed, CV_POLICY_KEY, cv_bytes_str(text), d->err);
    if (!rc)
        rc = prove(d, parsed);
    if (!rc && (cv_buf_append_str(out, text) || cv_buf_append_u8(out, '\n')))
        rc = no_memory(d);
    cv_policy_free(parsed);
    free(text);
    return rc;
}

int cv_policy_write(struct cv_buf *out, const struct cv_policy_spec *spec, struct cv_error *err)
{
    struct draft d = {.spec = spec, .err = err};
    int rc = check(&d);
    if (rc)
        return rc;
    d.statements = json_array();
    if ((rc = administration(&d)) == 0 && (rc = enclaves(&d)) == 0 && (rc = deny_others(&d)) == 0 &&
        (rc = publishers(&d)) == 0 && (rc = deny_detours(&d)) == 0)
        rc = finish(&d, out);
    json_decref(d.statements);
    return rc;
}
