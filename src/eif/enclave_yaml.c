/* SPDX-License-Identifier: Apache-2.0 */
#include "eif/enclave_yaml.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "settings/arn.h"

/* What the reading functions share. */
struct read {
    struct cv_enclave_config *config;
    struct cv_yaml_problems *p;
    const char *dir;
};

static const char *const keys[] = {
    "version", "environment", "files", "hostname", "ports", "command", "user", "workdir",
    "encryptedConfig", "untrustedConfig", "cmk", "region", "context", "minimum_version",
    "publisher_key", "egress", "parent_cid", "boot_deadline", "allow_debug", NULL};

static void problem_memory(struct read *r, const struct cv_yaml_node *node)
{
    cv_yaml_problem(r->p, node, "out of memory, or more items than possible");
}

static void set_text(struct read *r, char **field, const struct cv_yaml_node *node)
{
    const char *text;
    if (!cv_yaml_is_null(node) && cv_yaml_text(r->p, node, &text) &&
        cv_boot_text_set(field, text) != 0) {
        problem_memory(r, node);
    }
}

static void add_text(struct read *r, struct cv_boot_list *list, const struct cv_yaml_node *node)
{
    const char *text;
    if (cv_yaml_text(r->p, node, &text) && cv_boot_list_add(list, text) != 0) {
        problem_memory(r, node);
    }
}

/* A list of texts, or one text alone. */
static void read_list(struct read *r, struct cv_boot_list *list, const struct cv_yaml_node *node)
{
    if (cv_yaml_is_null(node)) {
        return;
    }
    if (node->kind == CV_YAML_SCALAR) {
        add_text(r, list, node);
    } else if (cv_yaml_is(r->p, node, CV_YAML_SEQUENCE)) {
        for (const struct cv_yaml_node *c = node->first; c != NULL; c = c->next) {
            add_text(r, list, c);
        }
    }
}

/* ---- single keys ---- */

static void read_version(struct read *r, const struct cv_yaml_node *node)
{
    if (node == NULL) {
        cv_yaml_problem(r->p, NULL, "version is needed: \"version: 1\"");
    } else if (node->kind != CV_YAML_SCALAR ||
               (strcmp(node->text, "1") != 0 && strncmp(node->text, "1.", 2) != 0)) {
        cv_yaml_problem(r->p, node, "version: only version 1 is known");
    }
}

static void read_environment(struct read *r, const struct cv_yaml_node *node)
{
    if (cv_yaml_is_null(node) || !cv_yaml_is(r->p, node, CV_YAML_SEQUENCE)) {
        return;
    }
    for (const struct cv_yaml_node *c = node->first; c != NULL; c = c->next) {
        const char *text;
        if (!cv_yaml_text(r->p, c, &text)) {
            continue;
        }
        if (!cv_boot_env_name(text, strcspn(text, "=")) || strchr(text, '=') == NULL) {
            cv_yaml_problem(r->p, c, "environment: expected NAME=value");
        } else if (cv_boot_env_set(&r->config->settings.env, text) != 0) {
            problem_memory(r, c);
        }
    }
}

static void read_ports(struct read *r, const struct cv_yaml_node *node)
{
    if (cv_yaml_is_null(node)) {
        return;
    }
    struct cv_boot_list *ports = &r->config->settings.ports;
    size_t before = ports->count;
    read_list(r, ports, node);
    for (size_t i = before; i < ports->count; i++) {
        unsigned a = 0, b = 1;
        char rest;
        int n = sscanf(ports->item[i], "%5u:%5u%c", &a, &b, &rest);
        if ((n != 1 && n != 2) || a < 1 || a > 65535 || b < 1 || b > 65535 ||
            strspn(ports->item[i], "0123456789:") != strlen(ports->item[i])) {
            cv_yaml_problem(r->p, node, "ports: expected PORT, or PORT:PORT for the one outside "
                            "and the one inside, from 1 to 65535");
        }
    }
}

static void read_context(struct read *r, const struct cv_yaml_node *node)
{
    if (cv_yaml_is_null(node) || !cv_yaml_is(r->p, node, CV_YAML_MAPPING)) {
        return;
    }
    for (const struct cv_yaml_node *c = node->first; c != NULL; c = c->next) {
        const char *text;
        char *pair;
        if (!cv_yaml_text(r->p, c, &text)) {
            continue;
        }
        /* S3 mangles what is not ASCII, and these are KMS's and the client's. */
        bool plain = c->key->len != 0 && strchr(c->key->text, '=') == NULL &&
                     strncmp(c->key->text, "aws:", 4) != 0 &&
                     strcmp(c->key->text, "kms_cmk_id") != 0;
        for (const char *s = c->key->text; *s != 0; s++) {
            plain = plain && *s >= 0x20 && *s < 0x7f;
        }
        for (const char *s = text; *s != 0; s++) {
            plain = plain && *s >= 0x20 && *s < 0x7f;
        }
        if (!plain) {
            cv_yaml_problem(r->p, c->key, "context: names and values must be printable ASCII, "
                            "names without \"=\" and not of AWS's own");
        } else if (asprintf(&pair, "%s=%s", c->key->text, text) < 0) {
            problem_memory(r, c);
        } else {
            if (cv_boot_list_add(&r->config->settings.context, pair) != 0) {
                problem_memory(r, c);
            }
            free(pair);
        }
    }
}

static void read_cmk(struct read *r, const struct cv_yaml_node *node)
{
    struct cv_boot_list *list = &r->config->settings.cmk;
    read_list(r, list, node);
    for (size_t i = 0; i < list->count; i++) {
        struct cv_kms_arn arn;
        if (cv_kms_arn_parse(&arn, cv_bytes_str(list->item[i])) != 0) {
            cv_yaml_problem(r->p, node, "cmk: expected the ARN of a KMS key, not an alias");
        }
    }
}

/* PEM or base64 of an Ed25519 or P-256 public key, into base64 of its DER. */
static void read_publisher_key(struct read *r, const struct cv_yaml_node *node)
{
    const char *text;
    if (cv_yaml_is_null(node) || !cv_yaml_text(r->p, node, &text)) {
        return;
    }
    uint8_t der[512];
    size_t n = 0;
    EVP_PKEY *key = NULL;
    if (strncmp(text, "-----BEGIN", 10) == 0) {
        BIO *bio = BIO_new_mem_buf(text, -1);
        static char none[] = "";
        key = PEM_read_bio_PUBKEY(bio, NULL, NULL, none);
        BIO_free(bio);
    } else if (cv_base64_decode(der, sizeof der, &n, cv_bytes_str(text)) == 0) {
        const uint8_t *at = der;
        key = d2i_PUBKEY(NULL, &at, (long)n);
        if (key != NULL && at != der + n) {
            EVP_PKEY_free(key);
            key = NULL;
        }
    }
    char group[32] = "";
    bool good = key != NULL && (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ||
                                (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
                                 EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
                                 strcmp(group, "prime256v1") == 0));
    uint8_t *out = NULL;
    int len = good ? i2d_PUBKEY(key, &out) : -1;
    char encoded[CV_BASE64_LEN(sizeof der) + 1];
    if (len <= 0 || (size_t)len > sizeof der) {
        cv_yaml_problem(r->p, node, "publisher_key: expected an Ed25519 or P-256 public key, in "
                        "PEM or as base64 of its DER");
    } else {
        cv_base64_encode(encoded, out, (size_t)len);
        if (cv_boot_text_set(&r->config->settings.publisher_key, encoded) != 0) {
            problem_memory(r, node);
        }
    }
    OPENSSL_free(out);
    EVP_PKEY_free(key);
    ERR_clear_error();
}

static void read_egress(struct read *r, const struct cv_yaml_node *node)
{
    if (cv_yaml_is_null(node) || !cv_yaml_is(r->p, node, CV_YAML_SEQUENCE)) {
        return;
    }
    for (const struct cv_yaml_node *c = node->first; c != NULL; c = c->next) {
        static const char *const known[] = {"host", "port", NULL};
        const char *host;
        uint64_t port;
        char *pair = NULL;
        if (c->kind == CV_YAML_SCALAR) {
            const char *text;
            if (cv_yaml_text(r->p, c, &text)) {
                pair = strdup(text);
            }
        } else if (cv_yaml_check_keys(r->p, c, known) && cv_yaml_get(c, "host") != NULL &&
                   cv_yaml_get(c, "port") != NULL &&
                   cv_yaml_text(r->p, cv_yaml_get(c, "host"), &host) &&
                   cv_yaml_uint(r->p, cv_yaml_get(c, "port"), &port, 1, 65535) &&
                   asprintf(&pair, "%s:%llu", host, (unsigned long long)port) < 0) {
            pair = NULL;
        }
        const char *colon = pair != NULL ? strrchr(pair, ':') : NULL;
        if (pair == NULL || colon == NULL || colon == pair || colon[1] == 0) {
            cv_yaml_problem(r->p, c, "egress: expected \"host:port\"");
        } else if (cv_boot_list_add(&r->config->settings.egress, pair) != 0) {
            problem_memory(r, c);
        }
        free(pair);
    }
}

/* ---- encrypted and untrusted configuration ---- */

static void add_allowed(struct read *r, struct cv_boot_source *source,
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
        cv_yaml_problem(r->p, node, path ? "allow: expected an absolute path, or a folder's with "
                                           "\"/*\""
                                         : "allow: expected the name of a variable, or its begin "
                                           "with \"*\"");
    } else if (cv_boot_list_add(path ? &source->allow_path : &source->allow_env, text) != 0) {
        problem_memory(r, node);
    }
}

/* A list in which paths begin with "/", or {environment: […], files: […]}. */
static void read_allow(struct read *r, struct cv_boot_source *source,
                       const struct cv_yaml_node *node)
{
    static const char *const known[] = {"environment", "files", NULL};
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
    for (int i = 0; i < 2; i++) {
        const struct cv_yaml_node *list = cv_yaml_get(node, known[i]);
        if (cv_yaml_is_null(list) || !cv_yaml_is(r->p, list, CV_YAML_SEQUENCE)) {
            continue;
        }
        for (const struct cv_yaml_node *c = list->first; c != NULL; c = c->next) {
            add_allowed(r, source, c, i);
        }
    }
}

static void read_source(struct read *r, const struct cv_yaml_node *node)
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
        cv_yaml_problem(r->p, node, type == 0 ? "encryptedConfig: type s3 wants uri: "
                                                "s3://bucket/key"
                                              : "encryptedConfig: type file wants path");
        return;
    }
    struct cv_boot_source *source = &s->source[s->source_count++];
    *source = (struct cv_boot_source){.type = type == 0 ? CV_BOOT_S3 : CV_BOOT_LOCAL};
    set_text(r, &source->location, where);
    read_allow(r, source, cv_yaml_get(node, "allow"));
    if (s->publisher_key == NULL &&
        source->allow_env.count + source->allow_path.count == 0) {
        cv_yaml_problem(r->p, node, "encryptedConfig: without publisher_key, allow must list the "
                        "variables and files that it may set");
    }
}

static void read_sources(struct read *r, const struct cv_yaml_node *node)
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
        cv_yaml_problem(r->p, node, "encryptedConfig: cmk is needed: the ARN of the KMS key that "
                        "it must be encrypted under");
    }
}

static void read_untrusted(struct read *r, const struct cv_yaml_node *node)
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
            add_text(r, &r->config->settings.untrusted_env, c);
        }
    }
}

/* ---- files ---- */

static bool read_mode(struct read *r, uint32_t *mode, const struct cv_yaml_node *node)
{
    const char *text;
    if (cv_yaml_is_null(node)) {
        return true;
    }
    if (!cv_yaml_text(r->p, node, &text)) {
        return false;
    }
    if (strncmp(text, "0o", 2) == 0) {
        text += 2;
    }
    if (text[0] == 0 || strlen(text) > 5 || strspn(text, "01234567") != strlen(text) ||
        strtoul(text, NULL, 8) > 07777) {
        cv_yaml_problem(r->p, node, "mode: expected octal digits such as 0640");
        return false;
    }
    *mode = (uint32_t)strtoul(text, NULL, 8);
    return true;
}

static void file_path(struct read *r, struct cv_enclave_file *f, const struct cv_yaml_node *node,
                      const struct cv_yaml_node *file)
{
    const char *text;
    if (node == NULL) {
        cv_yaml_problem(r->p, file, "files: path is needed");
    } else if (cv_yaml_text(r->p, node, &text)) {
        static const char *const never[] = {"/dev/", "/proc/", "/sys/"};
        bool good = cv_boot_path_plain(text);
        for (size_t i = 0; i < 3; i++) {
            good = good && strncmp(text, never[i], strlen(never[i])) != 0;
        }
        if (!good) {
            cv_yaml_problem(r->p, node, "files: expected an absolute, plain path, not in /dev, "
                            "/proc or /sys");
        }
        set_text(r, &f->path, node);
    }
}

static void read_file(struct read *r, struct cv_enclave_file *f, const struct cv_yaml_node *node)
{
    static const char *const known[] = {"path", "content", "source", "mode", "owner", NULL};
    *f = (struct cv_enclave_file){.mode = 0644};
    if (!cv_yaml_check_keys(r->p, node, known)) {
        return;
    }
    file_path(r, f, cv_yaml_get(node, "path"), node);
    (void)read_mode(r, &f->mode, cv_yaml_get(node, "mode"));
    set_text(r, &f->owner, cv_yaml_get(node, "owner"));
    const struct cv_yaml_node *content = cv_yaml_get(node, "content");
    const struct cv_yaml_node *source = cv_yaml_get(node, "source");
    if ((content != NULL) == (source != NULL)) {
        cv_yaml_problem(r->p, node, "files: expected one of content and source");
        return;
    }
    const char *text;
    if (content != NULL && content->kind == CV_YAML_SCALAR) {
        f->content = strdup(content->text);
        f->content_len = content->len;
    } else if (content != NULL) {
        (void)cv_yaml_is(r->p, content, CV_YAML_SCALAR);
    } else if (cv_yaml_text(r->p, source, &text)) {
        if (text[0] == '/') {
            f->source = strdup(text);
        } else if (asprintf(&f->source, "%s/%s", r->dir, text) < 0) {
            f->source = NULL;
        }
    }
}

static void read_files(struct read *r, const struct cv_yaml_node *node)
{
    if (cv_yaml_is_null(node) || !cv_yaml_is(r->p, node, CV_YAML_SEQUENCE)) {
        return;
    }
    if (node->count > CV_ENCLAVE_MAX_FILES) {
        cv_yaml_problem(r->p, node, "files: more than %u entries", CV_ENCLAVE_MAX_FILES);
        return;
    }
    r->config->files = calloc(node->count + 1, sizeof *r->config->files);
    if (r->config->files == NULL) {
        problem_memory(r, node);
        return;
    }
    for (const struct cv_yaml_node *c = node->first; c != NULL; c = c->next) {
        read_file(r, &r->config->files[r->config->file_count++], c);
    }
}

/* ---- the whole ---- */

static void read_numbers(struct read *r, const struct cv_yaml_node *root)
{
    struct cv_boot_settings *s = &r->config->settings;
    const struct cv_yaml_node *node = cv_yaml_get(root, "minimum_version");
    if (!cv_yaml_is_null(node)) {
        (void)cv_yaml_uint(r->p, node, &s->minimum_version, 0, INT64_MAX);
    }
    node = cv_yaml_get(root, "parent_cid");
    if (!cv_yaml_is_null(node)) {
        r->config->has_cid = cv_yaml_uint(r->p, node, &s->parent_cid, 2, UINT32_MAX - 1);
    }
    node = cv_yaml_get(root, "boot_deadline");
    int64_t ms;
    if (!cv_yaml_is_null(node) && cv_yaml_duration(r->p, node, &ms)) {
        r->config->has_deadline = true;
        s->boot_deadline_ms = (uint64_t)ms;
        if (ms < 1000 || ms > 86400000) {
            cv_yaml_problem(r->p, node, "boot_deadline: expected 1s to 24h");
        }
    }
    node = cv_yaml_get(root, "allow_debug");
    if (!cv_yaml_is_null(node)) {
        (void)cv_yaml_bool(r->p, node, &s->allow_debug);
    }
}

static void read_all(struct read *r, const struct cv_yaml_node *root)
{
    struct cv_boot_settings *s = &r->config->settings;
    (void)cv_yaml_check_keys(r->p, root, keys);
    read_version(r, cv_yaml_get(root, "version"));
    read_environment(r, cv_yaml_get(root, "environment"));
    read_files(r, cv_yaml_get(root, "files"));
    set_text(r, &s->hostname, cv_yaml_get(root, "hostname"));
    read_ports(r, cv_yaml_get(root, "ports"));
    const struct cv_yaml_node *command = cv_yaml_get(root, "command");
    r->config->has_command = !cv_yaml_is_null(command);
    read_list(r, &s->argv, command);
    set_text(r, &s->user, cv_yaml_get(root, "user"));
    set_text(r, &s->workdir, cv_yaml_get(root, "workdir"));
    set_text(r, &s->region, cv_yaml_get(root, "region"));
    read_cmk(r, cv_yaml_get(root, "cmk"));
    read_context(r, cv_yaml_get(root, "context"));
    read_publisher_key(r, cv_yaml_get(root, "publisher_key"));
    read_sources(r, cv_yaml_get(root, "encryptedConfig"));
    read_untrusted(r, cv_yaml_get(root, "untrustedConfig"));
    read_egress(r, cv_yaml_get(root, "egress"));
    read_numbers(r, root);
    struct cv_error err;
    cv_error_clear(&err);
    if (r->p->count == 0 && cv_boot_check(s, &err) != 0) {
        cv_yaml_problem(r->p, NULL, "%.250s", cv_error_top(&err));
    }
}

int cv_enclave_config_parse(struct cv_enclave_config *config, struct cv_bytes text,
                            const char *dir, struct cv_yaml_problems *problems)
{
    memset(config, 0, sizeof *config);
    cv_boot_init(&config->settings);
    struct cv_yaml_doc *doc;
    int rc = cv_yaml_parse(&doc, text, problems);
    if (rc != 0) {
        return rc;
    }
    struct read r = {config, problems, dir};
    read_all(&r, cv_yaml_root(doc));
    cv_yaml_free(doc);
    return problems->count == 0 ? 0 : CV_ERR_CONFIG;
}

void cv_enclave_config_free(struct cv_enclave_config *config)
{
    cv_boot_free(&config->settings);
    for (size_t i = 0; i < config->file_count; i++) {
        free(config->files[i].path);
        free(config->files[i].owner);
        free(config->files[i].content);
        free(config->files[i].source);
    }
    free(config->files);
    config->files = NULL;
    config->file_count = 0;
}
