/* SPDX-License-Identifier: Apache-2.0 */
/* The section `vaults`: driver nitro. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "signer/config_read.h"

/* Drivers of the signer whose files we take over; their keys are elsewhere. */
static const char *const foreign_drivers[] = {
    "file",           "mem",    "awskms", "azure",   "cloudkms", "confidentialspace",
    "hashicorpvault", "ledger", "pkcs11", "yubihsm", NULL};

struct nitro_target {
    char *cid, *port, *proxy_port; /* texts: empty counts as absent */
    char *encryption_key_id, *proxy_remote_address;
    char *enclave_address, *proxy_local_address, *enclave_name;
    uint64_t sealed_version;
    bool verify_signatures;
    char *enclave_image, *attestation_root;
    const struct cv_yaml_node *storage, *credentials, *expected_pcrs;
};

#define NITRO(field, kind_, ...)                                                            \
    {                                                                                       \
        .name = #field, .kind = kind_, .offset = offsetof(struct nitro_target, __VA_ARGS__) \
    }
static const struct cv_field nitro_fields[] = {
    NITRO(enclave_cid, CV_FIELD_STRING, cid),
    NITRO(enclave_port, CV_FIELD_STRING, port),
    NITRO(encryption_key_id, CV_FIELD_STRING, encryption_key_id),
    NITRO(proxy_local_port, CV_FIELD_STRING, proxy_port),
    NITRO(proxy_remote_address, CV_FIELD_STRING, proxy_remote_address),
    NITRO(storage, CV_FIELD_NODE, storage),
    NITRO(credentials, CV_FIELD_NODE, credentials),
    NITRO(enclave_address, CV_FIELD_STRING, enclave_address),
    NITRO(enclave_name, CV_FIELD_STRING, enclave_name),
    NITRO(proxy_local_address, CV_FIELD_STRING, proxy_local_address),
    {.name = "sealed_version",
     .kind = CV_FIELD_UINT,
     .offset = offsetof(struct nitro_target, sealed_version),
     .min = 1,
     .max = 2},
    NITRO(verify_signatures, CV_FIELD_BOOL, verify_signatures),
    NITRO(expected_pcrs, CV_FIELD_NODE, expected_pcrs),
    NITRO(enclave_image, CV_FIELD_STRING, enclave_image),
    NITRO(attestation_root, CV_FIELD_STRING, attestation_root),
};

/* TEXT, or without one the variable ENV; NULL when both are absent or empty.
 * *FROM says which it was, for messages. */
static const char *or_environment(const char *text, const char *key, const char *env,
                                  const char **from)
{
    *from = key;
    if (text != NULL && text[0] != 0) {
        return text;
    }
    *from = env;
    text = getenv(env);
    return text != NULL && text[0] != 0 ? text : NULL;
}

/* A number of 32 bits, decimal or 0x…; none of ours is ever 0. */
static bool number_of(const char *text, uint32_t *out)
{
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const char *digits = hex ? text + 2 : text;
    char *end;
    errno = 0;
    unsigned long long v = strtoull(digits, &end, hex ? 16 : 10);
    *out = (uint32_t)v;
    return isxdigit((unsigned char)digits[0]) && *end == 0 && errno == 0 && v <= UINT32_MAX;
}

/* A number of 32 bits from the key or the variable; FALLBACK without either.
 * In the original's configuration 0 is the same as nothing. True when one of
 * them gave it. */
static bool number(struct cv_config_reader *r, const struct cv_yaml_node *node, const char *text,
                   const char *key, const char *env, uint32_t fallback, uint32_t *out)
{
    const char *from;
    char quoted[64];
    if (text != NULL && strcmp(text, "0") == 0) {
        text = NULL;
    }
    text = or_environment(text, key, env, &from);
    *out = fallback;
    if (text == NULL) {
        return false;
    }
    if (!number_of(text, out)) {
        const struct cv_yaml_node *at = cv_yaml_get(node, key);
        cv_error_quote(quoted, sizeof(quoted), text, strlen(text));
        cv_yaml_problem(r->errors, at != NULL ? at : node, "%s: %s is no whole number of 32 bits",
                        from, quoted);
    }
    return true;
}

static void address(struct cv_config_reader *r, const struct cv_yaml_node *node, const char *key,
                    const char *text, struct cv_addr *out)
{
    struct cv_error err = {0};
    char chain[CV_ERROR_SENTENCE];
    if (cv_addr_parse(out, text, &err) != 0) {
        cv_yaml_problem(r->errors, cv_yaml_get(node, key), "%s",
                        cv_error_format(chain, sizeof(chain), &err));
    }
}

static void read_storage(struct cv_config_reader *r, const struct cv_yaml_node *node,
                         struct cv_config *config, struct cv_config_vault *v)
{
    static const char *const drivers[] = {"file", "aws", "dynamodb", NULL};
    struct target {
        char *driver;
        const struct cv_yaml_node *config;
    } t = {0};
    static const struct cv_field fields[] = {
        {.name = "driver", .kind = CV_FIELD_STRING, .offset = offsetof(struct target, driver)},
        {.name = "config", .kind = CV_FIELD_NODE, .offset = offsetof(struct target, config)},
    };
    cv_config_read_map(r, node, fields, 2, &t);
    v->storage = CV_CONFIG_STORAGE_FILE;
    if (t.driver != NULL && (strcmp(t.driver, "aws") == 0 || strcmp(t.driver, "dynamodb") == 0)) {
        v->storage = CV_CONFIG_STORAGE_AWS;
        v->storage_table = cv_config_dup(r, "encrypted_keys");
        cv_config_read_credentials(r, t.config, &v->storage_credentials, &v->storage_table);
    } else if (t.driver != NULL && strcmp(t.driver, "file") != 0) {
        const char *near = cv_yaml_nearest(t.driver, drivers);
        char quoted[64];
        cv_error_quote(quoted, sizeof(quoted), t.driver, strlen(t.driver));
        cv_yaml_problem(r->errors, cv_yaml_get(node, "driver"),
                        "unknown storage driver %s%s%s%s: file, aws or dynamodb", quoted,
                        near != NULL ? " (did you mean " : "", near != NULL ? near : "",
                        near != NULL ? "?)" : "");
    } else if (t.config != NULL) {
        v->storage_path = cv_config_read_string(r, t.config);
        if (v->storage_path != NULL && v->storage_path[0] == 0) {
            cv_yaml_problem(r->errors, t.config, "the path of the key file is empty");
        }
    }
    if (v->storage == CV_CONFIG_STORAGE_FILE && v->storage_path == NULL &&
        config->base_dir != NULL) {
        char path[4096];
        if (cv_path_join(path, sizeof(path), config->base_dir, "enclave_keys.json") == 0) {
            v->storage_path = cv_config_dup(r, path);
        } else {
            cv_yaml_problem(r->errors, node, "base_dir is too long");
        }
    }
    free(t.driver);
}

/* The region of "arn:PARTITION:kms:REGION:ACCOUNT:key/ID", or of
 * "kms.REGION.amazonaws.com"; malloc'ed, NULL when the text is neither. */
static char *region_in(const char *text, const char *start, unsigned fields_before, char separator)
{
    if (text == NULL || strncmp(text, start, strlen(start)) != 0) {
        return NULL;
    }
    for (unsigned i = 0; i < fields_before; i++) {
        text = strchr(text, separator);
        if (text == NULL) {
            return NULL;
        }
        text++;
    }
    const char *end = strchr(text, separator);
    return end != NULL && end > text ? strndup(text, (size_t)(end - text)) : NULL;
}

/* Where the enclave finds KMS: what is written, else what the key or the
 * environment says, else what the proxy's target names. */
static void choose_region(struct cv_config_reader *r, struct cv_config_vault *v)
{
    static const char *const variables[] = {"AWS_REGION", "AWS_DEFAULT_REGION"};
    if (v->credentials.region != NULL && v->credentials.region[0] != 0) {
        v->region = cv_config_dup(r, v->credentials.region);
    }
    if (v->region == NULL) {
        v->region = region_in(v->encryption_key_id, "arn:", 3, ':');
    }
    for (size_t i = 0; v->region == NULL && i < 2; i++) {
        const char *e = getenv(variables[i]);
        if (e != NULL && e[0] != 0) {
            v->region = cv_config_dup(r, e);
        }
    }
    if (v->region == NULL) {
        v->region = region_in(v->proxy_remote_host, "kms.", 1, '.');
    }
    if (v->region == NULL) {
        v->region = cv_config_dup(r, "");
    }
}

/* `enclave_cid: auto`, or ENCLAVE_CID=auto. */
static bool is_auto(const char *text)
{
    const char *from;
    text = or_environment(text, "enclave_cid", "ENCLAVE_CID", &from);
    return text != NULL && strcmp(text, "auto") == 0;
}

static void read_enclave(struct cv_config_reader *r, const struct cv_yaml_node *node,
                         const struct nitro_target *t, struct cv_config_vault *v)
{
    uint32_t port;
    (void)number(r, node, t->port, "enclave_port", "ENCLAVE_PORT", CV_CONFIG_DEFAULT_ENCLAVE_PORT,
                 &port);
    if (t->enclave_address != NULL && t->enclave_address[0] != 0) {
        address(r, node, "enclave_address", t->enclave_address, &v->enclave);
        if (t->cid != NULL && t->cid[0] != 0) {
            cv_yaml_problem(r->errors, cv_yaml_get(node, "enclave_cid"),
                            "enclave_cid and enclave_address cannot both be given");
        }
        return;
    }
    v->enclave.kind = CV_ADDR_VSOCK;
    v->enclave.port = port;
    if (is_auto(t->cid)) {
        v->cid_auto = true;
        v->enclave_name = t->enclave_name != NULL && t->enclave_name[0] != 0
                              ? cv_config_dup(r, t->enclave_name)
                              : NULL;
        return;
    }
    v->cid_defaulted = !number(r, node, t->cid, "enclave_cid", "ENCLAVE_CID", CV_CONFIG_DEFAULT_CID,
                               &v->enclave.cid);
}

static void read_proxy(struct cv_config_reader *r, const struct cv_yaml_node *node,
                       const struct nitro_target *t, struct cv_config_vault *v)
{
    const char *from;
    char host[CV_ADDR_HOST];
    char chain[CV_ERROR_SENTENCE];
    struct cv_error err = {0};
    const char *remote = or_environment(t->proxy_remote_address, "proxy_remote_address",
                                        "PROXY_REMOTE_ADDRESS", &from);
    uint32_t port;
    (void)number(r, node, t->proxy_port, "proxy_local_port", "PROXY_LOCAL_PORT",
                 CV_CONFIG_DEFAULT_PROXY_PORT, &port);
    v->proxy_local = (struct cv_addr){.kind = CV_ADDR_VSOCK, .cid = UINT32_MAX, .port = port};
    if (t->proxy_local_address != NULL && t->proxy_local_address[0] != 0) {
        address(r, node, "proxy_local_address", t->proxy_local_address, &v->proxy_local);
    }
    if (remote == NULL) {
        return;
    }
    if (cv_hostport_parse(host, &v->proxy_remote_port, remote, 0, &err) != 0) {
        const struct cv_yaml_node *at = cv_yaml_get(node, "proxy_remote_address");
        cv_yaml_problem(r->errors, at != NULL ? at : node, "%s: %s", from,
                        cv_error_format(chain, sizeof(chain), &err));
        return;
    }
    v->proxy_remote_host = cv_config_dup(r, host);
}

/* NODE is the mapping `config` of the vault, NULL when it has none; WHERE
 * places what is missing. */
static void read_nitro(struct cv_config_reader *r, const struct cv_yaml_node *node,
                       const struct cv_yaml_node *where, struct cv_config *config,
                       struct cv_config_vault *v)
{
    const char *from;
    struct nitro_target t = {.sealed_version = 2};
    cv_config_read_map(r, node, nitro_fields, sizeof(nitro_fields) / sizeof(nitro_fields[0]), &t);
    node = node != NULL ? node : where; /* a vault without config: all from the environment */
    read_enclave(r, node, &t, v);
    const char *key_id =
        or_environment(t.encryption_key_id, "encryption_key_id", "ENCRYPTION_KEY_ID", &from);
    if (key_id == NULL) {
        cv_yaml_problem(r->errors, node,
                        "(Nitro): missing encryption key id: set encryption_key_id, or the "
                        "variable ENCRYPTION_KEY_ID");
    } else {
        v->encryption_key_id = cv_config_dup(r, key_id);
    }
    read_proxy(r, node, &t, v);
    v->sealed_version = (unsigned)t.sealed_version;
    v->verify_signatures = t.verify_signatures;
    cv_config_read_expected(r, t.expected_pcrs, t.enclave_image, t.attestation_root, &v->expected);
    if (v->expected.root != NULL && !v->expected.given) {
        cv_yaml_problem(r->errors, cv_yaml_get(node, "attestation_root"),
                        "attestation_root goes with expected_pcrs or enclave_image");
    }
    if (t.credentials != NULL) {
        cv_config_read_credentials(r, t.credentials, &v->credentials, NULL);
    }
    choose_region(r, v);
    read_storage(r, t.storage, config, v);
    free(t.cid);
    free(t.port);
    free(t.proxy_port);
    free(t.encryption_key_id);
    free(t.proxy_remote_address);
    free(t.enclave_address);
    free(t.enclave_name);
    free(t.proxy_local_address);
    free(t.enclave_image);
    free(t.attestation_root);
}

/* False for a vault that is left out: one of another driver of Signatory's, when
 * the reader is lenient. */
static bool read_vault(struct cv_config_reader *r, const struct cv_yaml_node *node,
                       struct cv_config *config, struct cv_config_vault *v)
{
    static const char *const drivers[] = {"nitro", NULL};
    struct target {
        char *driver;
        const struct cv_yaml_node *config;
    } t = {0};
    static const struct cv_field fields[] = {
        {.name = "driver", .kind = CV_FIELD_STRING, .offset = offsetof(struct target, driver)},
        {.name = "config", .kind = CV_FIELD_NODE, .offset = offsetof(struct target, config)},
    };
    char quoted[64];
    bool left_out = false;
    cv_config_read_map(r, node, fields, 2, &t);
    const struct cv_yaml_node *at = cv_yaml_get(node, "driver");
    if (t.driver == NULL || t.driver[0] == 0) {
        if (node->kind == CV_YAML_MAPPING) {
            cv_yaml_problem(r->errors, node, "a vault wants a driver");
        }
    } else if (strcmp(t.driver, "nitro") == 0) {
        read_nitro(r, t.config, node, config, v);
    } else {
        const char *near = cv_yaml_nearest(t.driver, drivers);
        bool foreign = false;
        for (size_t i = 0; foreign_drivers[i] != NULL; i++) {
            foreign |= strcmp(foreign_drivers[i], t.driver) == 0;
        }
        cv_error_quote(quoted, sizeof(quoted), t.driver, strlen(t.driver));
        left_out = foreign && r->lenient;
        if (foreign) {
            cv_yaml_problem(
                left_out ? r->warnings : r->errors, at,
                "driver %s is not supported: keys are kept by the driver nitro alone%s", quoted,
                left_out ? "; this vault is left out" : " (--lenient leaves such a vault out)");
        } else {
            cv_yaml_problem(r->errors, at, "unknown driver %s%s", quoted,
                            near != NULL ? "; did you mean nitro?" : ": nitro is the only one");
        }
    }
    free(t.driver);
    return !left_out;
}

void cv_config_read_vaults(struct cv_config_reader *r, const struct cv_yaml_node *node,
                           struct cv_config *config)
{
    if (cv_yaml_is_null(node) || !cv_yaml_is(r->errors, node, CV_YAML_MAPPING)) {
        return;
    }
    config->vaults = cv_config_array(r, node->count, sizeof(*config->vaults));
    if (config->vaults == NULL) {
        return;
    }
    for (const struct cv_yaml_node *c = node->first; c != NULL; c = c->next) {
        struct cv_config_vault *v = &config->vaults[config->vault_count++];
        v->name = cv_config_dup(r, c->key->text);
        v->line = c->key->line;
        v->column = c->key->column;
        if (cv_yaml_is_null(c)) {
            char name[40];
            cv_error_quote(name, sizeof(name), c->key->text, strlen(c->key->text));
            cv_yaml_problem(r->errors, c->key,
                            "a vault wants a driver and its config (Key: 'Config.Vaults[%s]' "
                            "Error:Field validation for 'Vaults[%s]' failed on the 'required' tag)",
                            name, name);
        } else if (!read_vault(r, c, config, v)) {
            cv_config_free_vault(v);
            memset(v, 0, sizeof(*v));
            config->vault_count--;
        }
    }
}

void cv_config_free_vault(struct cv_config_vault *v)
{
    free(v->name);
    free(v->enclave_name);
    free(v->encryption_key_id);
    free(v->region);
    free(v->proxy_remote_host);
    free(v->storage_path);
    free(v->storage_table);
    cv_config_free_credentials(&v->credentials);
    cv_config_free_credentials(&v->storage_credentials);
    cv_config_free_expected(&v->expected);
}
