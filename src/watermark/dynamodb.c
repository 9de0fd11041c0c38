/* SPDX-License-Identifier: Apache-2.0 */
#include "watermark/dynamodb.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/dynamodb.h"
#include "common/clock.h"
#include "common/log.h"
#include "watermark/signatory.h"

#define IDX_MAX (CV_CHAIN_TEXT_SIZE + CV_PKH_TEXT_SIZE)
#define OPEN_MS 60000
#define CREATE_MS 300000
#define WITH_DAL "attestation_with_dal"

/* Greater, or the same again. #r: "round" is a reserved word. */
#define RULE                                                              \
    "attribute_not_exists(idx) OR lvl < :l OR (lvl = :l AND #r < :r) OR " \
    "(lvl = :l AND #r = :r AND digest = :d)"
/* For a mark without digest: greater, or the same place. */
#define RULE_RAISE "attribute_not_exists(idx) OR lvl < :l OR (lvl = :l AND #r <= :r)"

static const struct cv_ddb_key table_key = {"idx", "S", "request", "S"};

struct cv_wm_ddb {
    struct cv_aws_config *aws;
    struct cv_aws_client *client;
    struct cv_ddb *ddb;
    char *table;
    pthread_mutex_t lock;
    struct cv_marks *known; /* keys that certainly have a record */
};

/* ---- items ---- */

static void make_idx(char out[IDX_MAX], const struct cv_mark *m)
{
    char pkh[CV_PKH_TEXT_SIZE], chain[CV_CHAIN_TEXT_SIZE];
    cv_pkh_format(pkh, &m->pkh);
    if (m->kind == CV_MARK_KNOWN) {
        snprintf(out, IDX_MAX, "%s", pkh);
        return;
    }
    cv_chain_format(chain, m->chain);
    snprintf(out, IDX_MAX, "%s/%s", chain, pkh);
}

static json_t *make_key(const struct cv_mark *m)
{
    char idx[IDX_MAX];
    make_idx(idx, m);
    return json_pack("{s:o, s:o}", "idx", cv_ddb_s(idx), "request",
                     cv_ddb_s(cv_mark_kind_name(m->kind)));
}

/* CV_ERR_NOT_FOUND for a kind that we do not have. */
static int parse_kind(enum cv_mark_kind *out, const char *text)
{
    if (strcmp(text, WITH_DAL) == 0) {
        *out = CV_MARK_ATTESTATION;
        return 0;
    }
    for (int k = 0; k < CV_MARK_KINDS; k++)
        if (strcmp(text, cv_mark_kind_name((enum cv_mark_kind)k)) == 0) {
            *out = (enum cv_mark_kind)k;
            return 0;
        }
    return CV_ERR_NOT_FOUND;
}

static int parse_idx(struct cv_mark *m, const char *idx)
{
    char chain[CV_CHAIN_TEXT_SIZE];
    const char *slash = strchr(idx, '/');
    if (m->kind == CV_MARK_KNOWN)
        return cv_pkh_parse(&m->pkh, cv_bytes_str(idx));
    if (slash == NULL || (size_t)(slash - idx) >= sizeof chain)
        return CV_ERR_INVALID;
    memcpy(chain, idx, (size_t)(slash - idx));
    chain[slash - idx] = '\0';
    int rc = cv_chain_parse(m->chain, chain);
    return rc != 0 ? rc : cv_pkh_parse(&m->pkh, cv_bytes_str(slash + 1));
}

static int parse_place(struct cv_mark *m, const json_t *item)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf digest;
    int64_t level, round;
    cv_buf_init(&digest, 64);
    if (cv_ddb_get_n(item, "lvl", &level) != 0 || cv_ddb_get_n(item, "round", &round) != 0 ||
        level < 0 || level > INT32_MAX || round < 0 || round > INT32_MAX)
        return CV_ERR_INVALID;
    m->level = (int32_t)level;
    m->round = (int32_t)round;
    m->has_hash = cv_ddb_get_b(item, "digest", &digest) == 0 && digest.n == CV_MARK_HASH_LEN;
    if (m->has_hash)
        memcpy(m->hash, digest.p, CV_MARK_HASH_LEN);
    return 0;
}

/* CV_ERR_NOT_FOUND: an item of another kind, which is nobody's watermark here. */
static int parse_item(struct cv_mark *m, const json_t *item, const char *table,
                      struct cv_error *err)
{
    const char *idx = cv_ddb_get_s(item, "idx"), *request = cv_ddb_get_s(item, "request");
    char quoted[100];
    memset(m, 0, sizeof *m);
    if (idx == NULL || request == NULL)
        return cv_error_set(err, CV_ERR_INVALID, "the DynamoDB table %s has an item without a key",
                            table);
    if (parse_kind(&m->kind, request) != 0)
        return CV_ERR_NOT_FOUND;
    if (parse_idx(m, idx) != 0 || (m->kind != CV_MARK_KNOWN && parse_place(m, item) != 0))
        return cv_error_set(err, CV_ERR_INVALID,
                            "the DynamoDB table %s: the item \"%s\" is no watermark", table,
                            cv_error_quote(quoted, sizeof quoted, idx, strlen(idx)));
    return 0;
}

/* ---- reading ---- */

struct walk {
    struct cv_wm_ddb *w;
    int (*each)(void *ctx, const struct cv_mark *mark);
    int (*each_item)(struct walk *walk, const struct cv_mark *mark, const json_t *item,
                     struct cv_error *err);
    void *ctx;
    int64_t deadline;
};

static int take(void *ctx, const json_t *item, struct cv_error *err)
{
    struct walk *walk = ctx;
    struct cv_mark m;
    int rc = parse_item(&m, item, walk->w->table, err);
    if (rc == CV_ERR_NOT_FOUND)
        return 0;
    if (rc != 0)
        return rc;
    return walk->each_item != NULL ? walk->each_item(walk, &m, item, err)
                                   : walk->each(walk->ctx, &m);
}

int cv_wm_ddb_each(struct cv_wm_ddb *w, int (*each)(void *ctx, const struct cv_mark *mark),
                   void *ctx, int64_t deadline, struct cv_error *err)
{
    struct walk walk = {.w = w, .each = each, .ctx = ctx};
    return cv_ddb_scan(w->ddb, w->table, take, &walk, deadline, err);
}

/* The item of M's place; CV_ERR_NOT_FOUND. */
static int get(struct cv_wm_ddb *w, const struct cv_mark *place, struct cv_mark *out,
               int64_t deadline, struct cv_error *err)
{
    CV_JSON_AUTO json_t *req = json_pack("{s:s, s:b, s:o}", "TableName", w->table, "ConsistentRead",
                                         1, "Key", make_key(place));
    CV_JSON_AUTO json_t *reply = NULL;
    if (req == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a request");
    int rc = cv_ddb_call(w->ddb, "GetItem", req, &reply, NULL, deadline, err);
    if (rc != 0)
        return rc == CV_ERR_NOT_FOUND ? CV_ERR_REMOTE : rc; /* that would be the table */
    const json_t *item = json_object_get(reply, "Item");
    if (json_object_size(item) == 0)
        return CV_ERR_NOT_FOUND;
    return parse_item(out, item, w->table, err);
}

/* ---- what is known ---- */

static bool remembered(struct cv_wm_ddb *w, const struct cv_pkh *pkh)
{
    pthread_mutex_lock(&w->lock);
    bool known = cv_marks_known(w->known, pkh);
    pthread_mutex_unlock(&w->lock);
    return known;
}

static void remember(struct cv_wm_ddb *w, const struct cv_pkh *pkh)
{
    const struct cv_mark m = {.pkh = *pkh, .kind = CV_MARK_KNOWN};
    pthread_mutex_lock(&w->lock);
    /* Without memory it is asked again next time. */
    (void)!cv_marks_put(w->known, &m);
    pthread_mutex_unlock(&w->lock);
}

/* A key is known by its own record, or by a mark at this place (Signatory's).
 * Records are never removed, so a yes stays a yes. */
static int check_known(struct cv_wm_ddb *w, const struct cv_mark *wanted, int64_t deadline,
                       struct cv_error *err)
{
    struct cv_mark place = {.pkh = wanted->pkh, .kind = CV_MARK_KNOWN}, found;
    if (remembered(w, &wanted->pkh))
        return 0;
    int rc = get(w, &place, &found, deadline, err);
    if (rc == CV_ERR_NOT_FOUND)
        rc = get(w, wanted, &found, deadline, err);
    if (rc == 0)
        remember(w, &wanted->pkh);
    if (rc == CV_ERR_NOT_FOUND)
        return cv_error_set(err, rc, "the DynamoDB table %s has no record of this key", w->table);
    return rc;
}

/* ---- writing ---- */

static json_t *make_update(const char *table, const struct cv_mark *m, bool raise)
{
    struct cv_bytes digest = CV_BYTES(m->hash, CV_MARK_HASH_LEN);
    bool with_digest = m->has_hash || !raise;
    json_t *req = json_pack(
        "{s:s, s:o, s:s, s:s, s:{s:s}, s:{s:o, s:o}}", "TableName", table, "Key", make_key(m),
        "UpdateExpression",
        with_digest ? "SET lvl = :l, #r = :r, digest = :d" : "SET lvl = :l, #r = :r REMOVE digest",
        "ConditionExpression", raise ? RULE_RAISE : RULE, "ExpressionAttributeNames", "#r", "round",
        "ExpressionAttributeValues", ":l", cv_ddb_n(m->level), ":r", cv_ddb_n(m->round));
    if (req != NULL && with_digest &&
        json_object_set_new(json_object_get(req, "ExpressionAttributeValues"), ":d",
                            cv_ddb_b(digest)) != 0)
        cv_json_release(&req);
    return req;
}

static int refused(struct cv_wm_ddb *w, const struct cv_mark *m, int64_t deadline,
                   struct cv_error *err)
{
    struct cv_mark found;
    if (get(w, m, &found, deadline, NULL) != 0)
        return cv_error_set(err, CV_ERR_DENIED,
                            "a watermark at or above this one is stored in the table %s", w->table);
    return cv_error_set(
        err, CV_ERR_DENIED,
        "level %d, round %d of this %s is not above level %d, round %d in the table %s", m->level,
        m->round, cv_mark_kind_name(m->kind), found.level, found.round, w->table);
}

static int update(struct cv_wm_ddb *w, const struct cv_mark *m, bool raise, int64_t deadline,
                  struct cv_error *err)
{
    struct cv_aws_error aws;
    CV_JSON_AUTO json_t *req = make_update(w->table, m, raise);
    if (req == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a request");
    int rc = cv_ddb_call(w->ddb, "UpdateItem", req, NULL, &aws, deadline, err);
    if (rc != 0 && cv_ddb_condition_failed(&aws))
        return refused(w, m, deadline, err);
    if (rc == CV_ERR_DENIED || rc == CV_ERR_NOT_FOUND)
        return CV_ERR_REMOTE; /* AWS said no, not the rule */
    return rc;
}

static int put_known(struct cv_wm_ddb *w, const struct cv_mark *m, int64_t deadline,
                     struct cv_error *err)
{
    CV_JSON_AUTO json_t *req = json_pack("{s:s, s:o}", "TableName", w->table, "Item", make_key(m));
    if (req == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a request");
    int rc = cv_ddb_call(w->ddb, "PutItem", req, NULL, NULL, deadline, err);
    if (rc == 0)
        remember(w, &m->pkh);
    return rc == CV_ERR_DENIED || rc == CV_ERR_NOT_FOUND ? CV_ERR_REMOTE : rc;
}

int cv_wm_ddb_advance(struct cv_wm_ddb *w, const struct cv_mark *wanted, int64_t deadline,
                      struct cv_error *err)
{
    if (wanted->level < 0 || wanted->round < 0 || wanted->kind == CV_MARK_KNOWN)
        return cv_error_set(err, CV_ERR_INVALID, "a negative level or round");
    int rc = check_known(w, wanted, deadline, err);
    return rc != 0 ? rc : update(w, wanted, false, deadline, err);
}

int cv_wm_ddb_raise(struct cv_wm_ddb *w, const struct cv_mark *mark, int64_t deadline,
                    struct cv_error *err)
{
    if (mark->kind == CV_MARK_KNOWN)
        return put_known(w, mark, deadline, err);
    if (mark->level < 0 || mark->round < 0)
        return cv_error_set(err, CV_ERR_INVALID, "a negative level or round");
    return update(w, mark, true, deadline, err);
}

/* ---- opening ---- */

/* Takes every key for known that has an item, and folds the marks of
 * attestation_with_dal into those of attestation. */
static int migrate(struct walk *walk, const struct cv_mark *m, const json_t *item,
                   struct cv_error *err)
{
    const char *request = cv_ddb_get_s(item, "request");
    remember(walk->w, &m->pkh);
    if (strcmp(request, WITH_DAL) != 0)
        return 0;
    int rc = update(walk->w, m, true, walk->deadline, err);
    return rc == CV_ERR_DENIED ? 0 : rc; /* attestation is further already */
}

static int fill(struct cv_wm_ddb *w, const struct cv_wm_ddb_options *o, struct cv_error *err)
{
    int64_t deadline = cv_deadline(o->table_ms != 0 ? o->table_ms
                                   : o->create      ? CREATE_MS
                                                    : OPEN_MS);
    struct walk walk = {.w = w, .each_item = migrate};
    w->table = strdup(o->table != NULL && *o->table != '\0' ? o->table : CV_WM_TABLE);
    if (w->table == NULL || cv_marks_new(&w->known) != 0)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the watermarks");
    int rc =
        cv_aws_config_client(w->aws, &w->client, "dynamodb", o->region, o->endpoint, deadline, err);
    if (rc == 0)
        rc = cv_ddb_new(&w->ddb, w->client, err);
    if (rc == 0)
        rc = cv_ddb_table(w->ddb, w->table, &table_key, o->create, deadline, err);
    walk.deadline = cv_deadline(OPEN_MS);
    return rc != 0 ? rc : cv_ddb_scan(w->ddb, w->table, take, &walk, walk.deadline, err);
}

int cv_wm_ddb_open(struct cv_wm_ddb **out, struct cv_aws_config **aws,
                   const struct cv_wm_ddb_options *options, struct cv_error *err)
{
    struct cv_wm_ddb *w = calloc(1, sizeof *w);
    *out = NULL;
    if (w == NULL) {
        cv_aws_config_free(aws);
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the watermarks");
    }
    w->aws = *aws;
    *aws = NULL;
    pthread_mutex_init(&w->lock, NULL);
    int rc = fill(w, options, err);
    if (rc != 0) {
        cv_wm_ddb_close(w);
        return rc;
    }
    *out = w;
    return 0;
}

void cv_wm_ddb_close(struct cv_wm_ddb *w)
{
    if (w == NULL)
        return;
    cv_ddb_free(&w->ddb);
    cv_aws_client_free(&w->client);
    cv_aws_config_free(&w->aws);
    cv_marks_free(w->known);
    pthread_mutex_destroy(&w->lock);
    free(w->table);
    free(w);
}
