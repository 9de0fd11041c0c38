/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where sealed keys rest outside the enclave: a set of (public key hash, sealed
 * blob), with optional further members for each key, and a few named notes for
 * the whole store. Blobs are ciphertext; nothing here is secret.
 *
 * A store is shared: the daemon, the command line and other signers may use it
 * at the same time. Each change is atomic and durable before it returns, and
 * none is ever lost to another's. An existing blob is never overwritten except
 * by a replacement that names it.
 */
#ifndef CV_KEYSTORE_KEYSTORE_H
#define CV_KEYSTORE_KEYSTORE_H

#include "common/bytes.h"
#include "json/json.h"

#define CV_KEYSTORE_PKH 64         /* a public key hash as text, with its NUL */
#define CV_KEYSTORE_BLOB_MAX 65536 /* bytes of one sealed blob */
#define CV_KEYSTORE_FILE_MAX (128u << 20)
#define CV_KEYSTORE_NOTE_MAX 65536

/* Members of an entry that are ours. Any other is kept as it is. */
#define CV_KEYSTORE_NEW "claviger_new"     /* true: no watermark record was ever written */
#define CV_KEYSTORE_BIRTH "claviger_birth" /* base64 of the birth document */

struct cv_keystore;

struct cv_keystore_entry {
    char pkh[CV_KEYSTORE_PKH];
    struct cv_buf blob;
    json_t *members; /* object of all further members, never NULL */
};

/* In the store's order. A file that another program wrote may hold one hash
 * more than once, with different blobs of the same key: all are given. */
struct cv_keystore_list {
    struct cv_keystore_entry *entries;
    size_t n;
};
void cv_keystore_list_free(struct cv_keystore_list *list);

/* One change. All of a call are made, or none. */
struct cv_keystore_change {
    enum cv_keystore_op {
        CV_KEYSTORE_PUT,     /* add PKH with BLOB and MEMBERS (may be NULL). The
                              * same blob again changes nothing; another blob
                              * under that hash: CV_ERR_EXISTS */
        CV_KEYSTORE_REPLACE, /* BLOB in the place of OLD, where that is the blob
                              * of PKH; CV_ERR_NOT_FOUND, or CV_ERR_STATE when
                              * another one is there now */
        CV_KEYSTORE_MEMBER,  /* set the member NAME of PKH to VALUE, or remove
                              * it (VALUE NULL); CV_ERR_NOT_FOUND */
    } op;
    const char *pkh;
    struct cv_bytes blob;
    struct cv_bytes old;
    const json_t *members;
    const char *name;
    json_t *value; /* borrowed */
};

/* The file driver: PATH as Signatory's nitro vault writes it, a JSON array of
 * {"public_key_hash","encrypted_private_key"}, four spaces of indent, mode
 * 0600. A missing or empty file is a store without keys; a file that cannot be
 * read as such is refused with its name and position, and is never written.
 * Writers take the advisory lock PATH.lock; notes are files PATH.NAME. The
 * directory is made (mode 0700) with the first key. */
int cv_keystore_open_file(struct cv_keystore **out, const char *path,
                          struct cv_error *err) CV_NODISCARD;
void cv_keystore_close(struct cv_keystore *ks); /* NULL is fine */

/* True for a store that is reached over a network: its functions may take
 * seconds, may be called from several threads at once, and CV_KEYSTORE_TOGETHER
 * changes are the most of one call. */
bool cv_keystore_remote(const struct cv_keystore *ks);
#define CV_KEYSTORE_TOGETHER 100

/* What the store is, for messages ("/var/lib/signatory/enclave_keys.json"). */
const char *cv_keystore_name(const struct cv_keystore *ks);

int cv_keystore_list(struct cv_keystore *ks, struct cv_keystore_list *out,
                     struct cv_error *err) CV_NODISCARD;
/* Makes N changes at once. */
int cv_keystore_apply(struct cv_keystore *ks, const struct cv_keystore_change *changes, size_t n,
                      struct cv_error *err) CV_NODISCARD;
/* True when the store may hold other keys than at the last cv_keystore_list()
 * or cv_keystore_apply() of this object (or when that cannot be told). Cheap. */
bool cv_keystore_changed(struct cv_keystore *ks);

/* A small document of the whole store by NAME ([a-z]+), such as the witness of
 * the watermarks. CV_ERR_NOT_FOUND. Replaced durably. */
int cv_keystore_note_get(struct cv_keystore *ks, const char *name, struct cv_buf *out,
                         struct cv_error *err) CV_NODISCARD;
int cv_keystore_note_put(struct cv_keystore *ks, const char *name, struct cv_bytes content,
                         struct cv_error *err) CV_NODISCARD;

/* One PUT, one REPLACE, one MEMBER. */
int cv_keystore_put(struct cv_keystore *ks, const char *pkh, struct cv_bytes blob,
                    const json_t *members, struct cv_error *err) CV_NODISCARD;
int cv_keystore_replace(struct cv_keystore *ks, const char *pkh, struct cv_bytes old,
                        struct cv_bytes blob, struct cv_error *err) CV_NODISCARD;
int cv_keystore_set_member(struct cv_keystore *ks, const char *pkh, const char *name, json_t *value,
                           struct cv_error *err) CV_NODISCARD;
/* The first entry of PKH; *OUT is freed by cv_keystore_entry_free().
 * CV_ERR_NOT_FOUND. */
int cv_keystore_get(struct cv_keystore *ks, const char *pkh, struct cv_keystore_entry *out,
                    struct cv_error *err) CV_NODISCARD;
void cv_keystore_entry_free(struct cv_keystore_entry *e);

#endif
