/* SPDX-License-Identifier: Apache-2.0 */
/* Which kind of source it is, and what it holds on to. */
#include "eif/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int cv_source_keep_fd(struct cv_source *s, int fd, struct cv_error *err)
{
    if (s->fd_count == CV_SOURCE_MAX_FDS) {
        close(fd);
        return cv_error_set(err, CV_ERR_LIMIT, "more than %u files of a source", CV_SOURCE_MAX_FDS);
    }
    s->fds[s->fd_count++] = fd;
    return 0;
}

void cv_source_close(struct cv_source *s)
{
    cv_tree_free(&s->tree);
    for (size_t i = 0; i < s->fd_count; i++) {
        close(s->fds[i]);
    }
    s->fd_count = 0;
    if (s->spool >= 0) {
        close(s->spool);
    }
    s->spool = -1;
    json_decref(s->config);
    json_decref(s->info);
    free(s->name);
    free(s->version);
    s->config = s->info = NULL;
    s->name = s->version = NULL;
}

uint64_t cv_source_ample(const struct cv_source *s)
{
    uint64_t most = 2 * s->options->max_bytes;
    return most > CV_INPUT_BOMB_FROM ? most : CV_INPUT_BOMB_FROM;
}

/* ---- archives ---- */

static int add_member(struct cv_store *st, const struct cv_tar_entry *e, uint64_t offset,
                      struct cv_error *err)
{
    if (st->count == st->cap) {
        size_t cap = st->cap != 0 ? st->cap * 2 : 64;
        struct cv_member *more = reallocarray(st->members, cap, sizeof *more);
        if (more == NULL) {
            return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
        }
        st->members = more;
        st->cap = cap;
    }
    const char *name = e->name;
    while (name[0] == '/' || (name[0] == '.' && name[1] == '/')) {
        name += name[0] == '/' ? 1 : 2;
    }
    struct cv_member m = {.name = strdup(name), .offset = offset, .size = e->size};
    bool link = e->type == CV_TAR_SYMLINK || e->type == CV_TAR_HARD_LINK;
    if (e->type == CV_TAR_SYMLINK) {
        m.link = strdup(e->link);
    } else if (link && asprintf(&m.link, "/%s", e->link) < 0) {
        m.link = NULL;
    }
    if (m.name == NULL || (link && m.link == NULL)) {
        free(m.name);
        free(m.link);
        return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
    }
    st->members[st->count++] = m;
    return 0;
}

/* The members of an archive, or nothing when there are so many that it is no
 * container archive. */
static int list_members(struct cv_store *st, uint64_t size, struct cv_error *err)
{
    struct cv_input in;
    struct cv_tar tar;
    int rc = cv_input_open(&in, st->fd, 0, size, false, false, err);
    if (rc != 0) {
        return rc;
    }
    cv_tar_init(&tar, &in, true);
    for (;;) {
        struct cv_tar_entry *e;
        rc = cv_tar_next(&tar, &e, err);
        if (rc <= 0) {
            break;
        }
        rc = 0;
        if (e->type == CV_TAR_FILE || e->type == CV_TAR_SYMLINK || e->type == CV_TAR_HARD_LINK) {
            rc = add_member(st, e, in.at, err);
        }
        if (rc == 0 && st->count > CV_SOURCE_MAX_MEMBERS) {
            cv_store_free(st);
            break;
        }
        if (rc != 0) {
            break;
        }
    }
    cv_tar_free(&tar);
    cv_input_close(&in);
    return rc;
}

/* A compressed archive is unpacked into the spool once, to be read at will. */
static int unpack_archive(struct cv_source *s, int *fd, uint64_t *size, struct cv_error *err)
{
    struct cv_input in;
    int rc = cv_input_open(&in, *fd, 0, *size, false, false, err);
    if (rc != 0 || in.packing == CV_PACKING_NONE) {
        cv_input_close(&in);
        return rc;
    }
    in.ample = cv_source_ample(s);
    uint8_t piece[65536];
    for (;;) {
        size_t got;
        rc = cv_input_read(&in, piece, sizeof piece, &got, err);
        if (rc != 0 || got == 0) {
            break;
        }
        rc = cv_source_spool_bytes(s, piece, got, err);
        if (rc != 0) {
            break;
        }
    }
    cv_input_close(&in);
    if (rc == 0) {
        *fd = s->spool;
        *size = s->spool_size;
    }
    return rc;
}

static int read_archive(struct cv_source *s, int fd, uint64_t size, struct cv_error *err)
{
    int rc = unpack_archive(s, &fd, &size, err);
    struct cv_store st = {.fd = fd};
    if (rc == 0 && s->options->kind != CV_SOURCE_TAR) {
        rc = list_members(&st, size, err);
    }
    bool container =
        rc == 0 && (cv_store_has(s, &st, "manifest.json") ||
                    (cv_store_has(s, &st, "index.json") && cv_store_has(s, &st, "oci-layout")));
    if (rc == 0 && !container && s->options->kind == CV_SOURCE_CONTAINER) {
        rc = cv_error_set(err, CV_ERR_INVALID,
                          "the archive holds no container image: neither "
                          "manifest.json nor an OCI layout");
    }
    if (rc == 0 && container) {
        rc = cv_source_read_container(s, &st, err);
    } else if (rc == 0) {
        struct cv_input in;
        rc = cv_input_open(&in, fd, 0, size, false, false, err);
        if (rc == 0) {
            rc = cv_source_apply_tar(s, &in, false, true, err);
            cv_input_close(&in);
        }
    }
    cv_store_free(&st);
    return rc;
}

static int read_folder(struct cv_source *s, int dir, struct cv_error *err)
{
    struct cv_store st = {.fd = dir, .folder = true};
    bool layout = s->options->kind != CV_SOURCE_FOLDER && cv_store_has(s, &st, "oci-layout") &&
                  cv_store_has(s, &st, "index.json");
    if (!layout && s->options->kind == CV_SOURCE_CONTAINER) {
        return cv_error_set(err, CV_ERR_INVALID, "the directory is no OCI layout");
    }
    return layout ? cv_source_read_container(s, &st, err) : cv_source_read_folder(s, dir, err);
}

static int read_extents(const struct cv_tree_blob *b, int fd, uint8_t *room, struct cv_error *err)
{
    memset(room, 0, (size_t)b->size);
    for (size_t i = 0; i < b->extent_count; i++) {
        const struct cv_tree_extent *e = &b->extents[i];
        if (pread(fd, room + e->at, (size_t)e->length, (off_t)e->from) != (ssize_t)e->length) {
            return cv_error_set(err, CV_ERR_IO, "reading a file of the source");
        }
    }
    return 0;
}

int cv_source_read_file(struct cv_source *s, const char *path, struct cv_buf *out,
                        struct cv_error *err)
{
    cv_buf_reset(out);
    const struct cv_tree_node *node = cv_tree_find(&s->tree, path, true);
    if (node == NULL || !S_ISREG(node->mode)) {
        return cv_error_set(err, CV_ERR_NOT_FOUND, "no file %s in the image", path);
    }
    const struct cv_tree_blob *b = node->blob;
    if (b == NULL) {
        return 0;
    }
    uint8_t *room = b->size <= out->limit ? cv_buf_reserve(out, (size_t)b->size) : NULL;
    if (room == NULL) {
        return cv_error_set(err, CV_ERR_LIMIT, "%s in the image is too large", path);
    }
    int fd = b->host != NULL ? openat(b->fd, b->host, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : b->fd;
    int rc = read_extents(b, fd, room, err);
    if (b->host != NULL && fd >= 0) {
        close(fd);
    }
    if (rc == 0) {
        cv_buf_commit(out, (size_t)b->size);
    }
    return rc;
}

int cv_source_empty(struct cv_source *s, const struct cv_source_options *options,
                    struct cv_error *err)
{
    memset(s, 0, sizeof *s);
    s->options = options;
    s->spool = -1;
    return cv_tree_init(&s->tree, options->max_bytes, err);
}

int cv_source_put_file(struct cv_source *s, const char *path, uint32_t mode, uint32_t uid,
                       uint32_t gid, struct cv_bytes content, struct cv_error *err)
{
    struct cv_tree_attr attr = {.mode = S_IFREG | (mode & 07777), .uid = uid, .gid = gid};
    uint64_t from = s->spool_size;
    int rc = cv_source_spool_bytes(s, content.p, content.n, err);
    if (rc != 0) {
        return rc;
    }
    if (content.n != 0) {
        attr.blob = cv_tree_blob_new(s->spool, from, content.n);
        if (attr.blob == NULL) {
            return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
        }
    }
    return cv_tree_put(&s->tree, path, &attr, err);
}

int cv_source_put_host_file(struct cv_source *s, const char *path, uint32_t mode, uint32_t uid,
                            uint32_t gid, const char *host, struct cv_error *err)
{
    int fd = open(host, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        int e = fd >= 0 && errno == 0 ? EINVAL : errno;
        if (fd >= 0) {
            close(fd);
        }
        return cv_error_errno(err, e == ENOENT ? CV_ERR_NOT_FOUND : CV_ERR_IO, e,
                              "reading the file %s", host);
    }
    struct cv_tree_attr attr = {.mode = S_IFREG | (mode & 07777), .uid = uid, .gid = gid};
    struct cv_input in;
    uint64_t from = 0, size = (uint64_t)st.st_size;
    int rc = cv_input_open(&in, fd, 0, size, false, false, err);
    if (rc == 0 && in.packing != CV_PACKING_NONE) { /* as it is, not unpacked */
        cv_input_close(&in);
        rc = cv_source_keep_fd(s, fd, err);
        attr.blob = rc == 0 ? cv_tree_blob_new(fd, 0, size) : NULL;
        return rc == 0 ? cv_tree_put(&s->tree, path, &attr, err) : rc;
    }
    if (rc == 0) {
        rc = cv_source_spool(s, &in, size, &from, err);
        cv_input_close(&in);
    }
    close(fd);
    if (rc == 0 && size != 0) {
        attr.blob = cv_tree_blob_new(s->spool, from, size);
        if (attr.blob == NULL) {
            rc = cv_error_set(err, CV_ERR_NOMEM, "out of memory");
        }
    }
    return rc == 0 ? cv_tree_put(&s->tree, path, &attr, err) : rc;
}

int cv_source_open(struct cv_source *s, const struct cv_source_options *options,
                   struct cv_error *err)
{
    memset(s, 0, sizeof *s);
    s->options = options;
    s->spool = -1;
    bool input = strcmp(options->path, "-") == 0;
    int fd = input ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                   : open(options->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        int e = errno;
        if (fd >= 0) {
            close(fd);
        }
        return cv_error_errno(err, e == ENOENT ? CV_ERR_NOT_FOUND : CV_ERR_IO, e, "opening %s",
                              options->path);
    }
    int rc = cv_tree_init(&s->tree, options->max_bytes, err);
    if (rc == 0) {
        rc = cv_source_keep_fd(s, fd, err);
    } else {
        close(fd);
    }
    if (rc == 0 && S_ISDIR(st.st_mode)) {
        rc = read_folder(s, fd, err);
    } else if (rc == 0 && S_ISREG(st.st_mode)) {
        rc = read_archive(s, fd, (uint64_t)st.st_size, err);
    } else if (rc == 0 && input && !isatty(fd)) {
        int kept;
        uint64_t size;
        rc = cv_source_keep_stream(s, fd, &kept, &size, err);
        if (rc == 0) {
            rc = read_archive(s, kept, size, err);
        }
    } else if (rc == 0) {
        rc = cv_error_set(err, CV_ERR_INVALID,
                          "neither a directory nor a file (\"-\" reads a pipe)");
    }
    if (rc != 0) {
        cv_source_close(s);
        cv_error_wrap(err, "reading %s", options->path);
    }
    return rc;
}
