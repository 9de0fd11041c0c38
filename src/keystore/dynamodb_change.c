/* SPDX-License-Identifier: Apache-2.0 */
/* Conditional writes: nothing is ever overwritten that was not named. */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "keystore/dynamodb_private.h"

static int no_memory(struct cv_error *err)
{
    return cv_error_set(err, CV_ERR_NOMEM, "no memory for the key store");
}

json_t *cv_ddb_attribute(const json_t *value)
{
    if (json_is_boolean(value))
        return cv_ddb_bool(json_is_true(value));
    if (json_is_string(value))
        return cv_ddb_s(json_string_value(value));
    if (json_is_integer(value))
        return cv_ddb_n(json_integer_value(value));
    return NULL;
}

json_t *cv_ddb_member(const json_t *attribute)
{
    json_t *flag = json_object_get(attribute, "BOOL");
    json_t *text = json_object_get(attribute, "S");
    int64_t n;
    if (json_is_boolean(flag))
        return json_incref(flag);
    if (json_is_string(text))
        return json_incref(text);
    CV_JSON_AUTO json_t *wrapped = json_pack("{s:O}", "x", attribute);
    return wrapped != NULL && cv_ddb_get_n(wrapped, "x", &n) == 0 ? json_integer(n) : NULL;
}

/* The item that a PUT makes. */
static int make_item(json_t **out, const struct cv_keystore_change *c, struct cv_error *err)
{
    union {
        const json_t *in;
        json_t *out;
    } members = {.in = c->members};
    CV_JSON_AUTO json_t *item =
        json_pack("{s:o, s:o}", CV_DDB_PKH, cv_ddb_s(c->pkh), CV_DDB_VALUE, cv_ddb_b(c->blob));
    if (item == NULL)
        return no_memory(err);
    for (void *it = json_object_iter(members.out); it != NULL;
         it = json_object_iter_next(members.out, it)) {
        const char *name = json_object_iter_key(it);
        json_t *v = cv_ddb_attribute(json_object_iter_value(it));
        if (v == NULL || strcmp(name, CV_DDB_PKH) == 0 || strcmp(name, CV_DDB_VALUE) == 0) {
            json_decref(v);
            return cv_error_set(err, CV_ERR_INVALID, "\"%s\" cannot be kept in DynamoDB", name);
        }
        if (json_object_set_new(item, name, v) != 0)
            return no_memory(err);
    }
    *out = item;
    item = NULL; /* transferred */
    return 0;
}

/* The request of a change without "Update" or "Put" around it. */
static int make_request(json_t **out, const char *table, const struct cv_keystore_change *c,
                        struct cv_error *err)
{
    json_t *item = NULL;
    int rc;
    *out = NULL;
    switch (c->op) {
    case CV_KEYSTORE_PUT:
        rc = make_item(&item, c, err);
        if (rc != 0)
            return rc;
        *out = json_pack("{s:s, s:o, s:s}", "TableName", table, "Item", item, "ConditionExpression",
                         "attribute_not_exists(" CV_DDB_PKH ")");
        break;
    case CV_KEYSTORE_REPLACE:
        *out = json_pack("{s:s, s:{s:o}, s:s, s:s, s:{s:s}, s:{s:o, s:o}}", "TableName", table,
                         "Key", CV_DDB_PKH, cv_ddb_s(c->pkh), "UpdateExpression", "SET #v = :new",
                         "ConditionExpression", "#v = :old", "ExpressionAttributeNames", "#v",
                         CV_DDB_VALUE, "ExpressionAttributeValues", ":new", cv_ddb_b(c->blob),
                         ":old", cv_ddb_b(c->old));
        break;
    case CV_KEYSTORE_MEMBER:
        *out = json_pack("{s:s, s:{s:o}, s:s, s:s, s:{s:s}}", "TableName", table, "Key", CV_DDB_PKH,
                         cv_ddb_s(c->pkh), "UpdateExpression",
                         c->value != NULL ? "SET #m = :x" : "REMOVE #m", "ConditionExpression",
                         "attribute_exists(" CV_DDB_PKH ")", "ExpressionAttributeNames", "#m",
                         c->name);
        if (*out != NULL && c->value != NULL) {
            json_t *v = cv_ddb_attribute(c->value);
            if (v == NULL || json_object_set_new(*out, "ExpressionAttributeValues",
                                                 json_pack("{s:o}", ":x", v)) != 0) {
                cv_json_release(out);
                return cv_error_set(err, CV_ERR_INVALID, "\"%s\" cannot be kept in DynamoDB",
                                    c->name);
            }
        }
        break;
    }
    return *out != NULL ? 0 : no_memory(err);
}

/* What is there now, after a condition has failed: tells a write of ours whose
 * reply was lost from somebody else's. */
static int explain(struct cv_ddb_store *s, const struct cv_keystore_change *c, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf blob;
    CV_JSON_AUTO json_t *req = json_pack("{s:s, s:b, s:{s:o}}", "TableName", s->table,
                                         "ConsistentRead", 1, "Key", CV_DDB_PKH, cv_ddb_s(c->pkh));
    CV_JSON_AUTO json_t *reply = NULL;
    cv_buf_init(&blob, CV_KEYSTORE_BLOB_MAX);
    if (req == NULL)
        return no_memory(err);
    int rc = cv_ddb_call(s->ddb, "GetItem", req, &reply, NULL, cv_deadline(CV_DDB_CALL_MS), err);
    if (rc != 0)
        return rc;
    if (cv_ddb_get_b(json_object_get(reply, "Item"), CV_DDB_VALUE, &blob) != 0)
        return c->op == CV_KEYSTORE_PUT
                   ? cv_error_set(err, CV_ERR_STATE, "the key %s was changed meanwhile", c->pkh)
                   : cv_error_set(err, CV_ERR_NOT_FOUND, "there is no key %s", c->pkh);
    if (c->op != CV_KEYSTORE_MEMBER && cv_bytes_equal(cv_buf_view(&blob), c->blob))
        return 0;
    if (c->op == CV_KEYSTORE_PUT)
        return cv_error_set(err, CV_ERR_EXISTS, "there is a key %s already", c->pkh);
    return cv_error_set(err, CV_ERR_STATE, "the sealed key of %s was changed meanwhile", c->pkh);
}

static const char *action_of(const struct cv_keystore_change *c)
{
    return c->op == CV_KEYSTORE_PUT ? "PutItem" : "UpdateItem";
}

int cv_ddb_store_change(struct cv_ddb_store *s, const struct cv_keystore_change *c,
                        struct cv_error *err)
{
    struct cv_aws_error aws;
    CV_JSON_AUTO json_t *req = NULL;
    int rc = make_request(&req, s->table, c, err);
    if (rc != 0)
        return rc;
    rc = cv_ddb_call(s->ddb, action_of(c), req, NULL, &aws, cv_deadline(CV_DDB_CALL_MS), err);
    return rc != 0 && cv_ddb_condition_failed(&aws) ? explain(s, c, err) : rc;
}

int cv_ddb_store_transact(struct cv_ddb_store *s, const struct cv_keystore_change *changes,
                          size_t n, struct cv_error *err)
{
    struct cv_aws_error aws;
    CV_JSON_AUTO json_t *items = json_array();
    if (n == 0)
        return 0;
    /* Items of one transaction: Service Quotas of DynamoDB. */
    if (n > CV_KEYSTORE_TOGETHER)
        return cv_error_set(err, CV_ERR_LIMIT, "DynamoDB changes at most %d keys at once",
                            CV_KEYSTORE_TOGETHER);
    for (size_t i = 0; i < n; i++) {
        CV_JSON_AUTO json_t *one = NULL;
        int rc = make_request(&one, s->table, &changes[i], err);
        if (rc != 0)
            return rc;
        const char *kind = changes[i].op == CV_KEYSTORE_PUT ? "Put" : "Update";
        if (json_array_append_new(items, json_pack("{s:O}", kind, one)) != 0)
            return no_memory(err);
    }
    CV_JSON_AUTO json_t *req = json_pack("{s:O}", "TransactItems", items);
    if (req == NULL)
        return no_memory(err);
    int rc = cv_ddb_call(s->ddb, "TransactWriteItems", req, NULL, &aws, cv_deadline(CV_DDB_CALL_MS),
                         err);
    if (strcmp(aws.code, "TransactionCanceledException") != 0)
        return rc;
    /* The first that stands in the way; none when all of them are there, since
     * the reply to an earlier attempt was lost. */
    bool done = true;
    for (size_t i = 0; i < n; i++) {
        rc = explain(s, &changes[i], err);
        bool merely_absent = changes[i].op == CV_KEYSTORE_PUT && rc == CV_ERR_STATE;
        if (rc != 0 && !merely_absent)
            return rc;
        done = done && rc == 0;
    }
    if (done)
        return 0;
    return cv_error_set(err, CV_ERR_STATE, "the keys were changed meanwhile");
}
