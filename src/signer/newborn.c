/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/newborn.h"

#include <stddef.h>
#include <stdlib.h>

#include "common/log.h"
#include "signer/pool.h"

#define SETTLE_MS 200
#define TOGETHER 4096 /* then without waiting */
#define BATCHES 1024  /* of changes that wait for a store over a network */

struct newborn {
    struct cv_keystore *store;
    char pkh[CV_PKH_TEXT_SIZE];
};

/* Marks that end in a store over a network, in the pool's thread. */
struct batch {
    struct cv_job job;
    struct cv_keystore *store;
    struct newborn key[CV_KEYSTORE_TOGETHER];
    size_t count;
};

struct cv_newborns {
    struct cv_wm_store *marks;
    struct cv_loop *loop;
    struct cv_pool *pool; /* made when it is needed */
    struct cv_loop_timer timer;
    struct newborn *list;
    size_t count, room;
};

static void on_timer(struct cv_loop_timer *timer)
{
    cv_newborns_settle(
        (struct cv_newborns *)(void *)((char *)timer - offsetof(struct cv_newborns, timer)));
}

int cv_newborns_new(struct cv_newborns **out, struct cv_loop *loop, struct cv_wm_store *marks,
                    struct cv_error *err)
{
    struct cv_newborns *n = calloc(1, sizeof(*n));
    *out = n;
    if (n == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for new keys");
    }
    n->marks = marks;
    n->loop = loop;
    cv_loop_timer_init(loop, &n->timer, on_timer);
    return 0;
}

void cv_newborns_free(struct cv_newborns **n)
{
    if (*n != NULL) {
        cv_newborns_settle(*n);
        cv_pool_free(&(*n)->pool);
        free((*n)->list);
        free(*n);
        *n = NULL;
    }
}

/* The record in memory counts at once: the first signature of the key waits
 * for a record that comes behind it in the same log. */
static int record(struct cv_newborns *n, const struct cv_pkh *pkh)
{
    struct cv_mark known = {.pkh = *pkh, .kind = CV_MARK_KNOWN};
    uint64_t seq;
    if (cv_marks_known(cv_wm_marks(n->marks), pkh)) {
        return 0;
    }
    int rc = cv_wm_raise(n->marks, &known, &seq);
    if (rc == CV_ERR_BUSY && cv_wm_sync(n->marks, NULL) == 0) {
        rc = cv_wm_raise(n->marks, &known, &seq);
    }
    return rc;
}

void cv_newborns_add(struct cv_newborns *n, struct cv_keystore *store, const struct cv_pkh *pkh)
{
    char text[CV_PKH_TEXT_SIZE];
    cv_pkh_format(text, pkh);
    int rc = record(n, pkh);
    if (rc != 0) {
        cv_log(CV_LOG_ERROR, "a new key has no watermark record yet", "pkh", text, "reason",
               cv_strerror(rc), NULL);
        return;
    }
    if (n->count == n->room) {
        size_t room = n->room == 0 ? 64 : n->room * 2;
        struct newborn *more = reallocarray(n->list, room, sizeof(*more));
        if (more == NULL) {
            return; /* the mark ends at the next start */
        }
        n->list = more;
        n->room = room;
    }
    struct newborn *b = &n->list[n->count++];
    b->store = store;
    cv_pkh_format(b->pkh, pkh);
    if (n->count >= TOGETHER) {
        cv_newborns_settle(n);
    } else if (n->count == 1) {
        cv_loop_timer_set(&n->timer, cv_deadline(SETTLE_MS));
    }
}

static struct cv_keystore_change end_of(const struct newborn *b)
{
    return (struct cv_keystore_change){
        .op = CV_KEYSTORE_MEMBER, .pkh = b->pkh, .name = CV_KEYSTORE_NEW, .value = NULL};
}

/* All of one store with one change of it. */
static void end_marks(struct cv_newborns *n, struct cv_keystore *store,
                      struct cv_keystore_change *changes)
{
    struct cv_error err;
    size_t k = 0;
    cv_error_clear(&err);
    for (size_t i = 0; i < n->count; i++) {
        if (n->list[i].store == store) {
            changes[k++] = end_of(&n->list[i]);
            n->list[i].store = NULL;
        }
    }
    if (cv_keystore_apply(store, changes, k, &err) != 0) {
        cv_log_error(CV_LOG_WARN, "keys stay marked as new", &err);
    }
}

static struct batch *batch_of(struct cv_job *job)
{
    return (struct batch *)(void *)((char *)job - offsetof(struct batch, job));
}

static void batch_work(struct cv_job *job)
{
    const struct batch *b = batch_of(job);
    struct cv_keystore_change changes[CV_KEYSTORE_TOGETHER];
    struct cv_error err;
    cv_error_clear(&err);
    for (size_t i = 0; i < b->count; i++) {
        changes[i] = end_of(&b->key[i]);
    }
    if (cv_keystore_apply(b->store, changes, b->count, &err) != 0) {
        cv_log_error(CV_LOG_WARN, "keys stay marked as new", &err);
    }
}

static void batch_done(struct cv_job *job)
{
    free(batch_of(job));
}

/* The same in the pool, as many at once as such a store changes. */
static void end_marks_later(struct cv_newborns *n, struct cv_keystore *store)
{
    struct cv_error err;
    size_t i = 0;
    cv_error_clear(&err);
    if (n->pool == NULL && cv_pool_new(&n->pool, n->loop, 1, BATCHES, &err) != 0) {
        cv_log_error(CV_LOG_WARN, "keys stay marked as new", &err);
        return;
    }
    while (i < n->count) {
        struct batch *b = calloc(1, sizeof(*b));
        if (b == NULL) {
            return; /* the marks end at the next start */
        }
        b->store = store;
        b->job.work = batch_work;
        b->job.done = batch_done;
        for (; i < n->count && b->count < CV_KEYSTORE_TOGETHER; i++) {
            if (n->list[i].store == store) {
                b->key[b->count++] = n->list[i];
                n->list[i].store = NULL;
            }
        }
        if (b->count == 0 || cv_pool_submit(n->pool, &b->job) != 0) {
            free(b);
        }
    }
}

void cv_newborns_settle(struct cv_newborns *n)
{
    struct cv_error err;
    cv_loop_timer_off(&n->timer);
    if (n->count == 0) {
        return;
    }
    cv_error_clear(&err);
    struct cv_keystore_change *changes = calloc(n->count, sizeof(*changes));
    if (changes == NULL || cv_wm_sync(n->marks, &err) != 0) {
        cv_log_error(CV_LOG_ERROR, "new keys have no durable watermark records yet", &err);
    } else {
        for (size_t i = 0; i < n->count; i++) {
            struct cv_keystore *store = n->list[i].store;
            if (store != NULL && cv_keystore_remote(store)) {
                end_marks_later(n, store);
            } else if (store != NULL) {
                end_marks(n, store, changes);
            }
        }
        cv_log(CV_LOG_INFO, "first watermark records written", "keys", cv_logf("%zu", n->count),
               NULL);
    }
    free(changes);
    n->count = 0;
}
