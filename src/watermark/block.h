/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One block of the watermark log (docs/protocol/watermark-log.md): 4096 bytes,
 * so that no two blocks share a sector, with a checksum of its own. Block 0 of
 * a file is its header, the others hold up to 50 records.
 */
#ifndef CV_WATERMARK_BLOCK_H
#define CV_WATERMARK_BLOCK_H

#include "watermark/marks.h"

#define CV_WM_BLOCK_LEN 4096
#define CV_WM_BLOCK_RECORDS 50
#define CV_WM_STORE_ID_LEN 16

enum cv_wm_block_type { CV_WM_HEADER = 0, CV_WM_RECORDS = 1 };

struct cv_wm_block {
    uint8_t store_id[CV_WM_STORE_ID_LEN];
    uint64_t epoch;       /* counts the openings of the store; one for all blocks of a file */
    uint32_t index;       /* its place in the file */
    uint32_t batch_first; /* index of the first block of its flush */
    uint32_t batch_count; /* blocks of its flush */
    enum cv_wm_block_type type;
    uint16_t count;     /* records */
    uint64_t first_seq; /* of its first record; of the header: the next one to be used */
    /* header only */
    uint32_t capacity; /* blocks of one copy */
    uint32_t snapshot; /* blocks 1..snapshot were written with the header */
};

/* Writes B, with COUNT records, into OUT. */
void cv_wm_block_encode(uint8_t out[CV_WM_BLOCK_LEN], const struct cv_wm_block *b,
                        const struct cv_mark *records);

enum cv_wm_block_state { CV_WM_VALID, CV_WM_BLANK, CV_WM_BAD };
/* VALID: B is filled, and RECORDS (room for CV_WM_BLOCK_RECORDS) when not NULL.
 * BLANK: all zero, never written. BAD: anything else. */
enum cv_wm_block_state cv_wm_block_decode(struct cv_wm_block *b, struct cv_mark *records,
                                          const uint8_t in[CV_WM_BLOCK_LEN]);

#endif
