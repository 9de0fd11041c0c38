/* SPDX-License-Identifier: Apache-2.0 */
/* The section `tezos`: which keys sign, and what. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "signer/config_read.h"

#define DEFAULT_REQUESTS \
    (1u << CV_REQUEST_BLOCK | 1u << CV_REQUEST_PREATTESTATION | 1u << CV_REQUEST_ATTESTATION)

struct tezos_target {
    const struct cv_yaml_node *allow, *old_operations, *old_kinds, *limits;
    struct cv_config_strings allowed_chains, jwt_users, client_certificates;
    struct cv_config_keys authorized_keys;
    bool allow_pop, allow_other_source, log_payloads;
};

#define TEZOS(field, kind_, member)                                                   \
    {                                                                                 \
        .name = field, .kind = kind_, .offset = offsetof(struct tezos_target, member) \
    }
static const struct cv_field tezos_fields[] = {
    TEZOS("allow", CV_FIELD_NODE, allow),
    TEZOS("allowed_operations", CV_FIELD_NODE, old_operations),
    TEZOS("allowed_kinds", CV_FIELD_NODE, old_kinds),
    TEZOS("allowed_chains", CV_FIELD_STRINGS, allowed_chains),
    TEZOS("allow_proof_of_possession", CV_FIELD_BOOL, allow_pop),
    TEZOS("allow_other_source", CV_FIELD_BOOL, allow_other_source),
    TEZOS("log_payloads", CV_FIELD_BOOL, log_payloads),
    TEZOS("limits", CV_FIELD_NODE, limits),
    TEZOS("authorized_keys", CV_FIELD_KEYS, authorized_keys),
    TEZOS("jwt_users", CV_FIELD_STRINGS, jwt_users),
    TEZOS("client_certificates", CV_FIELD_STRINGS, client_certificates),
};

static int index_of(const char *const names[], const char *name)
{
    for (int i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

/* Names of before the protocol that renamed them. */
static const char *renamed(const char *name)
{
    static const char *const names[][2] = {
        {"endorsement", "attestation"},
        {"preendorsement", "preattestation"},
        {"double_endorsement_evidence", "double_attestation_evidence"},
        {"double_preendorsement_evidence", "double_preattestation_evidence"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i][0], name) == 0) {
            return names[i][1];
        }
    }
    return NULL;
}

static void invalid(struct cv_config_reader *r, const struct cv_yaml_node *node, const char *what,
                    const char *name, const char *list, const char *const names[])
{
    char quoted[80];
    cv_error_quote(quoted, sizeof(quoted), name, strlen(name));
    const char *near = cv_yaml_nearest(name, names);
    cv_yaml_problem(r->errors, node, "invalid %s `%s` in `%s` list%s%s%s", what, quoted, list,
                    near != NULL ? "; did you mean " : "", near != NULL ? near : "",
                    near != NULL ? "?" : "");
}

/* One request kind; a kind under its old name is taken with a warning. */
static void add_request(struct cv_config_reader *r, const struct cv_yaml_node *node,
                        const char *name, const char *list, uint32_t *set)
{
    const char *now = renamed(name);
    if (now != NULL && strncmp(now, "double", 6) != 0) {
        cv_yaml_problem(r->warnings, node, "`%s` is called `%s` now", name, now);
        name = now;
    }
    int i = index_of(cv_request_names, name);
    if (i < 0) {
        invalid(r, node, "request kind", name, list, cv_request_names);
        return;
    }
    *set |= 1u << i;
}

/* LIST is where it stands; in the OLD one, kinds that no batch has any more are
 * names without effect, as they have none there. */
static void add_operation(struct cv_config_reader *r, const struct cv_yaml_node *node,
                          const char *written, const char *list, bool old, uint64_t *set)
{
    char name[96];
    char head[96];
    const char *colon = strchr(written, ':');
    (void)snprintf(head, sizeof(head), "%.*s", colon != NULL ? (int)(colon - written) : 90,
                   written);
    const char *now = renamed(head);
    (void)snprintf(name, sizeof(name), "%.60s%.30s", now != NULL ? now : head,
                   colon != NULL ? colon : "");
    int i = index_of(cv_operation_names, name);
    int vote = index_of(cv_ballot_names, name);
    if (i >= 0) {
        *set |= (uint64_t)1 << i;
    } else if (vote >= 0) {
        *set |= (uint64_t)1 << (cv_operation_name_count() + (size_t)vote);
    } else if (old && now != NULL && colon == NULL) {
        cv_yaml_problem(r->warnings, node,
                        "`%s` is no operation of a batch any more: no effect here", written);
    } else {
        invalid(r, node, "operation kind", name, list, cv_operation_names);
    }
}

/* A list of operation kinds; a scalar is a list of one. */
static void read_operations(struct cv_config_reader *r, const struct cv_yaml_node *node,
                            const char *list, bool old, uint64_t *set)
{
    const struct cv_yaml_node *c = node->kind == CV_YAML_SEQUENCE ? node->first : node;
    for (; c != NULL; c = node->kind == CV_YAML_SEQUENCE ? c->next : NULL) {
        char *name = cv_config_read_string(r, c);
        if (name != NULL) {
            add_operation(r, c, name, list, old, set);
            free(name);
        }
    }
}

static void read_allow(struct cv_config_reader *r, const struct cv_yaml_node *node,
                       struct cv_config_key *k)
{
    if (!cv_yaml_is(r->errors, node, CV_YAML_MAPPING)) {
        return;
    }
    for (const struct cv_yaml_node *c = node->first; c != NULL; c = c->next) {
        add_request(r, c->key, c->key->text, "allow", &k->requests);
        if (strcmp(c->key->text, "generic") == 0) {
            if (!cv_yaml_is_null(c)) {
                read_operations(r, c, "allow.generic", false, &k->operations);
            }
        } else if (!cv_yaml_is_null(c) && !(c->kind != CV_YAML_SCALAR && c->count == 0)) {
            cv_yaml_problem(r->warnings, c,
                            "`%s` takes no value: what is written here has no effect",
                            c->key->text);
        }
    }
}

/* The policy of K as `allow` writes it, for a message. */
static void write_allow(const struct cv_config_key *k, char *out, size_t size)
{
    const char *comma = "";
    size_t n = (size_t)snprintf(out, size, "allow: {");
    for (size_t i = 0; i < CV_REQUEST_NAME_COUNT && n < size; i++) {
        if (k->requests >> i & 1) {
            n += (size_t)snprintf(out + n, size - n, "%s%s: ", comma, cv_request_names[i]);
            comma = ", ";
        }
        if ((k->requests >> i & 1) == 0 || strcmp(cv_request_names[i], "generic") != 0) {
            continue;
        }
        const char *inner = "[";
        for (size_t j = 0; cv_operation_names[j] != NULL && n < size; j++) {
            if (k->operations >> j & 1) {
                n += (size_t)snprintf(out + n, size - n, "%s%s", inner, cv_operation_names[j]);
                inner = ", ";
            }
        }
        if (n < size) {
            n += (size_t)snprintf(out + n, size - n, "%s", inner[0] == '[' ? "[]" : "]");
        }
    }
    if (n < size) {
        n += (size_t)snprintf(out + n, size - n, "}");
    }
    if (n >= size) {
        (void)snprintf(out, size, "its request kinds as keys of `allow`");
    }
}

/* allowed_operations (request kinds) and allowed_kinds (kinds of generic). */
static void read_deprecated(struct cv_config_reader *r, const struct tezos_target *t,
                            struct cv_config_key *k)
{
    const struct cv_yaml_node *node = t->old_operations;
    if (node != NULL) {
        const struct cv_yaml_node *c = node->kind == CV_YAML_SEQUENCE ? node->first : node;
        for (; c != NULL; c = node->kind == CV_YAML_SEQUENCE ? c->next : NULL) {
            char *name = cv_config_read_string(r, c);
            if (name != NULL) {
                add_request(r, c, name, "allowed_operations", &k->requests);
                free(name);
            }
        }
    }
    if (t->old_kinds != NULL) {
        read_operations(r, t->old_kinds, "allowed_kinds", true, &k->operations);
    }
    char now[160];
    write_allow(k, now, sizeof(now));
    cv_yaml_problem(r->warnings, node != NULL ? node : t->old_kinds,
                    "`%s` is deprecated: write %s instead",
                    node != NULL ? "allowed_operations" : "allowed_kinds", now);
}

static void read_limits(struct cv_config_reader *r, const struct cv_yaml_node *node,
                        struct cv_config_limits *l)
{
    static const struct cv_field fields[] = {
        {.name = "max_fee",
         .kind = CV_FIELD_UINT,
         .offset = offsetof(struct cv_config_limits, max_fee),
         .max = INT64_MAX,
         .seen = CV_FIELD_SEEN(struct cv_config_limits, has_max_fee)},
        {.name = "max_amount",
         .kind = CV_FIELD_UINT,
         .offset = offsetof(struct cv_config_limits, max_amount),
         .max = INT64_MAX,
         .seen = CV_FIELD_SEEN(struct cv_config_limits, has_max_amount)},
        {.name = "destinations",
         .kind = CV_FIELD_STRINGS,
         .offset = offsetof(struct cv_config_limits, destinations)},
    };
    cv_config_read_map(r, node, fields, 3, l);
    l->given = true;
    for (size_t i = 0; i < l->destinations.count; i++) {
        enum cv_text_kind kind;
        uint8_t payload[CV_TEXT_PAYLOAD_MAX];
        size_t n;
        const char *text = l->destinations.item[i];
        char quoted[80];
        if (cv_text_parse(&kind, payload, &n, cv_bytes_str(text)) != 0 ||
            (kind > CV_TEXT_PKH_BLS && kind != CV_TEXT_CONTRACT && kind != CV_TEXT_SMART_ROLLUP)) {
            cv_error_quote(quoted, sizeof(quoted), text, strlen(text));
            cv_yaml_problem(r->errors, cv_yaml_get(node, "destinations"),
                            "%s is no address (tz1…, KT1…, sr1…)", quoted);
        }
    }
}

static void check_chains(struct cv_config_reader *r, const struct cv_yaml_node *node,
                         const struct cv_config_strings *chains)
{
    for (size_t i = 0; i < chains->count; i++) {
        enum cv_text_kind kind;
        uint8_t payload[CV_TEXT_PAYLOAD_MAX];
        size_t n;
        char quoted[80];
        if (cv_text_parse(&kind, payload, &n, cv_bytes_str(chains->item[i])) != 0 ||
            kind != CV_TEXT_CHAIN_ID) {
            cv_error_quote(quoted, sizeof(quoted), chains->item[i], strlen(chains->item[i]));
            cv_yaml_problem(r->errors, cv_yaml_get(node, "allowed_chains"),
                            "%s is no chain identifier (Net…)", quoted);
        }
    }
}

static bool is_server_key(const struct cv_config *config, const struct cv_public_key *key)
{
    for (size_t i = 0; i < config->authorized_keys.count; i++) {
        if (cv_public_key_equal(&config->authorized_keys.key[i], key)) {
            return true;
        }
    }
    return false;
}

/* What refers to the section `server`. */
static void check_clients(struct cv_config_reader *r, const struct cv_yaml_node *node,
                          const struct cv_config *config, const struct cv_config_key *k)
{
    for (size_t i = 0; i < k->authorized_keys.count; i++) {
        if (!is_server_key(config, &k->authorized_keys.key[i])) {
            char text[CV_PK_TEXT_SIZE];
            cv_public_key_format(text, &k->authorized_keys.key[i]);
            cv_yaml_problem(
                r->warnings, cv_yaml_get(node, "authorized_keys"),
                "%s is not among server.authorized_keys, so this client is never let in", text);
        }
    }
    for (size_t i = 0; i < k->jwt_users.count; i++) {
        bool known = false;
        for (size_t j = 0; j < config->jwt_user_count; j++) {
            known |= config->jwt_users[j].name != NULL &&
                     strcmp(config->jwt_users[j].name, k->jwt_users.item[i]) == 0;
        }
        if (!known) {
            char quoted[80];
            cv_error_quote(quoted, sizeof(quoted), k->jwt_users.item[i],
                           strlen(k->jwt_users.item[i]));
            cv_yaml_problem(r->warnings, cv_yaml_get(node, "jwt_users"),
                            "user %s is not among server.jwt.users", quoted);
        }
    }
}

/* Fingerprints as openssl prints them, colons or not, to lower case. */
static void check_certificates(struct cv_config_reader *r, const struct cv_yaml_node *node,
                               const struct cv_config *config, struct cv_config_key *k)
{
    const struct cv_yaml_node *at = cv_yaml_get(node, "client_certificates");
    for (size_t i = 0; i < k->client_certificates.count; i++) {
        char *text = k->client_certificates.item[i];
        size_t n = 0;
        bool good = true;
        for (const char *p = text; *p != 0; p++) {
            if (*p != ':') {
                good = good && isxdigit((unsigned char)*p);
                text[n++] = (char)tolower((unsigned char)*p);
            }
        }
        text[n] = 0;
        if (!good || n != 64) {
            cv_yaml_problem(r->errors, at,
                            "a SHA-256 fingerprint of a certificate has 64 hex digits");
        }
    }
    if (k->client_certificates.given && config->tls.client_ca == NULL) {
        cv_yaml_problem(r->errors, at, "client_certificates wants server.tls.client_ca");
    }
}

static void read_policy(struct cv_config_reader *r, const struct cv_yaml_node *node,
                        const struct cv_config *config, struct cv_config_key *k)
{
    struct tezos_target t = {0};
    cv_config_read_map(r, node, tezos_fields, sizeof(tezos_fields) / sizeof(tezos_fields[0]), &t);
    if (cv_yaml_get(node, "vault") != NULL) {
        cv_yaml_problem(r->warnings, cv_yaml_get(node, "vault"),
                        "`vault` means nothing under a key, in Signatory neither: a key is found "
                        "in the vault that has it; leave the line out");
    }
    k->allowed_chains = t.allowed_chains;
    k->jwt_users = t.jwt_users;
    k->client_certificates = t.client_certificates;
    k->authorized_keys = t.authorized_keys;
    k->allow_proof_of_possession = t.allow_pop;
    k->allow_other_source = t.allow_other_source;
    k->log_payloads = t.log_payloads;
    if (t.allow != NULL) {
        read_allow(r, t.allow, k);
        if (t.old_operations != NULL || t.old_kinds != NULL) {
            cv_yaml_problem(r->warnings, node,
                            "`allowed_operations` and `allowed_kinds` have no "
                            "effect beside `allow`");
        }
    } else if (t.old_operations != NULL || t.old_kinds != NULL) {
        read_deprecated(r, &t, k);
    }
    if (t.limits != NULL) {
        read_limits(r, t.limits, &k->limits);
    }
    check_chains(r, node, &k->allowed_chains);
    check_clients(r, node, config, k);
    check_certificates(r, node, config, k);
    if (k->allow_proof_of_possession && k->pkh.scheme != CV_SCHEME_BLS) {
        cv_yaml_problem(r->warnings, cv_yaml_get(node, "allow_proof_of_possession"),
                        "only tz4 keys prove possession: no effect here");
    }
}

/* The public key hash that KEY writes; false when it is none. */
static bool read_pkh(struct cv_config_reader *r, const struct cv_yaml_node *key,
                     struct cv_config_key *k)
{
    char quoted[80];
    char *text = cv_config_read_string(r, key);
    if (text == NULL) {
        return false;
    }
    int rc = cv_pkh_parse(&k->pkh, cv_bytes_str(text));
    if (rc != 0) {
        cv_error_quote(quoted, sizeof(quoted), text, strlen(text));
        cv_yaml_problem(r->errors, key,
                        rc == CV_ERR_CRYPTO
                            ? "%s is no public key hash: its checksum is wrong "
                              "(gotez: base58Check decoding error: invalid checksum)"
                            : "%s is no public key hash (tz1…, tz2…, tz3…, tz4…) "
                              "(gotez: invalid public key hash payload length)",
                        quoted);
    }
    free(text);
    if (rc == 0) {
        cv_pkh_format(k->text, &k->pkh);
    }
    k->line = key->line;
    k->column = key->column;
    return rc == 0;
}

static void set_default(struct cv_config_key *k)
{
    k->default_policy = true;
    k->requests = DEFAULT_REQUESTS;
}

void cv_config_read_tezos(struct cv_config_reader *r, const struct cv_yaml_node *node,
                          struct cv_config *config)
{
    if (cv_yaml_is_null(node)) {
        return;
    }
    if (node->kind == CV_YAML_SCALAR) {
        (void)cv_yaml_is(r->errors, node, CV_YAML_MAPPING);
        return;
    }
    config->keys = cv_config_array(r, node->count, sizeof(*config->keys));
    if (config->keys == NULL) {
        return;
    }
    for (const struct cv_yaml_node *c = node->first; c != NULL; c = c->next) {
        struct cv_config_key *k = &config->keys[config->key_count];
        bool mapped = node->kind == CV_YAML_MAPPING;
        if (!read_pkh(r, mapped ? c->key : c, k)) {
            continue;
        }
        config->key_count++;
        if (!mapped || cv_yaml_is_null(c)) {
            set_default(k);
        } else {
            read_policy(r, c, config, k);
        }
    }
}

void cv_config_free_key(struct cv_config_key *k)
{
    cv_config_free_strings(&k->allowed_chains);
    cv_config_free_strings(&k->jwt_users);
    cv_config_free_strings(&k->client_certificates);
    cv_config_free_strings(&k->limits.destinations);
    cv_config_free_keys(&k->authorized_keys);
}
