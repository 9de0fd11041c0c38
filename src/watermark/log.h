/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watermark log on disk (docs/protocol/watermark-log.md).
 *
 * A file holds two copies of its blocks: copy A first, then copy B. It is
 * created whole, with a snapshot of all marks, and then appended to, one flush
 * (a batch of blocks) at a time; a flush is acknowledged when both copies are
 * on the disk. No block is ever written twice, so a torn write can only hit
 * blocks that nobody was told of.
 *
 * Reading: a block of which one copy is bad is taken from the other. Blocks of
 * which both copies are bad are accepted at one place only, in the last flush
 * of the file, which then was never acknowledged. Anything else is refused.
 */
#ifndef CV_WATERMARK_LOG_H
#define CV_WATERMARK_LOG_H

#include "watermark/block.h"

/* Blocks that one flush may hold; also the window in which both copies of
 * unacknowledged blocks may be bad. */
#define CV_WM_BATCH_BLOCKS 32
#define CV_WM_BATCH_RECORDS (CV_WM_BATCH_BLOCKS * CV_WM_BLOCK_RECORDS)
/* Blocks of one copy in a new file, beyond those of the snapshot. */
#define CV_WM_SPARE_BLOCKS 1024
/* Largest file that is read: two copies, a million marks. */
#define CV_WM_FILE_MAX ((size_t)256 << 20)

struct cv_wm_info {
    uint8_t store_id[CV_WM_STORE_ID_LEN];
    uint64_t epoch;
    uint64_t next_seq; /* greater than every sequence number in use */
    unsigned repaired; /* blocks of which one copy was bad */
    bool torn;         /* the last flush was torn: it was never acknowledged */
};

/* Reads a whole file from memory into MARKS (which may hold others already).
 * CV_ERR_INVALID: not our file, or damaged where it must not be; the error
 * tells the block. */
int cv_wm_log_parse(struct cv_wm_info *info, struct cv_marks *marks, struct cv_bytes file,
                    struct cv_error *err) CV_NODISCARD;
/* The same from PATH. CV_ERR_NOT_FOUND when there is none. */
int cv_wm_log_load(struct cv_wm_info *info, struct cv_marks *marks, const char *path,
                   struct cv_error *err) CV_NODISCARD;

struct cv_wm_log {
    int fd;
    uint8_t store_id[CV_WM_STORE_ID_LEN];
    uint64_t epoch;
    uint32_t capacity;
    uint32_t next; /* index of the next block */
};

/* Makes PATH anew, durably and atomically (PATH.new, fsync, rename, fsync of
 * the directory), with a snapshot of MARKS and SPARE free blocks, and leaves it
 * open in LOG. On error PATH is what it was. */
int cv_wm_log_create(struct cv_wm_log *log, const char *path,
                     const uint8_t store_id[CV_WM_STORE_ID_LEN], uint64_t epoch, uint64_t next_seq,
                     const struct cv_marks *marks, uint32_t spare,
                     struct cv_error *err) CV_NODISCARD;
/* Appends N records (1..CV_WM_BATCH_RECORDS, their seq ascending by one) as one
 * flush and waits until both copies are on the disk. CV_ERR_LIMIT: the file is
 * full, nothing was written, create a new one. Any other error: the log must
 * not be used any more. */
int cv_wm_log_append(struct cv_wm_log *log, const struct cv_mark *records, size_t n,
                     struct cv_error *err) CV_NODISCARD;
void cv_wm_log_close(struct cv_wm_log *log);

#endif
