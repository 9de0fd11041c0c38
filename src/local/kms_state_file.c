/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kms.json:
 *
 *   {"format": "claviger-local kms 1", "region": …, "account": …,
 *    "principals": [{"access_key_id", "secret_access_key", "session_token"?,
 *                    "arn", "role_arn"?, "expires"?, "policy"?}],
 *    "keys": [{"id", "description", "created_ms", "enabled", "material", "policy",
 *              "key_spec"?, "private_key"?}],
 *    "aliases": [{"name", "key", "created_ms"}]}
 *
 * A person may add principals while the stand-in is stopped.
 */
#include "local/kms_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/hex.h"
#include "json/json.h"

#define FORMAT "claviger-local kms 1"

static int read_principal(struct cv_local_kms_state *s, const json_t *o, struct cv_error *err)
{
    const char *id, *secret, *token, *arn, *role, *policy, *expires;
    int64_t expires_ms = 0;
    int rc;
    if ((rc = cv_json_only(o, err, "access_key_id", "secret_access_key", "session_token", "arn",
                           "role_arn", "expires", "policy", NULL)) ||
        (rc = cv_json_get_str(o, "access_key_id", &id, err)) ||
        (rc = cv_json_get_str(o, "secret_access_key", &secret, err)) ||
        (rc = cv_json_opt_str(o, "session_token", &token, NULL, err)) ||
        (rc = cv_json_get_str(o, "arn", &arn, err)) ||
        (rc = cv_json_opt_str(o, "role_arn", &role, NULL, err)) ||
        (rc = cv_json_opt_str(o, "expires", &expires, NULL, err)) ||
        (rc = cv_json_opt_str(o, "policy", &policy, NULL, err)))
        return rc;
    if (expires && cv_rfc3339_parse(&expires_ms, expires))
        return cv_error_set(err, CV_ERR_INVALID,
                            "\"expires\" is no time such as "
                            "2030-01-31T12:00:00Z");
    return cv_local_kms_principal_add(s, id, secret, token, arn, role, expires_ms, policy, err);
}

/* "key_spec" and "private_key" of an asymmetric key. */
static int read_pair(struct cv_local_key *k, const json_t *o, struct cv_error *err)
{
    const char *name;
    struct cv_buf CV_CLEANUP(cv_buf_free) der;
    cv_buf_init(&der, 4096);
    int rc = cv_json_opt_str(o, "key_spec", &name, NULL, err);
    if (rc || !name)
        return rc;
    k->spec = cv_local_key_spec(name);
    rc = cv_json_get_base64(o, "private_key", &der, err);
    if (!rc && (!k->spec || cv_local_pair_read(&k->pair, k->spec, cv_buf_view(&der))))
        rc = cv_error_set(err, CV_ERR_INVALID, "a key's spec or private key is damaged");
    cv_wipe(der.p, der.n);
    return rc;
}

static int read_key(struct cv_local_kms_state *s, const json_t *o, struct cv_error *err)
{
    const char *id, *description, *policy;
    int64_t created;
    bool enabled;
    struct cv_buf CV_CLEANUP(cv_buf_free) material;
    struct cv_local_key *k;
    int rc;
    cv_buf_init(&material, CV_LOCAL_KMS_MATERIAL);
    if ((rc = cv_json_only(o, err, "id", "description", "created_ms", "enabled", "material",
                           "policy", "key_spec", "private_key", NULL)) ||
        (rc = cv_json_get_str(o, "id", &id, err)) ||
        (rc = cv_json_get_str(o, "description", &description, err)) ||
        (rc = cv_json_get_int(o, "created_ms", 0, INT64_MAX, &created, err)) ||
        (rc = cv_json_get_bool(o, "enabled", &enabled, err)) ||
        (rc = cv_json_get_base64(o, "material", &material, err)) ||
        (rc = cv_json_get_str(o, "policy", &policy, err)))
        return rc;
    if (strlen(id) != CV_LOCAL_KMS_ID - 1 || material.n != CV_LOCAL_KMS_MATERIAL ||
        cv_local_kms_key_by_id(s, id))
        return cv_error_set(err, CV_ERR_INVALID, "a key's id or material is damaged");
    if ((rc = cv_local_kms_key_add(&k, s, description, policy, created, err)))
        return rc;
    memcpy(k->id, id, CV_LOCAL_KMS_ID);
    snprintf(k->arn, sizeof k->arn, "arn:aws:kms:%s:%s:key/%s", s->region, s->account, k->id);
    memcpy(k->material, material.p, CV_LOCAL_KMS_MATERIAL);
    k->enabled = enabled;
    return read_pair(k, o, err);
}

static int read_alias(struct cv_local_kms_state *s, const json_t *o, struct cv_error *err)
{
    const char *name, *key;
    int64_t created;
    int rc;
    if ((rc = cv_json_only(o, err, "name", "key", "created_ms", NULL)) ||
        (rc = cv_json_get_str(o, "name", &name, err)) ||
        (rc = cv_json_get_str(o, "key", &key, err)) ||
        (rc = cv_json_get_int(o, "created_ms", 0, INT64_MAX, &created, err)))
        return rc;
    if (strncmp(name, "alias/", 6) || !cv_local_kms_key_by_id(s, key))
        return cv_error_set(err, CV_ERR_INVALID, "an alias is damaged or names no key");
    return cv_local_kms_alias_add(s, name, key, created);
}

static int read_list(struct cv_local_kms_state *s, const json_t *doc, const char *name,
                     int (*one)(struct cv_local_kms_state *, const json_t *, struct cv_error *),
                     struct cv_error *err)
{
    const json_t *list;
    int rc = cv_json_get_array(doc, name, &list, err);
    for (size_t i = 0; !rc && i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        rc = json_is_object(o) ? one(s, o, err)
                               : cv_error_set(err, CV_ERR_INVALID, "it is not an object");
        if (rc)
            cv_error_wrap(err, "%s[%zu]", name, i);
    }
    return rc;
}

static int read_state(struct cv_local_kms_state *s, const json_t *doc, struct cv_error *err)
{
    const char *format, *region, *account;
    int rc;
    if ((rc = cv_json_get_str(doc, "format", &format, err)) ||
        (rc = cv_json_get_str(doc, "region", &region, err)) ||
        (rc = cv_json_get_str(doc, "account", &account, err)))
        return rc;
    if (strcmp(format, FORMAT))
        return cv_error_set(err, CV_ERR_UNSUPPORTED, "its format is not \"%s\"", FORMAT);
    if (strlen(region) >= sizeof s->region || strlen(account) != 12)
        return cv_error_set(err, CV_ERR_INVALID, "region or account is damaged");
    snprintf(s->region, sizeof s->region, "%s", region);
    snprintf(s->account, sizeof s->account, "%s", account);
    if ((rc = read_list(s, doc, "principals", read_principal, err)) ||
        (rc = read_list(s, doc, "keys", read_key, err)))
        return rc;
    return read_list(s, doc, "aliases", read_alias, err);
}

int cv_local_kms_state_load(struct cv_local_kms_state *s, const char *path, const char *region,
                            const char *account, struct cv_error *err)
{
    struct cv_buf CV_CLEANUP(cv_buf_free) text;
    CV_JSON_AUTO json_t *doc = NULL;
    cv_local_kms_state_init(s);
    cv_buf_init(&text, CV_LOCAL_KMS_STATE_MAX);
    s->path = strdup(path);
    if (!s->path)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the KMS state");
    int rc = cv_file_read(&text, path, err);
    if (rc == CV_ERR_NOT_FOUND) {
        snprintf(s->region, sizeof s->region, "%s", region);
        snprintf(s->account, sizeof s->account, "%s", account);
        return 0;
    }
    if (!rc)
        rc = cv_json_parse_object(&doc, cv_buf_view(&text), CV_LOCAL_KMS_STATE_MAX, path, err);
    if (!rc)
        rc = read_state(s, doc, err);
    if (rc) {
        cv_error_wrap(err, "reading %s", path);
        cv_local_kms_state_free(s);
    }
    return rc;
}

/* jansson takes NULL for a value as failure; a state's optional texts are left out. */
static int set_text(json_t *o, const char *name, const char *value)
{
    return value ? json_object_set_new(o, name, json_string(value)) : 0;
}

static json_t *write_principal(const struct cv_local_principal *p)
{
    char expires[CV_RFC3339_LEN];
    json_t *o = json_object();
    int bad = !o || set_text(o, "access_key_id", p->access_key_id) ||
              set_text(o, "secret_access_key", p->secret_access_key) ||
              set_text(o, "session_token", p->session_token) || set_text(o, "arn", p->arn) ||
              set_text(o, "role_arn", p->role_arn) || set_text(o, "policy", p->policy_text);
    if (!bad && p->expires_ms) {
        cv_rfc3339_format(expires, p->expires_ms);
        bad = set_text(o, "expires", expires);
    }
    if (bad)
        json_decref(o);
    return bad ? NULL : o;
}

static int write_pair(json_t *o, const struct cv_local_key *k)
{
    struct cv_buf CV_CLEANUP(cv_buf_free) der, text;
    cv_buf_init(&der, 4096);
    cv_buf_init(&text, 8192);
    int bad = cv_local_pair_write(&der, k->pair) || cv_base64_append(&text, der.p, der.n) ||
              set_text(o, "key_spec", k->spec->name) ||
              set_text(o, "private_key", (const char *)text.p);
    cv_wipe(der.p, der.n);
    cv_wipe(text.p, text.n);
    return bad;
}

static json_t *write_key(const struct cv_local_key *k)
{
    char material[CV_BASE64_LEN(CV_LOCAL_KMS_MATERIAL) + 1];
    cv_base64_encode(material, k->material, sizeof k->material);
    json_t *o = json_pack("{s:s, s:s, s:I, s:b, s:s, s:s}", "id", k->id, "description",
                          k->description, "created_ms", (json_int_t)k->created_ms, "enabled",
                          (int)k->enabled, "material", material, "policy", k->policy_text);
    cv_wipe(material, sizeof material);
    if (o && k->spec && write_pair(o, k)) {
        json_decref(o);
        o = NULL;
    }
    return o;
}

static json_t *write_state(const struct cv_local_kms_state *s)
{
    json_t *principals = json_array(), *keys = json_array(), *aliases = json_array();
    int bad = 0;
    for (size_t i = 0; i < s->n_principals; i++)
        bad |= json_array_append_new(principals, write_principal(&s->principals[i]));
    for (size_t i = 0; i < s->n_keys; i++)
        bad |= json_array_append_new(keys, write_key(s->keys[i]));
    for (size_t i = 0; i < s->n_aliases; i++)
        bad |=
            json_array_append_new(aliases, json_pack("{s:s, s:s, s:I}", "name", s->aliases[i].name,
                                                     "key", s->aliases[i].key_id, "created_ms",
                                                     (json_int_t)s->aliases[i].created_ms));
    json_t *doc = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "format", FORMAT, "note",
                            "for development only: these keys and credentials protect nothing",
                            "region", s->region, "account", s->account, "principals", principals,
                            "keys", keys, "aliases", aliases);
    if (bad) {
        json_decref(doc);
        return NULL;
    }
    return doc;
}

int cv_local_kms_state_save(const struct cv_local_kms_state *s, struct cv_error *err)
{
    struct cv_buf CV_CLEANUP(cv_buf_free) text;
    cv_buf_init(&text, CV_LOCAL_KMS_STATE_MAX);
    if (!s->path)
        return 0;
    CV_JSON_AUTO json_t *doc = write_state(s);
    int rc = doc ? cv_json_dump_indent(&text, doc, 2) : CV_ERR_NOMEM;
    if (!rc)
        rc = cv_buf_append_u8(&text, '\n');
    if (rc)
        return cv_error_set(err, rc, "the KMS state cannot be written out: %s", cv_strerror(rc));
    return cv_file_replace(s->path, cv_buf_view(&text), 0600, err);
}
