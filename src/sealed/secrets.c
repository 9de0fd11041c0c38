/* SPDX-License-Identifier: Apache-2.0 */
#include "sealed/secrets.h"

#include <stdlib.h>
#include <string.h>

#include "cbor/cbor.h"
#include "settings/boot.h"

static int bad(struct cv_error *err, const char *what)
{
    return cv_error_set(err, CV_ERR_INVALID, "the decrypted configuration is malformed: %s", what);
}

void cv_secrets_free(struct cv_secrets *s)
{
    for (size_t i = 0; i < s->env_count; i++) {
        free(s->env[i].name);
    }
    for (size_t i = 0; i < s->file_count; i++) {
        free(s->file[i].path);
        free(s->file[i].owner);
    }
    free(s->env);
    free(s->file);
    memset(s, 0, sizeof *s);
}

/* Room for one more of COUNT items of SIZE bytes. */
static void *grow(void *list, size_t count, size_t size)
{
    if (count >= CV_SECRETS_MAX_ITEMS || (count & (count - 1)) != 0) {
        return count >= CV_SECRETS_MAX_ITEMS ? NULL : list;
    }
    return reallocarray(list, count != 0 ? 2 * count : 1, size);
}

int cv_secrets_add_env(struct cv_secrets *s, const char *name, struct cv_bytes value)
{
    struct cv_secret_env *list = grow(s->env, s->env_count, sizeof *list);
    if (list == NULL) {
        return s->env_count >= CV_SECRETS_MAX_ITEMS ? CV_ERR_LIMIT : CV_ERR_NOMEM;
    }
    s->env = list;
    char *copy = strdup(name);
    if (copy == NULL) {
        return CV_ERR_NOMEM;
    }
    s->env[s->env_count++] = (struct cv_secret_env){copy, value};
    return 0;
}

int cv_secrets_add_file(struct cv_secrets *s, const char *path, uint32_t mode, const char *owner,
                        struct cv_bytes content)
{
    struct cv_secret_file *list = grow(s->file, s->file_count, sizeof *list);
    if (list == NULL) {
        return s->file_count >= CV_SECRETS_MAX_ITEMS ? CV_ERR_LIMIT : CV_ERR_NOMEM;
    }
    s->file = list;
    struct cv_secret_file f = {strdup(path), strdup(owner), mode, content};
    if (f.path == NULL || f.owner == NULL) {
        free(f.path);
        free(f.owner);
        return CV_ERR_NOMEM;
    }
    s->file[s->file_count++] = f;
    return 0;
}

/* ---- rules ---- */

static bool owner_plain(const char *owner)
{
    return strlen(owner) <= 128 && strpbrk(owner, "/\n \t") == NULL;
}

static int check_env(const struct cv_secret_env *e, struct cv_error *err)
{
    if (!cv_boot_env_name(e->name, strlen(e->name))) {
        return bad(err, "the name of a variable");
    }
    return e->value.n == 0 || memchr(e->value.p, 0, e->value.n) == NULL
               ? 0
               : bad(err, "a NUL in the value of a variable");
}

static int check_file(const struct cv_secret_file *f, struct cv_error *err)
{
    if (!cv_boot_path_plain(f->path)) {
        return bad(err, "the path of a file");
    }
    return f->mode <= 07777 && owner_plain(f->owner) ? 0 : bad(err, "mode or owner of a file");
}

/* ---- reading ---- */

/* A text without NUL, copied. */
static char *text(struct cv_reader *r)
{
    struct cv_bytes v;
    if (cv_cbor_read_tstr(r, &v) != 0 || memchr(v.p != NULL ? v.p : (const uint8_t *)"", 0, v.n)) {
        cv_reader_fail(r, CV_ERR_INVALID);
        return NULL;
    }
    return strndup(v.p != NULL ? (const char *)v.p : "", v.n);
}

static bool list_of(struct cv_reader *r, struct cv_cbor_iter *it, uint64_t count)
{
    return cv_cbor_enter_array(r, it) == 0 && !it->indefinite && it->left == count;
}

static int read_env(struct cv_secrets *s, struct cv_reader *r, struct cv_error *err)
{
    struct cv_cbor_iter it;
    struct cv_bytes value = {NULL, 0};
    if (!list_of(r, &it, 2)) {
        return bad(err, "a variable");
    }
    char *name = text(r);
    int rc = name != NULL && cv_cbor_read_bstr(r, &value) == 0 ? cv_secrets_add_env(s, name, value)
                                                               : CV_ERR_INVALID;
    free(name);
    if (rc != 0) {
        return bad(err, "a variable");
    }
    rc = check_env(&s->env[s->env_count - 1], err);
    if (rc == 0 && s->env_count > 1 &&
        strcmp(s->env[s->env_count - 2].name, s->env[s->env_count - 1].name) >= 0) {
        rc = bad(err, "variables twice or not in order");
    }
    return rc;
}

static int read_file(struct cv_secrets *s, struct cv_reader *r, struct cv_error *err)
{
    struct cv_cbor_iter it;
    struct cv_bytes content = {NULL, 0};
    uint64_t mode = 0;
    if (!list_of(r, &it, 4)) {
        return bad(err, "a file");
    }
    char *path = text(r);
    (void)cv_cbor_read_uint(r, &mode);
    char *owner = path != NULL ? text(r) : NULL;
    int rc = CV_ERR_INVALID;
    if (owner != NULL && mode <= 07777 && cv_cbor_read_bstr(r, &content) == 0) {
        rc = cv_secrets_add_file(s, path, (uint32_t)mode, owner, content);
    }
    free(path);
    free(owner);
    if (rc != 0) {
        return bad(err, "a file");
    }
    rc = check_file(&s->file[s->file_count - 1], err);
    if (rc == 0 && s->file_count > 1 &&
        strcmp(s->file[s->file_count - 2].path, s->file[s->file_count - 1].path) >= 0) {
        rc = bad(err, "files twice or not in order");
    }
    return rc;
}

int cv_secrets_decode(struct cv_secrets *s, struct cv_bytes in, struct cv_error *err)
{
    memset(s, 0, sizeof *s);
    struct cv_reader r;
    cv_reader_init(&r, in);
    struct cv_cbor_iter it, list;
    struct cv_bytes tag = {NULL, 0};
    if (!list_of(&r, &it, 3) || cv_cbor_read_tstr(&r, &tag) != 0 ||
        !cv_bytes_equal_str(tag, CV_SECRETS_TAG)) {
        return cv_error_set(err, CV_ERR_UNSUPPORTED,
                            "the decrypted object is no configuration of "
                            "a known format (" CV_SECRETS_TAG ")");
    }
    for (int part = 0; part < 2; part++) {
        if (cv_cbor_enter_array(&r, &list) != 0 || list.indefinite ||
            list.left > CV_SECRETS_MAX_ITEMS) {
            return bad(err, "its lists");
        }
        while (cv_cbor_next(&r, &list)) {
            int rc = part == 0 ? read_env(s, &r, err) : read_file(s, &r, err);
            if (rc != 0) {
                return rc;
            }
        }
    }
    return cv_reader_end(&r) == 0 ? 0 : bad(err, "its end");
}

/* ---- writing ---- */

static int by_env(const void *a, const void *b)
{
    return strcmp(((const struct cv_secret_env *)a)->name, ((const struct cv_secret_env *)b)->name);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct cv_secret_file *)a)->path,
                  ((const struct cv_secret_file *)b)->path);
}

static int sort_and_check(struct cv_secrets *s, struct cv_error *err)
{
    int rc = 0;
    if (s->env_count != 0) {
        qsort(s->env, s->env_count, sizeof s->env[0], by_env);
    }
    if (s->file_count != 0) {
        qsort(s->file, s->file_count, sizeof s->file[0], by_path);
    }
    for (size_t i = 0; rc == 0 && i < s->env_count; i++) {
        rc = check_env(&s->env[i], err);
        if (rc == 0 && i != 0 && by_env(&s->env[i - 1], &s->env[i]) == 0) {
            rc = cv_error_set(err, CV_ERR_EXISTS, "the variable %s is given twice", s->env[i].name);
        }
    }
    for (size_t i = 0; rc == 0 && i < s->file_count; i++) {
        rc = check_file(&s->file[i], err);
        if (rc == 0 && i != 0 && by_path(&s->file[i - 1], &s->file[i]) == 0) {
            rc = cv_error_set(err, CV_ERR_EXISTS, "a file is given twice");
        }
    }
    return rc;
}

static size_t upper_bound(const struct cv_secrets *s)
{
    size_t n = 64;
    for (size_t i = 0; i < s->env_count; i++) {
        n += 32 + strlen(s->env[i].name) + s->env[i].value.n;
    }
    for (size_t i = 0; i < s->file_count; i++) {
        n += 48 + strlen(s->file[i].path) + strlen(s->file[i].owner) + s->file[i].content.n;
    }
    return n;
}

int cv_secrets_encode(struct cv_secret *out, struct cv_secrets *s, struct cv_error *err)
{
    int rc = sort_and_check(s, err);
    if (rc != 0) {
        return rc;
    }
    size_t bound = upper_bound(s);
    if (bound > CV_SECRETS_MAX_BYTES) {
        return cv_error_set(err, CV_ERR_LIMIT, "the secrets take more than %u MiB",
                            CV_SECRETS_MAX_BYTES >> 20);
    }
    if (cv_secret_alloc(out, bound) != 0) {
        return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
    }
    struct cv_writer w;
    cv_writer_init(&w, out->p, out->n);
    cv_cbor_write_array(&w, 3);
    cv_cbor_write_tstr(&w, CV_SECRETS_TAG);
    cv_cbor_write_array(&w, s->env_count);
    for (size_t i = 0; i < s->env_count; i++) {
        cv_cbor_write_array(&w, 2);
        cv_cbor_write_tstr(&w, s->env[i].name);
        cv_cbor_write_bstr(&w, s->env[i].value);
    }
    cv_cbor_write_array(&w, s->file_count);
    for (size_t i = 0; i < s->file_count; i++) {
        cv_cbor_write_array(&w, 4);
        cv_cbor_write_tstr(&w, s->file[i].path);
        cv_cbor_write_uint(&w, s->file[i].mode);
        cv_cbor_write_tstr(&w, s->file[i].owner);
        cv_cbor_write_bstr(&w, s->file[i].content);
    }
    size_t n;
    if (cv_writer_end(&w, &n) != 0) {
        cv_secret_free(out);
        return cv_error_set(err, CV_ERR_INTERNAL, "the secrets do not fit");
    }
    cv_secret_shrink(out, n);
    return 0;
}
