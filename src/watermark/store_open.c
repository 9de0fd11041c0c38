/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing the watermark store. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "common/secret.h"
#include "watermark/store_private.h"

static struct cv_wm_store *store_new(void)
{
    struct cv_wm_store *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    s->lock_fd = s->flusher.wake_fd = s->flusher.done_fd = s->flusher.log.fd = -1;
    if (cv_marks_new(&s->marks) != CV_OK || cv_marks_new(&s->flusher.shadow) != CV_OK) {
        cv_wm_close(s);
        return NULL;
    }
    return s;
}

void cv_wm_close(struct cv_wm_store *store)
{
    if (store == NULL) {
        return;
    }
    struct cv_wm_flusher *f = &store->flusher;
    if (f->started) {
        struct cv_error err;
        cv_error_clear(&err);
        bool good = cv_wm_sync(store, NULL) == CV_OK;
        cv_wm_flusher_stop(f);
        if (good && f->keystore != NULL) {
            f->witness.floor = store->next_seq;
            if (cv_wm_witness_save(&f->witness, f->keystore, &err) != CV_OK) {
                cv_log_error(CV_LOG_WARN, "watermark witness not updated", &err);
            }
        }
    } else {
        cv_wm_flusher_stop(f);
    }
    cv_wm_log_close(&f->log);
    cv_marks_free(store->marks);
    cv_marks_free(f->shadow);
    free(f->log_path);
    cv_keystore_close(f->keystore);
    if (store->lock_fd >= 0) {
        close(store->lock_fd);
    }
    free(store);
}

static int take_lock(struct cv_wm_store *s, const struct cv_wm_options *o, struct cv_error *err)
{
    char path[PATH_MAX];
    int r = cv_dir_make(o->directory, 0750, err);
    if (r == CV_OK &&
        (r = cv_path_join(path, sizeof path, o->directory, CV_WM_LOCK_NAME)) != CV_OK) {
        r = cv_error_set(err, r, "the path is too long");
    }
    if (r == CV_OK && (r = cv_file_lock(&s->lock_fd, path, 0, err)) == CV_ERR_BUSY) {
        r = cv_error_set(err, CV_ERR_BUSY,
                         "another process holds the watermark store %s: stop the daemon first",
                         o->directory);
    }
    return r;
}

/* What store and witness say of each other. */
static int compare(const struct cv_wm_options *o, const struct cv_wm_info *info, bool have_store,
                   const struct cv_wm_witness *w, bool have_witness, struct cv_error *err)
{
    const char *keys = o->keystore != NULL ? cv_keystore_name(o->keystore) : "";
    if (!have_store) {
        if (have_witness && !o->replace) {
            return cv_error_set(
                err, CV_ERR_NOT_FOUND,
                "the watermark store %s is gone, but %s remembers it: restore it, or make a new "
                "one with the marks known otherwise: %s watermark init --replace",
                o->directory, keys, o->program);
        }
        return o->create || o->replace
                   ? CV_OK
                   : cv_error_set(err, CV_ERR_NOT_FOUND, "there is no watermark store in %s",
                                  o->directory);
    }
    if (o->keystore == NULL) {
        return CV_OK;
    }
    if (!have_witness) {
        /* Only the very first opening can have been cut off in between. */
        return info->epoch <= 1 ? CV_OK
                                : cv_error_set(err, CV_ERR_STATE,
                                               "the witness in %s is missing, so the watermark "
                                               "store %s may be an older copy: if it is the "
                                               "newest: %s watermark init --adopt",
                                               keys, o->directory, o->program);
    }
    if (memcmp(info->store_id, w->store_id, CV_WM_STORE_ID_LEN) != 0) {
        return cv_error_set(
            err, CV_ERR_STATE,
            "the watermark store %s is not the one that %s remembers (another machine's?): put the "
            "right one back, or, if this one is right: %s watermark init --adopt",
            o->directory, keys, o->program);
    }
    /* A store ahead of its witness is fine: a crash came between the two. */
    if (info->epoch < w->epoch || info->next_seq < w->floor) {
        return cv_error_set(
            err, CV_ERR_STATE,
            "the watermark store %s is an older copy (it has %llu, %s remembers %llu): put the newest "
            "back, or raise the marks: %s watermark init --adopt, then %s watermark raise",
            o->directory, (unsigned long long)info->next_seq, keys, (unsigned long long)w->floor,
            o->program, o->program);
    }
    return CV_OK;
}

static int copy_mark(void *ctx, const struct cv_mark *mark)
{
    return cv_marks_put(ctx, mark);
}

static int load(struct cv_wm_store *s, const struct cv_wm_options *o, struct cv_wm_info *info,
                struct cv_error *err)
{
    struct cv_wm_witness w;
    memset(&w, 0, sizeof w);
    memset(info, 0, sizeof *info);
    int have = cv_wm_log_load(info, s->marks, s->flusher.log_path, err);
    if (have != CV_OK && have != CV_ERR_NOT_FOUND) {
        return have;
    }
    int seen = CV_ERR_NOT_FOUND;
    if (o->keystore != NULL) {
        seen = cv_wm_witness_load(&w, o->keystore, err);
        if (seen != CV_OK && seen != CV_ERR_NOT_FOUND) {
            return seen;
        }
    }
    int r = compare(o, info, have == CV_OK, &w, seen == CV_OK, err);
    if (r != CV_OK) {
        return r;
    }
    if (have != CV_OK) {
        s->is_new = true;
        cv_random(info->store_id, sizeof info->store_id);
        info->next_seq = 1;
    }
    if (info->repaired > 0 || info->torn) {
        cv_log(CV_LOG_WARN, "watermark store repaired", "blocks", cv_logf("%u", info->repaired),
               "torn_flush", info->torn ? "yes" : "no", NULL);
    }
    r = cv_marks_each(s->marks, copy_mark, s->flusher.shadow);
    return r == CV_OK ? CV_OK : cv_error_set(err, r, "no memory for the watermarks");
}

/* A fresh log of the next epoch, then the witness: a crash in between leaves a
 * store one epoch ahead, which is accepted. */
static int renew(struct cv_wm_store *s, const struct cv_wm_options *o,
                 const struct cv_wm_info *info, struct cv_error *err)
{
    struct cv_wm_flusher *f = &s->flusher;
    f->spare = o->spare_blocks != 0 ? o->spare_blocks : CV_WM_SPARE_BLOCKS;
    s->next_seq = info->next_seq;
    atomic_store(&f->durable, info->next_seq - 1);
    int r = cv_wm_log_create(&f->log, f->log_path, info->store_id, info->epoch + 1, info->next_seq,
                             s->marks, f->spare, err);
    if (r != CV_OK || o->keystore == NULL) {
        return r;
    }
    memcpy(f->witness.store_id, info->store_id, CV_WM_STORE_ID_LEN);
    f->witness.epoch = info->epoch + 1;
    f->witness.floor = info->next_seq;
    return cv_wm_witness_save(&f->witness, f->keystore, err);
}

static int log_path(char **out, const char *directory, struct cv_error *err)
{
    char path[PATH_MAX];
    int r = cv_path_join(path, sizeof path, directory, CV_WM_LOG_NAME);
    if (r != CV_OK) {
        return cv_error_set(err, r, "the path is too long");
    }
    *out = strdup(path);
    return *out != NULL ? CV_OK : cv_error_set(err, CV_ERR_NOMEM, "no memory");
}

int cv_wm_open(struct cv_wm_store **out, const struct cv_wm_options *options, struct cv_error *err)
{
    struct cv_wm_options o = *options;
    if (o.program == NULL) {
        o.program = "claviger";
    }
    struct cv_wm_store *s = store_new();
    if (s == NULL) {
        cv_keystore_close(o.keystore);
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the watermark store");
    }
    s->flusher.keystore = o.keystore;
    struct cv_wm_info info;
    int r = take_lock(s, &o, err);
    if (r == CV_OK) {
        r = log_path(&s->flusher.log_path, o.directory, err);
    }
    if (r == CV_OK) {
        r = load(s, &o, &info, err);
    }
    if (r == CV_OK) {
        r = renew(s, &o, &info, err);
    }
    if (r == CV_OK) {
        r = cv_wm_flusher_start(&s->flusher, err);
    }
    if (r != CV_OK) {
        cv_wm_close(s);
        return r;
    }
    *out = s;
    return CV_OK;
}

int cv_wm_read(struct cv_marks *marks, const char *directory, struct cv_error *err)
{
    char *path = NULL;
    struct cv_wm_info info;
    int r = log_path(&path, directory, err);
    if (r == CV_OK) {
        r = cv_wm_log_load(&info, marks, path, err);
    }
    free(path);
    return r;
}
