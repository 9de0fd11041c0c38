/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/reseal_note.h"

#include <string.h>

#include "common/hex.h"

bool cv_reseal_note_has(const struct cv_reseal_note *note, const uint8_t id[CV_DATA_KEY_ID])
{
    for (size_t i = 0; i < note->n; i++) {
        if (memcmp(note->id[i], id, CV_DATA_KEY_ID) == 0) {
            return true;
        }
    }
    return false;
}

void cv_reseal_note_add(struct cv_reseal_note *note, const uint8_t id[CV_DATA_KEY_ID])
{
    if (note->n == CV_RESEAL_NOTE_MAX) {
        note->n--;
        memmove(note->id[0], note->id[1], note->n * sizeof(note->id[0]));
    }
    memcpy(note->id[note->n++], id, CV_DATA_KEY_ID);
}

/* {"cmk": "arn:…", "data_keys": ["hex", …]} */
static int read_note(struct cv_reseal_note *note, struct cv_bytes text, const char *cmk,
                     struct cv_error *err)
{
    CV_JSON_AUTO json_t *doc = NULL;
    const json_t *list, *item;
    const char *was;
    size_t i, n;
    int rc = cv_json_parse_object(&doc, text, CV_KEYSTORE_NOTE_MAX, "the note of an earlier reseal",
                                  err);
    if (rc == 0) {
        rc = cv_json_get_str(doc, "cmk", &was, err);
    }
    if (rc == 0) {
        rc = cv_json_get_array(doc, "data_keys", &list, err);
    }
    if (rc != 0 || strcmp(was, cmk) != 0) {
        return rc;
    }
    json_array_foreach (list, i, item) {
        uint8_t id[CV_DATA_KEY_ID];
        const char *hex = json_string_value(item);
        if (hex == NULL || cv_hex_decode(id, sizeof(id), &n, cv_bytes_str(hex)) != 0 ||
            n != sizeof(id)) {
            return cv_error_set(err, CV_ERR_INVALID, "\"data_keys\" is not a list of hashes");
        }
        cv_reseal_note_add(note, id);
    }
    return 0;
}

int cv_reseal_note_load(struct cv_reseal_note *note, struct cv_keystore *store, const char *cmk,
                        struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, CV_KEYSTORE_NOTE_MAX);
    note->n = 0;
    int rc = cv_keystore_note_get(store, CV_RESEAL_NOTE, &text, err);
    if (rc == CV_ERR_NOT_FOUND) {
        cv_error_clear(err);
        return 0;
    }
    return rc != 0 ? rc : read_note(note, cv_buf_view(&text), cmk, err);
}

int cv_reseal_note_save(const struct cv_reseal_note *note, struct cv_keystore *store,
                        const char *cmk, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    char hex[2 * CV_DATA_KEY_ID + 1];
    CV_JSON_AUTO json_t *doc = json_pack("{s:s, s:[]}", "cmk", cmk, "data_keys");
    json_t *list = json_object_get(doc, "data_keys");
    cv_buf_init(&text, CV_KEYSTORE_NOTE_MAX);
    int rc = list != NULL ? 0 : CV_ERR_NOMEM;
    for (size_t i = 0; rc == 0 && i < note->n; i++) {
        cv_hex_encode(hex, note->id[i], CV_DATA_KEY_ID);
        rc = json_array_append_new(list, json_string(hex)) == 0 ? 0 : CV_ERR_NOMEM;
    }
    if (rc == 0) {
        rc = cv_json_dump(&text, doc);
    }
    if (rc != 0) {
        return cv_error_set(err, rc, "no memory for a note");
    }
    return cv_keystore_note_put(store, CV_RESEAL_NOTE, cv_buf_view(&text), err);
}
