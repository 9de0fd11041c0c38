/* SPDX-License-Identifier: Apache-2.0 */
#include "sealed/secrets_file.h"

#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/hex.h"
#include "common/utf8.h"
#include "settings/boot.h"

/* Contents that are not in the YAML's own tree: decoded, or read from files. */
struct store {
    struct cv_secret *item;
    size_t count;
};

struct read {
    struct cv_secrets secrets;
    struct store store;
    struct cv_yaml_problems *p;
    const char *dir;
};

static void read_free(struct read *r)
{
    cv_secrets_free(&r->secrets);
    for (size_t i = 0; i < r->store.count; i++) {
        cv_secret_free(&r->store.item[i]);
    }
    free(r->store.item);
}

static struct cv_secret *keep(struct read *r)
{
    struct cv_secret *more = reallocarray(r->store.item, r->store.count + 1, sizeof *more);
    if (more == NULL) {
        return NULL;
    }
    r->store.item = more;
    more[r->store.count] = (struct cv_secret)CV_SECRET_INIT;
    return &more[r->store.count++];
}

/* NAME=value in the N bytes at TEXT. False when it is none. */
static bool add_assignment(struct read *r, const char *text, size_t n,
                           const struct cv_yaml_node *node)
{
    const char *equals = memchr(text, '=', n);
    char name[256];
    size_t len = equals != NULL ? (size_t)(equals - text) : 0;
    if (!cv_boot_env_name(text, len)) {
        return false;
    }
    memcpy(name, text, len);
    name[len] = 0;
    for (size_t i = 0; i < r->secrets.env_count; i++) {
        if (strcmp(r->secrets.env[i].name, name) == 0) {
            cv_yaml_problem(r->p, node, "the variable %s is given twice", name);
            return true;
        }
    }
    if (cv_secrets_add_env(&r->secrets, name, CV_BYTES(equals + 1, n - len - 1)) != 0) {
        cv_yaml_problem(r->p, node, "more than %u variables", CV_SECRETS_MAX_ITEMS);
    }
    return true;
}

static void read_environment(struct read *r, const struct cv_yaml_node *node)
{
    if (cv_yaml_is_null(node) || !cv_yaml_is(r->p, node, CV_YAML_SEQUENCE)) {
        return;
    }
    for (const struct cv_yaml_node *c = node->first; c != NULL; c = c->next) {
        if (c->kind != CV_YAML_SCALAR || !add_assignment(r, c->text, c->len, c)) {
            cv_yaml_problem(r->p, c, "environment: expected NAME=value");
        }
    }
}

/* ---- files ---- */

static bool content_base64(struct read *r, struct cv_bytes *out, const struct cv_yaml_node *node)
{
    struct cv_secret *s = keep(r);
    size_t n = 0;
    if (node->kind != CV_YAML_SCALAR || s == NULL ||
        cv_secret_alloc(s, CV_BASE64_MAX(node->len) + 1) != 0 ||
        cv_base64_decode(s->p, s->n, &n, CV_BYTES(node->text, node->len)) != 0) {
        cv_yaml_problem(r->p, node, "files: base64 expected, without line breaks");
        return false;
    }
    *out = CV_BYTES(s->p, n);
    return true;
}

static bool content_source(struct read *r, struct cv_bytes *out, const struct cv_yaml_node *node)
{
    const char *name;
    char *path = NULL;
    struct cv_secret *s = keep(r);
    struct cv_error err;
    cv_error_clear(&err);
    if (!cv_yaml_text(r->p, node, &name) || s == NULL ||
        (name[0] == '/' ? (path = strdup(name)) == NULL
                        : asprintf(&path, "%s/%s", r->dir, name) < 0)) {
        return false;
    }
    int rc = cv_file_read_secret(s, path, CV_SECRETS_MAX_BYTES, &err);
    free(path);
    if (rc != 0) {
        char why[200];
        cv_yaml_problem(r->p, node, "files: %s", cv_error_format(why, sizeof why, &err));
        return false;
    }
    *out = cv_secret_view(s);
    return true;
}

static bool read_content(struct read *r, struct cv_bytes *out, const struct cv_yaml_node *node)
{
    const struct cv_yaml_node *content = cv_yaml_get(node, "content");
    const struct cv_yaml_node *base64 = cv_yaml_get(node, "base64");
    const struct cv_yaml_node *source = cv_yaml_get(node, "source");
    if ((content != NULL) + (base64 != NULL) + (source != NULL) != 1) {
        cv_yaml_problem(r->p, node, "files: expected one of content, base64 and source");
        return false;
    }
    if (content != NULL) {
        *out = CV_BYTES(content->text, content->len);
        return cv_yaml_is(r->p, content, CV_YAML_SCALAR);
    }
    return base64 != NULL ? content_base64(r, out, base64) : content_source(r, out, source);
}

static bool read_mode(struct read *r, uint32_t *mode, const struct cv_yaml_node *node)
{
    if (cv_yaml_is_null(node)) {
        return true;
    }
    const char *text = node->kind == CV_YAML_SCALAR ? node->text : "";
    text += strncmp(text, "0o", 2) == 0 ? 2 : 0;
    if (text[0] == 0 || strlen(text) > 5 || strspn(text, "01234567") != strlen(text) ||
        strtoul(text, NULL, 8) > 07777) {
        cv_yaml_problem(r->p, node, "mode: expected octal digits such as 0400");
        return false;
    }
    *mode = (uint32_t)strtoul(text, NULL, 8);
    return true;
}

static void read_file(struct read *r, const struct cv_yaml_node *node)
{
    static const char *const known[] = {"path", "content", "base64", "source",
                                        "mode", "owner",   NULL};
    const char *path = NULL, *owner = "";
    uint32_t mode = CV_SECRETS_FILE_MODE;
    struct cv_bytes content = {NULL, 0};
    if (!cv_yaml_check_keys(r->p, node, known)) {
        return;
    }
    const struct cv_yaml_node *where = cv_yaml_get(node, "path");
    const struct cv_yaml_node *who = cv_yaml_get(node, "owner");
    if (where == NULL || !cv_yaml_text(r->p, where, &path) || !cv_boot_path_plain(path)) {
        cv_yaml_problem(r->p, where != NULL ? where : node,
                        "files: path expected, absolute and "
                        "plain");
        return;
    }
    bool good = read_mode(r, &mode, cv_yaml_get(node, "mode"));
    if (!cv_yaml_is_null(who)) {
        good = cv_yaml_text(r->p, who, &owner) && good;
    }
    for (size_t i = 0; i < r->secrets.file_count; i++) {
        if (strcmp(r->secrets.file[i].path, path) == 0) {
            cv_yaml_problem(r->p, where, "this file is given twice");
            good = false;
        }
    }
    if (read_content(r, &content, node) && good &&
        cv_secrets_add_file(&r->secrets, path, mode, owner, content) != 0) {
        cv_yaml_problem(r->p, node, "more than %u files", CV_SECRETS_MAX_ITEMS);
    }
}

static void read_files(struct read *r, const struct cv_yaml_node *node)
{
    if (cv_yaml_is_null(node) || !cv_yaml_is(r->p, node, CV_YAML_SEQUENCE)) {
        return;
    }
    for (const struct cv_yaml_node *c = node->first; c != NULL; c = c->next) {
        read_file(r, c);
    }
}

static int finish(struct cv_secret *out, struct read *r)
{
    struct cv_error err;
    cv_error_clear(&err);
    if (r->p->count == 0 && cv_secrets_encode(out, &r->secrets, &err) != 0) {
        cv_yaml_problem(r->p, NULL, "%.250s", cv_error_top(&err));
    }
    return r->p->count == 0 ? 0 : CV_ERR_CONFIG;
}

int cv_secrets_from_yaml(struct cv_secret *out, struct cv_bytes text, const char *dir,
                         struct cv_yaml_problems *problems)
{
    static const char *const known[] = {"version", "environment", "files", NULL};
    struct cv_yaml_doc *doc;
    int rc = cv_yaml_parse(&doc, text, problems);
    if (rc != 0) {
        return rc;
    }
    CV_CLEANUP(read_free) struct read r = {.p = problems, .dir = dir};
    const struct cv_yaml_node *root = cv_yaml_root(doc);
    (void)cv_yaml_check_keys(problems, root, known);
    read_environment(&r, cv_yaml_get(root, "environment"));
    read_files(&r, cv_yaml_get(root, "files"));
    if (problems->count == 0 && r.secrets.env_count + r.secrets.file_count == 0) {
        cv_yaml_problem(problems, NULL, "there is nothing in it: neither environment nor files");
    }
    rc = finish(out, &r);
    cv_yaml_free(doc);
    return rc;
}

int cv_secrets_from_env(struct cv_secret *out, struct cv_bytes text,
                        struct cv_yaml_problems *problems)
{
    CV_CLEANUP(read_free) struct read r = {.p = problems};
    struct cv_yaml_node at = {.line = 0, .column = 1};
    const char *p = (const char *)text.p, *end = p + text.n;
    while (p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        const char *stop = newline != NULL ? newline : end;
        size_t n = (size_t)(stop - p);
        n -= n != 0 && p[n - 1] == '\r';
        at.line++;
        if (n != 0 && p[0] != '#') {
            if (!cv_utf8_valid(CV_BYTES(p, n)) || !add_assignment(&r, p, n, &at)) {
                cv_yaml_problem(problems, &at, "expected NAME=value in UTF-8");
            }
        }
        p = stop + 1;
    }
    if (problems->count == 0 && r.secrets.env_count == 0) {
        cv_yaml_problem(problems, NULL, "there is no variable in it");
    }
    return finish(out, &r);
}

/* ---- writing ---- */

/* A double-quoted scalar; V is UTF-8. */
static int quoted(struct cv_buf *out, const char *before, struct cv_bytes v)
{
    int rc = cv_buf_append_str(out, before);
    for (size_t i = 0; rc == 0 && i < v.n; i++) {
        uint8_t c = v.p[i];
        if (c == '"' || c == '\\') {
            rc = cv_buf_printf(out, "\\%c", c);
        } else if (c == '\n') {
            rc = cv_buf_append_str(out, "\\n");
        } else if (c < 0x20 || c == 0x7f) {
            rc = cv_buf_printf(out, "\\x%02x", c);
        } else {
            rc = cv_buf_append_u8(out, c);
        }
    }
    return rc;
}

/* Text that YAML can carry: printable, and no exotic line break inside. */
static bool carries(struct cv_bytes v)
{
    static const char *const breaks[] = {"\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9",
                                         "\xef\xbb\xbf"};
    for (size_t i = 0; v.n != 0 && i < 4; i++) {
        if (memmem(v.p, v.n, breaks[i], strlen(breaks[i])) != NULL) {
            return false;
        }
    }
    for (size_t i = 0; i + 1 < v.n; i++) { /* C1 controls, U+FFFE and U+FFFF */
        if ((v.p[i] == 0xc2 && v.p[i + 1] < 0xa0) ||
            (v.p[i] == 0xef && v.p[i + 1] == 0xbf && i + 2 < v.n && v.p[i + 2] >= 0xbe)) {
            return false;
        }
    }
    return cv_utf8_valid(v) && (v.n == 0 || memchr(v.p, 0, v.n) == NULL);
}

static int put_file(struct cv_buf *out, const struct cv_secret_file *f)
{
    int rc = quoted(out, "  - path: \"", cv_bytes_str(f->path));
    rc = rc == 0 ? cv_buf_printf(out, "\"\n    mode: 0%o\n", f->mode) : rc;
    if (rc == 0 && f->owner[0] != 0) {
        rc = quoted(out, "    owner: \"", cv_bytes_str(f->owner));
        rc = rc == 0 ? cv_buf_append_str(out, "\"\n") : rc;
    }
    if (rc == 0 && carries(f->content)) {
        rc = quoted(out, "    content: \"", f->content);
    } else if (rc == 0) {
        rc = cv_buf_append_str(out, "    base64: \"");
        rc = rc == 0 ? cv_base64_append(out, f->content.p, f->content.n) : rc;
    }
    return rc == 0 ? cv_buf_append_str(out, "\"\n") : rc;
}

int cv_secrets_to_yaml(struct cv_buf *out, const struct cv_secrets *s, struct cv_error *err)
{
    int rc = s->env_count != 0 ? cv_buf_append_str(out, "environment:\n") : 0;
    for (size_t i = 0; rc == 0 && i < s->env_count; i++) {
        if (!carries(s->env[i].value)) {
            return cv_error_set(err, CV_ERR_UNSUPPORTED,
                                "the value of %s is no text that YAML "
                                "could hold",
                                s->env[i].name);
        }
        rc = quoted(out, "  - \"", cv_bytes_str(s->env[i].name));
        rc = rc == 0 ? quoted(out, "=", s->env[i].value) : rc;
        rc = rc == 0 ? cv_buf_append_str(out, "\"\n") : rc;
    }
    if (rc == 0 && s->file_count != 0) {
        rc = cv_buf_append_str(out, "files:\n");
    }
    for (size_t i = 0; rc == 0 && i < s->file_count; i++) {
        rc = put_file(out, &s->file[i]);
    }
    return rc == 0 ? 0 : cv_error_set(err, rc, "the secrets do not fit");
}
