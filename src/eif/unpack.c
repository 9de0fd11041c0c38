/* SPDX-License-Identifier: Apache-2.0 */
#include "eif/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/file.h"
#include "eif/cpio_read.h"

/* A file with several names, or a folder that still waits for its mode. */
struct noted {
    uint32_t ino, mode;
    char *name;
};

struct unpack {
    struct cv_input in;
    int dir;
    bool root; /* owners are kept */
    struct cv_cpio_found e;
    uint64_t bytes;
    struct cv_unpack_count *count;
    struct noted *linked, *folders;
    size_t linked_count, folder_count;
    uint8_t piece[65536];
};

/* "a/b", without "", ".", "..", or a slash at either end. */
static bool plain(const char *name)
{
    const char *part = name;
    if (*name == 0)
        return false;
    for (;;) {
        size_t n = strcspn(part, "/");
        if (n == 0 || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        if (part[n] == 0)
            return true;
        part += n + 1;
    }
}

/* Opens NAME below DIR without following a link anywhere. */
static int open_below(int dir, const char *name, int flags, mode_t mode)
{
    struct open_how how = {.flags = (uint64_t)(unsigned)flags | O_CLOEXEC,
                           .mode = mode,
                           .resolve =
                               RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, dir, name, &how, sizeof how);
}

/* The folder that NAME lies in, as a descriptor; *LAST is its last component. */
static int open_parent(const struct unpack *u, const char *name, const char **last)
{
    char folder[CV_CPIO_MAX_NAME];
    const char *slash = strrchr(name, '/');
    *last = slash != NULL ? slash + 1 : name;
    if (slash == NULL)
        return fcntl(u->dir, F_DUPFD_CLOEXEC, 0);
    memcpy(folder, name, (size_t)(slash - name));
    folder[slash - name] = 0;
    return open_below(u->dir, folder, O_PATH | O_DIRECTORY, 0);
}

static int note(struct noted **list, size_t *n, const struct cv_cpio_found *e)
{
    if ((*n & (*n - 1)) == 0) { /* 0 and powers of two */
        struct noted *more = realloc(*list, (*n == 0 ? 1 : 2 * *n) * sizeof **list);
        if (more == NULL)
            return CV_ERR_NOMEM;
        *list = more;
    }
    struct noted *k = &(*list)[*n];
    *k = (struct noted){.ino = e->ino, .mode = e->mode, .name = strdup(e->name)};
    if (k->name == NULL)
        return CV_ERR_NOMEM;
    ++*n;
    return 0;
}

static void forget(struct noted **list, size_t *n)
{
    for (size_t i = 0; i < *n; i++)
        free((*list)[i].name);
    free(*list);
    *list = NULL;
    *n = 0;
}

static int failed(const struct unpack *u, const char *step, struct cv_error *err)
{
    char name[256];
    int code = errno == EEXIST ? CV_ERR_EXISTS : CV_ERR_IO;
    return cv_error_errno(err, code, errno, "%s %s", step,
                          cv_error_quote(name, sizeof name, u->e.name, strlen(u->e.name)));
}

/* ---- one entry of each kind ---- */

static int copy_data(struct unpack *u, int fd, struct cv_error *err)
{
    for (uint32_t left = u->e.size; left > 0;) {
        size_t n = left < sizeof u->piece ? left : sizeof u->piece;
        int rc = cv_input_exact(&u->in, u->piece, n, err);
        if (rc != 0)
            return rc;
        if (cv_fd_write_all(fd, u->piece, n) != 0)
            return failed(u, "writing", err);
        left -= (uint32_t)n;
    }
    return 0;
}

/* Another name of a file that is there already: 1, 0 when this is its first. */
static int link_again(struct unpack *u, int folder, const char *last, struct cv_error *err)
{
    for (size_t i = u->linked_count; u->e.nlink > 1 && i-- > 0;) {
        const char *first;
        if (u->linked[i].ino != u->e.ino)
            continue;
        int from = open_parent(u, u->linked[i].name, &first);
        int rc =
            from >= 0 && linkat(from, first, folder, last, 0) == 0 ? 1 : failed(u, "linking", err);
        if (from >= 0)
            close(from);
        return rc;
    }
    if (u->e.nlink > 1 && note(&u->linked, &u->linked_count, &u->e) != 0)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory");
    return 0;
}

static int make_file(struct unpack *u, int folder, const char *last, struct cv_error *err)
{
    int again = link_again(u, folder, last, err);
    if (again < 0)
        return again;
    if (again && u->e.size == 0)
        return 0;
    /* Ours, and no link: it was just given this name. */
    if (again && fchmodat(folder, last, 0600, 0) != 0)
        return failed(u, "opening", err);
    int fd = again ? open_below(folder, last, O_WRONLY, 0)
                   : open_below(folder, last, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return failed(u, "creating", err);
    int rc = copy_data(u, fd, err);
    /* The owner first: a change of it takes the set-user-id bit away. */
    if (rc == 0 && u->root && fchown(fd, u->e.uid, u->e.gid) != 0)
        rc = failed(u, "giving an owner to", err);
    if (rc == 0 && fchmod(fd, u->e.mode & 07777) != 0)
        rc = failed(u, "giving a mode to", err);
    if (close(fd) != 0 && rc == 0)
        rc = failed(u, "writing", err);
    return rc;
}

static int make_folder(struct unpack *u, int folder, const char *last, struct cv_error *err)
{
    if (mkdirat(folder, last, 0700) != 0 && errno != EEXIST)
        return failed(u, "making", err);
    int fd = open_below(folder, last, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) /* something else has that name */
        return failed(u, "opening", err);
    bool owned = !u->root || fchown(fd, u->e.uid, u->e.gid) == 0;
    if (!owned)
        (void)failed(u, "giving an owner to", err);
    close(fd);
    if (!owned)
        return CV_ERR_IO;
    if (note(&u->folders, &u->folder_count, &u->e) != 0)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory");
    return 0;
}

static int make_link(struct unpack *u, int folder, const char *last, struct cv_error *err)
{
    char target[CV_CPIO_MAX_NAME];
    if (u->e.size == 0 || u->e.size >= sizeof target)
        return cv_error_set(err, CV_ERR_INVALID, "a symbolic link's target is empty or too long");
    int rc = cv_input_exact(&u->in, target, u->e.size, err);
    if (rc != 0)
        return rc;
    target[u->e.size] = 0;
    if (symlinkat(target, folder, last) != 0)
        return failed(u, "linking", err);
    if (u->root && fchownat(folder, last, u->e.uid, u->e.gid, AT_SYMLINK_NOFOLLOW) != 0)
        return failed(u, "giving an owner to", err);
    return 0;
}

static int make_fifo(struct unpack *u, int folder, const char *last, struct cv_error *err)
{
    if (mknodat(folder, last, S_IFIFO | (u->e.mode & 0777), 0) != 0)
        return failed(u, "making", err);
    if (u->root && fchownat(folder, last, u->e.uid, u->e.gid, AT_SYMLINK_NOFOLLOW) != 0)
        return failed(u, "giving an owner to", err);
    return 0;
}

static int make(struct unpack *u, struct cv_error *err)
{
    const char *last;
    int folder = open_parent(u, u->e.name, &last);
    if (folder < 0)
        return failed(u, "finding the folder of", err);
    int rc;
    switch (u->e.mode & S_IFMT) {
    case S_IFREG:
        rc = make_file(u, folder, last, err);
        break;
    case S_IFDIR:
        rc = make_folder(u, folder, last, err);
        break;
    case S_IFLNK:
        rc = make_link(u, folder, last, err);
        break;
    case S_IFIFO:
        rc = make_fifo(u, folder, last, err);
        break;
    default:
        rc = 0;
        u->count->skipped++;
        break;
    }
    close(folder);
    return rc;
}

/* ---- all of them ---- */

static int check(struct unpack *u, struct cv_error *err)
{
    char name[256];
    mode_t kind = u->e.mode & S_IFMT;
    if (!plain(u->e.name))
        return cv_error_set(err, CV_ERR_INVALID, "the ramdisk names a file %s",
                            cv_error_quote(name, sizeof name, u->e.name, strlen(u->e.name)));
    if (u->e.size > 0 && kind != S_IFREG && kind != S_IFLNK)
        return cv_error_set(err, CV_ERR_INVALID, "what is no file has content");
    u->bytes += u->e.size;
    if (u->bytes > CV_UNPACK_MAX || ++u->count->files > CV_UNPACK_MAX_FILES)
        return cv_error_set(err, CV_ERR_LIMIT, "the ramdisk is too large to be unpacked");
    return 0;
}

static int entries(struct unpack *u, struct cv_error *err)
{
    for (;;) {
        int rc = cv_cpio_next(&u->in, &u->e, err);
        if (rc <= 0)
            return rc;
        if (strcmp(u->e.name, CV_CPIO_TRAILER) == 0) {
            forget(&u->linked, &u->linked_count); /* another archive, other inodes */
            rc = cv_input_skip(&u->in, u->e.size, err);
        } else if (strcmp(u->e.name, ".") != 0) {
            rc = check(u, err);
            if (rc == 0)
                rc = make(u, err);
        }
        if (rc == 0)
            rc = cv_cpio_pad(&u->in, &u->e, err);
        if (rc != 0)
            return rc;
    }
}

/* From the inside out, so that none is closed while it is still needed. */
static int folder_modes(struct unpack *u, struct cv_error *err)
{
    for (size_t i = u->folder_count; i-- > 0;) {
        int folder = open_below(u->dir, u->folders[i].name, O_RDONLY | O_DIRECTORY, 0);
        bool good = folder >= 0 && fchmod(folder, u->folders[i].mode & 07777) == 0;
        int errnum = errno;
        if (folder >= 0)
            close(folder);
        if (!good)
            return cv_error_errno(err, CV_ERR_IO, errnum, "giving a folder its mode");
    }
    return 0;
}

int cv_eif_unpack(const struct cv_eif *eif, const struct cv_eif_section *section, int dir,
                  struct cv_unpack_count *count, struct cv_error *err)
{
    struct unpack *u = calloc(1, sizeof *u);
    if (u == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory");
    u->dir = dir;
    u->root = geteuid() == 0;
    u->count = count;
    *count = (struct cv_unpack_count){0, 0};
    int rc = cv_input_open(&u->in, eif->fd, section->offset, section->size, false, false, err);
    if (rc == 0) {
        rc = entries(u, err);
        cv_input_close(&u->in);
    }
    if (rc == 0)
        rc = folder_modes(u, err);
    forget(&u->linked, &u->linked_count);
    forget(&u->folders, &u->folder_count);
    free(u);
    return rc;
}
