/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a tree by a schema: every wrong value is a problem with a position. */
#include <string.h>

#include "yaml/yaml.h"

const struct cv_yaml_node *cv_yaml_get(const struct cv_yaml_node *node, const char *key)
{
    if (node == NULL || node->kind != CV_YAML_MAPPING) {
        return NULL;
    }
    for (const struct cv_yaml_node *c = node->first; c != NULL; c = c->next) {
        if (strcmp(c->key->text, key) == 0) {
            return c;
        }
    }
    return NULL;
}

bool cv_yaml_is_null(const struct cv_yaml_node *node)
{
    if (node == NULL) {
        return true;
    }
    return node->kind == CV_YAML_SCALAR && node->plain &&
           (node->len == 0 || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0 ||
            strcmp(node->text, "Null") == 0 || strcmp(node->text, "NULL") == 0);
}

char *cv_yaml_path(char *out, size_t size, const struct cv_yaml_node *node)
{
    const struct cv_yaml_node *chain[CV_YAML_MAX_DEPTH + 2];
    size_t n = 0;
    for (; node != NULL && node->parent != NULL && n < CV_YAML_MAX_DEPTH + 1; node = node->parent) {
        chain[n++] = node;
    }
    size_t used = 0;
    out[0] = 0;
    while (n-- > 0 && used + 1 < size) {
        char part[160];
        if (chain[n]->key != NULL) {
            char name[128];
            cv_error_quote(name, sizeof name, chain[n]->key->text, chain[n]->key->len);
            snprintf(part, sizeof part, "%s%s", used != 0 ? "." : "", name);
        } else {
            size_t index = 0;
            for (const struct cv_yaml_node *c = chain[n]->parent->first; c != NULL && c != chain[n];
                 c = c->next) {
                index++;
            }
            snprintf(part, sizeof part, "[%zu]", index);
        }
        int wrote = snprintf(out + used, size - used, "%s", part);
        used += wrote > 0 ? (size_t)wrote : 0;
    }
    return out;
}

/* ---- unknown keys ---- */

#define NAME_MAX_LEN 64u

/* Optimal string alignment distance: a swap of neighbours is one edit. */
static unsigned edit_distance(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    if (na > NAME_MAX_LEN || nb > NAME_MAX_LEN) {
        return NAME_MAX_LEN;
    }
    unsigned rows[3][NAME_MAX_LEN + 1];
    unsigned *two = rows[0], *one = rows[1], *now = rows[2];
    for (size_t j = 0; j <= nb; j++) {
        one[j] = (unsigned)j;
        two[j] = 0;
    }
    for (size_t i = 1; i <= na; i++) {
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            unsigned best = one[j - 1] + (a[i - 1] != b[j - 1]);
            if (one[j] + 1 < best) {
                best = one[j] + 1;
            }
            if (now[j - 1] + 1 < best) {
                best = now[j - 1] + 1;
            }
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                two[j - 2] + 1 < best) {
                best = two[j - 2] + 1;
            }
            now[j] = best;
        }
        unsigned *spare = two;
        two = one;
        one = now;
        now = spare;
    }
    return one[nb];
}

const char *cv_yaml_nearest(const char *name, const char *const known[])
{
    const char *best = NULL;
    unsigned least = (unsigned)(strlen(name) / 3) + 1;
    for (size_t i = 0; known[i] != NULL; i++) {
        if (strcasecmp(name, known[i]) == 0) {
            return known[i];
        }
        unsigned d = edit_distance(name, known[i]);
        if (d <= least && d < strlen(known[i]) && (best == NULL || d < least)) {
            best = known[i];
            least = d;
        }
    }
    return best;
}

bool cv_yaml_check_keys(struct cv_yaml_problems *p, const struct cv_yaml_node *node,
                        const char *const known[])
{
    if (cv_yaml_is_null(node)) {
        return true;
    }
    if (!cv_yaml_is(p, node, CV_YAML_MAPPING)) {
        return false;
    }
    bool good = true;
    for (const struct cv_yaml_node *c = node->first; c != NULL; c = c->next) {
        /* A place of the author's own, for anchors. */
        bool found = node->parent == NULL && strncmp(c->key->text, "x-", 2) == 0;
        for (size_t i = 0; known[i] != NULL && !found; i++) {
            found = strcmp(c->key->text, known[i]) == 0;
        }
        if (found) {
            continue;
        }
        good = false;
        char name[80];
        cv_error_quote(name, sizeof name, c->key->text, c->key->len);
        const char *near = cv_yaml_nearest(c->key->text, known);
        if (near != NULL) {
            cv_yaml_problem(p, c->key, "unknown key \"%s\"; did you mean \"%s\"?", name, near);
        } else {
            cv_yaml_problem(p, c->key, "unknown key \"%s\"", name);
        }
    }
    return good;
}

/* ---- values ---- */

static void expected(struct cv_yaml_problems *p, const struct cv_yaml_node *node, const char *what)
{
    char path[128];
    cv_yaml_path(path, sizeof path, node);
    cv_yaml_problem(p, node, "%s%sexpected %s", path, path[0] != 0 ? ": " : "", what);
}

bool cv_yaml_is(struct cv_yaml_problems *p, const struct cv_yaml_node *node, enum cv_yaml_kind kind)
{
    static const char *const names[] = {"a single value", "a list", "a mapping of keys to values"};
    if (node->kind == kind) {
        return true;
    }
    expected(p, node, names[kind]);
    return false;
}

bool cv_yaml_text(struct cv_yaml_problems *p, const struct cv_yaml_node *node, const char **out)
{
    if (!cv_yaml_is(p, node, CV_YAML_SCALAR)) {
        return false;
    }
    if (cv_yaml_is_null(node)) {
        expected(p, node, "a text, not null");
        return false;
    }
    *out = node->text;
    return true;
}

static bool parse_uint(const char *s, uint64_t *out)
{
    unsigned base = 10;
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        base = 16;
        s += 2;
    }
    uint64_t v = 0;
    if (*s == 0) {
        return false;
    }
    for (; *s != 0; s++) {
        unsigned digit = *s >= '0' && *s <= '9'   ? (unsigned)(*s - '0')
                         : *s >= 'a' && *s <= 'f' ? (unsigned)(*s - 'a') + 10
                         : *s >= 'A' && *s <= 'F' ? (unsigned)(*s - 'A') + 10
                                                  : 99;
        if (digit >= base || __builtin_mul_overflow(v, base, &v) ||
            __builtin_add_overflow(v, digit, &v)) {
            return false;
        }
    }
    *out = v;
    return true;
}

bool cv_yaml_uint(struct cv_yaml_problems *p, const struct cv_yaml_node *node, uint64_t *out,
                  uint64_t min, uint64_t max)
{
    uint64_t v;
    if (node->kind == CV_YAML_SCALAR && node->plain && parse_uint(node->text, &v) && v >= min &&
        v <= max) {
        *out = v;
        return true;
    }
    char what[80];
    snprintf(what, sizeof what, "a whole number from %llu to %llu", (unsigned long long)min,
             (unsigned long long)max);
    expected(p, node, what);
    return false;
}

bool cv_yaml_bool(struct cv_yaml_problems *p, const struct cv_yaml_node *node, bool *out)
{
    static const char *const words[2][9] = {
        {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"},
        {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"},
    };
    for (int v = 0; node->kind == CV_YAML_SCALAR && node->plain && v < 2; v++) {
        for (size_t i = 0; i < 9; i++) {
            if (strcmp(node->text, words[v][i]) == 0) {
                *out = v == 1;
                return true;
            }
        }
    }
    expected(p, node, "true or false");
    return false;
}

/* One number with its unit at *S; the sum is kept in *MS. */
static bool duration_part(const char **s, int64_t *ms)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    int64_t v = 0;
    const char *at = *s;
    while (*at >= '0' && *at <= '9') {
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *at - '0', &v)) {
            return false;
        }
        at++;
    }
    if (at == *s) {
        return false;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t n = strlen(units[i].name);
        if (strncmp(at, units[i].name, n) == 0) {
            *s = at + n;
            return !__builtin_mul_overflow(v, units[i].ms, &v) &&
                   !__builtin_add_overflow(*ms, v, ms);
        }
    }
    return false;
}

bool cv_yaml_duration(struct cv_yaml_problems *p, const struct cv_yaml_node *node, int64_t *out)
{
    uint64_t seconds;
    if (node->kind == CV_YAML_SCALAR && node->len != 0) {
        if (parse_uint(node->text, &seconds) && seconds <= INT64_MAX / 1000) {
            *out = (int64_t)seconds * 1000;
            return true;
        }
        const char *s = node->text;
        int64_t ms = 0;
        while (*s != 0 && duration_part(&s, &ms)) {
        }
        if (*s == 0) {
            *out = ms;
            return true;
        }
    }
    expected(p, node, "a duration such as 30s, 1m30s or 250ms");
    return false;
}

bool cv_yaml_enum(struct cv_yaml_problems *p, const struct cv_yaml_node *node,
                  const char *const names[], int *out)
{
    char what[160] = "one of";
    size_t used = strlen(what);
    for (int i = 0; names[i] != NULL; i++) {
        if (node->kind == CV_YAML_SCALAR && strcmp(node->text, names[i]) == 0) {
            *out = i;
            return true;
        }
        int n = snprintf(what + used, sizeof what - used, "%s %s", i != 0 ? "," : "", names[i]);
        if (n > 0 && used + (size_t)n < sizeof what) {
            used += (size_t)n;
        }
    }
    expected(p, node, what);
    return false;
}
