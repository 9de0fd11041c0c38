/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key store in a DynamoDB table, as Signatory's nitro vault has it (library
 * cv_keystore_dynamodb): key "pkh" (S), attribute "value" (B), our members as
 * further attributes. Shared by any number of daemons and commands: every write
 * is conditional. Notes lie in a table of their own, TABLE_claviger, so that
 * Signatory never takes one for a key.
 *
 * A table that is absent is a store without keys; the first write makes it,
 * with on-demand billing.
 */
#ifndef CV_KEYSTORE_DYNAMODB_H
#define CV_KEYSTORE_DYNAMODB_H

#include "aws/config.h"
#include "keystore/keystore.h"

#define CV_KEYSTORE_TABLE "encrypted_keys" /* Signatory's default */

struct cv_keystore_dynamodb {
    const char *table;    /* NULL = CV_KEYSTORE_TABLE */
    const char *region;   /* NULL = what the configuration finds */
    const char *endpoint; /* a URL, or NULL */
    int64_t poll_ms;      /* how often cv_keystore_changed() has the table looked at; 0 = 30 000 */
    bool later;           /* AWS is first asked when the store is used */
};

/* AWS is owned by the store from now on, also when this fails; *AWS is NULL
 * afterwards. Asks AWS whether the table is there and has the right key; with
 * `later` that is done by the first function that needs the table, and again by
 * the next one while it fails, so that a daemon can start before AWS answers.
 *
 * cv_keystore_changed() does not wait for AWS: a thread of the store, started
 * by its first call, looks at the table. The other functions do wait, at most
 * half a minute. */
int cv_keystore_open_dynamodb(struct cv_keystore **out, struct cv_aws_config **aws,
                              const struct cv_keystore_dynamodb *options,
                              struct cv_error *err) CV_NODISCARD;

#endif
