/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/reseal.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/sha.h"
#include "signer/reseal_note.h"

#define PROBES 8   /* keys that are tried until one can be sealed anew */
#define HOPELESS 8 /* failures in a row after which the rest is not tried */
#define FEW \
    256 /* so many are stored one by one; of more, a batch at a time,
                      * since each change of a large file writes the whole of it */
#define BATCH 64

struct item {
    const struct cv_keystore_entry *entry;
    unsigned version;                 /* 0: a blob that is none */
    uint8_t data_key[CV_DATA_KEY_ID]; /* of version 2 */
    char cmk[CV_SEALED_ARN_MAX + 1];
    bool todo;
};

struct run {
    struct cv_vault *vault;
    const struct cv_reseal_options *o;
    struct cv_reseal_report *report;
    struct cv_keystore_list list;
    struct item *items;
    struct cv_reseal *batch;
    struct cv_reseal_note note;
    size_t todo, tried;
    unsigned failed_in_row;
    bool opened_v1; /* a version 1 blob that this run made was opened */
};

/* ---- what is there ---- */

/* What BLOB says of itself. */
static int describe(struct item *item, struct cv_bytes blob, struct cv_error *err)
{
    struct cv_sealed_header h;
    item->version = 0;
    if (cv_sealed_key_version(blob) == 1) {
        item->version = 1;
        return 0;
    }
    int rc = cv_sealed_key_parse(&h, blob, err);
    if (rc == 0) {
        item->version = 2;
        cv_sha256(item->data_key, h.wrapped);
        memcpy(item->cmk, h.cmk.p, h.cmk.n); /* the parser has checked the length */
        item->cmk[h.cmk.n] = 0;
    }
    return rc;
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, CV_DATA_KEY_ID);
}

/* Calls to KMS that open all: one for each version 1 blob and each data key. */
static int count_opens(size_t *out, const struct run *r, struct cv_error *err)
{
    size_t n = 0;
    uint8_t(*ids)[CV_DATA_KEY_ID] = calloc(r->list.n + 1, CV_DATA_KEY_ID);
    *out = 0;
    if (ids == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory");
    }
    for (size_t i = 0; i < r->list.n; i++) {
        if (r->items[i].version == 2) {
            memcpy(ids[n++], r->items[i].data_key, CV_DATA_KEY_ID);
        } else if (r->items[i].version == 1) {
            (*out)++;
        }
    }
    qsort(ids, n, CV_DATA_KEY_ID, compare_ids);
    for (size_t i = 0; i < n; i++) {
        *out += i == 0 || memcmp(ids[i - 1], ids[i], CV_DATA_KEY_ID) != 0;
    }
    free(ids);
    return 0;
}

static void failed(struct run *r, const struct item *item, struct cv_error *err)
{
    r->report->failures++;
    r->failed_in_row++;
    if (r->o->failed != NULL) {
        r->o->failed(r->o->ctx, item->entry->pkh, err);
    }
}

static int read_store(struct run *r, struct cv_error *err)
{
    int rc = cv_keystore_list(cv_vault_store(r->vault), &r->list, err);
    if (rc != 0) {
        return rc;
    }
    r->report->keys = r->list.n;
    r->items = calloc(r->list.n + 1, sizeof(*r->items));
    r->batch = calloc(BATCH, sizeof(*r->batch));
    if (r->items == NULL || r->batch == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for %zu keys", r->list.n);
    }
    for (size_t i = 0; i < BATCH; i++) {
        cv_buf_init(&r->batch[i].sealed, CV_KEYSTORE_BLOB_MAX);
    }
    for (size_t i = 0; i < r->list.n; i++) {
        struct cv_error bad;
        r->items[i].entry = &r->list.entries[i];
        cv_error_clear(&bad);
        if (describe(&r->items[i], cv_buf_view(&r->list.entries[i].blob), &bad) != 0) {
            failed(r, &r->items[i], &bad);
        }
    }
    return count_opens(&r->report->opens_before, r, err);
}

/* ---- a new blob ---- */

/* The new blob must be the key that it is stored as, and what was asked for. */
static int check(struct run *r, const struct item *item, struct cv_reseal *made, struct item *is,
                 struct cv_error *err)
{
    struct cv_pkh pkh;
    char text[CV_PKH_TEXT_SIZE];
    cv_pkh_of(&pkh, &made->public_key);
    cv_pkh_format(text, &pkh);
    if (strcmp(text, item->entry->pkh) != 0) {
        return cv_error_set(err, CV_ERR_CRYPTO,
                            "the blob stored under this name is the key %s: the store was altered",
                            text);
    }
    int rc = describe(is, cv_buf_view(&made->sealed), err);
    if (rc == 0 &&
        (is->version != r->o->version || (r->o->cmk != NULL && strcmp(is->cmk, r->o->cmk) != 0) ||
         (is->version == 2 && r->report->cmk[0] != 0 && strcmp(is->cmk, r->report->cmk) != 0))) {
        rc = cv_error_set(err, CV_ERR_PROTOCOL,
                          "the enclave sealed the key in another way than it was asked to");
    }
    return rc;
}

static int64_t step_end(const struct run *r)
{
    int64_t at = cv_deadline(CV_VAULT_KMS_MS);
    return r->o->deadline != 0 && r->o->deadline < at ? r->o->deadline : at;
}

/* Nothing is replaced by what KMS would not open again. */
static int prove(struct run *r, struct cv_reseal *made, struct cv_error *err)
{
    struct cv_public_key pk;
    int rc = cv_vault_public_key_of(r->vault, cv_buf_view(&made->sealed), &pk, step_end(r), err);
    if (rc == 0 && !cv_public_key_equal(&pk, &made->public_key)) {
        rc = cv_error_set(err, CV_ERR_CRYPTO, "it is another key then");
    }
    if (rc != 0) {
        (void)cv_error_wrap(err, "opening the new blob again, before anything is replaced");
    }
    return rc;
}

/* IS, the form of a new blob, is known to open, and is noted. */
static int admit(struct run *r, const struct item *is, struct cv_reseal *made, struct cv_error *err)
{
    if (is->version == 1 ? r->opened_v1 : cv_reseal_note_has(&r->note, is->data_key)) {
        return 0;
    }
    int rc = prove(r, made, err);
    if (rc == 0 && is->version == 1) {
        r->opened_v1 = true;
    } else if (rc == 0) {
        cv_reseal_note_add(&r->note, is->data_key);
        if (!r->o->dry_run) {
            rc = cv_reseal_note_save(&r->note, cv_vault_store(r->vault), r->report->cmk, err);
        }
    }
    return rc;
}

/* One key is sealed anew without storing it: what cannot be done shows before
 * anything is changed, and the CMK's ARN is known from here on. */
static int probe(struct run *r, struct cv_error *err)
{
    unsigned tries = 0;
    int rc = cv_error_set(err, CV_ERR_INVALID, "no key in the store is sound");
    for (size_t i = 0; i < r->list.n && tries < PROBES; i++) {
        struct item is = {.version = 0};
        if (r->items[i].version == 0 || r->items[i].version == (r->o->version == 1 ? 1 : 0)) {
            continue;
        }
        tries++;
        r->batch[0].blob = cv_buf_view(&r->items[i].entry->blob);
        cv_vault_reseal(r->vault, r->batch, 1, r->o->cmk, r->o->version, step_end(r));
        rc = r->batch[0].code;
        cv_error_clear(err);
        *err = r->batch[0].err;
        if (rc == 0) {
            rc = check(r, &r->items[i], &r->batch[0], &is, err);
        }
        if (rc == 0) {
            memcpy(r->report->cmk, is.cmk, sizeof(is.cmk));
            return r->o->version == 2 ? prove(r, &r->batch[0], err) : 0;
        }
        (void)cv_error_wrap(err, "sealing %s anew", r->items[i].entry->pkh);
        if (rc == CV_ERR_CLOSED || rc == CV_ERR_UNSUPPORTED || rc == CV_ERR_STATE) {
            break;
        }
    }
    return rc;
}

/* ---- what is to be done ---- */

/* True when the whole store lies under one data key already. */
static bool gathered(const struct run *r)
{
    const struct item *first = NULL;
    for (size_t i = 0; i < r->list.n; i++) {
        const struct item *item = &r->items[i];
        if (item->version == 0) {
            continue;
        }
        if (item->version != 2 || strcmp(item->cmk, r->report->cmk) != 0 ||
            (first != NULL && memcmp(item->data_key, first->data_key, CV_DATA_KEY_ID) != 0)) {
            return false;
        }
        first = item;
    }
    return true;
}

static void plan(struct run *r)
{
    bool all = r->o->version == 2 && gathered(r);
    for (size_t i = 0; i < r->list.n; i++) {
        struct item *item = &r->items[i];
        bool done = r->o->version == 1
                        ? item->version == 1
                        : all || (item->version == 2 && strcmp(item->cmk, r->report->cmk) == 0 &&
                                  cv_reseal_note_has(&r->note, item->data_key));
        item->todo = item->version != 0 && !done;
        r->todo += item->todo;
        r->report->kept += item->version != 0 && done;
    }
}

/* ---- doing it ---- */

static int replace(struct run *r, const struct cv_keystore_change *changes, struct item **of,
                   const struct item *is, size_t n, struct cv_error *err)
{
    struct cv_keystore *store = cv_vault_store(r->vault);
    if (n == 0) {
        return 0;
    }
    int rc = cv_keystore_apply(store, changes, n, err);
    if ((rc == CV_ERR_STATE || rc == CV_ERR_NOT_FOUND) && n > 1) {
        /* One of them was changed by somebody else: none was replaced. */
        for (size_t i = 0; i < n; i++) {
            cv_error_clear(err);
            rc = replace(r, &changes[i], &of[i], &is[i], 1, err);
            if (rc != 0) {
                return rc;
            }
        }
        return 0;
    }
    if (rc == CV_ERR_STATE || rc == CV_ERR_NOT_FOUND) {
        failed(r, of[0], err);
        cv_error_clear(err);
        return 0;
    }
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const struct cv_keystore_entry *entry = of[i]->entry;
        *of[i] = is[i];
        of[i]->entry = entry;
        r->report->resealed++;
        r->failed_in_row = 0;
    }
    return rc;
}

/* No other item would fare better. */
static bool lost(int code)
{
    return code == CV_ERR_CLOSED || code == CV_ERR_CANCELLED || code == CV_ERR_PROTOCOL ||
           code == CV_ERR_STATE || code == CV_ERR_TIMEOUT;
}

/* Seals the N items anew and stores them. */
static int one_batch(struct run *r, struct item **of, size_t n, struct cv_error *err)
{
    struct cv_keystore_change changes[BATCH];
    struct item is[BATCH], *good[BATCH];
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        r->batch[i].blob = cv_buf_view(&of[i]->entry->blob);
    }
    cv_vault_reseal(r->vault, r->batch, n, r->o->cmk, r->o->version, step_end(r));
    for (size_t i = 0; i < n; i++) {
        struct cv_reseal *made = &r->batch[i];
        r->tried++;
        if (lost(made->code)) {
            *err = made->err;
            return made->code;
        }
        int rc = made->code == 0 ? check(r, of[i], made, &is[count], &made->err) : made->code;
        if (rc != 0) {
            failed(r, of[i], &made->err);
            continue;
        }
        rc = admit(r, &is[count], made, err);
        if (rc != 0) {
            return rc;
        }
        changes[count] = (struct cv_keystore_change){.op = CV_KEYSTORE_REPLACE,
                                                     .pkh = of[i]->entry->pkh,
                                                     .old = made->blob,
                                                     .blob = cv_buf_view(&made->sealed)};
        good[count++] = of[i];
    }
    return replace(r, changes, good, is, count, err);
}

static int all(struct run *r, struct cv_error *err)
{
    struct item *of[BATCH];
    size_t size = r->todo <= FEW ? 1 : BATCH, n = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->list.n; i++) {
        if (r->items[i].todo) {
            of[n++] = &r->items[i];
        }
        if (n == size || (n > 0 && i + 1 == r->list.n)) {
            rc = one_batch(r, of, n, err);
            n = 0;
            if (r->o->progress != NULL) {
                r->o->progress(r->o->ctx, r->tried, r->todo);
            }
        }
        if (rc == 0 && r->failed_in_row >= HOPELESS && r->tried < r->todo) {
            rc = cv_error_set(err, CV_ERR_REMOTE, "%u keys in a row failed, the rest was not tried",
                              r->failed_in_row);
        }
    }
    return rc;
}

static int go(struct run *r, struct cv_error *err)
{
    const struct cv_reseal_note none = {.n = 0};
    struct cv_keystore *store = cv_vault_store(r->vault);
    int rc = read_store(r, err);
    if (rc != 0) {
        return rc;
    }
    bool any = false;
    for (size_t i = 0; i < r->list.n; i++) {
        any |= r->items[i].version != 0 && (r->o->version == 2 || r->items[i].version == 2);
    }
    if (any) {
        rc = probe(r, err);
    }
    if (rc == 0 && any && r->o->version == 2 && !r->o->afresh) {
        rc = cv_reseal_note_load(&r->note, store, r->report->cmk, err);
    }
    if (rc != 0) {
        return rc;
    }
    r->failed_in_row = 0;
    plan(r);
    if (r->o->dry_run) {
        r->report->resealed = r->todo;
        size_t kept = r->note.n > 0 && r->report->kept > 0 ? r->note.n : 0;
        r->report->opens_after = r->todo == 0         ? r->report->opens_before
                                 : r->o->version == 1 ? r->todo + r->report->kept
                                                      : 1 + kept;
        return 0;
    }
    rc = all(r, err);
    if (rc == 0 && r->o->version == 2 && r->report->failures == 0 && r->note.n > 0) {
        rc = cv_reseal_note_save(&none, store, r->report->cmk, err);
    }
    struct cv_error counting;
    cv_error_clear(&counting);
    int counted = count_opens(&r->report->opens_after, r, &counting);
    if (rc == 0 && counted != 0) {
        *err = counting;
        rc = counted;
    }
    return rc;
}

int cv_reseal_store(struct cv_vault *vault, const struct cv_reseal_options *options,
                    struct cv_reseal_report *report, struct cv_error *err)
{
    struct cv_error own;
    err = err != NULL ? err : &own;
    cv_error_clear(err);
    memset(report, 0, sizeof(*report));
    if (!cv_session_has_ids(cv_vault_session(vault))) {
        return cv_error_set(err, CV_ERR_UNSUPPORTED,
                            "the enclave runs another signer, which seals no key anew");
    }
    struct run *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory");
    }
    r->vault = vault;
    r->o = options;
    r->report = report;
    int rc = go(r, err);
    for (size_t i = 0; r->batch != NULL && i < BATCH; i++) {
        cv_buf_free(&r->batch[i].sealed);
    }
    free(r->batch);
    free(r->items);
    cv_keystore_list_free(&r->list);
    free(r);
    return rc;
}
