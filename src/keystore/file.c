/* SPDX-License-Identifier: Apache-2.0 */
/*
 * enclave_keys.json. Every change reads the file, changes and replaces it under
 * the lock PATH.lock: the lock is on a file of its own, since PATH itself gets
 * a new inode each time. Readers need no lock, for a rename is atomic.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "keystore/driver.h"

#define LOCK_WAIT_MS 10000 /* a writer holds it for two fsyncs */

/* What tells one content of the file from another: a replaced file has a new
 * inode; one edited in place has new times or a new size. */
struct stamp {
    bool known;
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime, ctime;
};

struct file_store {
    struct cv_keystore base;
    char path[PATH_MAX];
    char lock[PATH_MAX];
    struct stamp seen;
};

static struct file_store *self(struct cv_keystore *ks)
{
    return (struct file_store *)ks;
}

/* All zero, but known, when there is no such file. */
static struct stamp stamp_of(const char *path)
{
    struct stamp s = {.known = true};
    struct stat st;
    if (stat(path, &st) == 0) {
        s.dev = st.st_dev;
        s.ino = st.st_ino;
        s.size = st.st_size;
        s.mtime = st.st_mtim;
        s.ctime = st.st_ctim;
    }
    return s;
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool changed(struct cv_keystore *ks)
{
    const struct file_store *f = self(ks);
    struct stamp now = stamp_of(f->path), was = f->seen;
    return !was.known || now.dev != was.dev || now.ino != was.ino || now.size != was.size ||
           !same_time(now.mtime, was.mtime) || !same_time(now.ctime, was.ctime);
}

/* The stamp is taken before the read: a change in between is seen next time. */
static int load(struct file_store *f, json_t **doc, struct stamp *stamp, struct cv_error *err)
{
    *doc = NULL;
    *stamp = stamp_of(f->path);
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, CV_KEYSTORE_FILE_MAX);
    int rc = cv_file_read(&text, f->path, err);
    if (rc == CV_ERR_NOT_FOUND) {
        cv_error_clear(err);
        rc = 0;
    }
    if (rc != 0)
        return rc;
    return cv_keystore_document_parse(doc, cv_buf_view(&text), f->path, err);
}

static int list(struct cv_keystore *ks, struct cv_keystore_list *out, struct cv_error *err)
{
    struct file_store *f = self(ks);
    CV_JSON_AUTO json_t *doc = NULL;
    struct stamp stamp;
    int rc = load(f, &doc, &stamp, err);
    if (rc != 0)
        return rc;
    rc = cv_keystore_document_entries(doc, f->path, out, err);
    if (rc == 0)
        f->seen = stamp;
    return rc;
}

static int store(struct file_store *f, const json_t *doc, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, CV_KEYSTORE_FILE_MAX);
    int rc = cv_json_dump_indent(&text, doc, 4);
    if (rc == 0)
        rc = cv_buf_append_u8(&text, '\n');
    if (rc != 0)
        return cv_error_set(err, rc, "%s would be larger than %u bytes", f->path,
                            CV_KEYSTORE_FILE_MAX);
    return cv_file_replace(f->path, cv_buf_view(&text), 0600, err);
}

static void close_fd(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

/* The first key makes the directory too. */
static int take_lock(int *lock, const struct file_store *f, struct cv_error *err)
{
    int64_t deadline = cv_deadline(LOCK_WAIT_MS);
    int rc = cv_file_lock(lock, f->lock, deadline, err);
    const char *slash = strrchr(f->path, '/');
    if (rc != CV_ERR_NOT_FOUND || slash == NULL || slash == f->path)
        return rc;
    char dir[PATH_MAX];
    (void)snprintf(dir, sizeof(dir), "%.*s", (int)(slash - f->path), f->path);
    rc = cv_dir_make(dir, 0700, err);
    return rc != 0 ? rc : cv_file_lock(lock, f->lock, deadline, err);
}

static int apply(struct cv_keystore *ks, const struct cv_keystore_change *changes, size_t n,
                 struct cv_error *err)
{
    struct file_store *f = self(ks);
    CV_CLEANUP(close_fd) int lock = -1;
    int rc = take_lock(&lock, f, err);
    if (rc != 0)
        return rc;
    CV_JSON_AUTO json_t *doc = NULL;
    struct stamp before;
    rc = load(f, &doc, &before, err);
    if (rc != 0)
        return rc;
    bool dirty;
    rc = cv_keystore_document_apply(doc, f->path, changes, n, &dirty, err);
    if (rc == 0 && dirty)
        rc = store(f, doc, err);
    if (rc != 0) {
        (void)cv_error_wrap(err, "changing %s", f->path);
        return rc;
    }
    /* Keys that others added since our last list stay news to our caller. */
    struct stamp was = f->seen;
    bool news = !was.known || was.ino != before.ino || was.dev != before.dev ||
                was.size != before.size || !same_time(was.mtime, before.mtime) ||
                !same_time(was.ctime, before.ctime);
    if (!news)
        f->seen = stamp_of(f->path);
    return 0;
}

static int note_path(char out[PATH_MAX], const struct file_store *f, const char *name,
                     struct cv_error *err)
{
    int n = snprintf(out, PATH_MAX, "%s.%s", f->path, name);
    if (n < 0 || n >= PATH_MAX)
        return cv_error_set(err, CV_ERR_LIMIT, "the path of the key store is too long");
    return 0;
}

static int note_get(struct cv_keystore *ks, const char *name, struct cv_buf *out,
                    struct cv_error *err)
{
    char path[PATH_MAX];
    int rc = note_path(path, self(ks), name, err);
    return rc != 0 ? rc : cv_file_read(out, path, err);
}

static int note_put(struct cv_keystore *ks, const char *name, struct cv_bytes content,
                    struct cv_error *err)
{
    char path[PATH_MAX];
    int rc = note_path(path, self(ks), name, err);
    return rc != 0 ? rc : cv_file_replace(path, content, 0600, err);
}

static void close_store(struct cv_keystore *ks)
{
    free(self(ks));
}

static const struct cv_keystore_driver file_driver = {
    .close = close_store,
    .list = list,
    .apply = apply,
    .changed = changed,
    .note_get = note_get,
    .note_put = note_put,
};

int cv_keystore_open_file(struct cv_keystore **out, const char *path, struct cv_error *err)
{
    *out = NULL;
    if (path[0] == '\0' || strlen(path) >= PATH_MAX - 40)
        return cv_error_set(err, CV_ERR_CONFIG, "not a path for a key store");
    struct file_store *f = calloc(1, sizeof(*f));
    char *name = strdup(path);
    if (f == NULL || name == NULL) {
        free(f);
        free(name);
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the key store");
    }
    f->base.driver = &file_driver;
    f->base.name = name;
    memcpy(f->path, path, strlen(path) + 1);
    (void)snprintf(f->lock, sizeof(f->lock), "%s.lock", path);
    *out = &f->base;
    return 0;
}
