/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at the table now and then, in a thread, for those who must not wait. */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "keystore/dynamodb_private.h"

void cv_ddb_store_sum(uint8_t sum[CV_SHA256_LEN], const char *pkh, struct cv_bytes blob)
{
    struct cv_sha256_ctx ctx;
    uint8_t h[CV_SHA256_LEN];
    cv_sha256_init(&ctx);
    cv_sha256_update(&ctx, CV_BYTES(pkh, strlen(pkh) + 1));
    cv_sha256_update(&ctx, blob);
    cv_sha256_final(&ctx, h);
    for (size_t i = 0; i < sizeof h; i++)
        sum[i] ^= h[i];
}

static int add_item(void *ctx, const json_t *item, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf blob;
    const char *pkh = cv_ddb_get_s(item, CV_DDB_PKH);
    (void)err;
    cv_buf_init(&blob, CV_KEYSTORE_BLOB_MAX);
    if (pkh != NULL && cv_ddb_get_b(item, CV_DDB_VALUE, &blob) == 0)
        cv_ddb_store_sum(ctx, pkh, cv_buf_view(&blob));
    return 0;
}

static void look(struct cv_ddb_store *s)
{
    uint8_t sum[CV_SHA256_LEN] = {0};
    struct cv_error err;
    cv_error_clear(&err);
    int rc = cv_ddb_store_connect(s, &err);
    if (rc == 0)
        rc = cv_ddb_scan(s->ddb, s->table, add_item, sum, cv_deadline(CV_DDB_SCAN_MS), &err);
    if (rc != 0 && rc != CV_ERR_NOT_FOUND) {
        cv_log_error(CV_LOG_WARN, "the key store cannot be looked at for new keys", &err);
        return;
    }
    pthread_mutex_lock(&s->lock);
    if (s->listed && memcmp(sum, s->seen, sizeof sum) != 0)
        s->changed = true;
    pthread_mutex_unlock(&s->lock);
}

static void *watch(void *arg)
{
    struct cv_ddb_store *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        int64_t at = cv_deadline(s->poll_ms);
        struct timespec ts = {.tv_sec = (time_t)(at / 1000),
                              .tv_nsec = (long)(at % 1000) * 1000000};
        int rc = 0;
        while (!s->stop && rc == 0)
            rc = pthread_cond_timedwait(&s->wake, &s->lock, &ts);
        if (s->stop)
            break;
        pthread_mutex_unlock(&s->lock);
        look(s);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

bool cv_ddb_store_changed(struct cv_ddb_store *s)
{
    pthread_mutex_lock(&s->lock);
    if (!s->started)
        s->started = pthread_create(&s->thread, NULL, watch, s) == 0;
    pthread_mutex_unlock(&s->lock);
    return s->changed;
}

void cv_ddb_store_stop_watching(struct cv_ddb_store *s)
{
    pthread_mutex_lock(&s->lock);
    bool started = s->started;
    s->stop = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    if (started)
        pthread_join(s->thread, NULL);
}
