/* SPDX-License-Identifier: Apache-2.0 */
/* Values of the configuration by a table of fields. */
#include "signer/config_read.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define STRINGS_MAX 100000
#define FIELDS_MAX 32

void *cv_config_array(struct cv_config_reader *r, size_t items, size_t size)
{
    void *p = calloc(items != 0 ? items : 1, size);
    if (p == NULL) {
        r->nomem = true;
    }
    return p;
}

char *cv_config_dup(struct cv_config_reader *r, const char *text)
{
    char *p = strdup(text);
    if (p == NULL) {
        r->nomem = true;
    }
    return p;
}

/* The variable at P, just after the dollar sign: its name (of *N characters)
 * and how many characters it takes with its braces. As os.Expand: "$$", "$*",
 * "$1" are names of one character; "$" before anything else stays. */
static const char *variable_at(const char *p, size_t *n, size_t *taken)
{
    if (p[0] == '{') {
        const char *end = strchr(p, '}');
        if (end == NULL || end == p + 1) {
            *n = 0; /* "${" and "${}" vanish there too */
            *taken = end == NULL ? 1 : 2;
            return p;
        }
        *n = (size_t)(end - p) - 1;
        *taken = *n + 2;
        return p + 1;
    }
    if (p[0] != 0 && strchr("*#$@!?-0123456789", p[0]) != NULL) {
        *n = *taken = 1;
        return p;
    }
    size_t i = 0;
    while (isalnum((unsigned char)p[i]) || p[i] == '_') {
        i++;
    }
    *n = *taken = i;
    return p;
}

char *cv_config_expand(struct cv_config_reader *r, const struct cv_yaml_node *node,
                       const char *text)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf out;
    cv_buf_init(&out, CV_YAML_MAX_TEXT);
    int rc = cv_buf_append_str(&out, "");
    for (const char *p = text; rc == 0 && *p != 0;) {
        const char *dollar = strchr(p, '$');
        size_t plain = dollar != NULL ? (size_t)(dollar - p) : strlen(p);
        size_t n, taken;
        rc = cv_buf_append(&out, p, plain);
        if (dollar == NULL || rc != 0) {
            break;
        }
        const char *name = variable_at(dollar + 1, &n, &taken);
        p = dollar + 1 + taken;
        if (n == 0 && taken == 0) {
            rc = cv_buf_append_str(&out, "$");
        }
        if (n == 0) {
            continue;
        }
        char variable[128];
        (void)snprintf(variable, sizeof(variable), "%.*s", (int)(n < 127 ? n : 127), name);
        const char *value = n < sizeof(variable) ? getenv(variable) : NULL;
        if (value != NULL) {
            rc = cv_buf_append_str(&out, value);
        } else {
            char quoted[96];
            cv_error_quote(quoted, sizeof(quoted), variable, strlen(variable));
            cv_yaml_problem(r->warnings, node, "the variable %s is not set: taken as empty",
                            quoted);
        }
    }
    char *result = rc == 0 ? strdup(out.p != NULL ? (const char *)out.p : "") : NULL;
    if (result == NULL) {
        r->nomem = true;
    }
    return result;
}

char *cv_config_read_string(struct cv_config_reader *r, const struct cv_yaml_node *node)
{
    const char *text;
    return cv_yaml_text(r->errors, node, &text) ? cv_config_expand(r, node, text) : NULL;
}

/* A copy of a scalar with its variables expanded, so that numbers and truth
 * values may come from the environment. False when it is no scalar. */
static bool expanded_scalar(struct cv_config_reader *r, const struct cv_yaml_node *node,
                            struct cv_yaml_node *copy)
{
    char *text = cv_config_read_string(r, node);
    if (text == NULL) {
        return false;
    }
    *copy = *node;
    copy->plain = true; /* "16" in quotes is a number too */
    copy->text = text;
    copy->len = strlen(text);
    return true;
}

bool cv_config_read_uint(struct cv_config_reader *r, const struct cv_yaml_node *node, uint64_t min,
                         uint64_t max, uint64_t *out)
{
    struct cv_yaml_node copy;
    if (!expanded_scalar(r, node, &copy)) {
        return false;
    }
    bool ok = cv_yaml_uint(r->errors, &copy, out, min, max);
    free(copy.text);
    return ok;
}

static bool read_bool(struct cv_config_reader *r, const struct cv_yaml_node *node, bool *out)
{
    struct cv_yaml_node copy;
    if (!expanded_scalar(r, node, &copy)) {
        return false;
    }
    bool ok = cv_yaml_bool(r->errors, &copy, out);
    free(copy.text);
    return ok;
}

/* A password may hold a dollar sign of its own: a secret is expanded only when
 * the whole of it is "${NAME}", or "$NAME" of a variable that is set. */
static bool is_variable(const char *text)
{
    size_t n, taken;
    if (text[0] != '$') {
        return false;
    }
    (void)variable_at(text + 1, &n, &taken);
    return n > 0 && text[1 + taken] == 0 && (text[1] == '{' || getenv(text + 1) != NULL);
}

static bool read_secret(struct cv_config_reader *r, const struct cv_yaml_node *node,
                        struct cv_secret *out)
{
    const char *raw;
    if (!cv_yaml_text(r->errors, node, &raw)) {
        return false;
    }
    char *text = is_variable(raw) ? cv_config_expand(r, node, raw) : cv_config_dup(r, raw);
    if (text == NULL) {
        return false;
    }
    size_t n = strlen(text);
    if (n > 0 && cv_secret_copy(out, text, n) != 0) {
        r->nomem = true;
    }
    cv_wipe(text, n);
    free(text);
    return true;
}

void cv_config_read_strings(struct cv_config_reader *r, const struct cv_yaml_node *node,
                            struct cv_config_strings *out)
{
    out->given = true;
    if (node->kind == CV_YAML_SEQUENCE) {
        for (const struct cv_yaml_node *c = node->first; c != NULL && !r->nomem; c = c->next) {
            cv_config_read_strings(r, c, out); /* nested: as deep as the YAML reader allows */
        }
        return;
    }
    char *text = cv_config_read_string(r, node);
    if (text == NULL) {
        return;
    }
    char **more = out->count < STRINGS_MAX
                      ? reallocarray(out->item, out->count + 1, sizeof(*out->item))
                      : NULL;
    if (more == NULL) {
        r->nomem = true;
        free(text);
        return;
    }
    out->item = more;
    out->item[out->count++] = text;
}

static void add_key(struct cv_config_reader *r, const struct cv_yaml_node *node,
                    struct cv_config_keys *out)
{
    char quoted[100];
    struct cv_public_key key;
    char *text = cv_config_read_string(r, node);
    if (text == NULL) {
        return;
    }
    if (cv_public_key_from_text(&key, cv_bytes_str(text)) != 0) {
        cv_error_quote(quoted, sizeof(quoted), text, strlen(text));
        cv_yaml_problem(r->errors, node, "%s is not a public key (edpk…, sppk…, p2pk…, BLpk…)",
                        quoted);
        free(text);
        return;
    }
    free(text);
    struct cv_public_key *more =
        out->count < STRINGS_MAX ? reallocarray(out->key, out->count + 1, sizeof(key)) : NULL;
    if (more == NULL) {
        r->nomem = true;
        return;
    }
    out->key = more;
    out->key[out->count++] = key;
}

void cv_config_read_keys(struct cv_config_reader *r, const struct cv_yaml_node *node,
                         struct cv_config_keys *out)
{
    out->given = true;
    if (node->kind != CV_YAML_SEQUENCE) {
        add_key(r, node, out);
        return;
    }
    for (const struct cv_yaml_node *c = node->first; c != NULL && !r->nomem; c = c->next) {
        cv_config_read_keys(r, c, out);
    }
}

static void read_field(struct cv_config_reader *r, const struct cv_yaml_node *node,
                       const struct cv_field *f, void *target)
{
    char *at = (char *)target + f->offset;
    bool ok = true;
    switch (f->kind) {
    case CV_FIELD_STRING:
        free(*(char **)(void *)at);
        *(char **)(void *)at = cv_config_read_string(r, node);
        break;
    case CV_FIELD_SECRET:
        ok = read_secret(r, node, (struct cv_secret *)(void *)at);
        break;
    case CV_FIELD_BOOL:
        ok = read_bool(r, node, (bool *)at);
        break;
    case CV_FIELD_UINT:
        ok = cv_config_read_uint(r, node, f->min, f->max, (uint64_t *)(void *)at);
        break;
    case CV_FIELD_STRINGS:
        cv_config_read_strings(r, node, (struct cv_config_strings *)(void *)at);
        break;
    case CV_FIELD_KEYS:
        cv_config_read_keys(r, node, (struct cv_config_keys *)(void *)at);
        break;
    case CV_FIELD_NODE:
        *(const struct cv_yaml_node **)(void *)at = node;
        break;
    }
    if (ok && f->seen != 0) {
        *(bool *)((char *)target + (f->seen - 1)) = true;
    }
}

void cv_config_read_map(struct cv_config_reader *r, const struct cv_yaml_node *node,
                        const struct cv_field *fields, size_t count, void *target)
{
    const char *known[FIELDS_MAX + 1];
    if (cv_yaml_is_null(node)) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        known[i] = fields[i].name;
    }
    known[count] = NULL;
    if (node->kind != CV_YAML_MAPPING) {
        (void)cv_yaml_is(r->errors, node, CV_YAML_MAPPING);
        return;
    }
    (void)cv_yaml_check_keys(r->lenient ? r->warnings : r->errors, node, known);
    for (size_t i = 0; i < count; i++) {
        const struct cv_yaml_node *value = cv_yaml_get(node, fields[i].name);
        if (value != NULL && !cv_yaml_is_null(value)) {
            read_field(r, value, &fields[i], target);
        }
    }
}

void cv_config_read_credentials(struct cv_config_reader *r, const struct cv_yaml_node *node,
                                struct cv_config_credentials *out, char **table)
{
    struct target {
        struct cv_config_credentials c;
        char *table;
    } t = {.c = *out};
    static const struct cv_field fields[] = {
        {.name = "access_key_id",
         .kind = CV_FIELD_STRING,
         .offset = offsetof(struct target, c.access_key_id)},
        {.name = "secret_access_key",
         .kind = CV_FIELD_SECRET,
         .offset = offsetof(struct target, c.secret_access_key)},
        {.name = "session_token",
         .kind = CV_FIELD_SECRET,
         .offset = offsetof(struct target, c.session_token)},
        {.name = "region", .kind = CV_FIELD_STRING, .offset = offsetof(struct target, c.region)},
        {.name = "table", .kind = CV_FIELD_STRING, .offset = offsetof(struct target, table)},
    };
    cv_config_read_map(r, node, fields, table != NULL ? 5 : 4, &t);
    *out = t.c;
    out->given = !cv_yaml_is_null(node);
    if (table != NULL && t.table != NULL) {
        free(*table);
        *table = t.table;
    }
    bool id = out->access_key_id != NULL && out->access_key_id[0] != 0;
    if (id != (out->secret_access_key.n > 0)) {
        cv_yaml_problem(r->errors, node, "%s is given without %s",
                        id ? "access_key_id" : "secret_access_key",
                        id ? "secret_access_key" : "access_key_id");
    }
}

void cv_config_free_credentials(struct cv_config_credentials *c)
{
    free(c->access_key_id);
    cv_secret_free(&c->secret_access_key);
    cv_secret_free(&c->session_token);
    free(c->region);
}

void cv_config_free_strings(struct cv_config_strings *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->item[i]);
    }
    free(s->item);
}

void cv_config_free_keys(struct cv_config_keys *k)
{
    free(k->key);
}
