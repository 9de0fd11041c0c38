/* SPDX-License-Identifier: Apache-2.0 */
/* CreateKey, DescribeKey, key policies, aliases (KMS API Reference). */
#include "local/kms_call.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *seconds(int64_t ms)
{
    return json_real((double)ms / 1000.0);
}

static json_t *metadata(const struct cv_local_kms_call *c, const struct cv_local_key *k)
{
    const char *spec = k->spec ? k->spec->name : "SYMMETRIC_DEFAULT";
    return json_pack(
        "{s:s, s:s, s:o, s:s, s:s, s:b, s:[s], s:s, s:s, s:s, s:s, s:s, s:b, s:s}", "AWSAccountId",
        c->kms->state.account, "Arn", k->arn, "CreationDate", seconds(k->created_ms),
        "CustomerMasterKeySpec", spec, "Description", k->description, "Enabled", (int)k->enabled,
        k->spec ? "SigningAlgorithms" : "EncryptionAlgorithms",
        k->spec ? k->spec->algorithm : "SYMMETRIC_DEFAULT", "KeyId", k->id, "KeyManager",
        "CUSTOMER", "KeySpec", spec, "KeyState", k->enabled ? "Enabled" : "Disabled", "KeyUsage",
        k->spec ? "SIGN_VERIFY" : "ENCRYPT_DECRYPT", "MultiRegion", 0, "Origin", "AWS_KMS");
}

static int put_metadata(struct cv_local_kms_call *c, const struct cv_local_key *k)
{
    return json_object_set_new(c->out, "KeyMetadata", metadata(c, k))
               ? cv_local_refuse(c, 500, "KMSInternalException", "no memory")
               : 0;
}

/* What this stand-in's keys can be; *OUT NULL for a symmetric one. */
static int check_spec(struct cv_local_kms_call *c, const struct cv_local_key_spec **out)
{
    const char *usage, *spec, *old_spec, *origin;
    bool multi;
    *out = NULL;
    if (cv_local_in_text(c, "KeyUsage", &usage) || cv_local_in_text(c, "KeySpec", &spec) ||
        cv_local_in_text(c, "CustomerMasterKeySpec", &old_spec) ||
        cv_local_in_text(c, "Origin", &origin) || cv_local_in_bool(c, "MultiRegion", &multi))
        return -1;
    if (spec && old_spec)
        return cv_local_refuse(c, 400, "ValidationException",
                               "You cannot specify KeySpec and CustomerMasterKeySpec in the same "
                               "request.");
    spec = spec ? spec : old_spec ? old_spec : "SYMMETRIC_DEFAULT";
    *out = cv_local_key_spec(spec);
    if ((!*out && strcmp(spec, "SYMMETRIC_DEFAULT")) || (origin && strcmp(origin, "AWS_KMS")) ||
        multi)
        return cv_local_refuse(c, 400, "UnsupportedOperationException",
                               "the local KMS has symmetric keys and ECC keys that sign only, in "
                               "one region, of its own");
    if (*out && !usage)
        return cv_local_refuse(c, 400, "ValidationException",
                               "You must specify a KeyUsage value for an asymmetric KMS key.");
    if (usage && strcmp(usage, *out ? "SIGN_VERIFY" : "ENCRYPT_DECRYPT"))
        return cv_local_refuse(c, 400, "ValidationException",
                               "KeyUsage %.40s is not compatible with KeySpec %s", usage, spec);
    return 0;
}

static int malformed(struct cv_local_kms_call *c, const struct cv_error *err)
{
    char why[512];
    return cv_local_refuse(c, 400, "MalformedPolicyDocumentException", "%s",
                           cv_error_format(why, sizeof why, err));
}

/* KMS does not let a caller lock itself out, unless told to. */
static int check_lockout(struct cv_local_kms_call *c, const struct cv_local_key *key,
                         const struct cv_policy *policy)
{
    bool bypass;
    if (cv_local_in_bool(c, "BypassPolicyLockoutSafetyCheck", &bypass))
        return -1;
    if (bypass || cv_local_may(c, "PutKeyPolicy", key, policy))
        return 0;
    return cv_local_refuse(c, 400, "MalformedPolicyDocumentException",
                           "The new key policy will not allow you to update the key policy in the "
                           "future.");
}

int cv_local_op_create_key(struct cv_local_kms_call *c)
{
    const char *description, *policy;
    char standard[512];
    const struct cv_local_key_spec *spec;
    struct cv_local_key *key;
    struct cv_error err;
    cv_error_clear(&err);
    if (cv_local_in_text(c, "Description", &description) ||
        cv_local_in_text(c, "Policy", &policy) || check_spec(c, &spec) ||
        cv_local_authorize(c, NULL))
        return -1;
    if (description && strlen(description) > 8192)
        return cv_local_refuse(c, 400, "ValidationException", "Description is too long");
    snprintf(standard, sizeof standard,
             "{\"Version\":\"2012-10-17\",\"Id\":\"key-default-1\",\"Statement\":[{\"Sid\":"
             "\"Enable IAM User Permissions\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":"
             "\"arn:aws:iam::%s:root\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}]}",
             c->kms->state.account);
    if (cv_local_kms_key_add(&key, &c->kms->state, description ? description : "",
                             policy ? policy : standard, cv_local_now(c->kms), &err))
        return malformed(c, &err);
    if (check_lockout(c, key, key->policy)) {
        cv_local_kms_key_undo(&c->kms->state);
        return -1;
    }
    key->spec = spec;
    if (spec && cv_local_pair_make(&key->pair, spec)) {
        cv_local_kms_key_undo(&c->kms->state);
        return cv_local_refuse(c, 500, "KMSInternalException", "making the key pair failed");
    }
    c->key = key;
    return cv_local_save(c) || put_metadata(c, key) ? -1 : 0;
}

int cv_local_op_describe_key(struct cv_local_kms_call *c)
{
    struct cv_local_key *key;
    if (cv_local_in_key(c, &key) || cv_local_in_no_grants(c) || cv_local_authorize(c, key))
        return -1;
    return put_metadata(c, key);
}

int cv_local_op_list_keys(struct cv_local_kms_call *c)
{
    const struct cv_local_kms_state *s = &c->kms->state;
    if (cv_local_authorize(c, NULL))
        return -1;
    json_t *list = json_array();
    for (size_t i = 0; i < s->n_keys; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:s}", "KeyArn", s->keys[i]->arn, "KeyId", s->keys[i]->id));
    return json_object_set_new(c->out, "Keys", list) ||
                   json_object_set_new(c->out, "Truncated", json_false())
               ? cv_local_refuse(c, 500, "KMSInternalException", "no memory")
               : 0;
}

/* PolicyName may be left out; "default" is the only one. */
static int check_policy_name(struct cv_local_kms_call *c)
{
    const char *name;
    if (cv_local_in_text(c, "PolicyName", &name))
        return -1;
    return name && strcmp(name, "default")
               ? cv_local_refuse(c, 400, "NotFoundException", "No such policy exists")
               : 0;
}

int cv_local_op_get_key_policy(struct cv_local_kms_call *c)
{
    struct cv_local_key *key;
    if (cv_local_in_key(c, &key) || check_policy_name(c) || cv_local_authorize(c, key))
        return -1;
    return cv_local_out_text(c, "Policy", key->policy_text) ||
                   cv_local_out_text(c, "PolicyName", "default")
               ? -1
               : 0;
}

int cv_local_op_list_key_policies(struct cv_local_kms_call *c)
{
    struct cv_local_key *key;
    if (cv_local_in_key(c, &key) || cv_local_authorize(c, key))
        return -1;
    return json_object_set_new(c->out, "PolicyNames", json_pack("[s]", "default")) ||
                   json_object_set_new(c->out, "Truncated", json_false())
               ? cv_local_refuse(c, 500, "KMSInternalException", "no memory")
               : 0;
}

int cv_local_op_put_key_policy(struct cv_local_kms_call *c)
{
    struct cv_local_key *key;
    struct cv_policy *parsed = NULL;
    struct cv_error err;
    const char *policy;
    cv_error_clear(&err);
    if (cv_local_in_key(c, &key) || check_policy_name(c) || cv_local_in_text(c, "Policy", &policy))
        return -1;
    if (!policy)
        return cv_local_refuse(c, 400, "ValidationException",
                               "1 validation error detected: Value null at 'policy' failed to "
                               "satisfy constraint: Member must not be null");
    if (cv_local_authorize(c, key))
        return -1;
    if (cv_policy_parse(&parsed, CV_POLICY_KEY, cv_bytes_str(policy), &err))
        return malformed(c, &err);
    int refused = check_lockout(c, key, parsed);
    cv_policy_free(parsed);
    if (refused)
        return -1;
    if (cv_local_kms_key_set_policy(key, policy, &err))
        return malformed(c, &err);
    return cv_local_save(c);
}

/* "alias/" and letters, digits, _ / -, not AWS's own prefix. */
static int check_alias(struct cv_local_kms_call *c, const char **out)
{
    if (cv_local_in_text(c, "AliasName", out))
        return -1;
    const char *s = *out;
    bool good = s && !strncmp(s, "alias/", 6) && s[6] && strlen(s) < CV_LOCAL_KMS_ALIAS &&
                strncmp(s, "alias/aws/", 10) != 0;
    for (; good && *s; s++)
        good = isalnum((unsigned char)*s) || strchr("/_-", *s);
    return good ? 0
                : cv_local_refuse(c, 400, "ValidationException",
                                  "AliasName must be alias/ and letters, digits, '/', '_' or '-', "
                                  "and not begin with alias/aws/");
}

int cv_local_op_create_alias(struct cv_local_kms_call *c)
{
    struct cv_local_kms_state *s = &c->kms->state;
    const char *name, *target;
    if (check_alias(c, &name) || cv_local_in_text(c, "TargetKeyId", &target))
        return -1;
    struct cv_local_key *key =
        target && strncmp(target, "alias/", 6) ? cv_local_kms_key_find(s, target) : NULL;
    if (!key)
        return cv_local_refuse(c, 400, "NotFoundException", "TargetKeyId names no key");
    if (cv_local_authorize(c, key))
        return -1;
    if (cv_local_kms_key_find(s, name))
        return cv_local_refuse(c, 400, "AlreadyExistsException",
                               "An alias with the name %s "
                               "already exists",
                               name);
    if (cv_local_kms_alias_add(s, name, key->id, cv_local_now(c->kms)))
        return cv_local_refuse(c, 500, "KMSInternalException", "no memory");
    return cv_local_save(c);
}

int cv_local_op_delete_alias(struct cv_local_kms_call *c)
{
    struct cv_local_kms_state *s = &c->kms->state;
    const char *name;
    if (check_alias(c, &name))
        return -1;
    struct cv_local_key *key = cv_local_kms_key_find(s, name);
    if (!key)
        return cv_local_refuse(c, 400, "NotFoundException", "Alias %s is not found.", name);
    if (cv_local_authorize(c, key))
        return -1;
    for (size_t i = 0; i < s->n_aliases; i++)
        if (!strcmp(s->aliases[i].name, name)) {
            s->aliases[i] = s->aliases[--s->n_aliases];
            break;
        }
    return cv_local_save(c);
}

int cv_local_op_list_aliases(struct cv_local_kms_call *c)
{
    const struct cv_local_kms_state *s = &c->kms->state;
    const char *only;
    struct cv_local_key *key = NULL;
    if (cv_local_in_text(c, "KeyId", &only) || (only && cv_local_in_key(c, &key)) ||
        cv_local_authorize(c, NULL))
        return -1;
    json_t *list = json_array();
    for (size_t i = 0; i < s->n_aliases; i++) {
        const struct cv_local_alias *a = &s->aliases[i];
        char arn[CV_LOCAL_KMS_ALIAS + CV_LOCAL_KMS_ARN];
        if (key && strcmp(key->id, a->key_id))
            continue;
        snprintf(arn, sizeof arn, "arn:aws:kms:%s:%s:%s", s->region, s->account, a->name);
        json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:o, s:s}", "AliasArn", arn,
                                              "AliasName", a->name, "CreationDate",
                                              seconds(a->created_ms), "LastUpdatedDate",
                                              seconds(a->created_ms), "TargetKeyId", a->key_id));
    }
    return json_object_set_new(c->out, "Aliases", list) ||
                   json_object_set_new(c->out, "Truncated", json_false())
               ? cv_local_refuse(c, 500, "KMSInternalException", "no memory")
               : 0;
}

static int set_enabled(struct cv_local_kms_call *c, bool enabled)
{
    struct cv_local_key *key;
    if (cv_local_in_key(c, &key) || cv_local_authorize(c, key))
        return -1;
    key->enabled = enabled;
    return cv_local_save(c);
}

int cv_local_op_enable_key(struct cv_local_kms_call *c)
{
    return set_enabled(c, true);
}

int cv_local_op_disable_key(struct cv_local_kms_call *c)
{
    return set_enabled(c, false);
}
