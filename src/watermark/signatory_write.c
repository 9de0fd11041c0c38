/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "json/json.h"
#include "watermark/signatory.h"

#define INDENT 4 /* Signatory's */

void cv_chain_format(char out[CV_CHAIN_TEXT_SIZE], const uint8_t chain[CV_MARK_CHAIN_LEN])
{
    if (cv_text_format(out, CV_CHAIN_TEXT_SIZE, CV_TEXT_CHAIN_ID,
                       CV_BYTES(chain, CV_MARK_CHAIN_LEN)) != CV_OK) {
        abort(); /* a chain id is always 15 characters */
    }
}

int cv_chain_parse(uint8_t out[CV_MARK_CHAIN_LEN], const char *text)
{
    enum cv_text_kind kind;
    uint8_t payload[CV_TEXT_PAYLOAD_MAX];
    size_t n = 0;
    int r = cv_text_parse(&kind, payload, &n, cv_bytes_str(text));
    if (r != CV_OK || kind != CV_TEXT_CHAIN_ID || n != CV_MARK_CHAIN_LEN) {
        return CV_ERR_INVALID;
    }
    memcpy(out, payload, n);
    return CV_OK;
}

static json_t *mark_json(const struct cv_mark *m)
{
    char hash[CV_BASE58_TEXT_MAX];
    json_t *h = NULL;
    if (m->has_hash && cv_text_format(hash, sizeof hash, CV_TEXT_PAYLOAD_HASH,
                                      CV_BYTES(m->hash, sizeof m->hash)) == CV_OK) {
        h = json_string(hash);
    }
    return json_pack("{s:i, s:i, s:o}", "level", (int)m->level, "round", (int)m->round, "hash",
                     h != NULL ? h : json_null());
}

/* The marks of one chain, in the order in which Signatory writes them: by the
 * text of the key, then by the name of the kind. */
struct row {
    char pkh[CV_PKH_TEXT_SIZE];
    const struct cv_mark *mark;
};

struct table {
    const uint8_t *chain;
    struct row *rows;
    size_t count;
};

static int collect(void *ctx, const struct cv_mark *m)
{
    struct table *t = ctx;
    if (m->kind != CV_MARK_KNOWN && memcmp(m->chain, t->chain, CV_MARK_CHAIN_LEN) == 0) {
        struct row *row = &t->rows[t->count++];
        row->mark = m;
        cv_pkh_format(row->pkh, &m->pkh);
    }
    return CV_OK;
}

static int by_text(const void *a, const void *b)
{
    const struct row *x = a;
    const struct row *y = b;
    int r = strcmp(x->pkh, y->pkh);
    return r != 0 ? r : strcmp(cv_mark_kind_name(x->mark->kind), cv_mark_kind_name(y->mark->kind));
}

/* Signatory keeps the two attestations apart; ours is one mark, and stands for
 * both where Signatory is to read it. */
static int add_row(json_t *doc, const struct row *row, bool for_signatory)
{
    const struct cv_mark *m = row->mark;
    json_t *key = json_object_get(doc, row->pkh);
    if (key == NULL) {
        key = json_object();
        if (json_object_set_new(doc, row->pkh, key) != 0) {
            return CV_ERR_NOMEM;
        }
    }
    int r = json_object_set_new(key, cv_mark_kind_name(m->kind), mark_json(m));
    if (r == 0 && for_signatory && m->kind == CV_MARK_ATTESTATION) {
        r = json_object_set_new(key, "attestation_with_dal", mark_json(m));
    }
    return r == 0 ? CV_OK : CV_ERR_NOMEM;
}

static int chain_json(json_t **out, const struct cv_marks *marks,
                      const uint8_t chain[CV_MARK_CHAIN_LEN], bool for_signatory)
{
    struct table t = {.chain = chain, .rows = calloc(cv_marks_count(marks) + 1, sizeof(*t.rows))};
    json_t *doc = json_object();
    int r = doc != NULL && t.rows != NULL ? cv_marks_each(marks, collect, &t) : CV_ERR_NOMEM;
    if (r == CV_OK && t.count > 0) {
        qsort(t.rows, t.count, sizeof(*t.rows), by_text);
    }
    for (size_t i = 0; i < t.count && r == CV_OK; i++) {
        r = add_row(doc, &t.rows[i], for_signatory);
    }
    free(t.rows);
    if (r != CV_OK) {
        json_decref(doc);
        return r;
    }
    *out = doc;
    return CV_OK;
}

int cv_wm_signatory_dump(struct cv_buf *out, const struct cv_marks *marks,
                         const uint8_t chain[CV_MARK_CHAIN_LEN], struct cv_error *err)
{
    CV_JSON_AUTO json_t *doc = NULL;
    int r = chain_json(&doc, marks, chain, true);
    if (r == CV_OK) {
        r = cv_json_dump_indent(out, doc, INDENT);
    }
    return r == CV_OK ? CV_OK : cv_error_set(err, r, "writing the watermarks: %s", cv_strerror(r));
}

struct chains {
    json_t *seen;
    int (*each)(void *ctx, const uint8_t chain[CV_MARK_CHAIN_LEN]);
    void *ctx;
};

static int chain_once(void *ctx, const struct cv_mark *m)
{
    struct chains *c = ctx;
    char text[CV_CHAIN_TEXT_SIZE];
    if (m->kind == CV_MARK_KNOWN) {
        return CV_OK;
    }
    cv_chain_format(text, m->chain);
    if (json_object_get(c->seen, text) != NULL) {
        return CV_OK;
    }
    return json_object_set_new(c->seen, text, json_true()) == 0 ? c->each(c->ctx, m->chain)
                                                                : CV_ERR_NOMEM;
}

int cv_wm_chains_each(const struct cv_marks *marks,
                      int (*each)(void *ctx, const uint8_t chain[CV_MARK_CHAIN_LEN]), void *ctx)
{
    struct chains c = {.seen = json_object(), .each = each, .ctx = ctx};
    int r = c.seen != NULL ? cv_marks_each(marks, chain_once, &c) : CV_ERR_NOMEM;
    json_decref(c.seen);
    return r;
}

struct all {
    const struct cv_marks *marks;
    json_t *doc;
};

static int add_chain(void *ctx, const uint8_t chain[CV_MARK_CHAIN_LEN])
{
    struct all *a = ctx;
    json_t *one = NULL;
    char text[CV_CHAIN_TEXT_SIZE];
    int r = chain_json(&one, a->marks, chain, false);
    cv_chain_format(text, chain);
    return r == CV_OK && json_object_set_new(a->doc, text, one) != 0 ? CV_ERR_NOMEM : r;
}

/* Keys that are known by their marks, and those that are known alone. */
struct known {
    json_t *by_marks;
    json_t *alone;
};

static int note_key(void *ctx, const struct cv_mark *m)
{
    struct known *k = ctx;
    char pkh[CV_PKH_TEXT_SIZE];
    if (m->kind == CV_MARK_KNOWN) {
        return CV_OK;
    }
    cv_pkh_format(pkh, &m->pkh);
    return json_object_set_new(k->by_marks, pkh, json_true()) == 0 ? CV_OK : CV_ERR_NOMEM;
}

static int add_known(void *ctx, const struct cv_mark *m)
{
    struct known *k = ctx;
    char pkh[CV_PKH_TEXT_SIZE];
    if (m->kind != CV_MARK_KNOWN) {
        return CV_OK;
    }
    cv_pkh_format(pkh, &m->pkh);
    if (json_object_get(k->by_marks, pkh) != NULL) {
        return CV_OK;
    }
    return json_array_append_new(k->alone, json_string(pkh)) == 0 ? CV_OK : CV_ERR_NOMEM;
}

int cv_wm_signatory_dump_all(struct cv_buf *out, const struct cv_marks *marks, struct cv_error *err)
{
    CV_JSON_AUTO json_t *doc = json_object();
    CV_JSON_AUTO json_t *by_marks = json_object();
    CV_JSON_AUTO json_t *alone = json_array();
    struct all a = {.marks = marks, .doc = doc};
    struct known k = {.by_marks = by_marks, .alone = alone};
    int r = doc != NULL && by_marks != NULL && alone != NULL ? CV_OK : CV_ERR_NOMEM;
    if (r == CV_OK) {
        r = cv_wm_chains_each(marks, add_chain, &a);
    }
    if (r == CV_OK) {
        r = cv_marks_each(marks, note_key, &k);
    }
    if (r == CV_OK) {
        r = cv_marks_each(marks, add_known, &k);
    }
    if (r == CV_OK && json_array_size(alone) > 0 && json_object_set(doc, "known", alone) != 0) {
        r = CV_ERR_NOMEM;
    }
    if (r == CV_OK) {
        r = cv_json_dump_indent(out, doc, INDENT);
    }
    return r == CV_OK ? CV_OK : cv_error_set(err, r, "writing the watermarks: %s", cv_strerror(r));
}
