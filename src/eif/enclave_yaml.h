/* SPDX-License-Identifier: Apache-2.0 */
/*
 * enclave.yaml: what an image decides about its application, as people write
 * it (enclave.yaml(5)). It becomes measured settings (settings/boot.h) and
 * files in the image; nothing in it is secret, and nothing is contacted.
 */
#ifndef CV_EIF_ENCLAVE_YAML_H
#define CV_EIF_ENCLAVE_YAML_H

#include "eif/source.h"
#include "settings/boot.h"
#include "yaml/yaml.h"

#define CV_ENCLAVE_MAX_FILES 1024u
#define CV_ENCLAVE_MAX_FILE ((size_t)64 << 20) /* bytes of a file's source */

struct cv_enclave_file {
    char *path; /* in the image */
    uint32_t mode;
    char *owner;   /* "user[:group]", names or numbers, or NULL: root's */
    char *content; /* or NULL, with SOURCE */
    size_t content_len;
    char *source; /* file of this machine */
};

struct cv_enclave_config {
    struct cv_boot_settings settings; /* only what the file says */
    bool has_command, has_deadline, has_cid, has_config_pcr;
    struct cv_enclave_file *files;
    size_t file_count;
};

/* Reads TEXT; sources of files are relative to DIR. All problems are reported;
 * CV_ERR_CONFIG when there is one. The caller frees CONFIG in any case. */
int cv_enclave_config_parse(struct cv_enclave_config *config, struct cv_bytes text, const char *dir,
                            struct cv_yaml_problems *problems) CV_NODISCARD;
void cv_enclave_config_free(struct cv_enclave_config *config);
/* Lays it over SETTINGS, which hold the container's configuration. */
int cv_enclave_config_apply(const struct cv_enclave_config *config,
                            struct cv_boot_settings *settings, struct cv_error *err) CV_NODISCARD;
/* Puts its files into the tree; names of owners are those of the image's
 * /etc/passwd and /etc/group. */
int cv_enclave_config_put_files(const struct cv_enclave_config *config, struct cv_source *source,
                                struct cv_error *err) CV_NODISCARD;

#endif
