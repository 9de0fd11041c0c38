/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/dynamodb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/clock.h"
#include "common/hex.h"

#define REQUEST_MAX (2u << 20)
#define REPLY_MAX (4u << 20) /* a page has at most 1 MiB, base64 and names added */
#define TABLE_POLL_MS 500
#define PAGES_MAX 100000 /* of one scan: a server that never ends is broken */

struct cv_ddb {
    struct cv_aws_client *client;
};

int cv_ddb_new(struct cv_ddb **out, struct cv_aws_client *client, struct cv_error *err)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a DynamoDB client");
    (*out)->client = client;
    return 0;
}

void cv_ddb_free(struct cv_ddb **ddb)
{
    if (ddb == NULL || *ddb == NULL)
        return;
    free(*ddb);
    *ddb = NULL;
}

static int write_body(void *ctx, struct cv_buf *out, unsigned attempt, struct cv_error *err)
{
    (void)attempt;
    int rc = cv_json_dump(out, ctx);
    return rc == 0 ? 0 : cv_error_set(err, rc, "the request does not fit");
}

/* DynamoDB sends the CRC-32 of its body; a difference means a damaged reply. */
static int check_crc(void *ctx, const struct cv_http_message *m, struct cv_error *err)
{
    const char *header = cv_http_header(m, "x-amz-crc32");
    (void)ctx;
    if (header == NULL)
        return 0;
    size_t n = strlen(header);
    if (n == 0 || n > 10 || strspn(header, "0123456789") != n ||
        strtoull(header, NULL, 10) != crc32(0, m->body.p, (uInt)m->body.n))
        return cv_error_set(err, CV_ERR_TRUNCATED,
                            "the reply does not have the checksum that it names");
    return 0;
}

int cv_ddb_call(struct cv_ddb *ddb, const char *action, const json_t *request, json_t **reply,
                struct cv_aws_error *aws, int64_t deadline, struct cv_error *err)
{
    char target[80];
    struct cv_http_header headers[] = {
        {"Content-Type", "application/x-amz-json-1.0"},
        {"X-Amz-Target", target},
    };
    union {
        const json_t *in;
        void *out;
    } ctx = {.in = request};
    struct cv_aws_request r = {
        .method = "POST",
        .headers = headers,
        .nheaders = 2,
        .body = write_body,
        .ctx = ctx.out,
        .body_limit = REQUEST_MAX,
        .check = check_crc,
    };
    struct cv_http_message m;
    snprintf(target, sizeof target, "DynamoDB_20120810.%s", action);
    if (reply != NULL)
        *reply = NULL;
    int rc = cv_aws_call(ddb->client, &r, &m, aws, deadline, err);
    if (rc == 0 && reply != NULL)
        rc = cv_json_parse_object(reply, cv_buf_view(&m.body), REPLY_MAX, "the reply", err) == 0
                 ? 0
                 : CV_ERR_PROTOCOL;
    cv_http_message_free(&m);
    if (rc != 0)
        cv_error_wrap(err, "DynamoDB %s", action);
    return rc;
}

bool cv_ddb_condition_failed(const struct cv_aws_error *aws)
{
    return strcmp(aws->code, "ConditionalCheckFailedException") == 0;
}

/* ---- tables ---- */

static json_t *describe_key(const struct cv_ddb_key *k)
{
    json_t *keys = json_pack("[{s:s, s:s}]", "AttributeName", k->hash, "KeyType", "HASH");
    if (keys != NULL && k->range != NULL &&
        json_array_append_new(
            keys, json_pack("{s:s, s:s}", "AttributeName", k->range, "KeyType", "RANGE")) != 0) {
        json_decref(keys);
        return NULL;
    }
    return keys;
}

static json_t *describe_attributes(const struct cv_ddb_key *k)
{
    json_t *list =
        json_pack("[{s:s, s:s}]", "AttributeName", k->hash, "AttributeType", k->hash_type);
    if (list != NULL && k->range != NULL &&
        json_array_append_new(list, json_pack("{s:s, s:s}", "AttributeName", k->range,
                                              "AttributeType", k->range_type)) != 0) {
        json_decref(list);
        return NULL;
    }
    return list;
}

static int create_table(struct cv_ddb *ddb, const char *table, const struct cv_ddb_key *key,
                        int64_t deadline, struct cv_error *err)
{
    struct cv_aws_error aws;
    CV_JSON_AUTO json_t *req = json_pack(
        "{s:s, s:o, s:o, s:s}", "TableName", table, "KeySchema", describe_key(key),
        "AttributeDefinitions", describe_attributes(key), "BillingMode", "PAY_PER_REQUEST");
    if (req == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a request");
    int rc = cv_ddb_call(ddb, "CreateTable", req, NULL, &aws, deadline, err);
    /* Somebody else was quicker. */
    return strcmp(aws.code, "ResourceInUseException") == 0 ? 0 : rc;
}

/* True when the list of {"AttributeName", ATTRIBUTE} says VALUE of NAME. */
static bool says(const json_t *list, const char *name, const char *attribute, const char *value)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        const char *n = json_string_value(json_object_get(o, "AttributeName"));
        const char *v = json_string_value(json_object_get(o, attribute));
        if (n != NULL && v != NULL && strcmp(n, name) == 0)
            return strcmp(v, value) == 0;
    }
    return false;
}

static bool same_key(const json_t *table, const struct cv_ddb_key *k)
{
    const json_t *schema = json_object_get(table, "KeySchema");
    const json_t *types = json_object_get(table, "AttributeDefinitions");
    if (json_array_size(schema) != (k->range != NULL ? 2u : 1u) ||
        !says(schema, k->hash, "KeyType", "HASH") ||
        !says(types, k->hash, "AttributeType", k->hash_type))
        return false;
    return k->range == NULL || (says(schema, k->range, "KeyType", "RANGE") &&
                                says(types, k->range, "AttributeType", k->range_type));
}

/* 0 when TABLE is active; CV_ERR_BUSY when it is on its way there. */
static int look_at_table(struct cv_ddb *ddb, const char *table, const struct cv_ddb_key *key,
                         struct cv_aws_error *aws, int64_t deadline, struct cv_error *err)
{
    CV_JSON_AUTO json_t *req = json_pack("{s:s}", "TableName", table);
    CV_JSON_AUTO json_t *reply = NULL;
    if (req == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a request");
    int rc = cv_ddb_call(ddb, "DescribeTable", req, &reply, aws, deadline, err);
    if (rc != 0)
        return rc;
    const json_t *t = json_object_get(reply, "Table");
    const char *status = json_string_value(json_object_get(t, "TableStatus"));
    if (status == NULL)
        return cv_error_set(err, CV_ERR_PROTOCOL, "DynamoDB DescribeTable: no status in the reply");
    if (strcmp(status, "CREATING") == 0)
        return CV_ERR_BUSY;
    if (strcmp(status, "ACTIVE") != 0 && strcmp(status, "UPDATING") != 0)
        return cv_error_set(err, CV_ERR_STATE,
                            "the DynamoDB table %s is neither active nor being made", table);
    if (!same_key(t, key))
        return cv_error_set(
            err, CV_ERR_CONFIG,
            "the DynamoDB table %s has another key than %s (%s)%s%s: it is not one of ours", table,
            key->hash, key->hash_type, key->range != NULL ? " and " : "",
            key->range != NULL ? key->range : "");
    return 0;
}

int cv_ddb_table(struct cv_ddb *ddb, const char *table, const struct cv_ddb_key *key, bool create,
                 int64_t deadline, struct cv_error *err)
{
    bool asked = false;
    for (;;) {
        struct cv_aws_error aws;
        int rc = look_at_table(ddb, table, key, &aws, deadline, err);
        bool missing = rc == CV_ERR_NOT_FOUND && strcmp(aws.code, "ResourceNotFoundException") == 0;
        if (missing && !create)
            return cv_error_set(err, CV_ERR_NOT_FOUND, "there is no DynamoDB table %s", table);
        if (rc != CV_ERR_BUSY && !missing)
            return rc;
        if (missing && !asked) {
            rc = create_table(ddb, table, key, deadline, err);
            if (rc != 0) {
                cv_error_wrap(err, "making the table %s", table);
                return rc;
            }
            asked = true;
            continue;
        }
        if (cv_now_ms() + TABLE_POLL_MS >= deadline)
            return cv_error_set(err, CV_ERR_TIMEOUT, "the DynamoDB table %s is still being made",
                                table);
        cv_sleep_ms(TABLE_POLL_MS);
    }
}

/* ---- reading ---- */

static int one_page(struct cv_ddb *ddb, json_t *req,
                    int (*each)(void *ctx, const json_t *item, struct cv_error *err), void *ctx,
                    bool *more, int64_t deadline, struct cv_error *err)
{
    CV_JSON_AUTO json_t *reply = NULL;
    int rc = cv_ddb_call(ddb, "Scan", req, &reply, NULL, deadline, err);
    if (rc != 0)
        return rc;
    const json_t *items = json_object_get(reply, "Items");
    json_t *last = json_object_get(reply, "LastEvaluatedKey");
    if (!json_is_array(items))
        return cv_error_set(err, CV_ERR_PROTOCOL, "DynamoDB Scan: no items in the reply");
    for (size_t i = 0; i < json_array_size(items) && rc == 0; i++)
        rc = each(ctx, json_array_get(items, i), err);
    *more = json_object_size(last) > 0;
    if (rc == 0 && *more && json_object_set(req, "ExclusiveStartKey", last) != 0)
        rc = cv_error_set(err, CV_ERR_NOMEM, "no memory for a request");
    return rc;
}

int cv_ddb_scan(struct cv_ddb *ddb, const char *table,
                int (*each)(void *ctx, const json_t *item, struct cv_error *err), void *ctx,
                int64_t deadline, struct cv_error *err)
{
    CV_JSON_AUTO json_t *req = json_pack("{s:s, s:b}", "TableName", table, "ConsistentRead", 1);
    bool more = true;
    int rc = 0;
    if (req == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a request");
    for (unsigned i = 0; more && rc == 0; i++) {
        if (i == PAGES_MAX)
            return cv_error_set(err, CV_ERR_LIMIT, "DynamoDB Scan: the table has no end");
        rc = one_page(ddb, req, each, ctx, &more, deadline, err);
    }
    return rc;
}

/* ---- attribute values ---- */

json_t *cv_ddb_s(const char *text)
{
    return json_pack("{s:s}", "S", text);
}

json_t *cv_ddb_n(int64_t n)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)n);
    return json_pack("{s:s}", "N", text);
}

json_t *cv_ddb_b(struct cv_bytes b)
{
    char *text = malloc(CV_BASE64_LEN(b.n) + 1);
    if (text == NULL)
        return NULL;
    cv_base64_encode(text, b.p, b.n);
    json_t *v = json_pack("{s:s}", "B", text);
    free(text);
    return v;
}

json_t *cv_ddb_bool(bool v)
{
    return json_pack("{s:b}", "BOOL", v ? 1 : 0);
}

const char *cv_ddb_get_s(const json_t *item, const char *name)
{
    return json_string_value(json_object_get(json_object_get(item, name), "S"));
}

int cv_ddb_get_n(const json_t *item, const char *name, int64_t *out)
{
    const char *text = json_string_value(json_object_get(json_object_get(item, name), "N"));
    char *end;
    if (text == NULL)
        return CV_ERR_NOT_FOUND;
    size_t n = strlen(text), digits = strspn(text + (*text == '-'), "0123456789");
    if (digits == 0 || digits > 18 || digits + (*text == '-') != n)
        return CV_ERR_INVALID;
    *out = strtoll(text, &end, 10);
    return 0;
}

int cv_ddb_get_b(const json_t *item, const char *name, struct cv_buf *out)
{
    const json_t *v = json_object_get(item, name);
    cv_buf_reset(out);
    if (!json_is_string(json_object_get(v, "B")))
        return CV_ERR_NOT_FOUND;
    return cv_json_get_base64(v, "B", out, NULL);
}
