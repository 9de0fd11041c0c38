/* SPDX-License-Identifier: Apache-2.0 */
/* What a driver of the key store provides, and what drivers share. */
#ifndef CV_KEYSTORE_DRIVER_H
#define CV_KEYSTORE_DRIVER_H

#include "keystore/keystore.h"

/* The functions of keystore.h, with the same contracts. */
struct cv_keystore_driver {
    void (*close)(struct cv_keystore *ks);
    int (*list)(struct cv_keystore *ks, struct cv_keystore_list *out, struct cv_error *err);
    int (*apply)(struct cv_keystore *ks, const struct cv_keystore_change *changes, size_t n,
                 struct cv_error *err);
    bool (*changed)(struct cv_keystore *ks);
    int (*note_get)(struct cv_keystore *ks, const char *name, struct cv_buf *out,
                    struct cv_error *err);
    int (*note_put)(struct cv_keystore *ks, const char *name, struct cv_bytes content,
                    struct cv_error *err);
    bool remote;
};

/* The first member of every driver's own struct. */
struct cv_keystore {
    const struct cv_keystore_driver *driver;
    char *name; /* freed by cv_keystore_close() */
};

/* True for text that can be a public key hash: letters and digits, fewer than
 * CV_KEYSTORE_PKH. (Its checksum is the business of who reads the key.) */
bool cv_keystore_pkh_valid(struct cv_bytes text);

/* The document of the file: PARSE makes sure that it is an array, ENTRIES takes
 * it apart, APPLY changes it in place (*DIRTY says whether anything did
 * change). The latter two check every entry first and name the one that is
 * wrong, by NAME and number. */
int cv_keystore_document_parse(json_t **out, struct cv_bytes text, const char *name,
                               struct cv_error *err) CV_NODISCARD;
int cv_keystore_document_entries(const json_t *doc, const char *name, struct cv_keystore_list *out,
                                 struct cv_error *err) CV_NODISCARD;
int cv_keystore_document_apply(json_t *doc, const char *name,
                               const struct cv_keystore_change *changes, size_t n, bool *dirty,
                               struct cv_error *err) CV_NODISCARD;

#endif
