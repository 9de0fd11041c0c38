/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU: in a root of its own, or this system's. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/clock.h"
#include "local/vm.h"

#define NEEDED                                                                                 \
    "QEMU 10.2 or later is needed: package qemu-system-x86 of Debian forky, sid or later, or " \
    "'./dev vm' puts it into a folder of its own, to be named with --root"
#define QEMU "qemu-system-x86_64"
#define VERSION_MS 5000

/* The file NAME of $PATH. */
static bool in_path(char out[CV_VM_PATH], const char *name)
{
    const char *path = getenv("PATH");
    while (path != NULL && *path != '\0') {
        size_t n = strcspn(path, ":");
        int len = snprintf(out, CV_VM_PATH, "%.*s/%s", (int)n, path, name);
        if (n > 0 && len > 0 && len < CV_VM_PATH && access(out, X_OK) == 0)
            return true;
        path += n + (path[n] == ':');
    }
    return false;
}

static int in_root(struct cv_vm_programs *p, const char *root, struct cv_error *err)
{
    char full[CV_VM_PATH * 8];
    if (realpath(root, full) == NULL || strlen(full) > 256 || strpbrk(full, ",:") != NULL)
        return cv_error_errno(err, CV_ERR_NOT_FOUND, errno, "the root %s cannot be used", root);
    memcpy(p->root, full, strlen(full) + 1); /* at most 256 bytes */
    cv_vm_path(p->loader, full, "usr/lib64/ld-linux-x86-64.so.2");
    cv_vm_path(p->libraries, full, "usr/lib/x86_64-linux-gnu");
    cv_vm_path(p->modules, full, "usr/lib/x86_64-linux-gnu/qemu");
    cv_vm_path(p->firmware, full, "usr/share/seabios");
    cv_vm_path(p->qemu, full, "usr/bin/" QEMU);
    if (access(p->loader, X_OK) != 0 || access(p->qemu, X_OK) != 0)
        return cv_error_set(err, CV_ERR_NOT_FOUND, "%s has no " QEMU, full);
    return 0;
}

bool cv_vm_version(unsigned *major, unsigned *minor, const char *text)
{
    static const char head[] = "QEMU emulator version ";
    const char *p = strstr(text, head);
    return p != NULL && sscanf(p + sizeof head - 1, "%5u.%5u", major, minor) == 2;
}

/* What the program says of itself, which takes a moment. */
static int ask_version(struct cv_vm_programs *p, struct cv_error *err)
{
    char text[4096] = "";
    size_t n = 0;
    ssize_t got = 1;
    struct cv_local_child c = {.name = "QEMU", .out = -1};
    int64_t deadline = cv_deadline(VERSION_MS);
    cv_vm_add_program(&c, p, p->qemu);
    cv_local_child_arg(&c, "--version");
    int rc = cv_local_child_spawn(&c, err);
    if (rc != 0)
        return rc;
    while (got > 0 && n < sizeof text - 1 && strchr(text, '\n') == NULL &&
           cv_fd_wait(c.out, POLLIN, deadline) == 0) {
        got = read(c.out, text + n, sizeof text - 1 - n);
        n += got > 0 ? (size_t)got : 0;
        text[n] = '\0';
    }
    cv_local_children_stop(&c, 1);
    if (!cv_vm_version(&p->major, &p->minor, text))
        rc = cv_error_set(err, CV_ERR_UNSUPPORTED, "%s does not say its version. " NEEDED, p->qemu);
    return rc;
}

int cv_vm_find(struct cv_vm_programs *p, const char *root, struct cv_error *err)
{
    int rc = 0;
    memset(p, 0, sizeof *p);
    if (root != NULL)
        rc = in_root(p, root, err);
    else if (!in_path(p->qemu, QEMU))
        rc = cv_error_set(err, CV_ERR_NOT_FOUND, "there is no " QEMU " here. " NEEDED);
    if (rc == 0)
        rc = ask_version(p, err);
    if (rc == 0 && p->major * 100 + p->minor < 1002)
        return cv_error_set(
            err, CV_ERR_UNSUPPORTED,
            "QEMU %u.%u is too old: it gives its users no device for the NSM. " NEEDED, p->major,
            p->minor);
    return rc;
}

const char *cv_vm_accelerator(void)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm = -1;
    if (fd >= 0 && ioctl(fd, KVM_GET_API_VERSION, 0) == 12)
        vm = ioctl(fd, KVM_CREATE_VM, 0);
    if (fd >= 0)
        close(fd);
    if (vm < 0)
        return "tcg";
    close(vm);
    return "kvm";
}
