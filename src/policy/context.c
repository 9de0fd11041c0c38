/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/hex.h"
#include "policy/model.h"

void cv_policy_context_init(struct cv_policy_context *c)
{
    c->n = 0;
    c->n_owned = 0;
}

void cv_policy_context_free(struct cv_policy_context *c)
{
    for (size_t i = 0; i < c->n_owned; i++)
        free(c->owned[i]);
    cv_policy_context_init(c);
}

static const char *keep(struct cv_policy_context *c, const char *s)
{
    char *copy = strdup(s);
    if (copy)
        c->owned[c->n_owned++] = copy;
    return copy;
}

int cv_policy_context_add(struct cv_policy_context *c, const char *key, const char *value)
{
    if (c->n == CV_POLICY_CONTEXT_MAX)
        return CV_ERR_LIMIT;
    struct cv_policy_attr *a = &c->attrs[c->n];
    a->key = keep(c, key);
    a->value = a->key ? keep(c, value) : NULL;
    if (!a->value)
        return CV_ERR_NOMEM;
    c->n++;
    return 0;
}

static const char *principal_type(const char *principal_arn, const char *role_arn)
{
    size_t n = strlen(principal_arn);
    if (role_arn)
        return "AssumedRole";
    return n > 5 && !strcmp(principal_arn + n - 5, ":root") ? "Account" : "User";
}

int cv_policy_context_add_caller(struct cv_policy_context *c, const char *principal_arn,
                                 const char *role_arn)
{
    char account[13];
    int rc = cv_policy_context_add(c, "aws:PrincipalArn", role_arn ? role_arn : principal_arn);
    if (!rc)
        rc = cv_policy_context_add(c, "aws:PrincipalType", principal_type(principal_arn, role_arn));
    const char *user = role_arn ? NULL : strstr(principal_arn, ":user/");
    if (!rc)
        rc = cv_policy_context_add(c, "aws:PrincipalIsAWSService", "false");
    if (!rc && user) /* without its path */
        rc = cv_policy_context_add(c, "aws:username", strrchr(user, '/') + 1);
    if (rc || !cv_policy_arn_account(account, principal_arn))
        return rc;
    rc = cv_policy_context_add(c, "kms:CallerAccount", account);
    return rc ? rc : cv_policy_context_add(c, "aws:PrincipalAccount", account);
}

int cv_policy_context_add_request(struct cv_policy_context *c, int64_t now_ms)
{
    char now[CV_RFC3339_LEN], epoch[24];
    cv_rfc3339_format(now, now_ms);
    snprintf(epoch, sizeof epoch, "%lld", (long long)(now_ms / 1000));
    int rc = cv_policy_context_add(c, "aws:SecureTransport", "true");
    if (!rc)
        rc = cv_policy_context_add(c, "aws:ViaAWSService", "false");
    if (!rc)
        rc = cv_policy_context_add(c, "aws:CurrentTime", now);
    return rc ? rc : cv_policy_context_add(c, "aws:EpochTime", epoch);
}

int cv_policy_context_add_key(struct cv_policy_context *c, const char *action, const char *spec,
                              const char *usage)
{
    /* KMS Developer Guide, "AWS KMS condition keys", kms:EncryptionAlgorithm. */
    static const char *const encrypting[] = {"kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom",
                                             "kms:ReEncryptTo"};
    int rc = cv_policy_context_add(c, "kms:KeySpec", spec);
    if (!rc)
        rc = cv_policy_context_add(c, "kms:KeyUsage", usage);
    if (!rc)
        rc = cv_policy_context_add(c, "kms:KeyOrigin", "AWS_KMS");
    if (!rc)
        rc = cv_policy_context_add(c, "kms:MultiRegion", "false");
    for (size_t i = 0; !rc && i < sizeof encrypting / sizeof encrypting[0]; i++)
        if (!strcasecmp(action, encrypting[i]))
            rc = cv_policy_context_add(c, "kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT");
    return rc;
}

int cv_policy_context_add_pcr(struct cv_policy_context *c, unsigned index, const void *value,
                              size_t n)
{
    char key[64], hex[2 * 64 + 1];
    if (n > 64)
        return CV_ERR_LIMIT;
    cv_hex_encode(hex, value, n);
    snprintf(key, sizeof key, "kms:RecipientAttestation:PCR%u", index);
    int rc = cv_policy_context_add(c, key, hex);
    return rc || index != 0 ? rc
                            : cv_policy_context_add(c, "kms:RecipientAttestation:ImageSha384", hex);
}

int cv_policy_context_add_encryption(struct cv_policy_context *c, const char *key,
                                     const char *value)
{
    static const char prefix[] = "kms:EncryptionContext:";
    size_t n = strlen(key);
    char *name = malloc(sizeof prefix + n);
    if (!name)
        return CV_ERR_NOMEM;
    memcpy(name, prefix, sizeof prefix - 1);
    memcpy(name + sizeof prefix - 1, key, n + 1);
    int rc = cv_policy_context_add(c, name, value);
    free(name);
    return rc ? rc : cv_policy_context_add(c, "kms:EncryptionContextKeys", key);
}
