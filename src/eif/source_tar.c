/* SPDX-License-Identifier: Apache-2.0 */
/* A tar, or a container's layer, into the tree. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "eif/source.h"
#include "eif/write.h"

#define PIECE 65536u
#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"

static void report(const struct cv_source *s, const char *what, uint64_t done, uint64_t total)
{
    if (s->options->progress != NULL) {
        s->options->progress(s->options->progress_ctx, what, done, total);
    }
}

/* ---- spool ---- */

/* Layers may write a file several times; still, there is an end. */
static int spool_room(struct cv_source *s, uint64_t n, struct cv_error *err)
{
    uint64_t limit = 2 * s->options->max_bytes;
    if (n > limit || s->spool_size > limit - n) {
        return cv_error_set(err, CV_ERR_LIMIT,
                            "the source unpacks to more than %llu MiB; "
                            "--max-size raises the limit",
                            (unsigned long long)limit >> 20);
    }
    return s->spool >= 0 ? 0 : cv_eif_spool_open(&s->spool, s->options->spool_dir, err);
}

int cv_source_spool_bytes(struct cv_source *s, const void *p, size_t n, struct cv_error *err)
{
    int rc = spool_room(s, n, err);
    if (rc != 0 || n == 0) {
        return rc;
    }
    /* Zeros become a hole: a sparse file costs no disk here either. */
    const uint8_t *bytes = p;
    bool zeros = bytes[0] == 0 && memcmp(bytes, bytes + 1, n - 1) == 0;
    s->spool_size += n;
    if (zeros ? ftruncate(s->spool, (off_t)s->spool_size) != 0
              : lseek(s->spool, (off_t)(s->spool_size - n), SEEK_SET) < 0 ||
                    cv_fd_write_all(s->spool, p, n) != 0) {
        return cv_error_errno(err, CV_ERR_IO, errno, "writing to the spool file in %s",
                              s->options->spool_dir);
    }
    return 0;
}

int cv_source_spool(struct cv_source *s, struct cv_input *in, uint64_t n, uint64_t *from,
                    struct cv_error *err)
{
    int rc = spool_room(s, n, err);
    *from = s->spool_size;
    uint8_t piece[PIECE];
    while (rc == 0 && n != 0) {
        size_t part = n < sizeof piece ? (size_t)n : sizeof piece;
        rc = cv_input_exact(in, piece, part, err);
        if (rc == 0) {
            rc = cv_source_spool_bytes(s, piece, part, err);
        }
        n -= part;
    }
    return rc;
}

/* ---- entries ---- */

static int file_blob(struct cv_source *s, struct cv_tar *tar, struct cv_tar_entry *e,
                     struct cv_tree_blob **out, struct cv_error *err)
{
    uint64_t from, n = e->stored;
    int fd = tar->in->fd, rc = 0;
    if (e->size > s->tree.max_bytes) {
        return cv_error_set(err, CV_ERR_LIMIT,
                            "a file of %llu MiB, more than the whole may take "
                            "(--max-size)",
                            (unsigned long long)e->size >> 20);
    }
    if (e->size > CV_CPIO_MAX_FILE) {
        return cv_error_set(err, CV_ERR_LIMIT,
                            "a file of %llu MiB, where a ramdisk holds at most "
                            "4 GiB in one",
                            (unsigned long long)e->size >> 20);
    }
    bool in_place = cv_input_position(tar->in, &from);
    if (!in_place) {
        rc = cv_source_spool(s, tar->in, n, &from, err);
        fd = s->spool;
        tar->left -= rc == 0 ? n : 0;
    } else {
        rc = cv_tar_skip(tar, n, err);
    }
    if (rc != 0) {
        return rc;
    }
    *out = cv_tree_blob_new(fd, from, e->size);
    if (*out == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
    }
    if (e->extents != NULL || e->size != n) { /* sparse: the runs, moved to where they lie */
        for (size_t i = 0; e->extents != NULL && i < e->extent_count; i++) {
            e->extents[i].from += from;
        }
        free((*out)->extents);
        (*out)->extents = e->extents;
        (*out)->extent_count = e->extent_count;
        e->extents = NULL;
        e->extent_count = 0;
    }
    return 0;
}

static int put(struct cv_source *s, struct cv_tar *tar, struct cv_tar_entry *e,
               struct cv_error *err)
{
    static const uint32_t kinds[] = {
        [CV_TAR_FILE] = S_IFREG,  [CV_TAR_SYMLINK] = S_IFLNK, [CV_TAR_CHAR] = S_IFCHR,
        [CV_TAR_BLOCK] = S_IFBLK, [CV_TAR_FOLDER] = S_IFDIR,  [CV_TAR_FIFO] = S_IFIFO,
    };
    if (e->has_xattr) {
        s->xattrs++;
    }
    if (e->type == CV_TAR_HARD_LINK) {
        return cv_tree_link(&s->tree, e->name, e->link, err);
    }
    struct cv_tree_attr attr = {.mode = kinds[e->type] | e->mode,
                                .uid = e->uid,
                                .gid = e->gid,
                                .rmajor = e->rmajor,
                                .rminor = e->rminor};
    int rc = 0;
    if (e->type == CV_TAR_SYMLINK) {
        attr.target = e->link;
        attr.mode = S_IFLNK | 0777;
    } else if (e->type == CV_TAR_FILE && e->size != 0) {
        rc = file_blob(s, tar, e, &attr.blob, err);
    }
    return rc == 0 ? cv_tree_put(&s->tree, e->name, &attr, err) : rc;
}

/* 1 when the entry was a whiteout. */
static int whiteout(struct cv_source *s, const struct cv_tar_entry *e, struct cv_error *err)
{
    const char *slash = strrchr(e->name, '/');
    const char *base = slash != NULL ? slash + 1 : e->name;
    size_t folder = (size_t)(base - e->name);
    if (strncmp(base, WHITEOUT, strlen(WHITEOUT)) != 0) {
        return 0;
    }
    char *path = NULL;
    int rc;
    if (strcmp(base, OPAQUE) == 0) {
        path = strndup(e->name, folder);
        rc = path != NULL ? cv_tree_opaque(&s->tree, path, err) : CV_ERR_NOMEM;
    } else if (strncmp(base, WHITEOUT WHITEOUT, 2 * strlen(WHITEOUT)) == 0) {
        rc = 0; /* bookkeeping of AUFS */
    } else {
        const char *name = base + strlen(WHITEOUT);
        if (name[0] == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
            return cv_error_set(err, CV_ERR_INVALID, "a whiteout of nothing");
        }
        rc = asprintf(&path, "%.*s%s", (int)folder, e->name, name) < 0
                 ? CV_ERR_NOMEM
                 : cv_tree_whiteout(&s->tree, path, err);
    }
    free(path);
    return rc == 0 ? 1 : rc;
}

int cv_source_apply_tar(struct cv_source *s, struct cv_input *in, bool layer, bool need_end,
                        struct cv_error *err)
{
    struct cv_tar tar;
    cv_tar_init(&tar, in, need_end);
    uint64_t total = in->end - in->at;
    int rc;
    for (;;) {
        struct cv_tar_entry *e;
        rc = cv_tar_next(&tar, &e, err);
        if (rc <= 0) {
            break;
        }
        rc = layer ? whiteout(s, e, err) : 0;
        if (rc == 0) {
            rc = put(s, &tar, e, err);
        }
        if (rc < 0) {
            break;
        }
        report(s, "reading", total - (in->end - in->at), total);
    }
    cv_tar_free(&tar);
    return rc;
}
