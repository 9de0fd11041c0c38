/* SPDX-License-Identifier: Apache-2.0 */
#include "init/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/file.h"
#include "common/secret.h"
#include "settings/boot.h"

#define LINKS_MAX 40
/* Kernels of enclaves can be older than openat2(2), so links are walked here. */
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

struct walk {
    int root;
    int at;              /* where we are; never the descriptor root itself */
    char rest[PATH_MAX]; /* what is still to be walked */
    unsigned links;
    bool make; /* missing directories */
};

static int fail(struct cv_error *err, int number, const char *path, const char *step)
{
    int code = number == ENOENT ? CV_ERR_NOT_FOUND : CV_ERR_IO;
    return cv_error_errno(err, code, number, "%s: %s", path, step);
}

static int restart(struct walk *w)
{
    int fd = openat(w->root, ".", DIR_FLAGS | O_CLOEXEC);
    if (fd < 0)
        return -1;
    close(w->at);
    w->at = fd;
    return 0;
}

static bool at_root(const struct walk *w)
{
    struct stat a, b;
    return fstat(w->at, &a) == 0 && fstat(w->root, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

/* Puts the target of the link NAME before what is left. */
static int follow(struct walk *w, const char *name)
{
    char target[PATH_MAX], joined[2 * PATH_MAX];
    struct stat st;
    if (fstatat(w->at, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return -1;
    if (!S_ISLNK(st.st_mode)) {
        errno = ENOTDIR;
        return -1;
    }
    if (st.st_uid != 0 || ++w->links > LINKS_MAX) {
        errno = st.st_uid != 0 ? EPERM : ELOOP;
        return -1;
    }
    ssize_t n = readlinkat(w->at, name, target, sizeof target - 1);
    if (n <= 0)
        return -1;
    target[n] = '\0';
    int total = snprintf(joined, sizeof joined, "%s/%s", target, w->rest);
    if (total < 0 || (size_t)total >= sizeof w->rest) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(w->rest, joined, (size_t)total + 1);
    return target[0] == '/' ? restart(w) : 0;
}

static int enter(struct walk *w, const char *name)
{
    if (strcmp(name, ".") == 0 || (strcmp(name, "..") == 0 && at_root(w)))
        return 0;
    int fd = openat(w->at, name, DIR_FLAGS | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && w->make) {
        if (mkdirat(w->at, name, 0755) != 0 && errno != EEXIST)
            return -1;
        fd = openat(w->at, name, DIR_FLAGS | O_CLOEXEC);
        /* Whatever the umask is. */
        if (fd >= 0 && fchmod(fd, 0755) != 0) {
            close(fd);
            return -1;
        }
    }
    if (fd < 0)
        return errno == ELOOP || errno == ENOTDIR ? follow(w, name) : -1;
    close(w->at);
    w->at = fd;
    return 0;
}

/* Walks all of w->rest. */
static int walk(struct walk *w)
{
    char name[NAME_MAX + 1];
    for (;;) {
        size_t skip = strspn(w->rest, "/");
        size_t n = strcspn(w->rest + skip, "/");
        if (n == 0)
            return 0;
        if (n > NAME_MAX) {
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(name, w->rest + skip, n);
        name[n] = '\0';
        memmove(w->rest, w->rest + skip + n, strlen(w->rest + skip + n) + 1);
        if (enter(w, name) != 0)
            return -1;
    }
}

/* devtmpfs calls itself tmpfs: it is known by being what is mounted on /dev. */
static bool on_dev(const struct walk *w)
{
    struct stat here, dev, root;
    if (fstat(w->at, &here) != 0 || fstat(w->root, &root) != 0)
        return true;
    if (fstatat(w->root, "dev", &dev, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    if (dev.st_dev == here.st_dev && dev.st_ino == here.st_ino)
        return true;
    return dev.st_dev != root.st_dev && dev.st_dev == here.st_dev;
}

/* Where files are interfaces of the kernel. */
static bool forbidden(const struct walk *w)
{
    struct statfs fs;
    if (fstatfs(w->at, &fs) != 0)
        return true;
    switch ((unsigned long)fs.f_type) {
    case PROC_SUPER_MAGIC:
    case SYSFS_MAGIC:
    case CGROUP_SUPER_MAGIC:
    case CGROUP2_SUPER_MAGIC:
    case DEVPTS_SUPER_MAGIC:
    case DEBUGFS_MAGIC:
    case SECURITYFS_MAGIC:
        return true;
    default:
        return on_dev(w);
    }
}

/* The directory of PATH in *FD and its last component in *NAME. */
static int open_parent(int *fd, const char **name, int root, const char *path, bool make,
                       struct cv_error *err)
{
    struct walk w = {.root = root, .make = make};
    *fd = -1;
    if (!cv_boot_path_plain(path))
        return cv_error_set(err, CV_ERR_INVALID, "%s is not an absolute, plain path", path);
    *name = strrchr(path, '/') + 1;
    size_t n = (size_t)(*name - path);
    if (n >= sizeof w.rest)
        return cv_error_set(err, CV_ERR_LIMIT, "%s is too long", path);
    memcpy(w.rest, path, n);
    w.rest[n] = '\0';
    w.at = openat(root, ".", DIR_FLAGS | O_CLOEXEC);
    if (w.at < 0)
        return fail(err, errno, path, "opening the root directory");
    if (walk(&w) != 0) {
        int number = errno;
        close(w.at);
        return fail(err, number, path,
                    number == EPERM ? "a link on the way is not root's" : "opening its directory");
    }
    if (forbidden(&w)) {
        close(w.at);
        return cv_error_set(err, CV_ERR_DENIED, "%s lies in a file system of the kernel", path);
    }
    *fd = w.at;
    return 0;
}

static int fill(int fd, const struct cv_file_owner *owner, struct cv_bytes content,
                const char **step)
{
    *step = "writing it";
    if (cv_fd_write_all(fd, content.p, content.n) != 0)
        return -1;
    *step = "giving it its owner";
    if (fchown(fd, owner->uid, owner->gid) != 0)
        return -1;
    *step = "giving it its mode";
    return fchmod(fd, owner->mode & 07777);
}

int cv_files_write(int root, const char *path, const struct cv_file_owner *owner,
                   struct cv_bytes content, struct cv_error *err)
{
    const char *name, *step = "creating it";
    char temporary[40];
    uint64_t unique;
    int dir;
    int rc = open_parent(&dir, &name, root, path, true, err);
    if (rc != 0)
        return rc;
    cv_random(&unique, sizeof unique);
    snprintf(temporary, sizeof temporary, ".claviger-%016llx", (unsigned long long)unique);
    int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool done = fd >= 0 && fill(fd, owner, content, &step) == 0;
    if (done) {
        step = "putting it in its place";
        done = renameat(dir, temporary, dir, name) == 0;
    }
    if (!done) {
        rc = fail(err, errno, path, step);
        if (fd >= 0)
            unlinkat(dir, temporary, 0);
    }
    if (fd >= 0)
        close(fd);
    close(dir);
    return rc;
}

int cv_files_remove(int root, const char *path, struct cv_error *err)
{
    const char *name;
    int dir;
    int rc = open_parent(&dir, &name, root, path, false, err);
    if (rc == CV_ERR_NOT_FOUND)
        return 0;
    if (rc != 0)
        return rc;
    if (unlinkat(dir, name, 0) != 0 && errno != ENOENT)
        rc = fail(err, errno, path, "removing it");
    close(dir);
    return rc;
}
