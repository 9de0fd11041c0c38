/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/newborn.h"

#include <stddef.h>
#include <stdlib.h>

#include "common/log.h"

#define SETTLE_MS 200
#define TOGETHER 4096 /* then without waiting */

struct newborn {
    struct cv_keystore *store;
    char pkh[CV_PKH_TEXT_SIZE];
};

struct cv_newborns {
    struct cv_wm_store *marks;
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
    cv_loop_timer_init(loop, &n->timer, on_timer);
    return 0;
}

void cv_newborns_free(struct cv_newborns **n)
{
    if (*n != NULL) {
        cv_newborns_settle(*n);
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

/* All of one store with one change of it. */
static size_t end_marks(struct cv_newborns *n, struct cv_keystore *store,
                        struct cv_keystore_change *changes)
{
    struct cv_error err;
    size_t k = 0;
    cv_error_clear(&err);
    for (size_t i = 0; i < n->count; i++) {
        if (n->list[i].store == store) {
            changes[k++] = (struct cv_keystore_change){.op = CV_KEYSTORE_MEMBER,
                                                       .pkh = n->list[i].pkh,
                                                       .name = CV_KEYSTORE_NEW,
                                                       .value = NULL};
            n->list[i].store = NULL;
        }
    }
    if (cv_keystore_apply(store, changes, k, &err) != 0) {
        cv_log_error(CV_LOG_WARN, "keys stay marked as new", &err);
        return 0;
    }
    return k;
}

void cv_newborns_settle(struct cv_newborns *n)
{
    struct cv_error err;
    size_t done = 0;
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
            if (n->list[i].store != NULL) {
                done += end_marks(n, n->list[i].store, changes);
            }
        }
        cv_log(CV_LOG_INFO, "first watermark records written", "keys", cv_logf("%zu", done), NULL);
    }
    free(changes);
    n->count = 0;
}
