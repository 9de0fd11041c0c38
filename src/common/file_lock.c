/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"

#define POLL_MS 10 /* OFD locks have no wait with a time-out */

/* Opens or creates the lock file. One that root makes is given to the owner
 * of its directory, so that the service can lock it too. */
static int open_lock(const char *path)
{
    const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
    for (int tries = 0; tries < 8; tries++) {
        int fd = open(path, flags);
        if (fd >= 0 || errno != ENOENT)
            return fd;
        fd = open(path, flags | O_CREAT | O_EXCL, 0600);
        if (fd < 0 && errno == EEXIST)
            continue; /* somebody was faster */
        if (fd < 0 || geteuid() != 0)
            return fd;
        char dir[PATH_MAX];
        const char *slash = strrchr(path, '/');
        size_t n = slash == NULL ? 0 : (size_t)(slash - path);
        struct stat st;
        if (n < sizeof(dir)) {
            memcpy(dir, n == 0 ? "." : path, n == 0 ? 1 : n);
            dir[n == 0 ? 1 : n] = '\0';
            if (stat(slash == path ? "/" : dir, &st) == 0 && fchown(fd, st.st_uid, st.st_gid) != 0)
                return fd; /* a file system without owners */
        }
        return fd;
    }
    return -1;
}

int cv_file_lock(int *fd, const char *path, int64_t deadline, struct cv_error *err)
{
    *fd = -1;
    int opened = open_lock(path);
    if (opened < 0) {
        int code = errno == EACCES || errno == EPERM ? CV_ERR_DENIED
                   : errno == ENOENT                 ? CV_ERR_NOT_FOUND
                                                     : CV_ERR_IO;
        return cv_error_errno(err, code, errno, "cannot open the lock file %s", path);
    }
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    while (fcntl(opened, F_OFD_SETLK, &lock) != 0) {
        int why = errno;
        if (why == EINTR)
            continue;
        if (why == EAGAIN || why == EACCES) {
            if (cv_deadline_poll(deadline) != 0) {
                cv_sleep_ms(POLL_MS);
                continue;
            }
            (void)close(opened);
            return cv_error_set(err, CV_ERR_BUSY, "%s is locked by another process", path);
        }
        (void)close(opened);
        return cv_error_errno(err, CV_ERR_IO, why, "cannot lock %s", path);
    }
    *fd = opened;
    return 0;
}
