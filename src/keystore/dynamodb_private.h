/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the DynamoDB driver. */
#ifndef CV_KEYSTORE_DYNAMODB_PRIVATE_H
#define CV_KEYSTORE_DYNAMODB_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "aws/dynamodb.h"
#include "crypto/sha.h"
#include "keystore/driver.h"
#include "keystore/dynamodb.h"

#define CV_DDB_PKH "pkh"
#define CV_DDB_VALUE "value"
#define CV_DDB_CALL_MS 20000 /* one request with its attempts */
#define CV_DDB_SCAN_MS 30000 /* the whole table */
#define CV_DDB_CREATE_MS 300000

struct cv_ddb_store {
    struct cv_keystore base;
    struct cv_aws_config *aws;
    struct cv_aws_client *client;
    struct cv_ddb *ddb;
    char *table;
    char *notes;             /* the table of the notes */
    char *region, *endpoint; /* NULL = what the configuration finds */
    int64_t poll_ms;
    pthread_mutex_t connect_lock; /* of the next one, and of client and ddb until it is set */
    bool connected;               /* the table is ours, or absent */
    /* The watching thread. */
    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t wake;
    bool started, stop;
    bool listed;                 /* seen is what the caller knows */
    uint8_t seen[CV_SHA256_LEN]; /* sum of all items at the last list */
    atomic_bool changed;
};

/* Makes the client and looks at the table, once. Before anything else. */
int cv_ddb_store_connect(struct cv_ddb_store *s, struct cv_error *err) CV_NODISCARD;
/* One change under its condition. */
int cv_ddb_store_change(struct cv_ddb_store *s, const struct cv_keystore_change *c,
                        struct cv_error *err) CV_NODISCARD;
/* Several, all or none. */
int cv_ddb_store_transact(struct cv_ddb_store *s, const struct cv_keystore_change *changes,
                          size_t n, struct cv_error *err) CV_NODISCARD;
/* A sum over all items that does not depend on their order. */
void cv_ddb_store_sum(uint8_t sum[CV_SHA256_LEN], const char *pkh, struct cv_bytes blob);
/* Is something new in the table? Starts the thread that knows. */
bool cv_ddb_store_changed(struct cv_ddb_store *s);
void cv_ddb_store_stop_watching(struct cv_ddb_store *s);
/* Attributes from and to members; false for a value that has no attribute. */
json_t *cv_ddb_attribute(const json_t *value);
json_t *cv_ddb_member(const json_t *attribute);

#endif
