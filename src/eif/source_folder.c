/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of this machine into the tree. Symbolic links are kept as links
 * and never followed, mount points are not crossed into other file systems
 * than those that lie below the directory as ordinary folders. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "eif/source.h"

/* Files with several names, found again by device and inode. */
struct seen {
    uint64_t dev, ino;
    char *path;
};

struct scan {
    struct cv_source *s;
    int root;
    struct seen *seen; /* open addressing, a power of two */
    size_t seen_count, seen_cap;
    char path[CV_TREE_MAX_PATH + 300];
};

static int no_memory(struct cv_error *err)
{
    return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
}

static struct seen *slot(struct scan *c, uint64_t dev, uint64_t ino)
{
    uint64_t h = (ino * 0x9e3779b97f4a7c15u) ^ dev;
    for (size_t i = (size_t)(h ^ h >> 29) & (c->seen_cap - 1);; i = (i + 1) & (c->seen_cap - 1)) {
        struct seen *at = &c->seen[i];
        if (at->path == NULL || (at->dev == dev && at->ino == ino)) {
            return at;
        }
    }
}

static int grow(struct scan *c)
{
    struct scan old = {.seen = c->seen, .seen_cap = c->seen_cap};
    size_t cap = old.seen_cap != 0 ? old.seen_cap * 2 : 256;
    struct seen *more = calloc(cap, sizeof *more);
    if (more == NULL) {
        return CV_ERR_NOMEM;
    }
    c->seen = more;
    c->seen_cap = cap;
    for (size_t i = 0; i < old.seen_cap; i++) {
        if (old.seen[i].path != NULL) {
            *slot(c, old.seen[i].dev, old.seen[i].ino) = old.seen[i];
        }
    }
    free(old.seen);
    return 0;
}

/* The builder's own files become root's, so that an image does not depend on
 * who built it; what belongs to others (a system's root made by debootstrap,
 * or unpacked by root) stays theirs. */
static void set_owner(struct cv_tree_attr *attr, const struct stat *st)
{
    attr->uid = st->st_uid == geteuid() ? 0 : st->st_uid;
    attr->gid = st->st_gid == getegid() ? 0 : st->st_gid;
}

static int put_file(struct scan *c, const struct stat *st, struct cv_tree_attr *attr,
                    struct cv_error *err)
{
    if (st->st_nlink > 1) {
        if (2 * c->seen_count >= c->seen_cap && grow(c) != 0) {
            return no_memory(err);
        }
        struct seen *at = slot(c, st->st_dev, st->st_ino);
        if (at->path != NULL) {
            return cv_tree_link(&c->s->tree, c->path, at->path, err);
        }
        char *copy = strdup(c->path);
        if (copy == NULL) {
            return no_memory(err);
        }
        *at = (struct seen){st->st_dev, st->st_ino, copy};
        c->seen_count++;
    }
    if (st->st_size == 0) {
        return cv_tree_put(&c->s->tree, c->path, attr, err);
    }
    attr->blob = cv_tree_blob_new(c->root, 0, (uint64_t)st->st_size);
    if (attr->blob == NULL || (attr->blob->host = strdup(c->path)) == NULL) {
        cv_tree_blob_free(attr->blob);
        return no_memory(err);
    }
    attr->blob->dev = st->st_dev;
    attr->blob->ino = st->st_ino;
    return cv_tree_put(&c->s->tree, c->path, attr, err);
}

static int put_link(struct scan *c, int dir, const char *name, struct cv_tree_attr *attr,
                    struct cv_error *err)
{
    char target[CV_TREE_MAX_PATH + 2];
    ssize_t n = readlinkat(dir, name, target, sizeof target - 1);
    if (n < 0) {
        return cv_error_errno(err, CV_ERR_IO, errno, "reading the link %s", c->path);
    }
    target[n] = 0;
    attr->target = target;
    attr->mode = S_IFLNK | 0777;
    return cv_tree_put(&c->s->tree, c->path, attr, err);
}

static int scan_folder(struct scan *c, int dir, size_t at, unsigned depth, struct cv_error *err);

static int scan_entry(struct scan *c, int dir, const char *name, size_t at, unsigned depth,
                      struct cv_error *err)
{
    struct stat st;
    int n = snprintf(c->path + at, sizeof c->path - at, "%s%s", at != 0 ? "/" : "", name);
    if (n < 0 || at + (size_t)n > CV_TREE_MAX_PATH) {
        return cv_error_set(err, CV_ERR_LIMIT, "a path longer than %u bytes", CV_TREE_MAX_PATH);
    }
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return cv_error_errno(err, CV_ERR_IO, errno, "reading %s", c->path);
    }
    if (S_ISREG(st.st_mode) && st.st_dev == c->s->options->skip_dev &&
        st.st_ino == c->s->options->skip_ino) {
        return 0;
    }
    struct cv_tree_attr attr = {.mode = st.st_mode};
    set_owner(&attr, &st);
    if (S_ISREG(st.st_mode)) {
        return put_file(c, &st, &attr, err);
    }
    if (S_ISLNK(st.st_mode)) {
        return put_link(c, dir, name, &attr, err);
    }
    if (S_ISSOCK(st.st_mode)) {
        c->s->sockets++;
        return 0;
    }
    if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
        attr.rmajor = major(st.st_rdev);
        attr.rminor = minor(st.st_rdev);
    }
    int rc = cv_tree_put(&c->s->tree, c->path, &attr, err);
    if (rc != 0 || !S_ISDIR(st.st_mode)) {
        return rc;
    }
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return cv_error_errno(err, CV_ERR_IO, errno, "reading the folder %s", c->path);
    }
    return scan_folder(c, fd, at + (size_t)n, depth + 1, err);
}

/* Takes DIR over. AT: length of its path in c->path. */
static int scan_folder(struct scan *c, int dir, size_t at, unsigned depth, struct cv_error *err)
{
    DIR *d = fdopendir(dir);
    if (d == NULL || depth > CV_TREE_MAX_DEPTH) {
        int e = errno;
        if (d != NULL) {
            closedir(d);
            return cv_error_set(err, CV_ERR_LIMIT, "folders nested deeper than %u levels",
                                CV_TREE_MAX_DEPTH);
        }
        close(dir);
        return cv_error_errno(err, CV_ERR_IO, e, "reading a folder");
    }
    int rc = 0;
    while (rc == 0) {
        errno = 0;
        const struct dirent *e = readdir(d);
        if (e == NULL) {
            if (errno != 0) {
                rc = cv_error_errno(err, CV_ERR_IO, errno, "reading a folder");
            }
            break;
        }
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            rc = scan_entry(c, dir, e->d_name, at, depth, err);
        }
    }
    closedir(d);
    return rc;
}

int cv_source_read_folder(struct cv_source *s, int dir, struct cv_error *err)
{
    struct scan c = {.s = s, .root = dir};
    struct stat st;
    if (fstat(dir, &st) != 0) {
        return cv_error_errno(err, CV_ERR_IO, errno, "reading the source directory");
    }
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0) {
        return cv_error_errno(err, CV_ERR_IO, errno, "reading the source directory");
    }
    int rc = scan_folder(&c, copy, 0, 0, err);
    for (size_t i = 0; i < c.seen_cap; i++) {
        free(c.seen[i].path);
    }
    free(c.seen);
    return rc;
}
