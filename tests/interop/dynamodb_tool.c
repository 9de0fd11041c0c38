/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DynamoDB key store and watermarks, driven by tests/interop/
 * test_dynamodb.py: one JSON object a line on standard input, one line out,
 * {"rc": code, "error": sentence, …}. AWS's variables of the environment say
 * where and who.
 *
 *   {"do": "open", "table"}                   the key store
 *   {"do": "list"} {"do": "changed"}
 *   {"do": "put", "changes": [[pkh, blob, members] …]}
 *   {"do": "replace", "pkh", "old", "blob"} {"do": "member", "pkh", "name", "value"}
 *   {"do": "note_put", "name", "blob"} {"do": "note_get", "name"}
 *   {"do": "wm_open", "table", "create"}      the watermarks
 *   {"do": "advance" | "raise", "pkh", "chain", "kind", "level", "round", "hash"}
 *   {"do": "marks"}
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/hex.h"
#include "common/log.h"
#include "keystore/dynamodb.h"
#include "watermark/dynamodb.h"
#include "watermark/signatory.h"

static struct cv_keystore *ks;
static struct cv_wm_ddb *wm;

static const char *text(const json_t *o, const char *key)
{
    const char *v = json_string_value(json_object_get(o, key));
    return v != NULL ? v : "";
}

static int aws(struct cv_aws_config **out, struct cv_error *err)
{
    return cv_aws_config_load(out, NULL, err);
}

static int open_store(const json_t *in, struct cv_error *err)
{
    struct cv_aws_config *c;
    struct cv_keystore_dynamodb o = {.table = text(in, "table"), .poll_ms = 100};
    cv_keystore_close(ks);
    ks = NULL;
    int rc = aws(&c, err);
    return rc != 0 ? rc : cv_keystore_open_dynamodb(&ks, &c, &o, err);
}

static int do_list(json_t *out, struct cv_error *err)
{
    struct cv_keystore_list l;
    json_t *keys = json_array();
    int rc = cv_keystore_list(ks, &l, err);
    for (size_t i = 0; rc == 0 && i < l.n; i++) {
        char hex[2 * CV_KEYSTORE_BLOB_MAX + 1];
        cv_hex_encode(hex, l.entries[i].blob.p, l.entries[i].blob.n);
        json_array_append_new(keys,
                              json_pack("[s, s, O]", l.entries[i].pkh, hex, l.entries[i].members));
    }
    cv_keystore_list_free(&l);
    json_object_set_new(out, "keys", keys);
    return rc;
}

/* Blobs travel as text: their bytes are the characters. */
static int do_put(const json_t *in, struct cv_error *err)
{
    static struct cv_keystore_change c[200];
    const json_t *list = json_object_get(in, "changes");
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n && i < 200; i++) {
        const json_t *one = json_array_get(list, i);
        c[i] = (struct cv_keystore_change){
            .op = CV_KEYSTORE_PUT,
            .pkh = json_string_value(json_array_get(one, 0)),
            .blob = cv_bytes_str(json_string_value(json_array_get(one, 1))),
            .members = json_array_get(one, 2),
        };
    }
    return cv_keystore_apply(ks, c, n, err);
}

static int note_get(const json_t *in, json_t *out, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf b;
    cv_buf_init(&b, 65536);
    int rc = cv_keystore_note_get(ks, text(in, "name"), &b, err);
    json_object_set_new(out, "blob", json_stringn((const char *)b.p, b.n));
    return rc;
}

static int open_marks(const json_t *in, struct cv_error *err)
{
    struct cv_aws_config *c;
    struct cv_wm_ddb_options o = {.table = text(in, "table"),
                                  .create = json_is_true(json_object_get(in, "create"))};
    cv_wm_ddb_close(wm);
    wm = NULL;
    int rc = aws(&c, err);
    return rc != 0 ? rc : cv_wm_ddb_open(&wm, &c, &o, err);
}

static int mark(const json_t *in, bool raise, struct cv_error *err)
{
    struct cv_mark m = {
        .level = (int32_t)json_integer_value(json_object_get(in, "level")),
        .round = (int32_t)json_integer_value(json_object_get(in, "round")),
    };
    size_t n = 0;
    for (int k = 0; k < CV_MARK_KINDS; k++)
        if (strcmp(text(in, "kind"), cv_mark_kind_name((enum cv_mark_kind)k)) == 0)
            m.kind = (enum cv_mark_kind)k;
    if (cv_pkh_parse(&m.pkh, cv_bytes_str(text(in, "pkh"))) != 0)
        return cv_error_set(err, CV_ERR_INVALID, "no pkh");
    if (m.kind != CV_MARK_KNOWN && cv_chain_parse(m.chain, text(in, "chain")) != 0)
        return cv_error_set(err, CV_ERR_INVALID, "no chain");
    m.has_hash = *text(in, "hash") != '\0' &&
                 cv_hex_decode(m.hash, sizeof m.hash, &n, cv_bytes_str(text(in, "hash"))) == 0;
    return raise ? cv_wm_ddb_raise(wm, &m, cv_deadline(20000), err)
                 : cv_wm_ddb_advance(wm, &m, cv_deadline(20000), err);
}

static int add_mark(void *ctx, const struct cv_mark *m)
{
    char pkh[CV_PKH_TEXT_SIZE];
    cv_pkh_format(pkh, &m->pkh);
    return json_array_append_new(
        ctx, json_pack("[s, s, i, i]", pkh, cv_mark_kind_name(m->kind), m->level, m->round));
}

static int act(const json_t *in, json_t *out, struct cv_error *err)
{
    const char *what = text(in, "do");
    if (strcmp(what, "open") == 0)
        return open_store(in, err);
    if (strcmp(what, "list") == 0)
        return do_list(out, err);
    if (strcmp(what, "changed") == 0)
        return json_object_set_new(out, "changed", json_boolean(cv_keystore_changed(ks)));
    if (strcmp(what, "put") == 0)
        return do_put(in, err);
    if (strcmp(what, "replace") == 0)
        return cv_keystore_replace(ks, text(in, "pkh"), cv_bytes_str(text(in, "old")),
                                   cv_bytes_str(text(in, "blob")), err);
    if (strcmp(what, "member") == 0)
        return cv_keystore_set_member(ks, text(in, "pkh"), text(in, "name"),
                                      json_object_get(in, "value"), err);
    if (strcmp(what, "note_put") == 0)
        return cv_keystore_note_put(ks, text(in, "name"), cv_bytes_str(text(in, "blob")), err);
    if (strcmp(what, "note_get") == 0)
        return note_get(in, out, err);
    if (strcmp(what, "wm_open") == 0)
        return open_marks(in, err);
    if (strcmp(what, "advance") == 0 || strcmp(what, "raise") == 0)
        return mark(in, *what == 'r', err);
    if (strcmp(what, "marks") == 0) {
        json_t *list = json_array();
        json_object_set_new(out, "marks", list);
        return cv_wm_ddb_each(wm, add_mark, list, cv_deadline(20000), err);
    }
    return cv_error_set(err, CV_ERR_INVALID, "what?");
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    cv_log_setup(CV_LOG_ERROR, false);
    while ((n = getline(&line, &size, stdin)) > 0) {
        CV_JSON_AUTO json_t *in = NULL;
        CV_JSON_AUTO json_t *out = json_object();
        struct cv_error err;
        char sentence[4096];
        cv_error_clear(&err);
        if (cv_json_parse_object(&in, CV_BYTES(line, (size_t)n), 1u << 24, "input", NULL) != 0)
            break;
        int rc = act(in, out, &err);
        json_object_set_new(out, "rc", json_string(rc == 0 ? "ok" : cv_strerror(rc)));
        json_object_set_new(out, "error",
                            json_string(cv_error_format(sentence, sizeof sentence, &err)));
        json_dumpf(out, stdout, JSON_COMPACT);
        putchar('\n');
        if (fflush(stdout) != 0)
            break;
    }
    free(line);
    cv_keystore_close(ks);
    cv_wm_ddb_close(wm);
    return 0;
}
