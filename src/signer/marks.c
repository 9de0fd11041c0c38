/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/marks.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "watermark/log.h"
#include "watermark/signatory.h"
#include "watermark/witness.h"

int cv_signer_marks_directory(char *out, size_t size, const struct cv_config *config)
{
    return cv_path_join(out, size, config->base_dir, CV_SIGNER_MARKS_DIR);
}

/* The witness lies in the key store of the first vault that has a file. */
static int witness_store(struct cv_keystore **out, const struct cv_config *config,
                         struct cv_error *err)
{
    *out = NULL;
    for (size_t i = 0; i < config->vault_count; i++) {
        if (config->vaults[i].storage == CV_CONFIG_STORAGE_FILE) {
            return cv_keystore_open_file(out, config->vaults[i].storage_path, err);
        }
    }
    return CV_OK;
}

/* What is refused is kept beside the new one, never thrown away. */
static int set_aside(const char *directory, struct cv_error *err)
{
    char from[PATH_MAX];
    char to[PATH_MAX + 64];
    char when[17];
    if (cv_path_join(from, sizeof from, directory, CV_WM_LOG_NAME) != CV_OK) {
        return cv_error_set(err, CV_ERR_LIMIT, "the path is too long");
    }
    cv_amz_date(when, cv_unix_ms());
    snprintf(to, sizeof to, "%s.replaced-%s", from, when);
    if (rename(from, to) != 0) {
        return errno == ENOENT ? CV_OK : cv_error_errno(err, CV_ERR_IO, errno, "renaming %s", from);
    }
    cv_log(CV_LOG_WARN, "the old watermark store was set aside", "file", to, NULL);
    return cv_dir_sync(directory, err);
}

/* The witness is brought to say what the store is. */
static int adopt(const char *directory, struct cv_keystore *ks, struct cv_error *err)
{
    char path[PATH_MAX];
    struct cv_wm_info info;
    struct cv_marks *marks;
    if (ks == NULL) {
        return CV_OK;
    }
    if (cv_path_join(path, sizeof path, directory, CV_WM_LOG_NAME) != CV_OK ||
        cv_marks_new(&marks) != CV_OK) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the watermarks");
    }
    int r = cv_wm_log_load(&info, marks, path, err);
    cv_marks_free(marks);
    if (r != CV_OK) {
        return r;
    }
    struct cv_wm_witness w = {.epoch = info.epoch, .floor = info.next_seq};
    for (size_t i = 0; i < CV_WM_STORE_ID_LEN; i++) {
        w.store_id[i] = info.store_id[i];
    }
    return cv_wm_witness_save(&w, ks, err);
}

static int prepare(const char *directory, enum cv_marks_open how, struct cv_keystore *ks,
                   struct cv_error *err)
{
    int lock = -1;
    char path[PATH_MAX];
    int r = cv_dir_make(directory, 0750, err);
    if (r != CV_OK || how == CV_MARKS_OPEN) {
        return r;
    }
    if (cv_path_join(path, sizeof path, directory, CV_WM_LOCK_NAME) != CV_OK) {
        return cv_error_set(err, CV_ERR_LIMIT, "the path is too long");
    }
    if ((r = cv_file_lock(&lock, path, 0, err)) != CV_OK) {
        return cv_error_set(err, r,
                            "another process holds the watermark store %s: stop the daemon first",
                            directory);
    }
    if (how == CV_MARKS_ADOPT) {
        r = adopt(directory, ks, err);
    } else {
        r = set_aside(directory, err);
    }
    close(lock);
    return r;
}

struct taking {
    struct cv_wm_store *marks;
    unsigned taken;
};

static int take(void *ctx, const struct cv_mark *mark)
{
    struct taking *t = ctx;
    uint64_t seq;
    int r = cv_wm_raise(t->marks, mark, &seq);
    if (r == CV_ERR_BUSY && (r = cv_wm_sync(t->marks, NULL)) == CV_OK) {
        r = cv_wm_raise(t->marks, mark, &seq);
    }
    t->taken += r == CV_OK ? 1 : 0;
    return r == CV_ERR_DENIED ? CV_OK : r; /* ours is greater already */
}

static int migrate(struct cv_wm_store *marks, const char *base_dir, struct cv_error *err)
{
    struct taking t = {.marks = marks};
    unsigned files = 0;
    int r = cv_wm_signatory_migrate(base_dir, &files, take, &t, err);
    if (r == CV_OK) {
        r = cv_wm_sync(marks, err);
    }
    if (r != CV_OK) {
        cv_error_wrap(
            err,
            "taking over Signatory's watermarks (mend the file, or move it away and give its keys "
            "a floor with claviger watermark raise)");
        return r;
    }
    if (t.taken > 0) {
        cv_log(CV_LOG_INFO, "watermarks taken over from Signatory's files", "marks",
               cv_logf("%u", t.taken), "files", cv_logf("%u", files), NULL);
    }
    return CV_OK;
}

int cv_signer_marks_open(struct cv_wm_store **out, const struct cv_config *config,
                         enum cv_marks_open how, struct cv_error *err)
{
    char directory[PATH_MAX];
    struct cv_keystore *ks = NULL;
    struct cv_wm_store *marks = NULL;
    int r = cv_signer_marks_directory(directory, sizeof directory, config);
    if (r != CV_OK) {
        return cv_error_set(err, r, "base_dir is too long");
    }
    if ((r = witness_store(&ks, config, err)) != CV_OK) {
        return r;
    }
    if ((r = prepare(directory, how, ks, err)) != CV_OK) {
        cv_keystore_close(ks);
        return r;
    }
    struct cv_wm_options options = {
        .directory = directory, .keystore = ks, .create = true, .replace = how == CV_MARKS_REPLACE};
    if ((r = cv_wm_open(&marks, &options, err)) != CV_OK) {
        return r;
    }
    if ((r = migrate(marks, config->base_dir, err)) != CV_OK) {
        cv_wm_close(marks);
        return r;
    }
    *out = marks;
    return CV_OK;
}
