/* SPDX-License-Identifier: Apache-2.0 */
#include "eif/cpio.h"

#include <string.h>

#define HEADER 110u
#define BLOCK 512u
#define TRAILER "TRAILER!!!"

void cv_cpio_init(struct cv_cpio *c, struct cv_sink sink)
{
    *c = (struct cv_cpio){.sink = sink, .next_ino = 1};
}

static int put(struct cv_cpio *c, const void *p, size_t n, struct cv_error *err)
{
    c->total += n;
    return n != 0 ? c->sink.write(c->sink.ctx, p, n, err) : 0;
}

static int pad(struct cv_cpio *c, size_t to, struct cv_error *err)
{
    static const uint8_t zeros[BLOCK];
    return put(c, zeros, (size_t)((to - c->total % to) % to), err);
}

static int put_header(struct cv_cpio *c, const struct cv_cpio_entry *e, uint32_t ino,
                      size_t name_len, struct cv_error *err)
{
    char head[HEADER + 1];
    int n =
        snprintf(head, sizeof head, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
                 ino, e->mode, e->uid, e->gid, e->nlink, e->mtime, (uint32_t)e->size, 0u, 0u,
                 e->rmajor, e->rminor, (uint32_t)name_len + 1, 0u);
    if (n != (int)HEADER) {
        return cv_error_set(err, CV_ERR_INTERNAL, "a cpio header of %d bytes", n);
    }
    int rc = put(c, head, HEADER, err);
    if (rc == 0) {
        rc = put(c, e->name, name_len + 1, err);
    }
    return rc == 0 ? pad(c, 4, err) : rc;
}

int cv_cpio_entry(struct cv_cpio *c, const struct cv_cpio_entry *e, struct cv_error *err)
{
    if (c->left != 0) {
        return cv_error_set(err, CV_ERR_STATE, "the last entry's data are not complete");
    }
    size_t len = strlen(e->name);
    if (len == 0 || len >= CV_CPIO_MAX_NAME) {
        return cv_error_set(err, CV_ERR_LIMIT, "a path of %zu bytes: the kernel takes at most %u",
                            len, CV_CPIO_MAX_NAME - 1);
    }
    if (e->size > CV_CPIO_MAX_FILE) {
        return cv_error_set(err, CV_ERR_LIMIT,
                            "%s has %llu bytes: a file of an enclave image "
                            "holds at most 4 GiB",
                            e->name, (unsigned long long)e->size);
    }
    uint32_t ino = e->ino != 0 ? e->ino : c->next_ino++;
    c->left = e->size;
    return put_header(c, e, ino, len, err);
}

int cv_cpio_data(struct cv_cpio *c, const void *p, size_t n, struct cv_error *err)
{
    if (n > c->left) {
        return cv_error_set(err, CV_ERR_STATE, "more data than the entry announced");
    }
    c->left -= n;
    int rc = put(c, p, n, err);
    return rc == 0 && c->left == 0 ? pad(c, 4, err) : rc;
}

int cv_cpio_end(struct cv_cpio *c, struct cv_error *err)
{
    if (c->left != 0) {
        return cv_error_set(err, CV_ERR_STATE, "the last entry's data are not complete");
    }
    static const struct cv_cpio_entry trailer = {.name = TRAILER, .nlink = 1};
    int rc = put_header(c, &trailer, 0, strlen(TRAILER), err);
    return rc == 0 ? pad(c, BLOCK, err) : rc;
}
