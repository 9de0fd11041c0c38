/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel, command line, modules and init: given, or where they are installed. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "eif/build.h"

#define NO_KERNEL                                                                              \
    "no kernel: name one with --kernel, or point NITRO_CLI_BLOBS at the files of nitro-cli "   \
    "(package aws-nitro-enclaves-cli-devel, or the aws-nitro-enclaves-sdk-bootstrap sources; " \
    "docs/images.md tells how to build one)"

/* Kernel parameters of AWS's images; "pci=off" and "i8042.*" save boot time. */
#define CMDLINE_X86                                                                          \
    "reboot=k panic=30 pci=off nomodules console=ttyS0 i8042.noaux i8042.nomux i8042.nopnp " \
    "i8042.dumbkbd random.trust_cpu=on"
#define CMDLINE_ARM64 \
    "reboot=k panic=30 pci=off nomodules console=ttyS0 random.trust_cpu=on root=/dev/ram0"

static int no_memory(struct cv_error *err)
{
    return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
}

/* DIR/NAME when it can be read, else NULL. */
static char *readable(const char *dir, const char *name)
{
    char *path;
    if (dir == NULL || asprintf(&path, "%s/%s", dir, name) < 0) {
        return NULL;
    }
    if (access(path, R_OK) != 0) {
        free(path);
        return NULL;
    }
    return path;
}

static int find_kernel(struct cv_build_files *f, const struct cv_build *b, const char *blobs,
                       struct cv_error *err)
{
    const char *name = b->arm64 ? "Image" : "bzImage";
    f->kernel = b->kernel != NULL ? strdup(b->kernel) : readable(blobs, name);
    if (f->kernel == NULL) {
        return cv_error_set(err, CV_ERR_NOT_FOUND, NO_KERNEL);
    }
    char config[32];
    snprintf(config, sizeof config, "%s.config", name);
    if (b->kernel_config != NULL) {
        f->config = strdup(b->kernel_config);
    } else if (b->kernel == NULL) {
        f->config = readable(blobs, config);
    }
    return 0;
}

static int find_cmdline(struct cv_build_files *f, const struct cv_build *b, const char *blobs,
                        struct cv_error *err)
{
    if (b->cmdline != NULL) {
        f->cmdline = strdup(b->cmdline);
    } else {
        char *path = b->kernel == NULL ? readable(blobs, "cmdline") : NULL;
        CV_CLEANUP(cv_buf_free) struct cv_buf text;
        cv_buf_init(&text, CV_EIF_MAX_CMDLINE);
        int rc = path != NULL ? cv_file_read(&text, path, err) : 0;
        free(path);
        if (rc != 0) {
            return rc;
        }
        f->cmdline = text.n != 0 ? strdup((const char *)text.p)
                                 : strdup(b->arm64 ? CMDLINE_ARM64 : CMDLINE_X86);
    }
    if (f->cmdline == NULL) {
        return no_memory(err);
    }
    /* As nitro-cli does: no white space around it, no newline, no NUL. */
    char *begin = f->cmdline + strspn(f->cmdline, " \t\r\n");
    size_t n = strlen(begin);
    while (n != 0 && strchr(" \t\r\n", begin[n - 1]) != NULL) {
        n--;
    }
    memmove(f->cmdline, begin, n);
    f->cmdline[n] = 0;
    if (n == 0 || n > CV_EIF_MAX_CMDLINE || strpbrk(f->cmdline, "\n\r") != NULL) {
        return cv_error_set(err, CV_ERR_INVALID,
                            "the kernel's command line must be one line of "
                            "1 to %u bytes",
                            CV_EIF_MAX_CMDLINE);
    }
    return 0;
}

static int find_modules(struct cv_build_files *f, const struct cv_build *b, const char *blobs,
                        struct cv_error *err)
{
    for (size_t i = 0; i < b->module_count; i++) {
        f->modules[f->module_count] = strdup(b->modules[i]);
        if (f->modules[f->module_count++] == NULL) {
            return no_memory(err);
        }
    }
    /* The NSM driver belongs to the kernel it was built for. */
    if (b->module_count == 0 && !b->no_modules && b->kernel == NULL) {
        f->modules[0] = readable(blobs, "nsm.ko");
        f->module_count = f->modules[0] != NULL ? 1 : 0;
    }
    return 0;
}

char *cv_build_program(const char *program_dir, const char *name)
{
    static const char *const places[] = {"/usr/libexec/claviger", "/usr/lib/claviger"};
    char *path = readable(program_dir, name), *libexec = NULL;
    if (path == NULL && program_dir != NULL &&
        asprintf(&libexec, "%s/../libexec/claviger", program_dir) >= 0) {
        path = readable(libexec, name);
        free(libexec);
    }
    for (size_t i = 0; path == NULL && i < 2; i++) {
        path = readable(places[i], name);
    }
    return path;
}

/* What claviger-init-small cannot do. */
static bool wants_more(const struct cv_boot_settings *s)
{
    return s->source_count != 0 || s->untrusted_env.count != 0 || s->egress.count != 0 ||
           s->ports.count != 0;
}

static int find_init(struct cv_build_files *f, const struct cv_build *b, const char *blobs,
                     struct cv_error *err)
{
    f->own_init = true;
    f->init = b->init != NULL ? strdup(b->init) : NULL;
    if (f->init == NULL && b->small_init && !wants_more(b->settings)) {
        f->init = cv_build_program(b->program_dir, "claviger-init-small");
    }
    if (f->init == NULL) {
        f->init = cv_build_program(b->program_dir, "claviger-init");
    }
    if (f->init != NULL) {
        return 0;
    }
    f->own_init = false;
    f->init = readable(blobs, "init");
    if (f->init == NULL) {
        return cv_error_set(err, CV_ERR_NOT_FOUND,
                            "no init: claviger-init is not installed beside "
                            "this program nor in /usr/libexec/claviger; name one with --init");
    }
    if (wants_more(b->settings) || b->settings->user != NULL || b->settings->workdir != NULL) {
        return cv_error_set(err, CV_ERR_NOT_FOUND,
                            "claviger-init is not installed, and AWS's own "
                            "init knows no secrets, user, working directory or ports, which this "
                            "image needs");
    }
    b->warn("claviger-init is not installed: the image gets the init of nitro-cli, which starts "
            "the application and nothing else");
    return 0;
}

int cv_build_find_files(struct cv_build_files *f, const struct cv_build *b, struct cv_error *err)
{
    memset(f, 0, sizeof *f);
    const char *blobs = b->blobs != NULL ? b->blobs : CV_BUILD_DEFAULT_BLOBS;
    int rc = find_kernel(f, b, blobs, err);
    if (rc == 0) {
        rc = find_cmdline(f, b, blobs, err);
    }
    if (rc == 0) {
        rc = find_modules(f, b, blobs, err);
    }
    return rc == 0 ? find_init(f, b, blobs, err) : rc;
}

void cv_build_free_files(struct cv_build_files *f)
{
    free(f->kernel);
    free(f->config);
    free(f->cmdline);
    free(f->init);
    for (size_t i = 0; i < f->module_count; i++) {
        free(f->modules[i]);
    }
    memset(f, 0, sizeof *f);
}
