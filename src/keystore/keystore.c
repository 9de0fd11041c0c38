/* SPDX-License-Identifier: Apache-2.0 */
#include "keystore/keystore.h"

#include <stdlib.h>
#include <string.h>

#include "keystore/driver.h"

bool cv_keystore_pkh_valid(struct cv_bytes text)
{
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if ((c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z'))
            return false;
    }
    return text.n > 0 && text.n < CV_KEYSTORE_PKH;
}

void cv_keystore_close(struct cv_keystore *ks)
{
    if (ks == NULL)
        return;
    free(ks->name);
    ks->driver->close(ks);
}

bool cv_keystore_remote(const struct cv_keystore *ks)
{
    return ks->driver->remote;
}

const char *cv_keystore_name(const struct cv_keystore *ks)
{
    return ks->name;
}

int cv_keystore_list(struct cv_keystore *ks, struct cv_keystore_list *out, struct cv_error *err)
{
    *out = (struct cv_keystore_list){0};
    return ks->driver->list(ks, out, err);
}

static int check(const struct cv_keystore_change *c, struct cv_error *err)
{
    if (!cv_keystore_pkh_valid(cv_bytes_str(c->pkh)))
        return cv_error_set(err, CV_ERR_INVALID, "not a public key hash");
    if (c->op == CV_KEYSTORE_MEMBER)
        return 0;
    if (c->blob.n == 0 || c->blob.n > CV_KEYSTORE_BLOB_MAX)
        return cv_error_set(err, CV_ERR_LIMIT, "the sealed key of %s has %zu bytes; 1 to %d fit",
                            c->pkh, c->blob.n, CV_KEYSTORE_BLOB_MAX);
    return 0;
}

int cv_keystore_apply(struct cv_keystore *ks, const struct cv_keystore_change *changes, size_t n,
                      struct cv_error *err)
{
    for (size_t i = 0; i < n; i++) {
        int rc = check(&changes[i], err);
        if (rc != 0)
            return rc;
    }
    return ks->driver->apply(ks, changes, n, err);
}

bool cv_keystore_changed(struct cv_keystore *ks)
{
    return ks->driver->changed(ks);
}

static int check_name(const char *name, struct cv_error *err)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++) {
        if (name[i] < 'a' || name[i] > 'z')
            n = 0;
    }
    if (n == 0 || n > 32 || strcmp(name, "lock") == 0 || strcmp(name, "tmp") == 0)
        return cv_error_set(err, CV_ERR_INVALID, "not a name for a note of the key store");
    return 0;
}

int cv_keystore_note_get(struct cv_keystore *ks, const char *name, struct cv_buf *out,
                         struct cv_error *err)
{
    int rc = check_name(name, err);
    return rc != 0 ? rc : ks->driver->note_get(ks, name, out, err);
}

int cv_keystore_note_put(struct cv_keystore *ks, const char *name, struct cv_bytes content,
                         struct cv_error *err)
{
    int rc = check_name(name, err);
    if (rc == 0 && content.n > CV_KEYSTORE_NOTE_MAX)
        rc = cv_error_set(err, CV_ERR_LIMIT, "a note of the key store is at most %d bytes",
                          CV_KEYSTORE_NOTE_MAX);
    return rc != 0 ? rc : ks->driver->note_put(ks, name, content, err);
}

int cv_keystore_put(struct cv_keystore *ks, const char *pkh, struct cv_bytes blob,
                    const json_t *members, struct cv_error *err)
{
    struct cv_keystore_change c = {
        .op = CV_KEYSTORE_PUT, .pkh = pkh, .blob = blob, .members = members};
    return cv_keystore_apply(ks, &c, 1, err);
}

int cv_keystore_replace(struct cv_keystore *ks, const char *pkh, struct cv_bytes old,
                        struct cv_bytes blob, struct cv_error *err)
{
    struct cv_keystore_change c = {.op = CV_KEYSTORE_REPLACE, .pkh = pkh, .blob = blob, .old = old};
    return cv_keystore_apply(ks, &c, 1, err);
}

int cv_keystore_set_member(struct cv_keystore *ks, const char *pkh, const char *name, json_t *value,
                           struct cv_error *err)
{
    struct cv_keystore_change c = {
        .op = CV_KEYSTORE_MEMBER, .pkh = pkh, .name = name, .value = value};
    return cv_keystore_apply(ks, &c, 1, err);
}

int cv_keystore_get(struct cv_keystore *ks, const char *pkh, struct cv_keystore_entry *out,
                    struct cv_error *err)
{
    *out = (struct cv_keystore_entry){0};
    struct cv_keystore_list list;
    int rc = cv_keystore_list(ks, &list, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < list.n; i++) {
        if (strcmp(list.entries[i].pkh, pkh) == 0) {
            *out = list.entries[i];
            list.entries[i] = (struct cv_keystore_entry){0}; /* transferred */
            break;
        }
    }
    cv_keystore_list_free(&list);
    if (out->members == NULL)
        return cv_error_set(err, CV_ERR_NOT_FOUND, "%s has no key %.*s", ks->name, CV_KEYSTORE_PKH,
                            pkh);
    return 0;
}

void cv_keystore_entry_free(struct cv_keystore_entry *e)
{
    cv_buf_free(&e->blob);
    json_decref(e->members);
    *e = (struct cv_keystore_entry){0};
}

void cv_keystore_list_free(struct cv_keystore_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        cv_keystore_entry_free(&list->entries[i]);
    free(list->entries);
    *list = (struct cv_keystore_list){0};
}
