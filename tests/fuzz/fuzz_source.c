/* SPDX-License-Identifier: Apache-2.0 */
/* Tars, docker save archives, OCI archives, plain or gzip, into a tree and on
 * into a cpio archive, which is then walked. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/file.h"
#include "eif/ramdisk.h"
#include "eif/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct walked {
    uint64_t total;
};

static int count(void *ctx, const void *p, size_t n, struct cv_error *err)
{
    (void)p;
    (void)err;
    struct walked *w = ctx;
    w->total += n;
    return 0;
}

/* Makes the checksum of each header right, so that mutations get behind it. */
static void fix_checksums(uint8_t *p, size_t size)
{
    for (size_t at = 0; at + 512 <= size; at += 512) {
        uint8_t *h = p + at;
        if (memcmp(h + 257, "ustar", 5) != 0) {
            continue;
        }
        unsigned sum = 0;
        for (size_t i = 0; i < 512; i++) {
            sum += i >= 148 && i < 156 ? ' ' : h[i];
        }
        char text[9];
        snprintf(text, sizeof text, "%06o", sum & 0777777);
        memcpy(h + 148, text, 7);
        h[155] = ' ';
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1);
    if (copy == NULL) {
        return 0;
    }
    memcpy(copy, data, size);
    fix_checksums(copy, size);
    int fd = memfd_create("source", MFD_CLOEXEC);
    if (fd < 0 || cv_fd_write_all(fd, copy, size) != 0) {
        abort();
    }
    free(copy);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct cv_source_options options = {
        .path = path, .arch = "amd64", .spool_dir = "/tmp", .max_bytes = 8u << 20};
    struct cv_source s;
    if (cv_source_open(&s, &options, NULL) == 0) {
        struct walked w = {0};
        struct cv_cpio c;
        cv_cpio_init(&c, (struct cv_sink){count, &w});
        if (cv_ramdisk_tree(&c, &s.tree, "rootfs", NULL, NULL) == 0) {
            if (cv_cpio_end(&c, NULL) != 0 || w.total % 512 != 0 || w.total < s.tree.bytes) {
                abort();
            }
        }
        cv_source_close(&s);
    }
    close(fd);
    return 0;
}
