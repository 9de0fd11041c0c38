/* SPDX-License-Identifier: Apache-2.0 */
/* Extended headers: "LENGTH KEY=VALUE\n" records. */
#include <stdlib.h>
#include <string.h>

#include "eif/tar.h"

void cv_tar_pax_init(struct cv_tar_pax *p)
{
    memset(p, 0, sizeof *p);
    cv_buf_init(&p->path, CV_TAR_MAX_PAX);
    cv_buf_init(&p->linkpath, CV_TAR_MAX_PAX);
}

void cv_tar_pax_reset(struct cv_tar_pax *p)
{
    cv_tar_pax_free(p);
    cv_tar_pax_init(p);
}

void cv_tar_pax_free(struct cv_tar_pax *p)
{
    cv_buf_free(&p->path);
    cv_buf_free(&p->linkpath);
    free(p->extents);
    p->extents = NULL;
}

static int bad(struct cv_error *err, const char *what)
{
    return cv_error_set(err, CV_ERR_INVALID, "damaged extended header (pax): %s", what);
}

static bool decimal(uint64_t *out, const char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9' || __builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(p[i] - '0'), &v)) {
            return false;
        }
    }
    *out = v;
    return n != 0;
}

static int set_text(struct cv_buf *out, bool *has, const char *value, size_t n,
                    struct cv_error *err)
{
    if (memchr(value, 0, n) != NULL) {
        return bad(err, "a NUL in a name");
    }
    cv_buf_reset(out);
    *has = n != 0; /* an empty value takes the record back */
    return cv_buf_append(out, value, n) == 0 ? 0 : bad(err, "a name is too long");
}

/* "offset,length,offset,length…" of sparse format 0.1. */
static int sparse_map(struct cv_tar_pax *p, const char *value, size_t n, struct cv_error *err)
{
    const char *at = value, *end = value + n;
    while (at < end) {
        uint64_t pair[2];
        for (int i = 0; i < 2; i++) {
            const char *comma = memchr(at, ',', (size_t)(end - at));
            const char *stop = comma != NULL ? comma : end;
            if (at >= end || !decimal(&pair[i], at, (size_t)(stop - at))) {
                return bad(err, "the map of a sparse file");
            }
            at = comma != NULL ? comma + 1 : end;
        }
        int rc = cv_tar_add_extent(p, pair[0], pair[1], err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

struct record {
    const char *key, *value;
    size_t key_len, value_len;
};

static bool is(const struct record *r, const char *key)
{
    return r->key_len == strlen(key) && memcmp(r->key, key, r->key_len) == 0;
}

static int sparse_record(struct cv_tar_pax *p, const struct record *r, uint64_t *offset,
                         struct cv_error *err)
{
    uint64_t v = 0;
    p->sparse = true;
    if (is(r, "GNU.sparse.map")) {
        return sparse_map(p, r->value, r->value_len, err);
    }
    if (is(r, "GNU.sparse.name")) {
        return set_text(&p->path, &p->has_path, r->value, r->value_len, err);
    }
    if (!decimal(&v, r->value, r->value_len)) {
        return bad(err, "a number of a sparse file");
    }
    if (is(r, "GNU.sparse.major")) {
        p->map_in_data = v == 1;
        return v <= 1 ? 0 : cv_error_set(err, CV_ERR_UNSUPPORTED, "an unknown sparse format");
    }
    if (is(r, "GNU.sparse.realsize") || is(r, "GNU.sparse.size")) {
        p->has_real = true;
        p->real_size = v;
    } else if (is(r, "GNU.sparse.offset")) {
        *offset = v;
    } else if (is(r, "GNU.sparse.numbytes")) {
        return cv_tar_add_extent(p, *offset, v, err);
    }
    return 0;
}

static int number(uint64_t *out, bool *has, const struct record *r, struct cv_error *err)
{
    *has = r->value_len != 0;
    return r->value_len == 0 || decimal(out, r->value, r->value_len) ? 0 : bad(err, "a number");
}

static int take(struct cv_tar_pax *p, const struct record *r, uint64_t *offset,
                struct cv_error *err)
{
    if (is(r, "path")) {
        /* GNU.sparse.name is the true one, whichever comes first. */
        return p->sparse && p->has_path
                   ? 0
                   : set_text(&p->path, &p->has_path, r->value, r->value_len, err);
    }
    if (is(r, "linkpath")) {
        return set_text(&p->linkpath, &p->has_link, r->value, r->value_len, err);
    }
    if (is(r, "size")) {
        return number(&p->size, &p->has_size, r, err);
    }
    if (is(r, "uid")) {
        return number(&p->uid, &p->has_uid, r, err);
    }
    if (is(r, "gid")) {
        return number(&p->gid, &p->has_gid, r, err);
    }
    if (r->key_len > 11 && memcmp(r->key, "GNU.sparse.", 11) == 0) {
        return sparse_record(p, r, offset, err);
    }
    if (r->key_len > 13 && memcmp(r->key, "SCHILY.xattr.", 13) == 0) {
        p->xattr = true;
    }
    return 0;
}

int cv_tar_pax_parse(struct cv_tar_pax *p, struct cv_bytes text, struct cv_error *err)
{
    const char *at = (const char *)text.p;
    size_t left = text.n;
    uint64_t offset = 0;
    while (left != 0 && *at != 0) {
        const char *space = memchr(at, ' ', left);
        uint64_t len = 0;
        if (space == NULL || !decimal(&len, at, (size_t)(space - at)) || len > left ||
            len < (uint64_t)(space - at) + 3 || at[len - 1] != '\n') {
            return bad(err, "the length of a record");
        }
        const char *key = space + 1, *end = at + len - 1;
        const char *equals = memchr(key, '=', (size_t)(end - key));
        if (equals == NULL || equals == key) {
            return bad(err, "a record without a key");
        }
        struct record r = {key, equals + 1, (size_t)(equals - key), (size_t)(end - equals) - 1};
        int rc = take(p, &r, &offset, err);
        if (rc != 0) {
            return rc;
        }
        at += len;
        left -= (size_t)len;
    }
    return 0;
}
