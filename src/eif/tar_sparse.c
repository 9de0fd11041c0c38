/* SPDX-License-Identifier: Apache-2.0 */
/* Sparse files: the maps of GNU's old format and of pax 0.0, 0.1 and 1.0. */
#include <stdlib.h>

#include "eif/tar_private.h"

int cv_tar_add_extent(struct cv_tar_pax *p, uint64_t at, uint64_t length, struct cv_error *err)
{
    uint64_t end, from = 0;
    if (p->extent_count != 0) {
        const struct cv_tree_extent *last = &p->extents[p->extent_count - 1];
        from = last->from + last->length;
        if (at < last->at + last->length) {
            return cv_error_set(err, CV_ERR_INVALID, "the map of a sparse file runs backwards");
        }
    }
    if (__builtin_add_overflow(at, length, &end) || end > INT64_MAX ||
        __builtin_add_overflow(from, length, &end)) {
        return cv_error_set(err, CV_ERR_INVALID, "the map of a sparse file goes beyond any file");
    }
    if (p->extent_count == CV_TAR_MAX_EXTENTS) {
        return cv_error_set(err, CV_ERR_LIMIT, "a sparse file of more than %u pieces",
                            CV_TAR_MAX_EXTENTS);
    }
    if (p->extent_count == p->extent_cap) {
        size_t cap = p->extent_cap != 0 ? p->extent_cap * 2 : 8;
        struct cv_tree_extent *more = reallocarray(p->extents, cap, sizeof *more);
        if (more == NULL) {
            return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
        }
        p->extents = more;
        p->extent_cap = cap;
    }
    p->extents[p->extent_count++] = (struct cv_tree_extent){at, length, from};
    return 0;
}

int cv_tar_sparse_old(struct cv_tar *t, const uint8_t *h, struct cv_error *err)
{
    struct cv_tar_pax *p = &t->local;
    uint8_t more[CV_TAR_BLOCK_SIZE];
    const uint8_t *at = h + CV_TAR_AT_SPARSE;
    unsigned slots = 4;
    bool extended = h[CV_TAR_AT_EXTENDED] != 0;
    if (!cv_tar_number(&p->real_size, h + CV_TAR_AT_REAL, 12)) {
        return cv_tar_bad(err, "the size of a sparse file");
    }
    for (;;) {
        for (unsigned i = 0; i < slots && at[24 * i + 12] != 0; i++) {
            uint64_t offset, length;
            if (!cv_tar_number(&offset, at + 24 * i, 12) ||
                !cv_tar_number(&length, at + 24 * i + 12, 12)) {
                return cv_tar_bad(err, "the map of a sparse file");
            }
            int rc = cv_tar_add_extent(p, offset, length, err);
            if (rc != 0) {
                return rc;
            }
        }
        if (!extended) {
            break;
        }
        int rc = cv_input_exact(t->in, more, CV_TAR_BLOCK_SIZE, err);
        if (rc != 0) {
            return rc;
        }
        at = more;
        slots = 21;
        extended = more[504] != 0;
    }
    p->sparse = p->has_real = true;
    return 0;
}

/* Format 1.0: the map stands before the data, decimal numbers one a line. */
static int map_number(struct cv_tar *t, uint64_t *out, uint64_t *used, struct cv_error *err)
{
    uint64_t v = 0;
    for (unsigned digits = 0;; digits++) {
        char c;
        int rc = cv_tar_read(t, &c, 1, err);
        if (rc != 0) {
            return rc;
        }
        (*used)++;
        if (c == '\n' && digits != 0) {
            *out = v;
            return 0;
        }
        if (c < '0' || c > '9' || digits > 18) {
            return cv_tar_bad(err, "the map of a sparse file");
        }
        v = v * 10 + (uint64_t)(c - '0');
    }
}

static int map_in_data(struct cv_tar *t, struct cv_error *err)
{
    uint64_t used = 0, count = 0;
    int rc = map_number(t, &count, &used, err);
    if (rc == 0 && count > CV_TAR_MAX_EXTENTS) {
        rc = cv_error_set(err, CV_ERR_LIMIT, "a sparse file of more than %u pieces",
                          CV_TAR_MAX_EXTENTS);
    }
    for (uint64_t i = 0; rc == 0 && i < count; i++) {
        uint64_t offset = 0, length = 0;
        rc = map_number(t, &offset, &used, err);
        if (rc == 0) {
            rc = map_number(t, &length, &used, err);
        }
        if (rc == 0) {
            rc = cv_tar_add_extent(&t->local, offset, length, err);
        }
    }
    uint64_t pad = (CV_TAR_BLOCK_SIZE - used % CV_TAR_BLOCK_SIZE) % CV_TAR_BLOCK_SIZE;
    return rc == 0 ? cv_tar_skip(t, pad, err) : rc;
}

int cv_tar_sparse_set(struct cv_tar *t, struct cv_error *err)
{
    struct cv_tar_pax *p = &t->local;
    if (p->map_in_data) {
        int rc = map_in_data(t, err);
        if (rc != 0) {
            return rc;
        }
    }
    uint64_t sum = 0, end = 0;
    if (p->extent_count != 0) {
        const struct cv_tree_extent *last = &p->extents[p->extent_count - 1];
        sum = last->from + last->length;
        end = last->at + last->length;
    }
    if (!p->has_real || end > p->real_size || sum != t->left || p->real_size > INT64_MAX) {
        return cv_tar_bad(err, "the map of a sparse file does not fit its data");
    }
    t->entry.size = p->real_size;
    t->entry.extents = p->extents;
    t->entry.extent_count = p->extent_count;
    p->extents = NULL;
    p->extent_count = p->extent_cap = 0;
    return 0;
}
