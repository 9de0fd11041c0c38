/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of enclave.yaml about secrets: where they come from, who may have
 * made them, what they may set. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/hex.h"
#include "eif/enclave_reader.h"
#include "settings/arn.h"

/* S3 mangles what is not ASCII, and some names are KMS's and the client's. */
static void add_context(struct cv_enclave_reader *r, const struct cv_yaml_node *at,
                        const char *name, const char *value)
{
    bool plain = name[0] != 0 && strchr(name, '=') == NULL && strncmp(name, "aws:", 4) != 0 &&
                 strcmp(name, "kms_cmk_id") != 0;
    for (const char *s = name; *s != 0; s++) {
        plain = plain && *s >= 0x20 && *s < 0x7f;
    }
    for (const char *s = value; *s != 0; s++) {
        plain = plain && *s >= 0x20 && *s < 0x7f;
    }
    char *pair;
    if (!plain) {
        cv_yaml_problem(r->p, at,
                        "context: names and values must be printable ASCII, names "
                        "without \"=\" and not of AWS's own");
    } else if (asprintf(&pair, "%s=%s", name, value) < 0) {
        cv_enclave_problem_memory(r, at);
    } else {
        if (cv_boot_list_add(&r->config->settings.context, pair) != 0) {
            cv_enclave_problem_memory(r, at);
        }
        free(pair);
    }
}

/* A mapping, or a list of NAME=value. */
void cv_enclave_read_context(struct cv_enclave_reader *r, const struct cv_yaml_node *node)
{
    if (cv_yaml_is_null(node)) {
        return;
    }
    if (node->kind == CV_YAML_SCALAR) {
        (void)cv_yaml_is(r->p, node, CV_YAML_MAPPING);
        return;
    }
    for (const struct cv_yaml_node *c = node->first; c != NULL; c = c->next) {
        const char *text;
        if (!cv_yaml_text(r->p, c, &text)) {
            continue;
        }
        if (c->key != NULL) {
            add_context(r, c->key, c->key->text, text);
            continue;
        }
        const char *equals = strchr(text, '=');
        char *name = equals != NULL ? strndup(text, (size_t)(equals - text)) : NULL;
        if (name == NULL) {
            cv_yaml_problem(r->p, c, "context: expected NAME=value");
        } else {
            add_context(r, c, name, equals + 1);
        }
        free(name);
    }
}

void cv_enclave_read_cmk(struct cv_enclave_reader *r, const struct cv_yaml_node *node)
{
    struct cv_boot_list *list = &r->config->settings.cmk;
    cv_enclave_read_list(r, list, node);
    for (size_t i = 0; i < list->count; i++) {
        struct cv_kms_arn arn;
        if (cv_kms_arn_parse(&arn, cv_bytes_str(list->item[i])) != 0) {
            cv_yaml_problem(r->p, node, "cmk: expected the ARN of a KMS key, not an alias");
        }
    }
}

static EVP_PKEY *key_of_pem(const char *text)
{
    static char none[] = "";
    BIO *bio = BIO_new_mem_buf(text, -1);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PUBKEY(bio, NULL, NULL, none) : NULL;
    BIO_free(bio);
    return key;
}

/* Base64 of a SubjectPublicKeyInfo, or of the 32 bytes of an Ed25519 key. */
static EVP_PKEY *key_of_base64(const char *text)
{
    uint8_t der[512];
    size_t n = 0;
    if (cv_base64_decode(der, sizeof der, &n, cv_bytes_str(text)) != 0) {
        return NULL;
    }
    if (n == 32) {
        return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, der, n);
    }
    const uint8_t *at = der;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)n);
    if (key != NULL && at != der + n) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}

static EVP_PKEY *key_of_file(const struct cv_enclave_reader *r, const char *name)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    char path[4096];
    cv_buf_init(&text, 16384);
    int n = name[0] == '/' ? snprintf(path, sizeof path, "%s", name)
                           : snprintf(path, sizeof path, "%s/%s", r->dir, name);
    return n > 0 && (size_t)n < sizeof path && cv_file_read(&text, path, NULL) == 0 && text.n != 0
               ? key_of_pem((const char *)text.p)
               : NULL;
}

static bool publisher_fits(EVP_PKEY *key)
{
    char group[32] = "";
    return EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ||
           (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
            EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
            strcmp(group, "prime256v1") == 0);
}

/* An Ed25519 or P-256 public key, into base64 of its DER. */
void cv_enclave_read_publisher_key(struct cv_enclave_reader *r, const struct cv_yaml_node *node)
{
    const char *text;
    if (cv_yaml_is_null(node) || !cv_yaml_text(r->p, node, &text)) {
        return;
    }
    EVP_PKEY *key = strncmp(text, "-----BEGIN", 10) == 0 ? key_of_pem(text) : key_of_base64(text);
    if (key == NULL) {
        key = key_of_file(r, text);
    }
    uint8_t *out = NULL;
    int len = key != NULL && publisher_fits(key) ? i2d_PUBKEY(key, &out) : -1;
    char encoded[CV_BASE64_LEN(512) + 1];
    if (len <= 0 || len > 512) {
        cv_yaml_problem(r->p, node,
                        "publisher_key: expected an Ed25519 or P-256 public key, in "
                        "PEM, as base64 of its DER, or the name of a PEM file");
    } else {
        cv_base64_encode(encoded, out, (size_t)len);
        if (cv_boot_text_set(&r->config->settings.publisher_key, encoded) != 0) {
            cv_enclave_problem_memory(r, node);
        }
    }
    OPENSSL_free(out);
    EVP_PKEY_free(key);
    ERR_clear_error();
}

/* ---- encrypted and untrusted configuration ---- */

static void add_allowed(struct cv_enclave_reader *r, struct cv_boot_source *source,
                        const struct cv_yaml_node *node, int want)
{
    const char *text;
    if (!cv_yaml_text(r->p, node, &text)) {
        return;
    }
    bool path = want >= 0 ? want == 1 : text[0] == '/';
    size_t n = strlen(text);
    if (path ? !cv_boot_path_plain(text)
             : !cv_boot_env_name(text, n > 1 && text[n - 1] == '*' ? n - 1 : n)) {
        cv_yaml_problem(r->p, node,
                        path ? "allow: expected an absolute path, or a folder's with "
                               "\"/*\""
                             : "allow: expected the name of a variable, or its begin "
                               "with \"*\"");
    } else if (cv_boot_list_add(path ? &source->allow_path : &source->allow_env, text) != 0) {
        cv_enclave_problem_memory(r, node);
    }
}

/* A list in which paths begin with "/", or {environment: […], files: […]}. */
static void read_allow(struct cv_enclave_reader *r, struct cv_boot_source *source,
                       const struct cv_yaml_node *node)
{
    /* Odd ones are paths. */
    static const char *const known[] = {"environment", "files", "names", "paths", "envVars", NULL};
    if (cv_yaml_is_null(node)) {
        return;
    }
    if (node->kind == CV_YAML_SEQUENCE) {
        for (const struct cv_yaml_node *c = node->first; c != NULL; c = c->next) {
            add_allowed(r, source, c, -1);
        }
        return;
    }
    if (!cv_yaml_check_keys(r->p, node, known)) {
        return;
    }
    for (int i = 0; known[i] != NULL; i++) {
        const struct cv_yaml_node *list = cv_yaml_get(node, known[i]);
        if (cv_yaml_is_null(list) || !cv_yaml_is(r->p, list, CV_YAML_SEQUENCE)) {
            continue;
        }
        for (const struct cv_yaml_node *c = list->first; c != NULL; c = c->next) {
            add_allowed(r, source, c, i % 2);
        }
    }
}

static void read_source(struct cv_enclave_reader *r, const struct cv_yaml_node *node)
{
    static const char *const known[] = {"type", "uri", "path", "allow", NULL};
    static const char *const types[] = {"s3", "file", NULL};
    struct cv_boot_settings *s = &r->config->settings;
    int type;
    if (!cv_yaml_check_keys(r->p, node, known)) {
        return;
    }
    if (s->source_count == CV_BOOT_MAX_SOURCES) {
        cv_yaml_problem(r->p, node, "encryptedConfig: more than %u entries", CV_BOOT_MAX_SOURCES);
        return;
    }
    const struct cv_yaml_node *kind = cv_yaml_get(node, "type");
    if (kind == NULL || !cv_yaml_enum(r->p, kind, types, &type)) {
        if (kind == NULL) {
            cv_yaml_problem(r->p, node, "encryptedConfig: type is needed: s3 or file");
        }
        return;
    }
    const struct cv_yaml_node *where = cv_yaml_get(node, type == 0 ? "uri" : "path");
    const struct cv_yaml_node *other = cv_yaml_get(node, type == 0 ? "path" : "uri");
    const char *text = "";
    if (where == NULL || other != NULL || !cv_yaml_text(r->p, where, &text) || text[0] == 0 ||
        (type == 0 && strncmp(text, "s3://", 5) != 0)) {
        cv_yaml_problem(r->p, node,
                        type == 0 ? "encryptedConfig: type s3 wants uri: "
                                    "s3://bucket/key"
                                  : "encryptedConfig: type file wants path");
        return;
    }
    struct cv_boot_source *source = &s->source[s->source_count++];
    *source = (struct cv_boot_source){.type = type == 0 ? CV_BOOT_S3 : CV_BOOT_LOCAL};
    cv_enclave_set_text(r, &source->location, where);
    read_allow(r, source, cv_yaml_get(node, "allow"));
    if (s->publisher_key == NULL && source->allow_env.count + source->allow_path.count == 0) {
        cv_yaml_problem(r->p, node,
                        "encryptedConfig: without publisher_key, allow must list the "
                        "variables and files that it may set");
    }
}

void cv_enclave_read_sources(struct cv_enclave_reader *r, const struct cv_yaml_node *node)
{
    if (cv_yaml_is_null(node)) {
        return;
    }
    if (node->kind == CV_YAML_MAPPING) {
        read_source(r, node);
    } else if (cv_yaml_is(r->p, node, CV_YAML_SEQUENCE)) {
        for (const struct cv_yaml_node *c = node->first; c != NULL; c = c->next) {
            read_source(r, c);
        }
    }
    if (r->config->settings.source_count != 0 && r->config->settings.cmk.count == 0) {
        cv_yaml_problem(r->p, node,
                        "encryptedConfig: cmk is needed: the ARN of the KMS key that "
                        "it must be encrypted under");
    }
}

void cv_enclave_read_untrusted(struct cv_enclave_reader *r, const struct cv_yaml_node *node)
{
    static const char *const outer[] = {"envVars", NULL}, *const inner[] = {"allow", NULL};
    if (cv_yaml_is_null(node) || !cv_yaml_check_keys(r->p, node, outer)) {
        return;
    }
    const struct cv_yaml_node *vars = cv_yaml_get(node, "envVars");
    if (cv_yaml_is_null(vars) || !cv_yaml_check_keys(r->p, vars, inner)) {
        return;
    }
    const struct cv_yaml_node *list = cv_yaml_get(vars, "allow");
    if (cv_yaml_is_null(list) || !cv_yaml_is(r->p, list, CV_YAML_SEQUENCE)) {
        return;
    }
    for (const struct cv_yaml_node *c = list->first; c != NULL; c = c->next) {
        const char *text;
        if (cv_yaml_text(r->p, c, &text) && !cv_boot_env_name(text, strlen(text))) {
            cv_yaml_problem(r->p, c, "untrustedConfig: expected the name of a variable");
        } else {
            cv_enclave_add_text(r, &r->config->settings.untrusted_env, c);
        }
    }
}
