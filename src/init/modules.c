/* SPDX-License-Identifier: Apache-2.0 */
#include "init/modules.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/module.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/file.h"

#ifndef MODULE_INIT_COMPRESSED_FILE
#define MODULE_INIT_COMPRESSED_FILE 4 /* Linux 5.17 */
#endif
#define ORDER_MAX 16384
#define NAME_SIZE 256

int cv_modules_each(struct cv_bytes text,
                    int (*each)(void *ctx, const char *name, struct cv_error *err), void *ctx,
                    struct cv_error *err)
{
    char name[NAME_SIZE], quoted[80];
    size_t count = 0;
    while (text.n != 0) {
        const uint8_t *end = memchr(text.p, '\n', text.n);
        size_t n = end != NULL ? (size_t)(end - text.p) : text.n;
        size_t skip = end != NULL ? n + 1 : n;
        if (n != 0) {
            if (n >= sizeof name || memchr(text.p, '/', n) != NULL ||
                memchr(text.p, 0, n) != NULL || text.p[0] == '.' || ++count > CV_MODULES_MAX)
                return cv_error_set(err, CV_ERR_INVALID,
                                    CV_MODULES_ORDER ": \"%s\" is no module's name",
                                    cv_error_quote(quoted, sizeof quoted, text.p, n));
            memcpy(name, text.p, n);
            name[n] = '\0';
            int rc = each(ctx, name, err);
            if (rc != 0)
                return rc;
        }
        text.p += skip;
        text.n -= skip;
    }
    return 0;
}

static bool compressed(const char *name)
{
    static const char *const ends[] = {".xz", ".gz", ".zst"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        size_t n = strlen(ends[i]), all = strlen(name);
        if (all > n && strcmp(name + all - n, ends[i]) == 0)
            return true;
    }
    return false;
}

static int load(void *ctx, const char *name, struct cv_error *err)
{
    int dir = *(const int *)ctx;
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return cv_error_errno(err, CV_ERR_NOT_FOUND, errno, "kernel module %s", name);
    long done =
        syscall(SYS_finit_module, fd, "", compressed(name) ? MODULE_INIT_COMPRESSED_FILE : 0);
    int number = errno;
    close(fd);
    if (done != 0 && number != EEXIST)
        return cv_error_errno(err, CV_ERR_IO, number, "loading the kernel module %s", name);
    unlinkat(dir, name, 0);
    return 0;
}

int cv_modules_load(const char *path, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf order;
    char file[NAME_SIZE];
    cv_buf_init(&order, ORDER_MAX);
    int rc = cv_path_join(file, sizeof file, path, CV_MODULES_ORDER);
    if (rc == 0)
        rc = cv_file_read(&order, file, err);
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "%s", path);
    if (rc == CV_ERR_NOT_FOUND)
        rc = faccessat(dir, "nsm.ko", R_OK, 0) == 0 ? load(&dir, "nsm.ko", err) : 0;
    else if (rc == 0)
        rc = cv_modules_each(cv_buf_view(&order), load, &dir, err);
    if (rc == 0)
        unlinkat(dir, CV_MODULES_ORDER, 0);
    close(dir);
    return rc;
}
