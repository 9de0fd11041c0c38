/* SPDX-License-Identifier: Apache-2.0 */
#include "eif/build.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "eif/gzip.h"
#include "eif/ramdisk.h"
#include "eif/sign.h"

#define MAX_ROOTS (4u << 20) /* bytes of root certificates */

/* ---- files of this machine ---- */

static int open_file(int *fd, uint64_t *size, const char *path, struct cv_error *err)
{
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0) {
        return cv_error_errno(err, errno == ENOENT ? CV_ERR_NOT_FOUND : CV_ERR_IO, errno,
                              "opening %s", path);
    }
    if (fstat(*fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0) {
        close(*fd);
        return cv_error_set(err, CV_ERR_INVALID, "%s is no regular file, or empty", path);
    }
    *size = (uint64_t)st.st_size;
    return 0;
}

static void check_kernel(const struct cv_build *b, int fd)
{
    uint8_t head[0x206];
    if (pread(fd, head, sizeof head, 0) == (ssize_t)sizeof head &&
        (b->arm64 ? memcmp(head + 56, "ARM\x64", 4) == 0 : memcmp(head + 0x202, "HdrS", 4) == 0)) {
        return;
    }
    b->warn(b->arm64 ? "the kernel is no uncompressed arm64 Image"
                     : "the kernel is no x86 bzImage");
}

static int put_kernel(struct cv_eif_writer *w, const struct cv_build *b,
                      const struct cv_build_files *f, uint64_t *size, struct cv_error *err)
{
    int fd;
    int rc = open_file(&fd, size, f->kernel, err);
    if (rc != 0) {
        return rc;
    }
    check_kernel(b, fd);
    rc = cv_eif_writer_begin(w, CV_EIF_KERNEL, err);
    if (rc == 0) {
        rc = cv_eif_writer_copy(w, fd, 0, *size, err);
    }
    close(fd);
    return rc == 0 ? cv_eif_writer_end(w, err) : rc;
}

/* ---- ramdisks ---- */

struct ramdisk {
    struct cv_cpio c;
    struct cv_gzip gz;
    bool compress;
};

static int begin_ramdisk(struct ramdisk *r, struct cv_eif_writer *w, const struct cv_build *b,
                         struct cv_error *err)
{
    memset(r, 0, sizeof *r);
    r->compress = b->compress;
    int rc = cv_eif_writer_begin(w, CV_EIF_RAMDISK, err);
    if (rc == 0 && r->compress) {
        rc = cv_gzip_open(&r->gz, cv_eif_writer_sink(w), err);
    }
    cv_cpio_init(&r->c, r->compress ? cv_gzip_sink(&r->gz) : cv_eif_writer_sink(w));
    return rc;
}

/* RC: how it went so far. */
static int end_ramdisk(struct ramdisk *r, struct cv_eif_writer *w, int rc, struct cv_error *err)
{
    if (rc == 0) {
        rc = cv_cpio_end(&r->c, err);
    }
    if (rc == 0 && r->compress) {
        rc = cv_gzip_end(&r->gz, err);
    }
    cv_gzip_close(&r->gz);
    return rc == 0 ? cv_eif_writer_end(w, err) : rc;
}

static int put_program(struct cv_cpio *c, const char *name, const char *path, struct cv_error *err)
{
    int fd;
    uint64_t size;
    int rc = open_file(&fd, &size, path, err);
    if (rc == 0) {
        rc = cv_ramdisk_fd(c, name, 0755, fd, size, err);
        close(fd);
    }
    return rc;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static int put_modules(struct cv_cpio *c, const struct cv_build_files *f, struct cv_error *err)
{
    static const char *const taken[] = {"dev", "init",   "claviger",         "cmd",
                                        "env", "rootfs", CV_BUILD_LOAD_ORDER};
    CV_CLEANUP(cv_buf_free) struct cv_buf order;
    cv_buf_init(&order, 65536);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < f->module_count; i++) {
        const char *name = base_name(f->modules[i]);
        bool bad = name[0] == 0 || strchr(name, '\n') != NULL;
        for (size_t k = 0; k < sizeof taken / sizeof taken[0]; k++) {
            bad = bad || strcmp(name, taken[k]) == 0;
        }
        for (size_t k = 0; k < i; k++) {
            bad = bad || strcmp(name, base_name(f->modules[k])) == 0;
        }
        if (bad) {
            return cv_error_set(err, CV_ERR_INVALID,
                                "the module %s cannot have this name, or is "
                                "given twice",
                                f->modules[i]);
        }
        rc = put_program(c, name, f->modules[i], err);
        if (rc == 0) {
            rc = cv_buf_printf(&order, "%s\n", name);
        }
    }
    return rc == 0 && f->module_count != 0
               ? cv_ramdisk_file(c, CV_BUILD_LOAD_ORDER, 0644, cv_buf_view(&order), err)
               : rc;
}

static int put_bootstrap(struct cv_eif_writer *w, const struct cv_build *b,
                         const struct cv_build_files *f, struct cv_error *err)
{
    struct ramdisk r;
    int rc = begin_ramdisk(&r, w, b, err);
    if (rc == 0) {
        rc = cv_ramdisk_folder(&r.c, "dev", 0755, err);
    }
    if (rc == 0) {
        rc = put_program(&r.c, "init", f->init, err);
    }
    if (rc == 0) {
        rc = put_modules(&r.c, f, err);
    }
    return end_ramdisk(&r, w, rc, err);
}

/* ---- second ramdisk ---- */

/* "cmd" or "env" of AWS's init: one item a line. An item that holds a newline
 * cannot be told to it; then there is no such file, and a warning. */
static int put_lines(struct cv_cpio *c, const char *name, const struct cv_boot_list *list,
                     bool own_init, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, CV_BOOT_MAX_TEXT);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < list->count; i++) {
        if (strchr(list->item[i], '\n') != NULL) {
            if (!own_init) {
                return cv_error_set(err, CV_ERR_INVALID,
                                    "an argument or a variable holds a "
                                    "newline, which the init of nitro-cli cannot be told");
            }
            return 0;
        }
        rc = cv_buf_printf(&text, "%s\n", list->item[i]);
    }
    return rc == 0 ? cv_ramdisk_file(c, name, 0644, cv_buf_view(&text), err)
                   : cv_error_set(err, rc, "the command line is too long");
}

/* The folders that the init mounts something on. */
static int add_mount_points(struct cv_tree *t, struct cv_error *err)
{
    static const char *const names[] = {"dev", "proc", "run", "sys", "tmp", "var"};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof names / sizeof names[0]; i++) {
        if (cv_tree_find(t, names[i], false) == NULL) {
            struct cv_tree_attr attr = {.mode = S_IFDIR |
                                                (strcmp(names[i], "tmp") == 0 ? 01777 : 0755)};
            rc = cv_tree_put(t, names[i], &attr, err);
        }
    }
    return rc;
}

/* Root certificates that claviger-init knows KMS and S3 by. */
static int put_roots(struct cv_cpio *c, const struct cv_build *b, struct cv_error *err)
{
    static const char *const usual[] = {
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    };
    if (b->ca_file != NULL) {
        CV_CLEANUP(cv_buf_free) struct cv_buf pem;
        cv_buf_init(&pem, MAX_ROOTS);
        int rc = cv_file_read(&pem, b->ca_file, err);
        if (rc == 0 && memmem(pem.p, pem.n, "-----BEGIN CERTIFICATE-----", 27) == NULL) {
            rc = cv_error_set(err, CV_ERR_CONFIG, "%s holds no certificate in PEM", b->ca_file);
        }
        return rc == 0 ? cv_ramdisk_file(c, CV_BOOT_CA_FILE, 0444, cv_buf_view(&pem), err) : rc;
    }
    bool found = b->settings->source_count == 0;
    for (size_t i = 0; !found && i < sizeof usual / sizeof usual[0]; i++) {
        found = cv_tree_find(&b->source->tree, usual[i], true) != NULL;
    }
    if (!found && b->warn != NULL) {
        b->warn("the image has no root certificates to know KMS and S3 by, and will not start: "
                "name some with --ca-file");
    }
    return 0;
}

static int put_application(struct cv_eif_writer *w, const struct cv_build *b, bool own_init,
                           struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf conf;
    cv_buf_init(&conf, CV_BOOT_MAX_TEXT);
    int rc = cv_boot_encode(&conf, b->settings, err);
    if (rc == 0) {
        rc = add_mount_points(&b->source->tree, err);
    }
    if (rc != 0) {
        return rc;
    }
    struct ramdisk r;
    rc = begin_ramdisk(&r, w, b, err);
    if (rc == 0) {
        rc = cv_ramdisk_folder(&r.c, "claviger", 0755, err);
    }
    if (rc == 0) {
        rc = cv_ramdisk_file(&r.c, CV_BOOT_FILE, 0644, cv_buf_view(&conf), err);
    }
    if (rc == 0) {
        rc = put_roots(&r.c, b, err);
    }
    if (rc == 0) {
        rc = put_lines(&r.c, "cmd", &b->settings->argv, own_init, err);
    }
    if (rc == 0) {
        rc = put_lines(&r.c, "env", &b->settings->env, own_init, err);
    }
    if (rc == 0) {
        rc = cv_ramdisk_tree(&r.c, &b->source->tree, "rootfs", b->progress, err);
    }
    return end_ramdisk(&r, w, rc, err);
}

/* ---- the image ---- */

static int put_signature(struct cv_eif_writer *w, const struct cv_build *b, struct cv_error *err)
{
    uint8_t pcr0[CV_EIF_PCR_LEN];
    CV_CLEANUP(cv_buf_free) struct cv_buf section;
    cv_buf_init(&section, CV_EIF_MAX_SIGNATURE);
    int rc = cv_eif_writer_pcr0(w, pcr0, err);
    if (rc == 0) {
        rc = b->remote_key != NULL
                 ? cv_eif_sign_remote(&section, pcr0, b->certificate, b->remote_key, err)
                 : cv_eif_sign_section(&section, pcr0, b->certificate, b->key, err);
    }
    return rc == 0 ? cv_eif_writer_section(w, CV_EIF_SIGNATURE, cv_buf_view(&section), err) : rc;
}

static int write_all(struct cv_eif_writer *w, const struct cv_build *b,
                     const struct cv_build_files *f, struct cv_build_result *result,
                     struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf metadata;
    cv_buf_init(&metadata, CV_EIF_MAX_METADATA);
    int rc = cv_build_metadata(&metadata, b, f, err);
    if (rc == 0) {
        rc = put_kernel(w, b, f, &result->kernel_size, err);
    }
    if (rc == 0) {
        rc = cv_eif_writer_section(w, CV_EIF_CMDLINE, cv_bytes_str(f->cmdline), err);
    }
    if (rc == 0) {
        rc = cv_eif_writer_section(w, CV_EIF_METADATA, cv_buf_view(&metadata), err);
    }
    if (rc == 0) {
        rc = put_bootstrap(w, b, f, err);
    }
    if (rc == 0) {
        rc = put_application(w, b, f->own_init, err);
    }
    if (rc == 0 && b->certificate != NULL) {
        rc = put_signature(w, b, err);
    }
    result->size = w->at;
    return rc == 0 ? cv_eif_writer_finish(w, err) : rc;
}

int cv_eif_build(const struct cv_build *b, struct cv_build_result *result, struct cv_error *err)
{
    memset(result, 0, sizeof *result);
    CV_CLEANUP(cv_build_free_files) struct cv_build_files f;
    int rc = cv_build_find_files(&f, b, err);
    struct cv_eif_writer w;
    if (rc == 0) {
        rc = cv_eif_writer_open(&w, b->out, b->arm64 ? CV_EIF_FLAG_ARM64 : 0, err);
    }
    if (rc != 0) {
        return rc;
    }
    rc = write_all(&w, b, &f, result, err);
    cv_eif_writer_close(&w);
    /* Read back: what is printed is what the file measures. */
    return rc == 0 ? cv_eif_measure_path(b->out, &result->pcrs, err) : rc;
}

/* ---- the container's configuration ---- */

static int add_texts(struct cv_boot_list *list, const json_t *texts, bool env)
{
    size_t i;
    json_t *v;
    int rc = 0;
    json_array_foreach (texts, i, v) {
        const char *text = json_string_value(v);
        if (text == NULL || (env && (strchr(text, '=') == NULL || text[0] == '='))) {
            continue; /* "NAME" alone: a value of the build's surroundings, which is none here */
        }
        rc = env ? cv_boot_env_set(list, text) : cv_boot_list_add(list, text);
        if (rc != 0) {
            break;
        }
    }
    return rc;
}

static int take_text(char **field, const json_t *config, const char *key)
{
    const char *text = json_string_value(json_object_get(config, key));
    return text != NULL && text[0] != 0 ? cv_boot_text_set(field, text) : 0;
}

int cv_build_take_config(struct cv_boot_settings *settings, const json_t *config,
                         struct cv_error *err)
{
    if (config == NULL) {
        return 0;
    }
    /* As container engines do: ENTRYPOINT, then CMD as its arguments. */
    int rc = add_texts(&settings->argv, json_object_get(config, "Entrypoint"), false);
    if (rc == 0) {
        rc = add_texts(&settings->argv, json_object_get(config, "Cmd"), false);
    }
    if (rc == 0) {
        rc = add_texts(&settings->env, json_object_get(config, "Env"), true);
    }
    if (rc == 0) {
        rc = take_text(&settings->user, config, "User");
    }
    if (rc == 0) {
        rc = take_text(&settings->workdir, config, "WorkingDir");
    }
    if (rc == 0) {
        rc = take_text(&settings->stop_signal, config, "StopSignal");
    }
    return rc == 0 ? 0 : cv_error_set(err, rc, "taking over the container's configuration");
}
