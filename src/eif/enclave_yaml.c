/* SPDX-License-Identifier: Apache-2.0 */
#include "eif/enclave_reader.h"

#include <stdlib.h>
#include <string.h>

static const char *const keys[] = {"version",
                                   "environment",
                                   "files",
                                   "hostname",
                                   "ports",
                                   "command",
                                   "user",
                                   "workdir",
                                   "encryptedConfig",
                                   "untrustedConfig",
                                   "cmk",
                                   "region",
                                   "context",
                                   "minimum_version",
                                   "publisher_key",
                                   "egress",
                                   "parent_cid",
                                   "boot_deadline",
                                   "allow_debug",
                                   "heartbeat",
                                   "minimum_format",
                                   "config_pcr",
                                   NULL};

void cv_enclave_problem_memory(struct cv_enclave_reader *r, const struct cv_yaml_node *node)
{
    cv_yaml_problem(r->p, node, "out of memory, or more items than possible");
}

void cv_enclave_set_text(struct cv_enclave_reader *r, char **field, const struct cv_yaml_node *node)
{
    const char *text;
    if (!cv_yaml_is_null(node) && cv_yaml_text(r->p, node, &text) &&
        cv_boot_text_set(field, text) != 0) {
        cv_enclave_problem_memory(r, node);
    }
}

void cv_enclave_add_text(struct cv_enclave_reader *r, struct cv_boot_list *list,
                         const struct cv_yaml_node *node)
{
    const char *text;
    if (cv_yaml_text(r->p, node, &text) && cv_boot_list_add(list, text) != 0) {
        cv_enclave_problem_memory(r, node);
    }
}

/* A list of texts, or one text alone. */
void cv_enclave_read_list(struct cv_enclave_reader *r, struct cv_boot_list *list,
                          const struct cv_yaml_node *node)
{
    if (cv_yaml_is_null(node)) {
        return;
    }
    if (node->kind == CV_YAML_SCALAR) {
        cv_enclave_add_text(r, list, node);
    } else if (cv_yaml_is(r->p, node, CV_YAML_SEQUENCE)) {
        for (const struct cv_yaml_node *c = node->first; c != NULL; c = c->next) {
            cv_enclave_add_text(r, list, c);
        }
    }
}

/* ---- single keys ---- */

static void read_version(struct cv_enclave_reader *r, const struct cv_yaml_node *node)
{
    if (node == NULL) {
        cv_yaml_problem(r->p, NULL, "version is needed: \"version: 1\"");
    } else if (node->kind != CV_YAML_SCALAR ||
               (strcmp(node->text, "1") != 0 && strncmp(node->text, "1.", 2) != 0)) {
        cv_yaml_problem(r->p, node, "version: only version 1 is known");
    }
}

static void read_environment(struct cv_enclave_reader *r, const struct cv_yaml_node *node)
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
            cv_enclave_problem_memory(r, c);
        }
    }
}

static void read_ports(struct cv_enclave_reader *r, const struct cv_yaml_node *node)
{
    if (cv_yaml_is_null(node)) {
        return;
    }
    struct cv_boot_list *ports = &r->config->settings.ports;
    size_t before = ports->count;
    cv_enclave_read_list(r, ports, node);
    for (size_t i = before; i < ports->count; i++) {
        unsigned a = 0, b = 1;
        char rest;
        int n = sscanf(ports->item[i], "%5u:%5u%c", &a, &b, &rest);
        if ((n != 1 && n != 2) || a < 1 || a > 65535 || b < 1 || b > 65535 ||
            strspn(ports->item[i], "0123456789:") != strlen(ports->item[i])) {
            cv_yaml_problem(r->p, node,
                            "ports: expected PORT, or PORT:PORT for the one outside "
                            "and the one inside, from 1 to 65535");
        }
    }
}

/* SEPARATE: host and port were not one text, so that an IPv6 address needs no
 * brackets. */
static void add_egress(struct cv_enclave_reader *r, const struct cv_yaml_node *at, const char *host,
                       const char *port, bool separate)
{
    char *pair;
    size_t n = strlen(port);
    bool bare_ipv6 = separate && host[0] != '[' && strchr(host, ':') != NULL;
    if (host[0] == 0 || n == 0 || n > 5 || strspn(port, "0123456789") != n ||
        strtoul(port, NULL, 10) < 1 || strtoul(port, NULL, 10) > 65535) {
        cv_yaml_problem(r->p, at, "egress: expected \"host:port\", or \"[IPv6 address]:port\"");
    } else if (asprintf(&pair, bare_ipv6 ? "[%s]:%s" : "%s:%s", host, port) < 0) {
        cv_enclave_problem_memory(r, at);
    } else {
        if (cv_boot_list_add(&r->config->settings.egress, pair) != 0) {
            cv_enclave_problem_memory(r, at);
        }
        free(pair);
    }
}

/* {host, port} or {host, ports: […]}. */
static void egress_mapping(struct cv_enclave_reader *r, const struct cv_yaml_node *node)
{
    static const char *const known[] = {"host", "port", "ports", NULL};
    const struct cv_yaml_node *name = cv_yaml_get(node, "host");
    const struct cv_yaml_node *port = cv_yaml_get(node, "port");
    const struct cv_yaml_node *ports = cv_yaml_get(node, "ports");
    const char *host, *text;
    if (!cv_yaml_check_keys(r->p, node, known)) {
        return;
    }
    if (name == NULL || (port != NULL) == (ports != NULL)) {
        cv_yaml_problem(r->p, node, "egress: expected host, and port or ports");
        return;
    }
    if (!cv_yaml_text(r->p, name, &host)) {
        return;
    }
    const struct cv_yaml_node *one = port;
    if (ports != NULL) {
        one = ports->kind == CV_YAML_SEQUENCE ? ports->first : ports;
    }
    for (; one != NULL; one = port != NULL || one == ports ? NULL : one->next) {
        if (cv_yaml_text(r->p, one, &text)) {
            add_egress(r, one, host, text, true);
        }
    }
}

static void read_egress(struct cv_enclave_reader *r, const struct cv_yaml_node *node)
{
    if (cv_yaml_is_null(node) || !cv_yaml_is(r->p, node, CV_YAML_SEQUENCE)) {
        return;
    }
    for (const struct cv_yaml_node *c = node->first; c != NULL; c = c->next) {
        const char *text;
        if (c->kind == CV_YAML_MAPPING) {
            egress_mapping(r, c);
        } else if (cv_yaml_text(r->p, c, &text)) {
            const char *colon = strrchr(text, ':');
            char *host = strndup(text, colon != NULL ? (size_t)(colon - text) : 0);
            add_egress(r, c, host != NULL ? host : "", colon != NULL ? colon + 1 : "", false);
            free(host);
        }
    }
}

/* ---- files ---- */

static bool read_mode(struct cv_enclave_reader *r, uint32_t *mode, const struct cv_yaml_node *node)
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

static void file_path(struct cv_enclave_reader *r, struct cv_enclave_file *f,
                      const struct cv_yaml_node *node, const struct cv_yaml_node *file)
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
            cv_yaml_problem(r->p, node,
                            "files: expected an absolute, plain path, not in /dev, "
                            "/proc or /sys");
        }
        cv_enclave_set_text(r, &f->path, node);
    }
}

static void read_file(struct cv_enclave_reader *r, struct cv_enclave_file *f,
                      const struct cv_yaml_node *node)
{
    static const char *const known[] = {"path", "content", "source", "mode", "owner", NULL};
    *f = (struct cv_enclave_file){.mode = 0644};
    if (!cv_yaml_check_keys(r->p, node, known)) {
        return;
    }
    file_path(r, f, cv_yaml_get(node, "path"), node);
    (void)read_mode(r, &f->mode, cv_yaml_get(node, "mode"));
    cv_enclave_set_text(r, &f->owner, cv_yaml_get(node, "owner"));
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

static void read_files(struct cv_enclave_reader *r, const struct cv_yaml_node *node)
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
        cv_enclave_problem_memory(r, node);
        return;
    }
    for (const struct cv_yaml_node *c = node->first; c != NULL; c = c->next) {
        read_file(r, &r->config->files[r->config->file_count++], c);
    }
}

/* ---- the whole ---- */

static void read_numbers(struct cv_enclave_reader *r, const struct cv_yaml_node *root)
{
    struct cv_boot_settings *s = &r->config->settings;
    const struct cv_yaml_node *node = cv_yaml_get(root, "minimum_version");
    if (!cv_yaml_is_null(node)) {
        (void)cv_yaml_uint(r->p, node, &s->minimum_version, 0, INT64_MAX);
    }
    node = cv_yaml_get(root, "minimum_format");
    if (!cv_yaml_is_null(node)) {
        (void)cv_yaml_uint(r->p, node, &s->minimum_format, 2, 3);
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

/* "wanted", which is the default, "required" or "off". */
static void read_heartbeat(struct cv_enclave_reader *r, const struct cv_yaml_node *node)
{
    static const char *const words[] = {"wanted", "required", "off", NULL};
    int which;
    if (cv_yaml_is_null(node) || !cv_yaml_enum(r->p, node, words, &which) || which == 0) {
        return;
    }
    if (cv_boot_text_set(&r->config->settings.heartbeat, which == 1 ? "required" : "off") != 0) {
        cv_enclave_problem_memory(r, node);
    }
}

/* A register's number, or "off". */
static void read_config_pcr(struct cv_enclave_reader *r, const struct cv_yaml_node *node)
{
    struct cv_boot_settings *s = &r->config->settings;
    if (cv_yaml_is_null(node)) {
        return;
    }
    r->config->has_config_pcr = true;
    if (node->kind == CV_YAML_SCALAR && strcmp(node->text, "off") == 0) {
        s->config_pcr = 0;
    } else {
        (void)cv_yaml_uint(r->p, node, &s->config_pcr, CV_BOOT_CONFIG_PCR, 31);
    }
}

static void read_all(struct cv_enclave_reader *r, const struct cv_yaml_node *root)
{
    struct cv_boot_settings *s = &r->config->settings;
    (void)cv_yaml_check_keys(r->p, root, keys);
    read_version(r, cv_yaml_get(root, "version"));
    read_environment(r, cv_yaml_get(root, "environment"));
    read_files(r, cv_yaml_get(root, "files"));
    cv_enclave_set_text(r, &s->hostname, cv_yaml_get(root, "hostname"));
    read_ports(r, cv_yaml_get(root, "ports"));
    const struct cv_yaml_node *command = cv_yaml_get(root, "command");
    r->config->has_command = !cv_yaml_is_null(command);
    cv_enclave_read_list(r, &s->argv, command);
    cv_enclave_set_text(r, &s->user, cv_yaml_get(root, "user"));
    cv_enclave_set_text(r, &s->workdir, cv_yaml_get(root, "workdir"));
    cv_enclave_set_text(r, &s->region, cv_yaml_get(root, "region"));
    cv_enclave_read_cmk(r, cv_yaml_get(root, "cmk"));
    cv_enclave_read_context(r, cv_yaml_get(root, "context"));
    cv_enclave_read_publisher_key(r, cv_yaml_get(root, "publisher_key"));
    cv_enclave_read_sources(r, cv_yaml_get(root, "encryptedConfig"));
    cv_enclave_read_untrusted(r, cv_yaml_get(root, "untrustedConfig"));
    read_egress(r, cv_yaml_get(root, "egress"));
    read_numbers(r, root);
    read_heartbeat(r, cv_yaml_get(root, "heartbeat"));
    read_config_pcr(r, cv_yaml_get(root, "config_pcr"));
    struct cv_error err;
    cv_error_clear(&err);
    if (r->p->count == 0 && cv_boot_check(s, &err) != 0) {
        cv_yaml_problem(r->p, NULL, "%.250s", cv_error_top(&err));
    }
}

int cv_enclave_config_parse(struct cv_enclave_config *config, struct cv_bytes text, const char *dir,
                            struct cv_yaml_problems *problems)
{
    memset(config, 0, sizeof *config);
    cv_boot_init(&config->settings);
    struct cv_yaml_doc *doc;
    int rc = cv_yaml_parse(&doc, text, problems);
    if (rc != 0) {
        return rc;
    }
    struct cv_enclave_reader r = {config, problems, dir};
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
