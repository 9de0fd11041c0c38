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

struct dump {
    const uint8_t *chain;
    const struct cv_marks *marks;
    json_t *out;
};

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

static int dump_one(void *ctx, const struct cv_mark *m)
{
    struct dump *d = ctx;
    if (m->kind == CV_MARK_KNOWN || memcmp(m->chain, d->chain, CV_MARK_CHAIN_LEN) != 0) {
        return CV_OK;
    }
    char pkh[CV_PKH_TEXT_SIZE];
    cv_pkh_format(pkh, &m->pkh);
    json_t *key = json_object_get(d->out, pkh);
    if (key == NULL) {
        key = json_object();
        if (json_object_set_new(d->out, pkh, key) != 0) {
            return CV_ERR_NOMEM;
        }
    }
    return json_object_set_new(key, cv_mark_kind_name(m->kind), mark_json(m)) == 0 ? CV_OK
                                                                                   : CV_ERR_NOMEM;
}

static int chain_json(json_t **out, const struct cv_marks *marks,
                      const uint8_t chain[CV_MARK_CHAIN_LEN])
{
    struct dump d = {.chain = chain, .marks = marks, .out = json_object()};
    int r = d.out != NULL ? cv_marks_each(marks, dump_one, &d) : CV_ERR_NOMEM;
    if (r != CV_OK) {
        json_decref(d.out);
        return r;
    }
    *out = d.out;
    return CV_OK;
}

int cv_wm_signatory_dump(struct cv_buf *out, const struct cv_marks *marks,
                         const uint8_t chain[CV_MARK_CHAIN_LEN], struct cv_error *err)
{
    CV_JSON_AUTO json_t *doc = NULL;
    int r = chain_json(&doc, marks, chain);
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
    int r = chain_json(&one, a->marks, chain);
    cv_chain_format(text, chain);
    return r == CV_OK && json_object_set_new(a->doc, text, one) != 0 ? CV_ERR_NOMEM : r;
}

static int add_known(void *ctx, const struct cv_mark *m)
{
    if (m->kind != CV_MARK_KNOWN) {
        return CV_OK;
    }
    char pkh[CV_PKH_TEXT_SIZE];
    cv_pkh_format(pkh, &m->pkh);
    return json_array_append_new(ctx, json_string(pkh)) == 0 ? CV_OK : CV_ERR_NOMEM;
}

int cv_wm_signatory_dump_all(struct cv_buf *out, const struct cv_marks *marks, struct cv_error *err)
{
    CV_JSON_AUTO json_t *doc = json_object();
    json_t *known = json_array();
    int r = doc != NULL && known != NULL ? CV_OK : CV_ERR_NOMEM;
    struct all a = {.marks = marks, .doc = doc};
    if (r == CV_OK) {
        r = cv_wm_chains_each(marks, add_chain, &a);
    }
    if (r == CV_OK) {
        r = cv_marks_each(marks, add_known, known);
    }
    if (r == CV_OK && json_object_set(doc, "known", known) != 0) {
        r = CV_ERR_NOMEM;
    }
    if (r == CV_OK) {
        r = cv_json_dump_indent(out, doc, INDENT);
    }
    json_decref(known);
    return r == CV_OK ? CV_OK : cv_error_set(err, r, "writing the watermarks: %s", cv_strerror(r));
}
