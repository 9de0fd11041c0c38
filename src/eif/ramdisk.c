/* SPDX-License-Identifier: Apache-2.0 */
#include "eif/ramdisk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE 65536u

struct out {
    struct cv_cpio *c;
    struct cv_tree *t;
    const struct cv_ramdisk_progress *progress;
    uint64_t done;
    char path[CV_CPIO_MAX_NAME];
};

int cv_ramdisk_folder(struct cv_cpio *c, const char *name, uint32_t mode, struct cv_error *err)
{
    struct cv_cpio_entry e = {.name = name, .mode = S_IFDIR | mode, .nlink = 2};
    return cv_cpio_entry(c, &e, err);
}

int cv_ramdisk_file(struct cv_cpio *c, const char *name, uint32_t mode, struct cv_bytes content,
                    struct cv_error *err)
{
    struct cv_cpio_entry e = {.name = name, .mode = S_IFREG | mode, .nlink = 1, .size = content.n};
    int rc = cv_cpio_entry(c, &e, err);
    return rc == 0 ? cv_cpio_data(c, content.p, content.n, err) : rc;
}

static int copy(struct cv_cpio *c, int fd, uint64_t offset, uint64_t n, struct cv_error *err)
{
    uint8_t piece[PIECE];
    while (n != 0) {
        ssize_t got = pread(fd, piece, n < PIECE ? (size_t)n : PIECE, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got < 0 ? cv_error_errno(err, CV_ERR_IO, errno, "reading")
                           : cv_error_set(err, CV_ERR_TRUNCATED,
                                          "it became shorter while it was "
                                          "read");
        }
        int rc = cv_cpio_data(c, piece, (size_t)got, err);
        if (rc != 0) {
            return rc;
        }
        offset += (uint64_t)got;
        n -= (uint64_t)got;
    }
    return 0;
}

int cv_ramdisk_fd(struct cv_cpio *c, const char *name, uint32_t mode, int fd, uint64_t size,
                  struct cv_error *err)
{
    struct cv_cpio_entry e = {.name = name, .mode = S_IFREG | mode, .nlink = 1, .size = size};
    int rc = cv_cpio_entry(c, &e, err);
    return rc == 0 ? copy(c, fd, 0, size, err) : rc;
}

/* ---- contents ---- */

static int zeros(struct cv_cpio *c, uint64_t n, struct cv_error *err)
{
    static const uint8_t nothing[PIECE];
    int rc = 0;
    while (rc == 0 && n != 0) {
        size_t part = n < PIECE ? (size_t)n : PIECE;
        rc = cv_cpio_data(c, nothing, part, err);
        n -= part;
    }
    return rc;
}

/* The file that was seen when the tree was read, or nothing. */
static int open_host(const struct cv_tree_blob *b, int *fd, struct cv_error *err)
{
    struct stat st;
    *fd = openat(b->fd, b->host, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0) {
        return cv_error_errno(err, CV_ERR_IO, errno, "opening %.200s", b->host);
    }
    if (fstat(*fd, &st) != 0 || st.st_dev != b->dev || st.st_ino != b->ino ||
        (uint64_t)st.st_size != b->size) {
        close(*fd);
        return cv_error_set(err, CV_ERR_STATE, "%.200s was changed while the image was built",
                            b->host);
    }
    return 0;
}

static int content(struct cv_cpio *c, const struct cv_tree_blob *b, struct cv_error *err)
{
    int fd = b->fd;
    int rc = b->host != NULL ? open_host(b, &fd, err) : 0;
    if (rc != 0) {
        return rc;
    }
    uint64_t at = 0;
    for (size_t i = 0; rc == 0 && i < b->extent_count; i++) {
        rc = zeros(c, b->extents[i].at - at, err);
        if (rc == 0) {
            rc = copy(c, fd, b->extents[i].from, b->extents[i].length, err);
        }
        at = b->extents[i].at + b->extents[i].length;
    }
    if (rc == 0) {
        rc = zeros(c, b->size - at, err);
    }
    if (b->host != NULL) {
        close(fd);
    }
    return rc;
}

static void report(struct out *o, uint64_t n)
{
    o->done += n;
    if (o->progress != NULL && o->progress->step != NULL) {
        o->progress->step(o->progress->ctx, "writing", o->done, o->t->bytes);
    }
}

/* ---- the tree ---- */

static int put_regular(struct out *o, const struct cv_tree_node *node, struct cv_cpio_entry *e,
                       struct cv_error *err)
{
    struct cv_tree_blob *b = node->blob;
    if (b == NULL) {
        return cv_cpio_entry(o->c, e, err);
    }
    if (b->seen == 0) {
        b->number = o->c->next_ino++;
    }
    b->seen++;
    e->ino = b->number;
    e->nlink = b->refs;
    /* GNU cpio and the kernel both take the data with the last name. */
    e->size = b->seen == b->refs ? b->size : 0;
    int rc = cv_cpio_entry(o->c, e, err);
    if (rc == 0 && e->size != 0) {
        rc = content(o->c, b, err);
        report(o, b->size);
    }
    return rc;
}

static int put_node(struct out *o, const struct cv_tree_node *node, struct cv_error *err)
{
    struct cv_cpio_entry e = {.name = o->path,
                              .mode = node->mode,
                              .uid = node->uid,
                              .gid = node->gid,
                              .nlink = S_ISDIR(node->mode) ? 2 : 1,
                              .rmajor = node->rmajor,
                              .rminor = node->rminor};
    if (S_ISREG(node->mode)) {
        return put_regular(o, node, &e, err);
    }
    if (!S_ISLNK(node->mode)) {
        return cv_cpio_entry(o->c, &e, err);
    }
    e.size = strlen(node->target);
    int rc = cv_cpio_entry(o->c, &e, err);
    return rc == 0 ? cv_cpio_data(o->c, node->target, (size_t)e.size, err) : rc;
}

/* AT: length of NODE's path in o->path. The depth is bounded by the tree. */
static int put_below(struct out *o, const struct cv_tree_node *node, size_t at,
                     struct cv_error *err)
{
    size_t count;
    struct cv_tree_node **list = cv_tree_sorted(node, &count);
    if (list == NULL) {
        return count == 0 ? 0 : cv_error_set(err, CV_ERR_NOMEM, "out of memory");
    }
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        int n = snprintf(o->path + at, sizeof o->path - at, "/%s", list[i]->name);
        if (n < 0 || (size_t)n >= sizeof o->path - at) {
            rc = cv_error_set(err, CV_ERR_LIMIT, "a path longer than %u bytes",
                              CV_CPIO_MAX_NAME - 1);
            break;
        }
        rc = put_node(o, list[i], err);
        if (rc != 0) {
            cv_error_wrap(err, "%.300s", o->path);
        } else {
            rc = put_below(o, list[i], at + (size_t)n, err);
        }
    }
    free(list);
    return rc;
}

static void clear_seen(const struct cv_tree_node *node)
{
    for (const struct cv_tree_node *c = node->first; c != NULL; c = c->next) {
        if (c->blob != NULL) {
            c->blob->seen = 0;
        }
        clear_seen(c);
    }
}

int cv_ramdisk_tree(struct cv_cpio *c, struct cv_tree *t, const char *prefix,
                    const struct cv_ramdisk_progress *progress, struct cv_error *err)
{
    struct out *o = calloc(1, sizeof *o);
    if (o == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
    }
    *o = (struct out){.c = c, .t = t, .progress = progress};
    clear_seen(t->root);
    int n = snprintf(o->path, sizeof o->path, "%s", prefix);
    int rc = put_node(o, t->root, err);
    if (rc == 0) {
        rc = put_below(o, t->root, (size_t)n, err);
    }
    free(o);
    return rc;
}
