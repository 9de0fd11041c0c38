/* SPDX-License-Identifier: Apache-2.0 */
/* The key policy of `up`, and the two changes that a later `up` may make. */
#include "local/up.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SID_ENCLAVE "EnclaveMayUse"
#define SID_ENCRYPT "EncryptForVersion1"
#define CONDITION_KEY "kms:RecipientAttestation:ImageSha384"

char *cv_up_policy_new(const char *account, const char *role_arn, const char *pcr0_hex)
{
    char root[64];
    snprintf(root, sizeof root, "arn:aws:iam::%.12s:root", account);
    json_t *doc =
        json_pack("{s:s, s:[{s:s, s:s, s:{s:s}, s:[s,s,s,s,s,s,s,s,s], s:s},"
                  "         {s:s, s:s, s:{s:s}, s:[s,s], s:s, s:{s:{s:s}}}]}",
                  "Version", "2012-10-17", "Statement", "Sid", "Administration", "Effect", "Allow",
                  "Principal", "AWS", root, "Action", "kms:Create*", "kms:Delete*", "kms:Describe*",
                  "kms:Disable*", "kms:Enable*", "kms:Get*", "kms:List*", "kms:Put*", "kms:Update*",
                  "Resource", "*", "Sid", SID_ENCLAVE, "Effect", "Allow", "Principal", "AWS",
                  role_arn, "Action", "kms:Decrypt", "kms:GenerateDataKey", "Resource", "*",
                  "Condition", "StringEqualsIgnoreCase", CONDITION_KEY, pcr0_hex);
    char *text = doc ? json_dumps(doc, JSON_INDENT(2)) : NULL;
    json_decref(doc);
    return text;
}

static json_t *find_statement(json_t *doc, const char *sid, size_t *index)
{
    json_t *list = json_object_get(doc, "Statement"), *s;
    size_t i;
    json_array_foreach (list, i, s) {
        const char *name = json_string_value(json_object_get(s, "Sid"));
        if (name && !strcmp(name, sid)) {
            *index = i;
            return s;
        }
    }
    return NULL;
}

/* The accepted values of PCR0: a string or an array of them. */
static json_t *accepted(json_t *doc, json_t **holder)
{
    size_t i;
    json_t *s = find_statement(doc, SID_ENCLAVE, &i);
    *holder = json_object_get(json_object_get(s, "Condition"), "StringEqualsIgnoreCase");
    return json_object_get(*holder, CONDITION_KEY);
}

static bool holds(const json_t *values, const char *hex)
{
    if (json_is_string(values))
        return !strcasecmp(json_string_value(values), hex);
    for (size_t i = 0; i < json_array_size(values); i++) {
        const char *v = json_string_value(json_array_get(values, i));
        if (v && !strcasecmp(v, hex))
            return true;
    }
    return false;
}

bool cv_up_policy_accepts(const char *policy, const char *pcr0_hex)
{
    json_t *holder, *doc = json_loads(policy, 0, NULL);
    bool yes = holds(accepted(doc, &holder), pcr0_hex);
    json_decref(doc);
    return yes;
}

static int accept_too(json_t *doc, const char *hex, bool *changed)
{
    json_t *holder, *values = accepted(doc, &holder);
    if (!values)
        return CV_ERR_INVALID;
    if (holds(values, hex))
        return 0;
    *changed = true;
    if (json_is_array(values))
        return json_array_append_new(values, json_string(hex)) ? CV_ERR_NOMEM : 0;
    json_t *both = json_pack("[O, s]", values, hex);
    return json_object_set_new(holder, CONDITION_KEY, both) ? CV_ERR_NOMEM : 0;
}

static int set_encrypt(json_t *doc, const char *role_arn, bool wanted, bool *changed)
{
    size_t index;
    json_t *list = json_object_get(doc, "Statement");
    bool there = find_statement(doc, SID_ENCRYPT, &index) != NULL;
    if (!json_is_array(list))
        return CV_ERR_INVALID;
    if (there == wanted)
        return 0;
    *changed = true;
    if (!wanted)
        return json_array_remove(list, index) ? CV_ERR_INTERNAL : 0;
    json_t *s = json_pack("{s:s, s:s, s:{s:s}, s:s, s:s}", "Sid", SID_ENCRYPT, "Effect", "Allow",
                          "Principal", "AWS", role_arn, "Action", "kms:Encrypt", "Resource", "*");
    return json_array_append_new(list, s) ? CV_ERR_NOMEM : 0;
}

int cv_up_policy_adjust(char **out, const char *policy, const char *role_arn, bool encrypt,
                        const char *pcr0_hex)
{
    bool changed = false;
    json_t *doc = json_loads(policy, JSON_REJECT_DUPLICATES, NULL);
    int rc = doc ? set_encrypt(doc, role_arn, encrypt, &changed) : CV_ERR_INVALID;
    *out = NULL;
    if (!rc && pcr0_hex)
        rc = accept_too(doc, pcr0_hex, &changed);
    if (!rc && changed && !(*out = json_dumps(doc, JSON_INDENT(2))))
        rc = CV_ERR_NOMEM;
    json_decref(doc);
    return rc;
}
