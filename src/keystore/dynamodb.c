/* SPDX-License-Identifier: Apache-2.0 */
/* The DynamoDB driver: opening, listing, notes. */
#include "keystore/dynamodb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "keystore/dynamodb_private.h"

#define NAME "name"

static const struct cv_ddb_key keys_key = {.hash = CV_DDB_PKH, .hash_type = "S"};
static const struct cv_ddb_key notes_key = {.hash = NAME, .hash_type = "S"};

static struct cv_ddb_store *self(struct cv_keystore *ks)
{
    return (struct cv_ddb_store *)ks;
}

static void close_store(struct cv_keystore *ks)
{
    struct cv_ddb_store *s = self(ks);
    cv_ddb_store_stop_watching(s);
    cv_ddb_free(&s->ddb);
    cv_aws_client_free(&s->client);
    cv_aws_config_free(&s->aws);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->connect_lock);
    free(s->region);
    free(s->endpoint);
    free(s->table);
    free(s->notes);
    free(s);
}

/* ---- connecting ---- */

static int connect_locked(struct cv_ddb_store *s, struct cv_error *err)
{
    int64_t deadline = cv_deadline(CV_DDB_CALL_MS);
    int rc = 0;
    if (s->client == NULL)
        rc = cv_aws_config_client(s->aws, &s->client, "dynamodb", s->region, s->endpoint, deadline,
                                  err);
    if (rc == 0 && s->ddb == NULL)
        rc = cv_ddb_new(&s->ddb, s->client, err);
    if (rc == 0)
        rc = cv_ddb_table(s->ddb, s->table, &keys_key, false, deadline, err);
    if (rc == CV_ERR_NOT_FOUND) {
        cv_error_clear(err);
        rc = 0;
    }
    s->connected = rc == 0;
    return rc;
}

int cv_ddb_store_connect(struct cv_ddb_store *s, struct cv_error *err)
{
    struct cv_error unused;
    if (err == NULL) {
        cv_error_clear(&unused);
        err = &unused;
    }
    pthread_mutex_lock(&s->connect_lock);
    int rc = s->connected ? 0 : connect_locked(s, err);
    pthread_mutex_unlock(&s->connect_lock);
    return rc;
}

/* ---- listing ---- */

struct listing {
    struct cv_keystore_list *out;
    size_t room;
    uint8_t sum[CV_SHA256_LEN];
    const char *table;
};

static int members_of(json_t *out, const json_t *item)
{
    void *it = json_object_iter((json_t *)(uintptr_t)item);
    for (; it != NULL; it = json_object_iter_next((json_t *)(uintptr_t)item, it)) {
        const char *name = json_object_iter_key(it);
        if (strcmp(name, CV_DDB_PKH) == 0 || strcmp(name, CV_DDB_VALUE) == 0)
            continue;
        json_t *member = cv_ddb_member(json_object_iter_value(it));
        if (member != NULL && json_object_set_new(out, name, member) != 0)
            return CV_ERR_NOMEM;
    }
    return 0;
}

static int grow(struct listing *l)
{
    if (l->out->n < l->room)
        return 0;
    size_t room = l->room == 0 ? 64 : l->room * 2;
    struct cv_keystore_entry *more = reallocarray(l->out->entries, room, sizeof *more);
    if (more == NULL)
        return CV_ERR_NOMEM;
    l->out->entries = more;
    l->room = room;
    return 0;
}

static int take_item(void *ctx, const json_t *item, struct cv_error *err)
{
    struct listing *l = ctx;
    const char *pkh = cv_ddb_get_s(item, CV_DDB_PKH);
    if (pkh == NULL || !cv_keystore_pkh_valid(cv_bytes_str(pkh)))
        return cv_error_set(err, CV_ERR_INVALID, "the DynamoDB table %s has an item that is no key",
                            l->table);
    if (grow(l) != 0)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the key store");
    struct cv_keystore_entry *e = &l->out->entries[l->out->n++];
    *e = (struct cv_keystore_entry){.members = json_object()};
    snprintf(e->pkh, sizeof e->pkh, "%s", pkh);
    cv_buf_init(&e->blob, CV_KEYSTORE_BLOB_MAX);
    if (e->members == NULL || members_of(e->members, item) != 0)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the key store");
    if (cv_ddb_get_b(item, CV_DDB_VALUE, &e->blob) != 0 || e->blob.n == 0)
        return cv_error_set(err, CV_ERR_INVALID,
                            "the DynamoDB table %s: the item %s has no sealed key", l->table, pkh);
    cv_ddb_store_sum(l->sum, e->pkh, cv_buf_view(&e->blob));
    return 0;
}

static bool missing(int rc, const struct cv_error *err)
{
    (void)err;
    return rc == CV_ERR_NOT_FOUND;
}

static int list(struct cv_keystore *ks, struct cv_keystore_list *out, struct cv_error *err)
{
    struct cv_ddb_store *s = self(ks);
    struct listing l = {.out = out, .table = s->table};
    int rc = cv_ddb_store_connect(s, err);
    if (rc != 0)
        return rc;
    /* What changes from here on is seen next time. */
    s->changed = false;
    rc = cv_ddb_scan(s->ddb, s->table, take_item, &l, cv_deadline(CV_DDB_SCAN_MS), err);
    if (missing(rc, err)) {
        cv_error_clear(err);
        rc = 0;
    }
    if (rc != 0) {
        cv_keystore_list_free(out);
        s->changed = true;
        return rc;
    }
    pthread_mutex_lock(&s->lock);
    memcpy(s->seen, l.sum, sizeof s->seen);
    s->listed = true;
    pthread_mutex_unlock(&s->lock);
    return 0;
}

static bool changed(struct cv_keystore *ks)
{
    return cv_ddb_store_changed(self(ks));
}

/* ---- writing ---- */

static int apply(struct cv_keystore *ks, const struct cv_keystore_change *changes, size_t n,
                 struct cv_error *err)
{
    struct cv_ddb_store *s = self(ks);
    int rc = cv_ddb_store_connect(s, err);
    if (rc != 0)
        return rc;
    for (int round = 0;; round++) {
        rc = n == 1 ? cv_ddb_store_change(s, &changes[0], err)
                    : cv_ddb_store_transact(s, changes, n, err);
        bool table = rc == CV_ERR_NOT_FOUND && round == 0;
        if (!table)
            return rc;
        /* The key is not there, or the whole table is not. */
        struct cv_error ignored;
        cv_error_clear(&ignored);
        bool put = false;
        for (size_t i = 0; i < n; i++)
            put = put || changes[i].op == CV_KEYSTORE_PUT;
        if (!put || cv_ddb_table(s->ddb, s->table, &keys_key, false, cv_deadline(CV_DDB_CALL_MS),
                                 &ignored) != CV_ERR_NOT_FOUND)
            return rc;
        rc = cv_ddb_table(s->ddb, s->table, &keys_key, true, cv_deadline(CV_DDB_CREATE_MS), err);
        if (rc != 0)
            return rc;
    }
}

/* ---- notes ---- */

static int note_get(struct cv_keystore *ks, const char *name, struct cv_buf *out,
                    struct cv_error *err)
{
    struct cv_ddb_store *s = self(ks);
    CV_JSON_AUTO json_t *req = json_pack("{s:s, s:b, s:{s:o}}", "TableName", s->notes,
                                         "ConsistentRead", 1, "Key", NAME, cv_ddb_s(name));
    CV_JSON_AUTO json_t *reply = NULL;
    if (req == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a request");
    int rc = cv_ddb_store_connect(s, err);
    if (rc != 0)
        return rc;
    rc = cv_ddb_call(s->ddb, "GetItem", req, &reply, NULL, cv_deadline(CV_DDB_CALL_MS), err);
    if (rc == 0 && cv_ddb_get_b(json_object_get(reply, "Item"), CV_DDB_VALUE, out) != 0)
        rc = CV_ERR_NOT_FOUND;
    if (rc == CV_ERR_NOT_FOUND)
        return cv_error_set(err, rc, "%s has no note %s", ks->name, name);
    return rc;
}

static int put_note(struct cv_ddb_store *s, const json_t *req, struct cv_error *err)
{
    struct cv_aws_error aws;
    int rc = cv_ddb_store_connect(s, err);
    if (rc != 0)
        return rc;
    rc = cv_ddb_call(s->ddb, "PutItem", req, NULL, &aws, cv_deadline(CV_DDB_CALL_MS), err);
    if (rc != CV_ERR_NOT_FOUND)
        return rc;
    rc = cv_ddb_table(s->ddb, s->notes, &notes_key, true, cv_deadline(CV_DDB_CREATE_MS), err);
    return rc != 0
               ? rc
               : cv_ddb_call(s->ddb, "PutItem", req, NULL, &aws, cv_deadline(CV_DDB_CALL_MS), err);
}

static int note_put(struct cv_keystore *ks, const char *name, struct cv_bytes content,
                    struct cv_error *err)
{
    struct cv_ddb_store *s = self(ks);
    CV_JSON_AUTO json_t *req = json_pack("{s:s, s:{s:o, s:o}}", "TableName", s->notes, "Item", NAME,
                                         cv_ddb_s(name), CV_DDB_VALUE, cv_ddb_b(content));
    if (req == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a request");
    return put_note(s, req, err);
}

/* ---- opening ---- */

static const struct cv_keystore_driver driver = {
    close_store, list, apply, changed, note_get, note_put, true,
};

static int fill(struct cv_ddb_store *s, const struct cv_keystore_dynamodb *o, struct cv_error *err)
{
    const char *table = o->table != NULL && *o->table != '\0' ? o->table : CV_KEYSTORE_TABLE;
    s->poll_ms = o->poll_ms != 0 ? o->poll_ms : 30000;
    s->table = strdup(table);
    if (asprintf(&s->notes, "%s_claviger", table) < 0)
        s->notes = NULL;
    if (asprintf(&s->base.name, "DynamoDB table %s", table) < 0)
        s->base.name = NULL;
    s->region = o->region != NULL ? strdup(o->region) : NULL;
    s->endpoint = o->endpoint != NULL ? strdup(o->endpoint) : NULL;
    if (s->table == NULL || s->notes == NULL || s->base.name == NULL ||
        (o->region != NULL && s->region == NULL) || (o->endpoint != NULL && s->endpoint == NULL))
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the key store");
    return o->later ? 0 : cv_ddb_store_connect(s, err);
}

int cv_keystore_open_dynamodb(struct cv_keystore **out, struct cv_aws_config **aws,
                              const struct cv_keystore_dynamodb *options, struct cv_error *err)
{
    pthread_condattr_t attr;
    struct cv_ddb_store *s = calloc(1, sizeof *s);
    *out = NULL;
    if (s == NULL) {
        cv_aws_config_free(aws);
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the key store");
    }
    s->base.driver = &driver;
    s->aws = *aws;
    *aws = NULL;
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->connect_lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &attr);
    pthread_condattr_destroy(&attr);
    s->changed = true;
    int rc = fill(s, options, err);
    if (rc != 0) {
        cv_keystore_close(&s->base);
        return rc;
    }
    *out = &s->base;
    return 0;
}
