/* SPDX-License-Identifier: Apache-2.0 */
#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/hex.h"

static void close_fd(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}
#define AUTO_FD CV_CLEANUP(close_fd) int

static int code_of(int errnum)
{
    switch (errnum) {
    case ENOENT:
        return CV_ERR_NOT_FOUND;
    case EEXIST:
        return CV_ERR_EXISTS;
    case EACCES:
    case EPERM:
        return CV_ERR_DENIED;
    case ENOMEM:
        return CV_ERR_NOMEM;
    default:
        return CV_ERR_IO;
    }
}

int cv_fd_write_all(int fd, const void *p, size_t n)
{
    const uint8_t *in = p;
    while (n > 0) {
        ssize_t done = write(fd, in, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return CV_ERR_IO;
        if (done == 0) { /* nothing taken and no reason given */
            errno = EIO;
            return CV_ERR_IO;
        }
        in += done;
        n -= (size_t)done;
    }
    return 0;
}

int cv_fd_read_exact(int fd, void *p, size_t n)
{
    uint8_t *out = p;
    size_t got = 0;
    while (got < n) {
        ssize_t more = read(fd, out + got, n - got);
        if (more < 0 && errno == EINTR)
            continue;
        if (more < 0)
            return CV_ERR_IO;
        if (more == 0)
            return got == 0 ? CV_ERR_CLOSED : CV_ERR_TRUNCATED;
        got += (size_t)more;
    }
    return 0;
}

/* Opens a regular file or a pipe for reading. */
static int open_input(int *out, const char *path, struct stat *st, struct cv_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return cv_error_errno(err, code_of(errno), errno, "cannot open %s", path);
    if (fstat(fd, st) != 0 || (!S_ISREG(st->st_mode) && !S_ISFIFO(st->st_mode))) {
        (void)close(fd);
        return cv_error_set(err, CV_ERR_INVALID, "%s is not a regular file", path);
    }
    *out = fd;
    return 0;
}

int cv_fd_read_all(struct cv_buf *out, int fd, const char *name, struct cv_error *err)
{
    cv_buf_reset(out);
    for (;;) {
        size_t room = out->limit - out->n;
        if (room > 65536)
            room = 65536;
        uint8_t probe;
        uint8_t *to = room == 0 ? &probe : cv_buf_reserve(out, room);
        if (to == NULL)
            return cv_error_set(err, CV_ERR_NOMEM, "no memory to read %s", name);
        ssize_t got = read(fd, to, room == 0 ? 1 : room);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return cv_error_errno(err, CV_ERR_IO, errno, "cannot read %s", name);
        if (got == 0) /* an empty file is an empty string too */
            return cv_buf_append(out, "", 0);
        if (room == 0)
            return cv_error_set(err, CV_ERR_LIMIT, "%s is larger than %zu bytes", name, out->limit);
        cv_buf_commit(out, (size_t)got);
    }
}

int cv_file_read(struct cv_buf *out, const char *path, struct cv_error *err)
{
    AUTO_FD fd = -1;
    struct stat st = {0};
    int rc = open_input(&fd, path, &st, err);
    return rc != 0 ? rc : cv_fd_read_all(out, fd, path, err);
}

int cv_file_read_secret(struct cv_secret *out, const char *path, size_t limit, struct cv_error *err)
{
    AUTO_FD fd = -1;
    struct stat st = {0};
    int rc = open_input(&fd, path, &st, err);
    if (rc != 0)
        return rc;
    size_t cap = limit;
    if (S_ISREG(st.st_mode) && (uint64_t)st.st_size < limit)
        cap = (size_t)st.st_size;
    /* One byte more tells a file that is longer, or that has grown. */
    CV_SECRET_AUTO struct cv_secret s = CV_SECRET_INIT;
    if (cap == SIZE_MAX || cv_secret_alloc(&s, cap + 1) != 0)
        return cv_error_set(err, CV_ERR_NOMEM, "no locked memory to read %s", path);
    size_t n = 0;
    while (n < cap + 1) {
        ssize_t got = read(fd, s.p + n, cap + 1 - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return cv_error_errno(err, CV_ERR_IO, errno, "cannot read %s", path);
        if (got == 0)
            break;
        n += (size_t)got;
    }
    if (n > cap)
        return cap < limit
                   ? cv_error_set(err, CV_ERR_IO, "%s changed while it was read", path)
                   : cv_error_set(err, CV_ERR_LIMIT, "%s is larger than %zu bytes", path, limit);
    cv_secret_shrink(&s, n);
    cv_secret_move(out, &s);
    return 0;
}

/* The directory part of PATH into OUT. */
static int dir_of(char *out, size_t size, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash == NULL ? 0 : (size_t)(slash - path);
    if (slash == path)
        n = 1;
    if (n == 0) {
        path = ".";
        n = 1;
    }
    if (n >= size)
        return CV_ERR_LIMIT;
    memcpy(out, path, n);
    out[n] = '\0';
    return 0;
}

int cv_dir_sync(const char *path, struct cv_error *err)
{
    AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return cv_error_errno(err, code_of(errno), errno, "cannot sync directory %s", path);
    return 0;
}

/* Written by root for a service that runs as somebody else, a file must stay
 * readable to that one: it gets the owner of what it replaces, or of its
 * directory. */
static void adopt_owner(int fd, const char *path, const char *dir)
{
    struct stat st;
    if (geteuid() != 0 || (lstat(path, &st) != 0 && stat(dir, &st) != 0))
        return;
    if (fchown(fd, st.st_uid, st.st_gid) != 0)
        return; /* a file system without owners */
}

/* Follows PATH when it is a symbolic link made by us or by root, so that the
 * file it names is replaced and not the link. */
static int resolve(char out[PATH_MAX], const char *path, struct cv_error *err)
{
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode)) {
        if (st.st_uid != geteuid() && st.st_uid != 0)
            return cv_error_set(err, CV_ERR_DENIED,
                                "%s is a symbolic link of another user; not followed", path);
        if (realpath(path, out) == NULL)
            return cv_error_errno(err, code_of(errno), errno, "cannot follow %s", path);
        return 0;
    }
    if (strlen(path) >= PATH_MAX)
        return cv_error_set(err, CV_ERR_LIMIT, "path too long");
    memcpy(out, path, strlen(path) + 1);
    return 0;
}

/* Writes the temporary file TMP for PATH, all the way to the disk. */
static int write_temporary(const char *tmp, const char *path, const char *dir,
                           struct cv_bytes content, mode_t mode, struct cv_error *err)
{
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return cv_error_errno(err, code_of(errno), errno, "cannot create %s", tmp);
    adopt_owner(fd, path, dir);
    int why = 0;
    if (fchmod(fd, mode) != 0 || cv_fd_write_all(fd, content.p, content.n) != 0 || fsync(fd) != 0)
        why = errno;
    if (close(fd) != 0 && why == 0)
        why = errno; /* NFS and quotas may tell of a full disk only here */
    if (why != 0) {
        (void)unlink(tmp);
        return cv_error_errno(err, CV_ERR_IO, why, "cannot write %s", tmp);
    }
    return 0;
}

/* Gives TMP the name PATH unless that name is taken. */
static int name_exclusively(const char *tmp, const char *path)
{
    if (renameat2(AT_FDCWD, tmp, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    /* A file system without RENAME_NOREPLACE. */
    if (link(tmp, path) != 0)
        return -1;
    (void)unlink(tmp);
    return 0;
}

static int save(const char *name, struct cv_bytes content, mode_t mode, bool replace,
                struct cv_error *err)
{
    char path[PATH_MAX], dir[PATH_MAX], tmp[PATH_MAX + 32];
    int rc = resolve(path, name, err);
    if (rc != 0)
        return rc;
    if (dir_of(dir, sizeof(dir), path) != 0)
        return cv_error_set(err, CV_ERR_LIMIT, "path too long");
    uint8_t random[6];
    char suffix[2 * sizeof(random) + 1];
    cv_random(random, sizeof(random));
    cv_hex_encode(suffix, random, sizeof(random));
    (void)snprintf(tmp, sizeof(tmp), "%s.%s.tmp", path, suffix);
    rc = write_temporary(tmp, path, dir, content, mode, err);
    if (rc != 0)
        return rc;
    if ((replace ? rename(tmp, path) : name_exclusively(tmp, path)) != 0) {
        int why = errno;
        (void)unlink(tmp);
        return cv_error_errno(err, code_of(why), why, "cannot save %s", path);
    }
    return cv_dir_sync(dir, err);
}

int cv_file_replace(const char *path, struct cv_bytes content, mode_t mode, struct cv_error *err)
{
    return save(path, content, mode, true, err);
}

int cv_file_create(const char *path, struct cv_bytes content, mode_t mode, struct cv_error *err)
{
    return save(path, content, mode, false, err);
}

int cv_dir_make(const char *path, mode_t mode, struct cv_error *err)
{
    char buf[PATH_MAX];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof(buf))
        return cv_error_set(err, CV_ERR_INVALID, "not a directory name");
    memcpy(buf, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (buf[i] != '/' && buf[i] != '\0')
            continue;
        buf[i] = '\0';
        if (mkdir(buf, mode) != 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
            return cv_error_errno(err, code_of(errno), errno, "cannot make directory %s", buf);
        if (i < n)
            buf[i] = '/';
    }
    struct stat st;
    if (stat(path, &st) != 0)
        return cv_error_errno(err, code_of(errno), errno, "cannot make directory %s", path);
    if (!S_ISDIR(st.st_mode))
        return cv_error_set(err, CV_ERR_EXISTS, "%s exists and is not a directory", path);
    return 0;
}

int cv_path_join(char *out, size_t size, const char *dir, const char *name)
{
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    const char *slash = n == 0 || dir[n - 1] == '/' ? "" : "/";
    int len = snprintf(out, size, "%.*s%s%s", n > INT_MAX ? INT_MAX : (int)n, dir, slash, name);
    return len < 0 || (size_t)len >= size ? CV_ERR_LIMIT : 0;
}
