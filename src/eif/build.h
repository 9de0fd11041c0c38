/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image from a tree, measured settings, a kernel and an init. The bytes
 * depend on these and on SOURCE_DATE_EPOCH alone.
 *
 *   ramdisk 0: dev/ init MODULE… modules-load-order
 *   ramdisk 1: claviger/boot.conf cmd env rootfs/
 *
 * "cmd" and "env" are for AWS's own init; claviger-init reads boot.conf.
 */
#ifndef CV_EIF_BUILD_H
#define CV_EIF_BUILD_H

struct cv_eif_remote_key; /* sign.h */

#include "eif/ramdisk.h"
#include "eif/source.h"
#include "eif/write.h"
#include "settings/boot.h"

#define CV_BUILD_MAX_MODULES 64u
#define CV_BUILD_MAX_METADATA 4096u /* bytes of --metadata, nitro-cli's limit */
#define CV_BUILD_DEFAULT_BLOBS "/usr/share/nitro_enclaves/blobs"
#define CV_BUILD_LOAD_ORDER "modules-load-order"

struct cv_build {
    const char *out;
    bool arm64;
    /* NULL: the file of nitro-cli in BLOBS, or what build.c says. */
    const char *kernel, *kernel_config, *cmdline, *init;
    const char *blobs; /* $NITRO_CLI_BLOBS, or NULL for its default */
    const char *modules[CV_BUILD_MAX_MODULES];
    size_t module_count;
    bool small_init;            /* claviger-init-small is enough, and preferred */
    bool no_modules;            /* none, not even nsm.ko of BLOBS */
    const char *program_dir;    /* where claviger-init lies beside us, or NULL */
    const char *name, *version; /* of the metadata; NULL: by the source */
    const char *metadata;       /* JSON file for CustomMetadata, or NULL */
    const char *tool_version;   /* BuildToolVersion */
    bool omit_build_info;
    bool compress;                 /* ramdisks with gzip: smaller, slower to start */
    int64_t build_time;            /* seconds: SOURCE_DATE_EPOCH, or 0 */
    const char *certificate, *key; /* to sign with, both or neither; or instead of KEY: */
    const struct cv_eif_remote_key *remote_key;
    const char *ca_file; /* PEM roots for claviger-init, or NULL: the image's own */
    const struct cv_boot_settings *settings;
    struct cv_source *source;
    void (*warn)(const char *text); /* a sentence for the operator */
    const struct cv_ramdisk_progress *progress;
};

struct cv_build_result {
    struct cv_eif_pcrs pcrs;
    uint64_t size, kernel_size;
};

/* Builds and measures. Nothing is at OUT unless all went well. */
int cv_eif_build(const struct cv_build *b, struct cv_build_result *result,
                 struct cv_error *err) CV_NODISCARD;

/* Takes ENTRYPOINT, CMD, ENV, USER, WORKDIR and STOPSIGNAL of the container
 * image (NULL: nothing) into the settings. */
int cv_build_take_config(struct cv_boot_settings *settings, const json_t *config,
                         struct cv_error *err) CV_NODISCARD;

/* --- Parts --- */

/* Files that are there under BLOBS and the like, resolved. Strings owned. */
struct cv_build_files {
    char *kernel, *config, *cmdline, *init;
    char *modules[CV_BUILD_MAX_MODULES];
    size_t module_count;
    bool own_init; /* claviger-init, not AWS's */
};
int cv_build_find_files(struct cv_build_files *f, const struct cv_build *b,
                        struct cv_error *err) CV_NODISCARD;
/* Where an own program for images is: beside us, in ../libexec/claviger, or in
 * /usr/libexec/claviger. NULL: nowhere; else freed by the caller. */
char *cv_build_program(const char *program_dir, const char *name);
void cv_build_free_files(struct cv_build_files *f);
/* The metadata section's JSON. */
int cv_build_metadata(struct cv_buf *out, const struct cv_build *b, const struct cv_build_files *f,
                      struct cv_error *err) CV_NODISCARD;

#endif
