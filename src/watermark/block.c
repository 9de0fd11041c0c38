/* SPDX-License-Identifier: Apache-2.0 */
#include "watermark/block.h"

#include <string.h>

#include "common/reader.h"
#include "common/writer.h"
#include "crypto/blake2b.h"

#define MAGIC "CVWMLOG1"
#define MAGIC_LEN 8
#define RECORDS_AT 64
#define RECORD_LEN 80
#define SUM_AT (CV_WM_BLOCK_LEN - CV_BLAKE2B_256_LEN)

_Static_assert(RECORDS_AT + CV_WM_BLOCK_RECORDS * RECORD_LEN <= SUM_AT, "records fit a block");

static void record_encode(uint8_t *out, const struct cv_mark *m)
{
    struct cv_writer w;
    cv_writer_init(&w, out, RECORD_LEN);
    cv_write_u8(&w, (uint8_t)m->kind);
    cv_write_u8(&w, m->has_hash ? 1 : 0);
    cv_write_u8(&w, (uint8_t)m->pkh.scheme);
    cv_write_raw(&w, m->pkh.p, CV_PKH_LEN);
    cv_write_raw(&w, m->chain, CV_MARK_CHAIN_LEN);
    cv_write_be32(&w, (uint32_t)m->level);
    cv_write_be32(&w, (uint32_t)m->round);
    cv_write_raw(&w, m->hash, CV_MARK_HASH_LEN);
    cv_write_be64(&w, m->seq);
}

static bool record_decode(struct cv_mark *m, struct cv_bytes in)
{
    struct cv_reader r;
    cv_reader_init(&r, in);
    uint8_t kind = cv_read_u8(&r);
    uint8_t has_hash = cv_read_u8(&r);
    uint8_t scheme = cv_read_u8(&r);
    memset(m, 0, sizeof *m);
    m->kind = (enum cv_mark_kind)kind;
    m->has_hash = has_hash == 1;
    m->pkh.scheme = (enum cv_scheme)scheme;
    cv_read_copy(&r, m->pkh.p, CV_PKH_LEN);
    cv_read_copy(&r, m->chain, CV_MARK_CHAIN_LEN);
    m->level = cv_read_be_i32(&r);
    m->round = cv_read_be_i32(&r);
    cv_read_copy(&r, m->hash, CV_MARK_HASH_LEN);
    m->seq = cv_read_be64(&r);
    return kind < CV_MARK_KINDS && has_hash <= 1 && scheme <= CV_SCHEME_BLS && m->level >= 0 &&
           m->round >= 0;
}

void cv_wm_block_encode(uint8_t out[CV_WM_BLOCK_LEN], const struct cv_wm_block *b,
                        const struct cv_mark *records)
{
    memset(out, 0, CV_WM_BLOCK_LEN);
    struct cv_writer w;
    cv_writer_init(&w, out, RECORDS_AT);
    cv_write_raw(&w, MAGIC, MAGIC_LEN);
    cv_write_raw(&w, b->store_id, CV_WM_STORE_ID_LEN);
    cv_write_be64(&w, b->epoch);
    cv_write_be32(&w, b->index);
    cv_write_be32(&w, b->batch_first);
    cv_write_be32(&w, b->batch_count);
    cv_write_u8(&w, (uint8_t)b->type);
    cv_write_u8(&w, 0);
    cv_write_be16(&w, b->count);
    cv_write_be64(&w, b->first_seq);
    if (b->type == CV_WM_HEADER) {
        cv_write_be32(&w, b->capacity);
        cv_write_be32(&w, b->snapshot);
    }
    for (unsigned i = 0; i < b->count && i < CV_WM_BLOCK_RECORDS; i++) {
        record_encode(out + RECORDS_AT + i * RECORD_LEN, &records[i]);
    }
    cv_blake2b_256(out + SUM_AT, CV_BYTES(out, SUM_AT));
}

static bool blank(const uint8_t *p)
{
    return p[0] == 0 && memcmp(p, p + 1, CV_WM_BLOCK_LEN - 1) == 0;
}

static bool head_decode(struct cv_wm_block *b, struct cv_bytes in)
{
    struct cv_reader r;
    cv_reader_init(&r, in);
    memset(b, 0, sizeof *b);
    if (!cv_bytes_equal_str(cv_read_bytes(&r, MAGIC_LEN), MAGIC)) {
        return false;
    }
    cv_read_copy(&r, b->store_id, CV_WM_STORE_ID_LEN);
    b->epoch = cv_read_be64(&r);
    b->index = cv_read_be32(&r);
    b->batch_first = cv_read_be32(&r);
    b->batch_count = cv_read_be32(&r);
    uint8_t type = cv_read_u8(&r);
    uint8_t zero = cv_read_u8(&r);
    b->type = (enum cv_wm_block_type)type;
    b->count = cv_read_be16(&r);
    b->first_seq = cv_read_be64(&r);
    b->capacity = cv_read_be32(&r);
    b->snapshot = cv_read_be32(&r);
    if (type == CV_WM_HEADER) {
        return zero == 0 && b->count == 0 && b->index == 0 && b->snapshot < b->capacity;
    }
    return type == CV_WM_RECORDS && zero == 0 && b->capacity == 0 && b->snapshot == 0 &&
           b->count > 0 && b->count <= CV_WM_BLOCK_RECORDS && b->batch_first <= b->index &&
           b->index - b->batch_first < b->batch_count;
}

enum cv_wm_block_state cv_wm_block_decode(struct cv_wm_block *b, struct cv_mark *records,
                                          const uint8_t in[CV_WM_BLOCK_LEN])
{
    if (blank(in)) {
        return CV_WM_BLANK;
    }
    uint8_t sum[CV_BLAKE2B_256_LEN];
    cv_blake2b_256(sum, CV_BYTES(in, SUM_AT));
    if (memcmp(sum, in + SUM_AT, sizeof sum) != 0 || !head_decode(b, CV_BYTES(in, RECORDS_AT))) {
        return CV_WM_BAD;
    }
    for (unsigned i = 0; i < b->count; i++) {
        struct cv_mark m;
        if (!record_decode(&m, CV_BYTES(in + RECORDS_AT + i * RECORD_LEN, RECORD_LEN))) {
            return CV_WM_BAD;
        }
        if (records != NULL) {
            records[i] = m;
        }
    }
    return CV_WM_VALID;
}
