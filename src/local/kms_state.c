/* SPDX-License-Identifier: Apache-2.0 */
/* The state in memory: principals, keys, aliases. The file is kms_state_file.c. */
#include "local/kms_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "common/secret.h"

void cv_local_uuid(char out[CV_LOCAL_KMS_ID])
{
    uint8_t raw[16];
    char hex[33];
    cv_random(raw, sizeof raw);
    raw[6] = (uint8_t)((raw[6] & 0x0f) | 0x40);
    raw[8] = (uint8_t)((raw[8] & 0x3f) | 0x80);
    cv_hex_encode(hex, raw, sizeof raw);
    snprintf(out, CV_LOCAL_KMS_ID, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
             hex + 20);
}

void cv_local_kms_state_init(struct cv_local_kms_state *s)
{
    memset(s, 0, sizeof *s);
}

static void free_text(char *s)
{
    if (s)
        cv_wipe(s, strlen(s));
    free(s);
}

static void free_principal(struct cv_local_principal *p)
{
    free_text(p->access_key_id);
    free_text(p->secret_access_key);
    free_text(p->session_token);
    free(p->arn);
    free(p->role_arn);
    free(p->policy_text);
    cv_policy_free(p->policy);
}

static void free_key(struct cv_local_key *k)
{
    free(k->description);
    free(k->policy_text);
    cv_policy_free(k->policy);
    cv_wipe(k->material, sizeof k->material);
    EVP_PKEY_free(k->pair);
    free(k);
}

void cv_local_kms_state_free(struct cv_local_kms_state *s)
{
    for (size_t i = 0; i < s->n_principals; i++)
        free_principal(&s->principals[i]);
    for (size_t i = 0; i < s->n_keys; i++)
        free_key(s->keys[i]);
    free(s->principals);
    free(s->keys);
    free(s->aliases);
    free(s->path);
    cv_local_kms_state_init(s);
}

const struct cv_local_principal *cv_local_kms_principal(const struct cv_local_kms_state *s,
                                                        const char *access_key_id)
{
    for (size_t i = 0; i < s->n_principals; i++)
        if (!strcmp(s->principals[i].access_key_id, access_key_id))
            return &s->principals[i];
    return NULL;
}

static char *copy(const char *s, bool *failed)
{
    char *c = s ? strdup(s) : NULL;
    *failed = *failed || (s && !c);
    return c;
}

int cv_local_kms_principal_add(struct cv_local_kms_state *s, const char *access_key_id,
                               const char *secret, const char *session_token, const char *arn,
                               const char *role_arn, int64_t expires_ms, const char *policy,
                               struct cv_error *err)
{
    bool failed = false;
    struct cv_local_principal p = {.expires_ms = expires_ms};
    if (cv_local_kms_principal(s, access_key_id))
        return cv_error_set(err, CV_ERR_EXISTS, "access key %.128s is known already",
                            access_key_id);
    if (policy) {
        int rc = cv_policy_parse(&p.policy, CV_POLICY_IDENTITY, cv_bytes_str(policy), err);
        if (rc)
            return rc;
    }
    struct cv_local_principal *more =
        reallocarray(s->principals, s->n_principals + 1, sizeof *more);
    if (more)
        s->principals = more;
    p.access_key_id = copy(access_key_id, &failed);
    p.secret_access_key = copy(secret, &failed);
    p.session_token = copy(session_token, &failed);
    p.arn = copy(arn, &failed);
    p.role_arn = copy(role_arn, &failed);
    p.policy_text = copy(policy, &failed);
    if (!more || failed) {
        free_principal(&p);
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a principal");
    }
    s->principals[s->n_principals++] = p;
    return 0;
}

/* Random text of AWS's alphabet, N characters and a NUL. */
static void random_text(char *out, size_t n, const char *alphabet)
{
    uint8_t raw[256];
    size_t letters = strlen(alphabet);
    cv_random(raw, sizeof raw);
    for (size_t i = 0; i < n; i++)
        out[i] = alphabet[raw[i % sizeof raw] % letters];
    out[n] = '\0';
    cv_wipe(raw, sizeof raw);
}

#define ID_ALPHABET "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
#define SECRET_ALPHABET "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

/* AKIA… are long-term keys, ASIA… those of sessions. */
static int add_random(struct cv_local_kms_state *s, const char *prefix, bool session,
                      const char *arn, const char *role_arn, const char *policy,
                      struct cv_error *err)
{
    char id[21], secret[41], token[201];
    memcpy(id, prefix, 4);
    random_text(id + 4, 16, ID_ALPHABET);
    random_text(secret, 40, SECRET_ALPHABET);
    random_text(token, 200, SECRET_ALPHABET);
    int rc = cv_local_kms_principal_add(s, id, secret, session ? token : NULL, arn, role_arn, 0,
                                        policy, err);
    cv_wipe(secret, sizeof secret);
    cv_wipe(token, sizeof token);
    return rc;
}

int cv_local_kms_admin_add(struct cv_local_kms_state *s, struct cv_error *err)
{
    char arn[64];
    snprintf(arn, sizeof arn, "arn:aws:iam::%s:root", s->account);
    return add_random(s, "AKIA", false, arn, NULL, NULL, err);
}

int cv_local_kms_role_add(struct cv_local_kms_state *s, const char *role, const char *session,
                          const char *policy, struct cv_error *err)
{
    char arn[256], role_arn[160];
    snprintf(role_arn, sizeof role_arn, "arn:aws:iam::%s:role/%.64s", s->account, role);
    snprintf(arn, sizeof arn, "arn:aws:sts::%s:assumed-role/%.64s/%.64s", s->account, role,
             session);
    return add_random(s, "ASIA", true, arn, role_arn, policy, err);
}

int cv_local_kms_key_set_policy(struct cv_local_key *key, const char *policy, struct cv_error *err)
{
    struct cv_policy *parsed = NULL;
    int rc = cv_policy_parse(&parsed, CV_POLICY_KEY, cv_bytes_str(policy), err);
    if (rc)
        return rc;
    char *text = strdup(policy);
    if (!text) {
        cv_policy_free(parsed);
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a policy");
    }
    free(key->policy_text);
    cv_policy_free(key->policy);
    key->policy_text = text;
    key->policy = parsed;
    return 0;
}

int cv_local_kms_key_add(struct cv_local_key **out, struct cv_local_kms_state *s,
                         const char *description, const char *policy, int64_t now_ms,
                         struct cv_error *err)
{
    struct cv_local_key *k = calloc(1, sizeof *k);
    struct cv_local_key **more = k ? reallocarray(s->keys, s->n_keys + 1, sizeof *more) : NULL;
    if (more)
        s->keys = more;
    if (!more || !(k->description = strdup(description))) {
        free(k);
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a key");
    }
    cv_local_uuid(k->id);
    snprintf(k->arn, sizeof k->arn, "arn:aws:kms:%s:%s:key/%s", s->region, s->account, k->id);
    cv_random(k->material, sizeof k->material);
    k->created_ms = now_ms;
    k->enabled = true;
    int rc = cv_local_kms_key_set_policy(k, policy, err);
    if (rc) {
        free_key(k);
        return rc;
    }
    s->keys[s->n_keys++] = k;
    *out = k;
    return 0;
}

void cv_local_kms_key_undo(struct cv_local_kms_state *s)
{
    free_key(s->keys[--s->n_keys]);
}

struct cv_local_key *cv_local_kms_key_by_id(const struct cv_local_kms_state *s, const char *id)
{
    for (size_t i = 0; i < s->n_keys; i++)
        if (!strcmp(s->keys[i]->id, id))
            return s->keys[i];
    return NULL;
}

struct cv_local_key *cv_local_kms_key_find(const struct cv_local_kms_state *s, const char *any)
{
    char prefix[CV_LOCAL_KMS_ARN];
    int n = snprintf(prefix, sizeof prefix, "arn:aws:kms:%s:%s:", s->region, s->account);
    if (n > 0 && !strncmp(any, prefix, (size_t)n)) {
        any += n;
        /* An ARN says what kind it is: "key/…" or "alias/…". */
        if (!strncmp(any, "key/", 4))
            return cv_local_kms_key_by_id(s, any + 4);
        if (strncmp(any, "alias/", 6))
            return NULL;
    }
    if (strncmp(any, "alias/", 6))
        return cv_local_kms_key_by_id(s, any);
    for (size_t i = 0; i < s->n_aliases; i++)
        if (!strcmp(s->aliases[i].name, any))
            return cv_local_kms_key_by_id(s, s->aliases[i].key_id);
    return NULL;
}

int cv_local_kms_alias_add(struct cv_local_kms_state *s, const char *name, const char *key_id,
                           int64_t now_ms)
{
    struct cv_local_alias a = {.created_ms = now_ms};
    if (strlen(name) >= sizeof a.name || strlen(key_id) >= sizeof a.key_id)
        return CV_ERR_LIMIT;
    struct cv_local_alias *more = reallocarray(s->aliases, s->n_aliases + 1, sizeof *more);
    if (!more)
        return CV_ERR_NOMEM;
    s->aliases = more;
    memcpy(a.name, name, strlen(name) + 1);
    memcpy(a.key_id, key_id, strlen(key_id) + 1);
    s->aliases[s->n_aliases++] = a;
    return 0;
}
