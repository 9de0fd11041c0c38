/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON document of enclave_keys.json. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "keystore/driver.h"

#define PKH "public_key_hash"
#define BLOB "encrypted_private_key"

/* Checks one entry and decodes its blob into BLOB_OUT. */
static int read_entry(const json_t *e, const char **pkh, struct cv_buf *blob_out,
                      struct cv_error *err)
{
    if (!json_is_object(e))
        return cv_error_set(err, CV_ERR_INVALID, "not an object");
    int rc = cv_json_get_str(e, PKH, pkh, err);
    if (rc != 0)
        return rc;
    if (!cv_keystore_pkh_valid(cv_bytes_str(*pkh)))
        return cv_error_set(err, CV_ERR_INVALID, "\"%s\" is not a public key hash", PKH);
    rc = cv_json_get_base64(e, BLOB, blob_out, err);
    if (rc == 0 && blob_out->n == 0)
        return cv_error_set(err, CV_ERR_INVALID, "\"%s\" is empty", BLOB);
    return rc;
}

static bool is_blank(struct cv_bytes text)
{
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n')
            return false;
    }
    return true;
}

int cv_keystore_document_parse(json_t **out, struct cv_bytes text, const char *name,
                               struct cv_error *err)
{
    *out = NULL;
    if (is_blank(text)) { /* Signatory takes an empty file for no keys */
        *out = json_array();
        return *out == NULL ? cv_error_set(err, CV_ERR_NOMEM, "no memory for %s", name) : 0;
    }
    CV_JSON_AUTO json_t *doc = NULL;
    int rc = cv_json_parse(&doc, text, CV_KEYSTORE_FILE_MAX, name, err);
    if (rc != 0)
        return rc;
    if (json_is_null(doc)) { /* Go's nil slice */
        json_decref(doc);
        doc = json_array();
    }
    if (!json_is_array(doc))
        return cv_error_set(err, CV_ERR_INVALID, "%s is not a JSON array of keys", name);
    *out = doc;
    doc = NULL; /* transferred */
    return 0;
}

/* Checks the entry I of DOC; its hash in *PKH, its blob in BLOB_OUT. */
static int read_nth(const json_t *doc, size_t i, const char *name, const char **pkh,
                    struct cv_buf *blob_out, struct cv_error *err)
{
    *pkh = NULL;
    int rc = read_entry(json_array_get(doc, i), pkh, blob_out, err);
    if (rc == 0)
        return 0;
    (void)cv_error_wrap(err, "%s, key %zu of %zu", name, i + 1, json_array_size(doc));
    if (rc == CV_ERR_NOT_FOUND) /* a member, not the file */
        rc = CV_ERR_INVALID;
    if (err != NULL)
        err->code = rc;
    return rc;
}

static int check_all(const json_t *doc, const char *name, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf blob;
    cv_buf_init(&blob, CV_KEYSTORE_BLOB_MAX);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < json_array_size(doc); i++) {
        const char *pkh;
        rc = read_nth(doc, i, name, &pkh, &blob, err);
    }
    return rc;
}

/* The blob as its text in the file, so that blobs compare as strings. */
static json_t *blob_text(struct cv_bytes blob)
{
    size_t n = CV_BASE64_LEN(blob.n);
    char *text = malloc(n + 1);
    if (text == NULL)
        return NULL;
    cv_base64_encode(text, blob.p, blob.n);
    json_t *v = json_stringn(text, n);
    free(text);
    return v;
}

static int no_memory(struct cv_error *err)
{
    return cv_error_set(err, CV_ERR_NOMEM, "no memory for the key store");
}

/* Entries by hash, so that ten thousand changes do not take ten thousand walks:
 * an object from hash to the array of its entries. */
static int index_add(json_t *index, json_t *entry)
{
    const char *pkh = json_string_value(json_object_get(entry, PKH));
    json_t *same = json_object_get(index, pkh);
    if (same == NULL) {
        same = json_array();
        if (json_object_set_new(index, pkh, same) != 0)
            return -1;
    }
    return json_array_append(same, entry);
}

static json_t *make_index(const json_t *doc)
{
    json_t *index = json_object();
    for (size_t i = 0; index != NULL && i < json_array_size(doc); i++) {
        if (index_add(index, json_array_get(doc, i)) != 0) {
            json_decref(index);
            return NULL;
        }
    }
    return index;
}

static bool reserved(const char *name)
{
    return strcmp(name, PKH) == 0 || strcmp(name, BLOB) == 0;
}

static int put(json_t *doc, json_t *index, const struct cv_keystore_change *c, bool *dirty,
               struct cv_error *err)
{
    CV_JSON_AUTO json_t *text = blob_text(c->blob);
    if (text == NULL)
        return no_memory(err);
    const json_t *same = json_object_get(index, c->pkh);
    for (size_t i = 0; i < json_array_size(same); i++) {
        if (json_equal(json_object_get(json_array_get(same, i), BLOB), text))
            return 0;
    }
    if (json_array_size(same) > 0)
        return cv_error_set(err, CV_ERR_EXISTS, "there is a key %s already", c->pkh);
    CV_JSON_AUTO json_t *e = json_object();
    if (json_object_set_new(e, PKH, json_string(c->pkh)) != 0 ||
        json_object_set(e, BLOB, text) != 0)
        return no_memory(err);
    void *it = json_object_iter((json_t *)(uintptr_t)c->members);
    for (; it != NULL; it = json_object_iter_next((json_t *)(uintptr_t)c->members, it)) {
        const char *name = json_object_iter_key(it);
        if (reserved(name))
            return cv_error_set(err, CV_ERR_INVALID, "\"%s\" is not a further member", name);
        if (json_object_set_new(e, name, json_deep_copy(json_object_iter_value(it))) != 0)
            return no_memory(err);
    }
    if (json_array_append(doc, e) != 0 || index_add(index, e) != 0)
        return no_memory(err);
    *dirty = true;
    return 0;
}

static int replace(const json_t *index, const struct cv_keystore_change *c, bool *dirty,
                   struct cv_error *err)
{
    CV_JSON_AUTO json_t *old = blob_text(c->old);
    CV_JSON_AUTO json_t *text = blob_text(c->blob);
    if (old == NULL || text == NULL)
        return no_memory(err);
    const json_t *same = json_object_get(index, c->pkh);
    if (json_array_size(same) == 0)
        return cv_error_set(err, CV_ERR_NOT_FOUND, "there is no key %s", c->pkh);
    for (size_t i = 0; i < json_array_size(same); i++) {
        json_t *e = json_array_get(same, i);
        if (!json_equal(json_object_get(e, BLOB), old))
            continue;
        *dirty = true;
        return json_object_set(e, BLOB, text) == 0 ? 0 : no_memory(err);
    }
    return cv_error_set(err, CV_ERR_STATE, "the sealed key of %s was changed meanwhile", c->pkh);
}

static int set_member(const json_t *index, const struct cv_keystore_change *c, bool *dirty,
                      struct cv_error *err)
{
    if (reserved(c->name))
        return cv_error_set(err, CV_ERR_INVALID, "\"%s\" is not a further member", c->name);
    const json_t *same = json_object_get(index, c->pkh);
    if (json_array_size(same) == 0)
        return cv_error_set(err, CV_ERR_NOT_FOUND, "there is no key %s", c->pkh);
    for (size_t i = 0; i < json_array_size(same); i++) {
        json_t *e = json_array_get(same, i);
        if (c->value == NULL) {
            *dirty |= json_object_del(e, c->name) == 0;
        } else {
            *dirty = true;
            if (json_object_set_new(e, c->name, json_deep_copy(c->value)) != 0)
                return no_memory(err);
        }
    }
    return 0;
}

int cv_keystore_document_apply(json_t *doc, const char *name,
                               const struct cv_keystore_change *changes, size_t n, bool *dirty,
                               struct cv_error *err)
{
    *dirty = false;
    int checked = check_all(doc, name, err);
    if (checked != 0)
        return checked;
    CV_JSON_AUTO json_t *index = make_index(doc);
    if (index == NULL)
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        int rc = CV_ERR_INTERNAL;
        switch (changes[i].op) {
        case CV_KEYSTORE_PUT:
            rc = put(doc, index, &changes[i], dirty, err);
            break;
        case CV_KEYSTORE_REPLACE:
            rc = replace(index, &changes[i], dirty, err);
            break;
        case CV_KEYSTORE_MEMBER:
            rc = set_member(index, &changes[i], dirty, err);
            break;
        }
        if (rc != 0)
            return rc;
    }
    return 0;
}

int cv_keystore_document_entries(const json_t *doc, const char *name, struct cv_keystore_list *out,
                                 struct cv_error *err)
{
    size_t n = json_array_size(doc);
    *out = (struct cv_keystore_list){0};
    if (n == 0)
        return 0;
    out->entries = calloc(n, sizeof(*out->entries));
    if (out->entries == NULL)
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        struct cv_keystore_entry *to = &out->entries[out->n++];
        const char *pkh;
        cv_buf_init(&to->blob, CV_KEYSTORE_BLOB_MAX);
        int rc = read_nth(doc, i, name, &pkh, &to->blob, err);
        if (rc == 0) {
            (void)snprintf(to->pkh, sizeof(to->pkh), "%s", pkh);
            to->members = json_deep_copy(json_array_get(doc, i));
            if (to->members == NULL)
                rc = no_memory(err);
        }
        if (rc != 0) {
            cv_keystore_list_free(out);
            return rc;
        }
        (void)json_object_del(to->members, PKH);
        (void)json_object_del(to->members, BLOB);
    }
    return 0;
}
