/* SPDX-License-Identifier: Apache-2.0 */
/* A ramdisk, plain or gzip, unpacked into a folder that is removed again. */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "eif/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    (void)st;
    (void)flag;
    return f->level == 0 ? 0 : remove(path);
}

/* The folder lies in another one, where nothing else may appear. */
static int make_folder(char *top, char *in, size_t size)
{
    if (mkdtemp(top) == NULL || snprintf(in, size, "%s/in", top) < 0 || mkdir(in, 0700) != 0)
        abort();
    return open(in, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char top[] = "/tmp/cv-fuzz-unpack-XXXXXX", in[64];
    struct cv_unpack_count n;
    struct stat before, after;
    int dir = make_folder(top, in, sizeof in);
    int fd = memfd_create("ramdisk", MFD_CLOEXEC);
    if (fd < 0 || dir < 0 || cv_fd_write_all(fd, data, size) != 0 || stat(top, &before) != 0)
        abort();
    struct cv_eif eif = {.fd = fd, .file_size = size};
    struct cv_eif_section s = {CV_EIF_RAMDISK, 0, size};
    (void)!cv_eif_unpack(&eif, &s, dir, &n, NULL);
    if (stat(top, &after) != 0 || after.st_mode != before.st_mode ||
        after.st_uid != before.st_uid || after.st_nlink != before.st_nlink)
        abort();
    close(fd);
    (void)fchmod(dir, 0700);
    close(dir);
    (void)nftw(in, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    if (rmdir(in) != 0 || rmdir(top) != 0)
        abort();
    return 0;
}
