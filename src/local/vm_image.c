/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel, command line and ramdisks out of an image. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "local/vm.h"

#define CHUNK 65536u
/* A kernel that ends is the enclave's end. QEMU is told not to start it again. */
#define ADDED "console=ttyS0 reboot=k panic=-1"

static int copy_section(const struct cv_eif *eif, const struct cv_eif_section *s, int fd,
                        const char *path, struct cv_error *err)
{
    static uint8_t chunk[CHUNK];
    for (uint64_t done = 0; done < s->size;) {
        size_t n = s->size - done < CHUNK ? (size_t)(s->size - done) : CHUNK;
        int rc = cv_eif_read_at(eif, s->offset + done, chunk, n, err);
        if (rc != 0)
            return rc;
        if (cv_fd_write_all(fd, chunk, n) != 0)
            return cv_error_errno(err, CV_ERR_IO, errno, "writing %s", path);
        done += n;
    }
    return 0;
}

/* All sections of TYPE, one after the other: as the hypervisor loads ramdisks. */
static int extract(const struct cv_eif *eif, enum cv_eif_type type, const char *path,
                   struct cv_error *err)
{
    int rc = 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "writing %s", path);
    for (unsigned i = 0; i < eif->count && rc == 0; i++)
        if (eif->sections[i].type == type)
            rc = copy_section(eif, &eif->sections[i], fd, path, err);
    if (close(fd) != 0 && rc == 0)
        rc = cv_error_errno(err, CV_ERR_IO, errno, "writing %s", path);
    return rc;
}

static bool dropped(const char *word, size_t n)
{
    static const char *const words[] = {"pci=off"};
    static const char *const prefixes[] = {"panic=", "reboot=", "console="};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (n == strlen(words[i]) && memcmp(word, words[i], n) == 0)
            return true;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (n >= strlen(prefixes[i]) && memcmp(word, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

int cv_vm_cmdline(char *out, size_t size, const char *measured, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, size - 1);
    int rc = cv_buf_append_str(&text, ADDED);
    for (const char *p = measured; rc == 0 && *p != '\0';) {
        size_t n = strcspn(p, " \t\n");
        if (n > 0 && !dropped(p, n)) {
            rc = cv_buf_append(&text, " ", 1);
            if (rc == 0)
                rc = cv_buf_append(&text, p, n);
        }
        p += n + (p[n] != '\0');
    }
    if (rc != 0)
        return cv_error_set(err, rc, "the kernel's command line is too long");
    memcpy(out, text.p, text.n + 1);
    return 0;
}

static int take(struct cv_vm_image *out, const struct cv_eif *eif, const char *dir,
                struct cv_error *err)
{
    char path[CV_VM_PATH];
    CV_CLEANUP(cv_buf_free) struct cv_buf cmdline;
    cv_buf_init(&cmdline, CV_EIF_MAX_CMDLINE);
    if (eif->flags & CV_EIF_FLAG_ARM64)
        return cv_error_set(err, CV_ERR_UNSUPPORTED,
                            "an image for aarch64, and the virtual machine is an x86-64 one");
    int rc = cv_eif_read_section(eif, cv_eif_find(eif, CV_EIF_CMDLINE), &cmdline, err);
    if (rc == 0)
        rc = cv_vm_cmdline(out->cmdline, sizeof out->cmdline,
                           cmdline.n > 0 ? (const char *)cmdline.p : "", err);
    if (rc == 0)
        rc = extract(eif, CV_EIF_KERNEL, cv_vm_path(path, dir, "kernel"), err);
    if (rc == 0)
        rc = extract(eif, CV_EIF_RAMDISK, cv_vm_path(path, dir, "initrd"), err);
    return rc;
}

int cv_vm_unpack(struct cv_vm_image *out, const char *image, const char *dir, struct cv_error *err)
{
    struct cv_eif eif;
    /* The measurement comes from what was unpacked only when the file stays the
     * same: both go through names, and this is a developer's machine. */
    int rc = cv_eif_measure_path(image, &out->pcrs, err);
    if (rc == 0)
        rc = cv_eif_open(&eif, image, err);
    if (rc != 0)
        return rc;
    rc = take(out, &eif, dir, err);
    cv_eif_close(&eif);
    return rc;
}
