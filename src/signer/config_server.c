/* SPDX-License-Identifier: Apache-2.0 */
/* The section `server`. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "signer/config_read.h"

/* "HOST:PORT", ":PORT", "[IPv6]:PORT", "unix:PATH". */
static void read_address(struct cv_config_reader *r, const struct cv_yaml_node *node,
                         const char *name, const char *text, struct cv_addr *out)
{
    char forms[CV_ADDR_HOST + 16];
    struct cv_error err = {0};
    if (strncmp(text, "unix:", 5) == 0 && cv_addr_parse(out, text, &err) == 0) {
        return;
    }
    if (strlen(text) < sizeof(forms) - 5) {
        (void)snprintf(forms, sizeof(forms), "tcp:%s", text);
        if (cv_addr_parse(out, forms, &err) == 0) {
            return;
        }
    }
    char quoted[80];
    cv_error_quote(quoted, sizeof(quoted), text, strlen(text));
    cv_yaml_problem(
        r->errors, node,
        "%s is no address: HOST:PORT, :PORT, [IPv6]:PORT or unix:PATH is wanted "
        "(Key: 'Config.Server.%s' Error:Field validation for '%s' failed on the 'hostname_port' tag)",
        quoted, name, name);
}

/* At least N characters with upper and lower case, a digit and a special one. */
static bool strong(const struct cv_secret *s, size_t n)
{
    bool upper = false, lower = false, digit = false, special = false;
    for (size_t i = 0; i < s->n; i++) {
        unsigned char c = s->p[i];
        upper |= c >= 'A' && c <= 'Z';
        lower |= c >= 'a' && c <= 'z';
        digit |= c >= '0' && c <= '9';
        special |= c > ' ' && c < 0x7f && ispunct(c);
    }
    return s->n >= n && upper && lower && digit && special;
}

static void check_strength(struct cv_config_reader *r, const struct cv_yaml_node *node,
                           const struct cv_config_jwt_credentials *c)
{
    if (!strong(&c->password, 16)) {
        cv_yaml_problem(r->errors, node,
                        "password wants at least 16 characters, with an upper "
                        "case and a lower case letter, a digit and a special character");
    }
    if (!strong(&c->secret, 32)) {
        cv_yaml_problem(r->errors, node,
                        "secret wants at least 32 characters, with an upper "
                        "case and a lower case letter, a digit and a special character");
    }
}

/* "2006-01-02 15:04:05", UTC. */
static bool read_time(const char *text, int64_t *out)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%d %H:%M:%S", &tm);
    if (end == NULL || *end != 0) {
        return false;
    }
    *out = (int64_t)timegm(&tm) * 1000;
    return true;
}

struct jwt_target {
    struct cv_config_jwt_credentials c;
    uint64_t expiry;
    char *old_expiry;
    const struct cv_yaml_node *next;
};

static const struct cv_field jwt_fields[] = {
    {.name = "password",
     .kind = CV_FIELD_SECRET,
     .offset = offsetof(struct jwt_target, c.password)},
    {.name = "secret", .kind = CV_FIELD_SECRET, .offset = offsetof(struct jwt_target, c.secret)},
    {.name = "jwt_exp",
     .kind = CV_FIELD_UINT,
     .offset = offsetof(struct jwt_target, expiry),
     .max = 5256000},
    {.name = "old_cred_exp",
     .kind = CV_FIELD_STRING,
     .offset = offsetof(struct jwt_target, old_expiry)},
    {.name = "new_data", .kind = CV_FIELD_NODE, .offset = offsetof(struct jwt_target, next)},
};

static void read_user(struct cv_config_reader *r, const struct cv_yaml_node *node,
                      struct cv_config_jwt_user *u)
{
    struct jwt_target t = {0};
    cv_config_read_map(r, node, jwt_fields, 5, &t);
    u->now = t.c;
    u->now.expiry_minutes = (unsigned)t.expiry;
    check_strength(r, node, &u->now);
    if (t.old_expiry != NULL) {
        u->has_old_expiry = read_time(t.old_expiry, &u->old_expiry_ms);
        if (!u->has_old_expiry) {
            cv_yaml_problem(r->errors, cv_yaml_get(node, "old_cred_exp"),
                            "a time such as 2026-01-31 18:00:00 (UTC) is wanted");
        }
        free(t.old_expiry);
    }
    if (t.next == NULL) {
        return;
    }
    struct jwt_target n = {0};
    cv_config_read_map(r, t.next, jwt_fields, 3, &n);
    u->next = n.c;
    u->next.expiry_minutes = (unsigned)n.expiry;
    u->rotating = true;
    check_strength(r, t.next, &u->next);
    if (u->now.password.n > 0 && cv_secret_equal(&u->now.password, &u->next.password)) {
        cv_yaml_problem(r->errors, t.next, "the new password is the old one");
    }
    if (u->now.secret.n > 0 && cv_secret_equal(&u->now.secret, &u->next.secret)) {
        cv_yaml_problem(r->errors, t.next, "the new secret is the old one");
    }
}

static void read_jwt(struct cv_config_reader *r, const struct cv_yaml_node *node,
                     struct cv_config *config)
{
    struct {
        const struct cv_yaml_node *users;
    } t = {0};
    static const struct cv_field fields[] = {{.name = "users", .kind = CV_FIELD_NODE}};
    cv_config_read_map(r, node, fields, 1, &t);
    if (t.users == NULL || !cv_yaml_is(r->errors, t.users, CV_YAML_MAPPING)) {
        return;
    }
    config->jwt_users = cv_config_array(r, t.users->count, sizeof(*config->jwt_users));
    if (config->jwt_users == NULL) {
        return;
    }
    for (const struct cv_yaml_node *c = t.users->first; c != NULL; c = c->next) {
        struct cv_config_jwt_user *u = &config->jwt_users[config->jwt_user_count++];
        u->name = cv_config_dup(r, c->key->text);
        if (cv_yaml_is_null(c)) {
            cv_yaml_problem(r->errors, c, "a user wants password and secret");
        } else {
            read_user(r, c, u);
        }
    }
}

void cv_config_free_jwt_user(struct cv_config_jwt_user *u)
{
    free(u->name);
    cv_secret_free(&u->now.password);
    cv_secret_free(&u->now.secret);
    cv_secret_free(&u->next.password);
    cv_secret_free(&u->next.secret);
}

static void read_tls(struct cv_config_reader *r, const struct cv_yaml_node *node,
                     struct cv_config_tls *tls)
{
    static const struct cv_field fields[] = {
        {.name = "certificate",
         .kind = CV_FIELD_STRING,
         .offset = offsetof(struct cv_config_tls, certificate)},
        {.name = "key", .kind = CV_FIELD_STRING, .offset = offsetof(struct cv_config_tls, key)},
        {.name = "client_ca",
         .kind = CV_FIELD_STRING,
         .offset = offsetof(struct cv_config_tls, client_ca)},
    };
    cv_config_read_map(r, node, fields, 3, tls);
    if (tls->certificate == NULL || tls->key == NULL) {
        cv_yaml_problem(r->errors, node, "tls wants certificate and key, both PEM files");
    }
}

#define CAP(field, least, most)                                                                  \
    {                                                                                            \
        .name = #field, .kind = CV_FIELD_UINT, .offset = offsetof(struct cv_config_caps, field), \
        .min = least, .max = most                                                                \
    }
static const struct cv_field cap_fields[] = {
    CAP(connections, 1, 65536),           CAP(body_bytes, 1024, 64u * 1024 * 1024),
    CAP(idle_seconds, 1, 86400),          CAP(request_seconds, 1, 3600),
    CAP(requests_per_second, 0, 1000000), CAP(burst, 1, 1000000),
};

struct server_target {
    char *address, *utility_address;
    struct cv_config_keys keys;
    const struct cv_yaml_node *jwt, *tls, *limits;
    bool metrics_client_ip;
};

void cv_config_read_server(struct cv_config_reader *r, const struct cv_yaml_node *node,
                           struct cv_config *config)
{
    struct server_target t = {0};
    static const struct cv_field fields[] = {
        {.name = "address",
         .kind = CV_FIELD_STRING,
         .offset = offsetof(struct server_target, address)},
        {.name = "utility_address",
         .kind = CV_FIELD_STRING,
         .offset = offsetof(struct server_target, utility_address)},
        {.name = "authorized_keys",
         .kind = CV_FIELD_KEYS,
         .offset = offsetof(struct server_target, keys)},
        {.name = "jwt", .kind = CV_FIELD_NODE, .offset = offsetof(struct server_target, jwt)},
        {.name = "tls", .kind = CV_FIELD_NODE, .offset = offsetof(struct server_target, tls)},
        {.name = "limits", .kind = CV_FIELD_NODE, .offset = offsetof(struct server_target, limits)},
        {.name = "metrics_client_ip",
         .kind = CV_FIELD_BOOL,
         .offset = offsetof(struct server_target, metrics_client_ip)},
    };
    cv_config_read_map(r, node, fields, 7, &t);
    config->caps = (struct cv_config_caps){.connections = CV_CONFIG_DEFAULT_CONNECTIONS,
                                           .body_bytes = CV_CONFIG_DEFAULT_BODY,
                                           .idle_seconds = CV_CONFIG_DEFAULT_IDLE,
                                           .request_seconds = CV_CONFIG_DEFAULT_REQUEST,
                                           .burst = CV_CONFIG_DEFAULT_BURST};
    cv_config_read_map(r, t.limits, cap_fields, sizeof(cap_fields) / sizeof(cap_fields[0]),
                       &config->caps);
    if (t.tls != NULL) {
        read_tls(r, t.tls, &config->tls);
    }
    config->metrics_client_ip = t.metrics_client_ip;
    const char *address = t.address != NULL ? t.address : CV_CONFIG_DEFAULT_ADDRESS;
    const char *utility = t.utility_address != NULL ? t.utility_address : CV_CONFIG_DEFAULT_UTILITY;
    read_address(r, cv_yaml_get(node, "address"), "Address", address, &config->address);
    read_address(r, cv_yaml_get(node, "utility_address"), "UtilityAddress", utility,
                 &config->utility_address);
    config->authorized_keys = t.keys;
    if (t.jwt != NULL) {
        read_jwt(r, t.jwt, config);
    }
    if (config->jwt_user_count > 0 && t.keys.count > 0) {
        cv_yaml_problem(r->errors, t.jwt, "cannot use both JWT and static authorized keys");
    }
    free(t.address);
    free(t.utility_address);
}
