/* SPDX-License-Identifier: Apache-2.0 */
#include "init/mounts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

struct file_system {
    const char *type, *path, *options;
    unsigned long flags;
    bool needed;
};

static const struct file_system late[] = {
    {"proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, true},
    {"sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, false},
    {"cgroup2", "/sys/fs/cgroup", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, false},
    {"devpts", "/dev/pts", "newinstance,ptmxmode=0666,mode=0620,gid=5", MS_NOSUID | MS_NOEXEC,
     false},
    {"tmpfs", "/dev/shm", "mode=1777", MS_NOSUID | MS_NODEV, false},
    {"mqueue", "/dev/mqueue", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, false},
};

static int mount_one(const struct file_system *f, struct cv_error *err)
{
    (void)mkdir(f->path, 0755);
    if (mount(f->type, f->path, f->type, f->flags, f->options) == 0 || errno == EBUSY)
        return 0;
    int number = errno;
    if (f->needed)
        return cv_error_errno(err, CV_ERR_IO, number, "mounting %s on %s", f->type, f->path);
    /* A kernel without it serves applications that do without. */
    cv_log(CV_LOG_WARN, "a file system is missing", "type", f->type, "path", f->path, "error",
           strerror(number), NULL);
    return 0;
}

int cv_mounts_early(struct cv_error *err)
{
    static const struct file_system dev = {"devtmpfs", "/dev", "mode=0755", MS_NOSUID | MS_NOEXEC,
                                           true};
    int rc = mount_one(&dev, err);
    if (rc != 0)
        return rc;
    int fd = open("/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; fd >= 0 && i < 3; i++) {
        if (fcntl(i, F_GETFD) < 0 && fd != i)
            (void)dup2(fd, i);
    }
    if (fd > 2)
        close(fd);
    return 0;
}

int cv_mounts_switch_root(const char *path, struct cv_error *err)
{
    if (mount(path, path, NULL, MS_BIND | MS_REC, NULL) != 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "binding the application's root %s", path);
    if (chdir(path) != 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "entering the application's root %s", path);
    if (mount(".", "/", NULL, MS_MOVE, NULL) != 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "moving %s to /", path);
    if (chroot(".") != 0 || chdir("/") != 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "changing the root directory");
    return 0;
}

/* Nothing there that a mount would hide. */
static bool empty(const char *path)
{
    DIR *d = opendir(path);
    bool found = false;
    struct dirent *entry;
    if (d == NULL)
        return errno == ENOENT;
    while (!found && (entry = readdir(d)) != NULL)
        found = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(d);
    return !found;
}

static int memory_on(const char *path, const char *options, struct cv_error *err)
{
    const struct file_system f = {"tmpfs", path, options, MS_NOSUID | MS_NODEV, true};
    return empty(path) ? mount_one(&f, err) : 0;
}

static const struct {
    const char *target, *path;
} links[] = {
    {"/proc/self/fd", "/dev/fd"},       {"/proc/self/fd/0", "/dev/stdin"},
    {"/proc/self/fd/1", "/dev/stdout"}, {"/proc/self/fd/2", "/dev/stderr"},
    {"pts/ptmx", "/dev/ptmx"},
};

int cv_mounts_late(bool own_dev, struct cv_error *err)
{
    static const struct file_system dev = {"devtmpfs", "/dev", "mode=0755", MS_NOSUID | MS_NOEXEC,
                                           true};
    int rc = own_dev ? 0 : mount_one(&dev, err);
    for (size_t i = 0; rc == 0 && i < sizeof late / sizeof late[0]; i++)
        rc = mount_one(&late[i], err);
    if (rc == 0)
        rc = memory_on("/run", "mode=0755", err);
    if (rc == 0)
        rc = memory_on("/tmp", "mode=1777", err);
    for (size_t i = 0; rc == 0 && i < sizeof links / sizeof links[0]; i++) {
        /* devtmpfs has a ptmx node of its own, which works as well. */
        if (symlink(links[i].target, links[i].path) != 0 && errno != EEXIST)
            rc = cv_error_errno(err, CV_ERR_IO, errno, "linking %s", links[i].path);
    }
    return rc;
}
