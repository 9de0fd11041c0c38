/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plaintext of an encrypted configuration: variables and files, as CBOR
 *
 *   ["claviger.secrets.1", [[name, value]…], [[path, mode, owner, content]…]]
 *
 * name, path and owner are text, value and content byte strings, mode an
 * integer. One encoding for given secrets: shortest heads, definite lengths,
 * variables and files sorted by name, none twice. docs/protocol/encrypted-configuration.md
 */
#ifndef CV_SEALED_SECRETS_H
#define CV_SEALED_SECRETS_H

#include "common/secret.h"

#define CV_SECRETS_TAG "claviger.secrets.1"
#define CV_SECRETS_MAX_ITEMS 4096u
#define CV_SECRETS_MAX_BYTES (8u << 20)

struct cv_secret_env {
    char *name;            /* owned */
    struct cv_bytes value; /* view; no NUL inside */
};
struct cv_secret_file {
    char *path, *owner; /* owned; owner "" is root's */
    uint32_t mode;
    struct cv_bytes content; /* view */
};
struct cv_secrets {
    struct cv_secret_env *env;
    size_t env_count;
    struct cv_secret_file *file;
    size_t file_count;
};

/* Views point into TEXT, which must outlive S. Names and paths are checked
 * (settings/boot.h); what they may be is the caller's policy. CV_ERR_INVALID,
 * CV_ERR_LIMIT, CV_ERR_NOMEM. Free in any case. */
int cv_secrets_decode(struct cv_secrets *s, struct cv_bytes text,
                      struct cv_error *err) CV_NODISCARD;
/* The canonical text in OUT; sorts S. CV_ERR_EXISTS for a name given twice. */
int cv_secrets_encode(struct cv_secret *out, struct cv_secrets *s,
                      struct cv_error *err) CV_NODISCARD;
/* Adds an item whose value stays the caller's. */
int cv_secrets_add_env(struct cv_secrets *s, const char *name, struct cv_bytes value) CV_NODISCARD;
int cv_secrets_add_file(struct cv_secrets *s, const char *path, uint32_t mode, const char *owner,
                        struct cv_bytes content) CV_NODISCARD;
void cv_secrets_free(struct cv_secrets *s);

#endif
