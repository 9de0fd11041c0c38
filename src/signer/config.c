/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/config.h"

#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "signer/config_read.h"

#define HOOK_TIMEOUT_MS 5000

struct root_target {
    const struct cv_yaml_node *base_dir, *server, *vaults, *watermark, *policy_hook, *tezos;
};

#define ROOT(member)                                                                           \
    {                                                                                          \
        .name = #member, .kind = CV_FIELD_NODE, .offset = offsetof(struct root_target, member) \
    }
static const struct cv_field root_fields[] = {
    ROOT(base_dir), ROOT(server), ROOT(vaults), ROOT(watermark), ROOT(policy_hook), ROOT(tezos),
};

/* With Signatory's text, which scripts may look for. */
#define BASE_DIR_EMPTY                                                                        \
    "base_dir must not be empty (Key: 'Config.BaseDir' Error:Field validation for 'BaseDir' " \
    "failed on the 'required' tag)"

static void read_base_dir(struct cv_config_reader *r, const struct cv_yaml_node *node,
                          const struct cv_config_options *options, struct cv_config *config)
{
    if (options->base_dir != NULL) {
        config->base_dir = cv_config_dup(r, options->base_dir);
    } else if (node != NULL) {
        config->base_dir = cv_config_read_string(r, node);
    } else {
        config->base_dir = cv_config_dup(r, CV_CONFIG_DEFAULT_BASE_DIR);
    }
    if (config->base_dir != NULL && config->base_dir[0] == 0) {
        cv_yaml_problem(r->errors, node, BASE_DIR_EMPTY);
    }
}

static void read_watermark(struct cv_config_reader *r, const struct cv_yaml_node *node,
                           struct cv_config *config)
{
    static const char *const drivers[] = {"file", "mem", "aws", NULL};
    struct target {
        char *driver;
        const struct cv_yaml_node *config;
    } t = {0};
    static const struct cv_field fields[] = {
        {.name = "driver", .kind = CV_FIELD_STRING, .offset = offsetof(struct target, driver)},
        {.name = "config", .kind = CV_FIELD_NODE, .offset = offsetof(struct target, config)},
    };
    char quoted[64];
    cv_config_read_map(r, node, fields, 2, &t);
    config->watermark = CV_CONFIG_WATERMARK_FILE;
    if (t.driver == NULL || strcmp(t.driver, "file") == 0) {
        ;
    } else if (strcmp(t.driver, "mem") == 0) {
        config->watermark = CV_CONFIG_WATERMARK_MEM;
    } else if (strcmp(t.driver, "aws") == 0) {
        config->watermark = CV_CONFIG_WATERMARK_AWS;
        config->watermark_table = cv_config_dup(r, "watermark");
        cv_config_read_credentials(r, t.config, &config->watermark_credentials,
                                   &config->watermark_table);
    } else {
        const char *near = cv_yaml_nearest(t.driver, drivers);
        cv_error_quote(quoted, sizeof(quoted), t.driver, strlen(t.driver));
        cv_yaml_problem(r->errors, cv_yaml_get(node, "driver"),
                        "unknown watermark backend: %s; %s%s%sfile, mem and aws are known", quoted,
                        near != NULL ? "did you mean " : "", near != NULL ? near : "",
                        near != NULL ? "? " : "");
    }
    if (config->watermark != CV_CONFIG_WATERMARK_AWS && t.config != NULL &&
        t.config->kind != CV_YAML_SCALAR && t.config->count > 0) {
        cv_yaml_problem(r->errors, t.config, "this watermark driver has no settings");
    }
    free(t.driver);
}

static void read_hook(struct cv_config_reader *r, const struct cv_yaml_node *node,
                      struct cv_config *config)
{
    struct target {
        char *address;
        struct cv_config_keys keys;
        char *ca_file;
        const struct cv_yaml_node *timeout;
    } t = {0};
    static const struct cv_field fields[] = {
        {.name = "address", .kind = CV_FIELD_STRING, .offset = offsetof(struct target, address)},
        {.name = "authorized_keys", .kind = CV_FIELD_KEYS, .offset = offsetof(struct target, keys)},
        {.name = "ca_file", .kind = CV_FIELD_STRING, .offset = offsetof(struct target, ca_file)},
        {.name = "timeout", .kind = CV_FIELD_NODE, .offset = offsetof(struct target, timeout)},
    };
    if (node == NULL) {
        return;
    }
    cv_config_read_map(r, node, fields, 4, &t);
    config->policy_hook = t.address;
    config->policy_hook_keys = t.keys;
    config->policy_hook_ca = t.ca_file;
    config->policy_hook_timeout_ms = HOOK_TIMEOUT_MS;
    if (t.timeout != NULL &&
        cv_yaml_duration(r->errors, t.timeout, &config->policy_hook_timeout_ms) &&
        (config->policy_hook_timeout_ms < 1 || config->policy_hook_timeout_ms > 60000)) {
        cv_yaml_problem(r->errors, t.timeout, "a time from 1ms to 60s is wanted");
    }
    if (node->kind != CV_YAML_MAPPING) {
        return;
    }
    if (t.address == NULL ||
        (strncmp(t.address, "http://", 7) != 0 && strncmp(t.address, "https://", 8) != 0)) {
        cv_yaml_problem(r->errors, node, "policy_hook wants an address: http://… or https://…");
    }
}

static void read_root(struct cv_config_reader *r, const struct cv_yaml_node *root,
                      const struct cv_config_options *options, struct cv_config *config)
{
    struct root_target t = {0};
    cv_config_read_map(r, root, root_fields, sizeof(root_fields) / sizeof(root_fields[0]), &t);
    if (t.base_dir == NULL) {
        /* Written as "": not the same as not written. */
        t.base_dir = cv_yaml_get(root, "base_dir");
        if (t.base_dir != NULL && cv_yaml_is_null(t.base_dir) && options->base_dir == NULL) {
            cv_yaml_problem(r->errors, t.base_dir, BASE_DIR_EMPTY);
            t.base_dir = NULL;
        }
    }
    read_base_dir(r, t.base_dir, options, config);
    cv_config_read_server(r, t.server, config);
    cv_config_read_vaults(r, t.vaults, config);
    read_watermark(r, t.watermark, config);
    read_hook(r, t.policy_hook, config);
    cv_config_read_tezos(r, t.tezos, config);
    for (size_t i = 0; i < config->key_count; i++) {
        for (size_t j = 0; j < i && config->key_count < 1000; j++) {
            if (cv_pkh_equal(&config->keys[i].pkh, &config->keys[j].pkh)) {
                cv_yaml_problem(r->errors, t.tezos, "%s is listed twice", config->keys[i].text);
            }
        }
    }
}

int cv_config_parse(struct cv_config **out, struct cv_bytes text, const char *name,
                    const struct cv_config_options *options, struct cv_config_report *report)
{
    struct cv_yaml_doc *doc = NULL;
    cv_yaml_problems_init(&report->errors, name);
    cv_yaml_problems_init(&report->warnings, name);
    struct cv_config_reader r = {
        .errors = &report->errors, .warnings = &report->warnings, .lenient = options->lenient};
    *out = NULL;
    int rc = cv_yaml_parse(&doc, text, &report->errors);
    if (rc != 0) {
        return rc == CV_ERR_NOMEM ? rc : CV_ERR_CONFIG;
    }
    struct cv_config *config = calloc(1, sizeof(*config));
    if (config != NULL) {
        read_root(&r, cv_yaml_root(doc), options, config);
    }
    cv_yaml_free(doc);
    if (config == NULL || r.nomem) {
        cv_yaml_problem(&report->errors, NULL, "out of memory");
        cv_config_free(&config);
        return CV_ERR_NOMEM;
    }
    if (report->errors.count > 0) {
        cv_config_free(&config);
        return CV_ERR_CONFIG;
    }
    *out = config;
    return 0;
}

int cv_config_load(struct cv_config **out, const char *path,
                   const struct cv_config_options *options, struct cv_config_report *report)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    char chain[CV_ERROR_SENTENCE];
    struct cv_error err = {0};
    *out = NULL;
    cv_buf_init(&text, CV_YAML_MAX_TEXT);
    if (path[0] != 0) {
        int rc = cv_file_read(&text, path, &err);
        if (rc != 0) {
            cv_yaml_problems_init(&report->errors, path);
            cv_yaml_problems_init(&report->warnings, path);
            cv_yaml_problem(&report->errors, NULL, "%s",
                            cv_error_format(chain, sizeof(chain), &err));
            return rc == CV_ERR_NOMEM ? rc : CV_ERR_CONFIG;
        }
    }
    return cv_config_parse(out, cv_buf_view(&text), path[0] != 0 ? path : "configuration", options,
                           report);
}

void cv_config_free(struct cv_config **config)
{
    struct cv_config *c = *config;
    *config = NULL;
    if (c == NULL) {
        return;
    }
    free(c->base_dir);
    cv_config_free_keys(&c->authorized_keys);
    for (size_t i = 0; i < c->jwt_user_count; i++) {
        cv_config_free_jwt_user(&c->jwt_users[i]);
    }
    free(c->jwt_users);
    for (size_t i = 0; i < c->vault_count; i++) {
        cv_config_free_vault(&c->vaults[i]);
    }
    free(c->vaults);
    cv_config_free_credentials(&c->watermark_credentials);
    free(c->watermark_table);
    free(c->policy_hook);
    cv_config_free_keys(&c->policy_hook_keys);
    free(c->policy_hook_ca);
    free(c->tls.certificate);
    free(c->tls.key);
    free(c->tls.client_ca);
    for (size_t i = 0; i < c->key_count; i++) {
        cv_config_free_key(&c->keys[i]);
    }
    free(c->keys);
    free(c);
}

const struct cv_config_vault *cv_config_vault_find(const struct cv_config *config, const char *name)
{
    for (size_t i = 0; i < config->vault_count; i++) {
        if (strcmp(config->vaults[i].name, name) == 0) {
            return &config->vaults[i];
        }
    }
    return NULL;
}

size_t cv_config_cids(const struct cv_config *config, uint32_t *cids, size_t room)
{
    for (size_t i = 0; i < config->vault_count; i++) {
        const struct cv_config_vault *v = &config->vaults[i];
        if (i == room || v->cid_auto || v->enclave.kind != CV_ADDR_VSOCK) {
            return 0;
        }
        cids[i] = v->enclave.cid;
    }
    return config->vault_count;
}

const struct cv_config_key *cv_config_key_find(const struct cv_config *config,
                                               const struct cv_pkh *pkh)
{
    for (size_t i = 0; i < config->key_count; i++) {
        if (cv_pkh_equal(&config->keys[i].pkh, pkh)) {
            return &config->keys[i];
        }
    }
    return NULL;
}
