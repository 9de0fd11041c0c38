/* SPDX-License-Identifier: Apache-2.0 */
/* A ramdisk, plain or gzip, searched for the measured settings. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/file.h"
#include "eif/boot_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("ramdisk", MFD_CLOEXEC);
    if (fd < 0 || cv_fd_write_all(fd, data, size) != 0) {
        abort();
    }
    struct cv_eif eif = {.fd = fd, .file_size = size, .count = 1};
    eif.sections[0] = (struct cv_eif_section){CV_EIF_RAMDISK, 0, size};
    struct cv_boot_settings s;
    (void)!cv_eif_boot_settings(&eif, &s, NULL);
    cv_boot_free(&s);
    close(fd);
    return 0;
}
