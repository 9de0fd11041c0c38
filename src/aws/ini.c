/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/ini.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct entry {
    struct entry *next;
    enum cv_aws_ini_file file;
    enum cv_aws_ini_kind kind;
    char *section;
    bool weak;   /* of [default] in the config file: [profile default] beats all of it */
    char *key;   /* NULL: the section's heading alone */
    char *value; /* wiped when freed */
};

struct cv_aws_ini {
    struct entry *first;
    size_t count;
    bool strong_default; /* there is a [profile default] */
};

int cv_aws_ini_new(struct cv_aws_ini **out)
{
    *out = calloc(1, sizeof **out);
    return *out != NULL ? 0 : CV_ERR_NOMEM;
}

static void wipe_free(char *s)
{
    if (s != NULL)
        cv_wipe(s, strlen(s));
    free(s);
}

static void entry_free(struct entry *e)
{
    if (e == NULL)
        return;
    free(e->section);
    free(e->key);
    wipe_free(e->value);
    free(e);
}

void cv_aws_ini_free(struct cv_aws_ini **ini)
{
    if (ini == NULL || *ini == NULL)
        return;
    while ((*ini)->first != NULL) {
        struct entry *e = (*ini)->first;
        (*ini)->first = e->next;
        entry_free(e);
    }
    free(*ini);
    *ini = NULL;
}

/* ---- looking up: the newest entry of the credentials file, then of config ---- */

static const struct entry *find(const struct cv_aws_ini *ini, enum cv_aws_ini_kind kind,
                                const char *name, const char *key, enum cv_aws_ini_file file)
{
    for (const struct entry *e = ini->first; e != NULL; e = e->next)
        if (e->file == file && e->kind == kind && strcmp(e->section, name) == 0 && e->key != NULL &&
            strcmp(e->key, key) == 0 && !(e->weak && ini->strong_default))
            return e;
    return NULL;
}

const char *cv_aws_ini_get(const struct cv_aws_ini *ini, enum cv_aws_ini_kind kind,
                           const char *name, const char *key)
{
    const struct entry *e = find(ini, kind, name, key, CV_AWS_INI_CREDENTIALS);
    if (e == NULL)
        e = find(ini, kind, name, key, CV_AWS_INI_CONFIG);
    return e != NULL && e->value[0] != '\0' ? e->value : NULL;
}

bool cv_aws_ini_has(const struct cv_aws_ini *ini, enum cv_aws_ini_kind kind, const char *name)
{
    for (const struct entry *e = ini->first; e != NULL; e = e->next)
        if (e->kind == kind && strcmp(e->section, name) == 0)
            return true;
    return false;
}

/* ---- parsing ---- */

struct parser {
    struct cv_aws_ini *ini;
    enum cv_aws_ini_file file;
    const char *name;
    unsigned line;
    struct cv_error *err;
    bool in_section; /* a heading was seen */
    bool skip;       /* of a section that is none of ours */
    bool weak;       /* entry.weak of this section's */
    enum cv_aws_ini_kind kind;
    char *section;
    struct entry *last; /* the property that an indented line belongs to */
    char *parent;       /* its key, when its value was empty; else NULL */
};

static int bad(const struct parser *p, int code, const char *what)
{
    return cv_error_set(p->err, code, "%s, line %u: %s", p->name, p->line, what);
}

static int add(struct parser *p, const char *key, size_t key_n, const char *value, size_t value_n)
{
    struct entry *e = calloc(1, sizeof *e);
    if (p->ini->count >= CV_AWS_INI_ENTRIES) {
        free(e);
        return bad(p, CV_ERR_LIMIT, "too many properties");
    }
    if (e != NULL) {
        e->file = p->file;
        e->weak = p->weak;
        e->kind = p->kind;
        e->section = strdup(p->section);
        e->key = key != NULL ? strndup(key, key_n) : NULL;
        e->value = strndup(value, value_n);
    }
    if (e == NULL || e->section == NULL || e->value == NULL || (key != NULL && e->key == NULL)) {
        entry_free(e);
        return bad(p, CV_ERR_NOMEM, "no memory");
    }
    for (char *c = e->key; c != NULL && *c != '\0'; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c | 0x20 : *c);
    e->next = p->ini->first;
    p->ini->first = e;
    p->ini->count++;
    p->last = key != NULL ? e : NULL;
    return 0;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void trim(const char **s, size_t *n)
{
    while (*n > 0 && blank(**s))
        (*s)++, (*n)--;
    while (*n > 0 && blank((*s)[*n - 1]))
        (*n)--;
}

/* Cuts a comment that begins after white space. */
static size_t without_comment(const char *s, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if ((s[i] == '#' || s[i] == ';') && (s[i - 1] == ' ' || s[i - 1] == '\t'))
            return i;
    return n;
}

/* The rest of S after the word WORD and white space; NULL when it begins otherwise. */
static const char *after_word(const char *s, size_t *n, const char *word)
{
    size_t w = strlen(word);
    if (*n <= w || memcmp(s, word, w) != 0 || !blank(s[w]))
        return NULL;
    *n -= w;
    s += w;
    trim(&s, n);
    return *n > 0 ? s : NULL;
}

/* "[…]" without the brackets, trimmed. */
static int heading(struct parser *p, const char *s, size_t n)
{
    const char *rest = NULL;
    size_t left = n;
    p->in_section = true;
    p->skip = p->weak = false;
    p->kind = CV_AWS_INI_PROFILE;
    if (p->file == CV_AWS_INI_CREDENTIALS) {
        rest = s;
        p->skip = after_word(s, &left, "profile") != NULL;
        left = n;
    } else if (n == 7 && memcmp(s, "default", 7) == 0) {
        rest = s;
        p->weak = true;
    } else if ((rest = after_word(s, &left, "profile")) != NULL) {
        p->kind = CV_AWS_INI_PROFILE;
    } else if ((left = n, rest = after_word(s, &left, "services")) != NULL) {
        p->kind = CV_AWS_INI_SERVICES;
    } else if ((left = n, rest = after_word(s, &left, "sso-session")) != NULL) {
        p->kind = CV_AWS_INI_SSO;
    } else {
        p->skip = true; /* of another tool, or a profile without "profile" */
        rest = s;
        left = n;
    }
    if (left >= 2 && (rest[0] == '"' || rest[0] == '\'') && rest[left - 1] == rest[0]) {
        rest++;
        left -= 2;
    }
    if (left == 0)
        return bad(p, CV_ERR_CONFIG, "a section without a name");
    free(p->section);
    p->section = strndup(rest, left);
    if (p->section == NULL)
        return bad(p, CV_ERR_NOMEM, "no memory");
    p->last = NULL;
    p->ini->strong_default |= p->file == CV_AWS_INI_CONFIG && p->kind == CV_AWS_INI_PROFILE &&
                              !p->weak && !p->skip && strcmp(p->section, "default") == 0;
    return p->skip ? 0 : add(p, NULL, 0, "", 0);
}

static int property(struct parser *p, const char *s, size_t n)
{
    const char *eq = memchr(s, '=', n);
    if (eq == NULL)
        return bad(p, CV_ERR_CONFIG, "expected key = value");
    const char *value = eq + 1;
    size_t key_n = (size_t)(eq - s), value_n = n - key_n - 1;
    trim(&s, &key_n);
    if (key_n == 0)
        return bad(p, CV_ERR_CONFIG, "a property without a name");
    /* " # …" right after the sign is a comment too. */
    value_n = without_comment(value - 1, value_n + 1) - 1;
    trim(&value, &value_n);
    int rc = add(p, s, key_n, value, value_n);
    wipe_free(p->parent);
    p->parent = NULL;
    if (rc == 0 && value_n == 0) {
        p->parent = strdup(p->last->key);
        rc = p->parent != NULL ? 0 : bad(p, CV_ERR_NOMEM, "no memory");
    }
    return rc;
}

/* A line that is indented: "sub = value" of a property without a value of its
 * own, or more of a value. */
static int indented(struct parser *p, const char *s, size_t n)
{
    if (p->last == NULL)
        return bad(p, CV_ERR_CONFIG, "an indented line belongs to no property");
    if (p->parent != NULL) {
        const char *eq = memchr(s, '=', n);
        if (eq == NULL)
            return bad(p, CV_ERR_CONFIG, "expected an indented key = value");
        const char *value = eq + 1;
        size_t key_n = (size_t)(eq - s), value_n = without_comment(eq, n - key_n) - 1;
        char name[200];
        trim(&s, &key_n);
        trim(&value, &value_n);
        size_t parent_n = strlen(p->parent);
        if (key_n == 0 || parent_n + 1 + key_n >= sizeof name)
            return bad(p, CV_ERR_CONFIG, "a property without a lawful name");
        memcpy(name, p->parent, parent_n);
        name[parent_n] = '.';
        memcpy(name + parent_n + 1, s, key_n);
        return add(p, name, parent_n + 1 + key_n, value, value_n);
    }
    size_t old = strlen(p->last->value);
    char *joined = malloc(old + n + 2);
    if (joined == NULL)
        return bad(p, CV_ERR_NOMEM, "no memory");
    memcpy(joined, p->last->value, old);
    joined[old] = '\n';
    memcpy(joined + old + 1, s, n);
    joined[old + 1 + n] = '\0';
    wipe_free(p->last->value);
    p->last->value = joined;
    return 0;
}

static int one_line(struct parser *p, const char *s, size_t n)
{
    bool lead = n > 0 && blank(*s);
    if (memchr(s, '\0', n) != NULL)
        return bad(p, CV_ERR_CONFIG, "a NUL character");
    trim(&s, &n);
    if (n == 0 || *s == '#' || *s == ';')
        return 0;
    if (*s == '[' && !lead) {
        const char *end = memchr(s, ']', n);
        if (end == NULL)
            return bad(p, CV_ERR_CONFIG, "a section's bracket is not closed");
        size_t after = n - (size_t)(end + 1 - s), inner = (size_t)(end - s - 1);
        const char *tail = end + 1, *name = s + 1;
        trim(&tail, &after);
        if (after > 0 && *tail != '#' && *tail != ';')
            return bad(p, CV_ERR_CONFIG, "text after a section's bracket");
        trim(&name, &inner);
        wipe_free(p->parent);
        p->parent = NULL;
        return heading(p, name, inner);
    }
    if (!p->in_section)
        return bad(p, CV_ERR_CONFIG, "a property before the first section");
    if (p->skip)
        return 0;
    return lead ? indented(p, s, n) : property(p, s, n);
}

int cv_aws_ini_add(struct cv_aws_ini *ini, enum cv_aws_ini_file file, struct cv_bytes text,
                   const char *name, struct cv_error *err)
{
    struct parser p = {.ini = ini, .file = file, .name = name, .err = err};
    int rc = 0;
    size_t at = 0;
    if (text.n > CV_AWS_INI_MAX)
        return cv_error_set(err, CV_ERR_LIMIT, "%s: larger than %d bytes", name, CV_AWS_INI_MAX);
    /* A byte order mark, as Windows' editors write it. */
    if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0)
        at = 3;
    while (at < text.n && rc == 0) {
        const char *s = (const char *)text.p + at;
        const char *eol = memchr(s, '\n', text.n - at);
        size_t n = eol != NULL ? (size_t)(eol - s) : text.n - at;
        p.line++;
        rc = one_line(&p, s, n);
        at += n + 1;
    }
    free(p.section);
    wipe_free(p.parent);
    return rc;
}
