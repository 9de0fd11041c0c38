/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/boot_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"
#include "settings/arn.h"

enum kind { TEXT, LIST, NUMBER, FLAG, SOURCE };

struct key {
    const char *name;
    enum kind kind;
    size_t offset;
};

#define FIELD(name, kind, member)                             \
    {                                                         \
        name, kind, offsetof(struct cv_boot_settings, member) \
    }

/* The order of the file. */
static const struct key keys[] = {
    FIELD("arg", LIST, argv),
    FIELD("env", LIST, env),
    FIELD("user", TEXT, user),
    FIELD("workdir", TEXT, workdir),
    FIELD("hostname", TEXT, hostname),
    FIELD("stop_signal", TEXT, stop_signal),
    FIELD("port", LIST, ports),
    FIELD("egress", LIST, egress),
    FIELD("source", SOURCE, source),
    FIELD("untrusted_env", LIST, untrusted_env),
    FIELD("cmk", LIST, cmk),
    FIELD("region", TEXT, region),
    FIELD("context", LIST, context),
    FIELD("minimum_version", NUMBER, minimum_version),
    FIELD("publisher_key", TEXT, publisher_key),
    FIELD("parent_cid", NUMBER, parent_cid),
    FIELD("boot_deadline_ms", NUMBER, boot_deadline_ms),
    FIELD("allow_debug", FLAG, allow_debug),
    FIELD("heartbeat", TEXT, heartbeat),
    FIELD("minimum_format", NUMBER, minimum_format),
    FIELD("config_pcr", NUMBER, config_pcr),
};
#define KEYS (sizeof keys / sizeof keys[0])

static const char *const source_types[] = {"s3", "local"};

static int no_memory(struct cv_error *err)
{
    return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
}

void cv_boot_init(struct cv_boot_settings *s)
{
    *s = (struct cv_boot_settings){.parent_cid = CV_BOOT_PARENT_CID,
                                   .minimum_format = CV_BOOT_MINIMUM_FORMAT,
                                   .boot_deadline_ms = CV_BOOT_DEFAULT_DEADLINE_MS};
}

static void list_free(struct cv_boot_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->item[i]);
    }
    free(list->item);
    *list = (struct cv_boot_list){NULL, 0};
}

void cv_boot_free(struct cv_boot_settings *s)
{
    for (size_t i = 0; i < KEYS; i++) {
        void *at = (char *)s + keys[i].offset;
        if (keys[i].kind == LIST) {
            list_free(at);
        } else if (keys[i].kind == TEXT) {
            free(*(char **)at);
            *(char **)at = NULL;
        }
    }
    for (size_t i = 0; i < s->source_count; i++) {
        free(s->source[i].location);
        list_free(&s->source[i].allow_env);
        list_free(&s->source[i].allow_path);
    }
    s->source_count = 0;
}

int cv_boot_list_add(struct cv_boot_list *list, const char *text)
{
    if (list->count == CV_BOOT_MAX_ITEMS) {
        return CV_ERR_LIMIT;
    }
    if ((list->count & (list->count - 1)) == 0) { /* a power of two, or none */
        size_t cap = list->count != 0 ? 2 * list->count : 1;
        char **more = reallocarray(list->item, cap, sizeof *more);
        if (more == NULL) {
            return CV_ERR_NOMEM;
        }
        list->item = more;
    }
    char *copy = strdup(text);
    if (copy == NULL) {
        return CV_ERR_NOMEM;
    }
    list->item[list->count++] = copy;
    return 0;
}

int cv_boot_env_set(struct cv_boot_list *env, const char *assignment)
{
    size_t n = strcspn(assignment, "=");
    for (size_t i = 0; i < env->count; i++) {
        if (strncmp(env->item[i], assignment, n) == 0 && env->item[i][n] == '=') {
            return cv_boot_text_set(&env->item[i], assignment);
        }
    }
    return cv_boot_list_add(env, assignment);
}

int cv_boot_text_set(char **field, const char *text)
{
    char *copy = text != NULL ? strdup(text) : NULL;
    if (text != NULL && copy == NULL) {
        return CV_ERR_NOMEM;
    }
    free(*field);
    *field = copy;
    return 0;
}

/* ---- writing ---- */

static int put_line(struct cv_buf *out, const char *key, const char *value)
{
    int rc = cv_buf_printf(out, "%s=", key);
    for (const char *p = value; rc == 0 && *p != 0; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '\\') {
            rc = cv_buf_append_str(out, "\\\\");
        } else if (c == '\n') {
            rc = cv_buf_append_str(out, "\\n");
        } else if (c < 0x20 || c == 0x7f) {
            rc = cv_buf_printf(out, "\\x%02x", c);
        } else {
            rc = cv_buf_append_u8(out, c);
        }
    }
    return rc == 0 ? cv_buf_append_str(out, "\n") : rc;
}

static int put_list(struct cv_buf *out, const char *key, const struct cv_boot_list *list)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < list->count; i++) {
        rc = put_line(out, key, list->item[i]);
    }
    return rc;
}

static int put_sources(struct cv_buf *out, const struct cv_boot_settings *s)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < s->source_count; i++) {
        const struct cv_boot_source *source = &s->source[i];
        char *value;
        if (asprintf(&value, "%s %s", source_types[source->type], source->location) < 0) {
            return CV_ERR_NOMEM;
        }
        rc = put_line(out, "source", value);
        free(value);
        if (rc == 0) {
            rc = put_list(out, "allow_env", &source->allow_env);
        }
        if (rc == 0) {
            rc = put_list(out, "allow_path", &source->allow_path);
        }
    }
    return rc;
}

static int put_key(struct cv_buf *out, const struct cv_boot_settings *s, const struct key *k)
{
    const void *at = (const char *)s + k->offset;
    switch (k->kind) {
    case LIST:
        return put_list(out, k->name, at);
    case TEXT:
        return *(char *const *)at != NULL ? put_line(out, k->name, *(char *const *)at) : 0;
    case NUMBER:
        return cv_buf_printf(out, "%s=%llu\n", k->name, (unsigned long long)*(const uint64_t *)at);
    case FLAG:
        return cv_buf_printf(out, "%s=%s\n", k->name, *(const bool *)at ? "on" : "off");
    case SOURCE:
        return put_sources(out, s);
    }
    return 0;
}

int cv_boot_encode(struct cv_buf *out, const struct cv_boot_settings *s, struct cv_error *err)
{
    int rc = cv_boot_check(s, err);
    if (rc != 0) {
        return rc;
    }
    rc = put_line(out, "format", CV_BOOT_FORMAT);
    for (size_t i = 0; rc == 0 && i < KEYS; i++) {
        rc = put_key(out, s, &keys[i]);
    }
    return rc == 0 ? 0
           : rc == CV_ERR_LIMIT
               ? cv_error_set(err, rc, "the measured settings take more than %zu bytes", out->limit)
               : no_memory(err);
}

/* ---- reading ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* N bytes at P into OUT (N + 1 bytes of room). */
static bool unescape(char *out, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c < 0x20 || c == 0x7f) {
            return false;
        }
        if (c != '\\') {
            *out++ = p[i];
            continue;
        }
        if (i + 1 < n && (p[i + 1] == '\\' || p[i + 1] == 'n')) {
            *out++ = p[++i] == 'n' ? '\n' : '\\';
            continue;
        }
        int high = i + 3 < n && p[i + 1] == 'x' ? hex_digit(p[i + 2]) : -1;
        int low = high >= 0 ? hex_digit(p[i + 3]) : -1;
        int v = high * 16 + low;
        if (high < 0 || low < 0 || v == 0 || v == '\n' || (v >= 0x20 && v != 0x7f)) {
            return false;
        }
        *out++ = (char)v;
        i += 3;
    }
    *out = 0;
    return true;
}

bool cv_boot_decimal(uint64_t *out, const char *text)
{
    uint64_t v = 0;
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(text[i] - '0'), &v)) {
            return false;
        }
    }
    *out = v;
    return n != 0 && (n == 1 || text[0] != '0');
}

static int take_source(struct cv_boot_settings *s, const char *value)
{
    size_t n = strcspn(value, " ");
    for (int type = 0; type < 2; type++) {
        if (strlen(source_types[type]) == n && strncmp(value, source_types[type], n) == 0 &&
            value[n] == ' ' && value[n + 1] != 0) {
            if (s->source_count == CV_BOOT_MAX_SOURCES) {
                return CV_ERR_LIMIT;
            }
            struct cv_boot_source *source = &s->source[s->source_count++];
            *source = (struct cv_boot_source){.type = (enum cv_boot_source_type)type};
            return cv_boot_text_set(&source->location, value + n + 1);
        }
    }
    return CV_ERR_INVALID;
}

static int take(struct cv_boot_settings *s, const struct key *k, bool again, const char *value)
{
    void *at = (char *)s + k->offset;
    if (again && k->kind != LIST && k->kind != SOURCE) {
        return CV_ERR_INVALID;
    }
    switch (k->kind) {
    case LIST:
        return cv_boot_list_add(at, value);
    case TEXT:
        return cv_boot_text_set(at, value);
    case NUMBER:
        return cv_boot_decimal(at, value) ? 0 : CV_ERR_INVALID;
    case FLAG:
        *(bool *)at = strcmp(value, "on") == 0;
        return strcmp(value, "on") == 0 || strcmp(value, "off") == 0 ? 0 : CV_ERR_INVALID;
    case SOURCE:
        return take_source(s, value);
    }
    return CV_ERR_INVALID;
}

/* *AT: index of the last line's key, so that the order can be held. */
static int take_line(struct cv_boot_settings *s, char *key, const char *value, size_t *at)
{
    struct cv_boot_list *allow = NULL;
    if (*at < KEYS && keys[*at].kind == SOURCE && s->source_count != 0) {
        struct cv_boot_source *last = &s->source[s->source_count - 1];
        bool env = strcmp(key, "allow_env") == 0;
        bool path = strcmp(key, "allow_path") == 0;
        if (env && last->allow_path.count != 0) {
            return CV_ERR_INVALID;
        }
        allow = env ? &last->allow_env : path ? &last->allow_path : NULL;
    }
    if (allow != NULL) {
        return cv_boot_list_add(allow, value);
    }
    for (size_t i = *at == SIZE_MAX ? 0 : *at; i < KEYS; i++) {
        if (strcmp(keys[i].name, key) == 0) {
            bool again = i == *at;
            *at = i;
            return take(s, &keys[i], again, value);
        }
    }
    return CV_ERR_INVALID;
}

int cv_boot_decode(struct cv_boot_settings *s, struct cv_bytes text, struct cv_error *err)
{
    cv_boot_init(s);
    if (text.n > CV_BOOT_MAX_TEXT || !cv_utf8_valid(text)) {
        return cv_error_set(err, CV_ERR_INVALID,
                            "the measured settings are too large, or no "
                            "UTF-8");
    }
    static const char first[] = "format=" CV_BOOT_FORMAT "\n";
    size_t done = sizeof first - 1, line = 1, at = SIZE_MAX;
    if (text.n < done || memcmp(text.p, first, done) != 0) {
        return cv_error_set(err, CV_ERR_UNSUPPORTED,
                            "the measured settings are of a format that "
                            "this program does not know");
    }
    char *value = calloc(1, text.n + 1);
    if (value == NULL) {
        return no_memory(err);
    }
    int rc = 0;
    while (rc == 0 && done < text.n) {
        const char *p = (const char *)text.p + done;
        const char *end = memchr(p, '\n', text.n - done);
        const char *equals = end != NULL ? memchr(p, '=', (size_t)(end - p)) : NULL;
        char key[32];
        line++;
        if (equals == NULL || equals == p || (size_t)(equals - p) >= sizeof key ||
            !unescape(value, equals + 1, (size_t)(end - equals) - 1)) {
            rc = CV_ERR_INVALID;
            break;
        }
        memcpy(key, p, (size_t)(equals - p));
        key[equals - p] = 0;
        rc = take_line(s, key, value, &at);
        done += (size_t)(end - p) + 1;
    }
    free(value);
    if (rc != 0) {
        return rc == CV_ERR_NOMEM
                   ? no_memory(err)
                   : cv_error_set(err, rc, "line %zu of the measured settings is not valid", line);
    }
    return cv_boot_check(s, err);
}
