/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a program under test: lets one system call on certain files
 * fail. CV_FAULT=CALL:K:ERRNO (open, read, pwrite, fsync, fdatasync, rename),
 * CV_FAULT_PATH=part of the path, CV_FAULT_MARK=file that is made when the
 * fault was met.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_int calls;

int open(const char *path, int flags, ...);
ssize_t read(int fd, void *p, size_t n);
ssize_t pwrite(int fd, const void *p, size_t n, off_t at);
int fsync(int fd);
int fdatasync(int fd);
int rename(const char *from, const char *to);

#define NEXT(name) __typeof__(&name) next = (__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name)

static bool fails(const char *call, const char *path)
{
    const char *fault = getenv("CV_FAULT");
    const char *part = getenv("CV_FAULT_PATH");
    const char *mark = getenv("CV_FAULT_MARK");
    char name[32];
    int k;
    int number;
    if (fault == NULL || part == NULL || mark == NULL || strstr(path, part) == NULL ||
        sscanf(fault, "%31[a-z]:%d:%d", name, &k, &number) != 3 || strcmp(name, call) != 0 ||
        atomic_fetch_add(&calls, 1) + 1 != k) {
        return false;
    }
    NEXT(open);
    int fd = next(mark, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
    }
    errno = number;
    return true;
}

static bool fd_fails(const char *call, int fd)
{
    char link[64];
    char path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) {
        return false;
    }
    path[n] = '\0';
    return fails(call, path);
}

int open(const char *path, int flags, ...)
{
    NEXT(open);
    va_list ap;
    va_start(ap, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return fails("open", path) ? -1 : next(path, flags, mode);
}

ssize_t read(int fd, void *p, size_t n)
{
    NEXT(read);
    return fd_fails("read", fd) ? -1 : next(fd, p, n);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    NEXT(pwrite);
    return fd_fails("pwrite", fd) ? -1 : next(fd, p, n, at);
}

int fsync(int fd)
{
    NEXT(fsync);
    return fd_fails("fsync", fd) ? -1 : next(fd);
}

int fdatasync(int fd)
{
    NEXT(fdatasync);
    return fd_fails("fdatasync", fd) ? -1 : next(fd);
}

int rename(const char *from, const char *to)
{
    NEXT(rename);
    return fails("rename", from) ? -1 : next(from, to);
}
