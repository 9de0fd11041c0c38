/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Amazon DynamoDB (JSON 1.0, version 2012-08-10), as far as key stores and
 * watermarks need it (library cv_aws_dynamodb, parent only). Usable from
 * several threads.
 */
#ifndef CV_AWS_DYNAMODB_H
#define CV_AWS_DYNAMODB_H

#include "aws/client.h"
#include "json/json.h"

#define CV_DDB_ITEM_MAX 409600 /* bytes of an item (Service Quotas) */

struct cv_ddb;

/* CLIENT is of service "dynamodb" and is borrowed. */
int cv_ddb_new(struct cv_ddb **out, struct cv_aws_client *client,
               struct cv_error *err) CV_NODISCARD;
void cv_ddb_free(struct cv_ddb **ddb);

/* ACTION ("GetItem") with REQUEST; *REPLY is a new reference (may be NULL when
 * not wanted). AWS (may be NULL) gets what AWS said. A reply whose CRC does not
 * match is asked for again. The sentence begins "DynamoDB GetItem: …". */
int cv_ddb_call(struct cv_ddb *ddb, const char *action, const json_t *request, json_t **reply,
                struct cv_aws_error *aws, int64_t deadline, struct cv_error *err) CV_NODISCARD;

/* A table's key: names, and types "S", "N" or "B"; RANGE NULL = none. */
struct cv_ddb_key {
    const char *hash, *hash_type;
    const char *range, *range_type;
};
/* Makes sure that TABLE is there, has that key and is active; with CREATE it is
 * made when absent, with on-demand billing, and waited for. CV_ERR_NOT_FOUND
 * when it is absent, CV_ERR_CONFIG when its key is another one. */
int cv_ddb_table(struct cv_ddb *ddb, const char *table, const struct cv_ddb_key *key, bool create,
                 int64_t deadline, struct cv_error *err) CV_NODISCARD;

/* Every item of TABLE by consistent reads, page after page; a non-zero return
 * of EACH ends it with that code. */
int cv_ddb_scan(struct cv_ddb *ddb, const char *table,
                int (*each)(void *ctx, const json_t *item, struct cv_error *err), void *ctx,
                int64_t deadline, struct cv_error *err) CV_NODISCARD;

/* True when a conditional write was refused by its condition. */
bool cv_ddb_condition_failed(const struct cv_aws_error *aws);

/* Attribute values: {"S": text}, {"N": "1"}, {"B": base64}, {"BOOL": …}; NULL
 * without memory (json_object_set_new() takes that for a failure). */
json_t *cv_ddb_s(const char *text);
json_t *cv_ddb_n(int64_t n);
json_t *cv_ddb_b(struct cv_bytes b);
json_t *cv_ddb_bool(bool v);
/* Attributes of an item; NULL, or a code, when absent or of another type. */
const char *cv_ddb_get_s(const json_t *item, const char *name);
int cv_ddb_get_n(const json_t *item, const char *name, int64_t *out) CV_NODISCARD;
/* Emptied first, then filled. */
int cv_ddb_get_b(const json_t *item, const char *name, struct cv_buf *out) CV_NODISCARD;

#endif
