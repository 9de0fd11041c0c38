/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "watermark/log.h"

static int write_at(int fd, const uint8_t *p, size_t n, off_t at)
{
    while (n > 0) {
        ssize_t k = pwrite(fd, p, n, at);
        if (k < 0 && errno == EINTR) {
            continue;
        }
        if (k <= 0) {
            errno = k == 0 ? EIO : errno;
            return -1;
        }
        p += k;
        n -= (size_t)k;
        at += k;
    }
    return 0;
}

static int write_both(const struct cv_wm_log *log, const uint8_t *p, size_t n, uint32_t index)
{
    off_t at = (off_t)index * CV_WM_BLOCK_LEN;
    off_t half = (off_t)log->capacity * CV_WM_BLOCK_LEN;
    if (write_at(log->fd, p, n, at) != 0 || write_at(log->fd, p, n, half + at) != 0) {
        return -1;
    }
    return 0;
}

/* Encodes RECORDS as COUNT blocks of one flush that starts at FIRST. */
static void encode_batch(uint8_t *out, const struct cv_wm_log *log, uint32_t first, uint32_t count,
                         const struct cv_mark *records, size_t n, bool snapshot)
{
    for (uint32_t i = 0; i < count; i++) {
        size_t off = (size_t)i * CV_WM_BLOCK_RECORDS;
        size_t k = n - off < CV_WM_BLOCK_RECORDS ? n - off : CV_WM_BLOCK_RECORDS;
        struct cv_wm_block b = {.epoch = log->epoch,
                                .index = first + i,
                                .batch_first = first,
                                .batch_count = count,
                                .type = CV_WM_RECORDS,
                                .count = (uint16_t)k,
                                .first_seq = snapshot ? 0 : records[off].seq};
        memcpy(b.store_id, log->store_id, CV_WM_STORE_ID_LEN);
        cv_wm_block_encode(out + (size_t)i * CV_WM_BLOCK_LEN, &b, records + off);
    }
}

struct gather {
    struct cv_mark *records;
    size_t n;
};

static int gather_one(void *ctx, const struct cv_mark *mark)
{
    struct gather *g = ctx;
    g->records[g->n++] = *mark;
    return 0;
}

/* One copy in memory: header, snapshot, zeros. The zeros are written, not only
 * allocated: writing into unwritten extents would cost a journal commit at
 * every later flush. */
static int build_copy(uint8_t **out, struct cv_wm_log *log, uint64_t next_seq,
                      const struct cv_marks *marks, uint32_t spare)
{
    size_t n = cv_marks_count(marks);
    struct gather g = {.records = calloc(n + 1, sizeof *g.records)};
    size_t blocks = (n + CV_WM_BLOCK_RECORDS - 1) / CV_WM_BLOCK_RECORDS;
    size_t capacity = 1 + blocks + spare;
    uint8_t *copy = NULL;
    int r = CV_ERR_NOMEM;
    if (g.records == NULL || capacity > CV_WM_FILE_MAX / 2 / CV_WM_BLOCK_LEN ||
        (copy = calloc(capacity, CV_WM_BLOCK_LEN)) == NULL) {
        goto out;
    }
    cv_marks_each(marks, gather_one, &g);
    struct cv_wm_block header = {.epoch = log->epoch,
                                 .type = CV_WM_HEADER,
                                 .batch_count = 1,
                                 .first_seq = next_seq,
                                 .capacity = (uint32_t)capacity,
                                 .snapshot = (uint32_t)blocks};
    memcpy(header.store_id, log->store_id, CV_WM_STORE_ID_LEN);
    cv_wm_block_encode(copy, &header, NULL);
    encode_batch(copy + CV_WM_BLOCK_LEN, log, 1, (uint32_t)blocks, g.records, n, true);
    log->capacity = (uint32_t)capacity;
    log->next = (uint32_t)(1 + blocks);
    *out = copy;
    r = CV_OK;
out:
    free(g.records);
    return r;
}

static int sync_parent(const char *path, struct cv_error *err)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    return cv_dir_sync(dirname(copy), err);
}

int cv_wm_log_create(struct cv_wm_log *log, const char *path,
                     const uint8_t store_id[CV_WM_STORE_ID_LEN], uint64_t epoch, uint64_t next_seq,
                     const struct cv_marks *marks, uint32_t spare, struct cv_error *err)
{
    struct cv_wm_log made = {.fd = -1, .epoch = epoch};
    memcpy(made.store_id, store_id, CV_WM_STORE_ID_LEN);
    char temporary[PATH_MAX];
    uint8_t *copy = NULL;
    int r = build_copy(&copy, &made, next_seq, marks, spare);
    if (r != CV_OK) {
        return cv_error_set(err, r, "no memory for the watermark log");
    }
    if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary) {
        free(copy);
        return cv_error_set(err, CV_ERR_LIMIT, "the path is too long");
    }
    /* What a crash left behind was never in use. */
    made.fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (made.fd < 0) {
        r = cv_error_errno(err, CV_ERR_IO, errno, "creating %s", temporary);
    } else if (write_both(&made, copy, (size_t)made.capacity * CV_WM_BLOCK_LEN, 0) != 0) {
        r = cv_error_errno(err, CV_ERR_IO, errno, "writing %s", temporary);
    } else if (fsync(made.fd) != 0) {
        r = cv_error_errno(err, CV_ERR_IO, errno, "flushing %s", temporary);
    } else if (rename(temporary, path) != 0) {
        r = cv_error_errno(err, CV_ERR_IO, errno, "renaming %s", temporary);
    }
    free(copy);
    if (r != CV_OK) {
        if (made.fd >= 0) {
            close(made.fd);
            unlink(temporary);
        }
        return r;
    }
    if ((r = sync_parent(path, err)) != CV_OK) {
        close(made.fd);
        return r;
    }
    *log = made;
    return CV_OK;
}

int cv_wm_log_append(struct cv_wm_log *log, const struct cv_mark *records, size_t n,
                     struct cv_error *err)
{
    if (n == 0 || n > CV_WM_BATCH_RECORDS) {
        return cv_error_set(err, CV_ERR_INTERNAL, "a flush of %zu records", n);
    }
    uint32_t count = (uint32_t)((n + CV_WM_BLOCK_RECORDS - 1) / CV_WM_BLOCK_RECORDS);
    if (count > log->capacity - log->next) {
        return CV_ERR_LIMIT;
    }
    static _Thread_local uint8_t blocks[CV_WM_BATCH_BLOCKS * CV_WM_BLOCK_LEN];
    encode_batch(blocks, log, log->next, count, records, n, false);
    if (write_both(log, blocks, (size_t)count * CV_WM_BLOCK_LEN, log->next) != 0) {
        return cv_error_errno(err, CV_ERR_IO, errno, "writing the watermark log");
    }
    if (fdatasync(log->fd) != 0) {
        return cv_error_errno(err, CV_ERR_IO, errno, "flushing the watermark log");
    }
    log->next += count;
    return CV_OK;
}

void cv_wm_log_close(struct cv_wm_log *log)
{
    if (log->fd >= 0) {
        close(log->fd);
        log->fd = -1;
    }
}
