/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/file.h"
#include "watermark/log.h"

struct walk {
    struct cv_bytes file;
    struct cv_wm_block header;
    struct cv_wm_info *info;
    struct cv_marks *marks;
    struct cv_error *err;
};

static const uint8_t *copy_at(const struct walk *w, unsigned copy, uint32_t index)
{
    size_t half = w->file.n / 2;
    return w->file.p + copy * half + (size_t)index * CV_WM_BLOCK_LEN;
}

/* A block whose checksum is right but which is not of this file or place is as
 * bad as any other: a copy from elsewhere must not be taken. */
static enum cv_wm_block_state read_copy(const struct walk *w, struct cv_wm_block *b,
                                        struct cv_mark *records, unsigned copy, uint32_t index)
{
    enum cv_wm_block_state state = cv_wm_block_decode(b, records, copy_at(w, copy, index));
    if (state != CV_WM_VALID) {
        return state;
    }
    bool ours = b->index == index && b->epoch == w->header.epoch &&
                memcmp(b->store_id, w->header.store_id, CV_WM_STORE_ID_LEN) == 0 &&
                b->type == (index == 0 ? CV_WM_HEADER : CV_WM_RECORDS);
    return ours ? CV_WM_VALID : CV_WM_BAD;
}

struct pair {
    enum cv_wm_block_state state; /* VALID when either copy is */
    bool one_bad;
    bool any_bad;
    struct cv_wm_block block;
    struct cv_mark records[CV_WM_BLOCK_RECORDS];
};

static int read_pair(const struct walk *w, struct pair *p, uint32_t index)
{
    struct cv_wm_block other;
    enum cv_wm_block_state b = read_copy(w, &other, NULL, 1, index);
    enum cv_wm_block_state a = read_copy(w, &p->block, p->records, 0, index);
    p->any_bad = a == CV_WM_BAD || b == CV_WM_BAD;
    p->one_bad = (a == CV_WM_VALID) != (b == CV_WM_VALID);
    if (a == CV_WM_VALID && b == CV_WM_VALID &&
        memcmp(copy_at(w, 0, index), copy_at(w, 1, index), CV_WM_BLOCK_LEN) != 0) {
        return cv_error_set(w->err, CV_ERR_INVALID, "block %u: both copies are valid but differ",
                            index);
    }
    if (a != CV_WM_VALID && b == CV_WM_VALID) {
        b = read_copy(w, &p->block, p->records, 1, index);
    }
    p->state =
        a == CV_WM_VALID || b == CV_WM_VALID ? CV_WM_VALID : (p->any_bad ? CV_WM_BAD : CV_WM_BLANK);
    return CV_OK;
}

static int apply(struct walk *w, const struct pair *p)
{
    for (unsigned i = 0; i < p->block.count; i++) {
        int r = cv_marks_put(w->marks, &p->records[i]);
        if (r != CV_OK) {
            return cv_error_set(w->err, r, "block %u: %s", p->block.index, cv_strerror(r));
        }
        if (p->records[i].seq >= w->info->next_seq) {
            w->info->next_seq = p->records[i].seq + 1;
        }
    }
    w->info->repaired += p->one_bad ? 1 : 0;
    return CV_OK;
}

/* From FIRST on nothing may be acknowledged: blank blocks, or what is left of
 * the one flush that was under way. Its valid blocks are applied all the same:
 * a mark too many can only refuse. */
static int read_tail(struct walk *w, struct pair *p, uint32_t first)
{
    for (uint32_t i = first; i < w->header.capacity; i++) {
        int r = read_pair(w, p, i);
        if (r != CV_OK) {
            return r;
        }
        if (p->state == CV_WM_BLANK) {
            continue;
        }
        bool same_flush = i - first < CV_WM_BATCH_BLOCKS &&
                          (p->state != CV_WM_VALID || p->block.batch_first <= first);
        if (!same_flush) {
            return cv_error_set(w->err, CV_ERR_INVALID,
                                "block %u: both copies are bad, but block %u after it was written",
                                first, i);
        }
        w->info->torn = true;
        if (p->state == CV_WM_VALID && (r = apply(w, p)) != CV_OK) {
            return r;
        }
    }
    return CV_OK;
}

static int read_blocks(struct walk *w)
{
    struct pair p;
    for (uint32_t i = 1; i < w->header.capacity; i++) {
        int r = read_pair(w, &p, i);
        if (r != CV_OK) {
            return r;
        }
        if (p.state != CV_WM_VALID) {
            if (i <= w->header.snapshot) {
                return cv_error_set(w->err, CV_ERR_INVALID,
                                    "block %u of the snapshot: both copies are bad", i);
            }
            return read_tail(w, &p, i);
        }
        if (i > w->header.snapshot && p.block.first_seq != w->info->next_seq) {
            return cv_error_set(w->err, CV_ERR_INVALID,
                                "block %u: sequence numbers do not follow on", i);
        }
        if ((r = apply(w, &p)) != CV_OK) {
            return r;
        }
    }
    return CV_OK;
}

static int read_header(struct walk *w)
{
    bool sized = w->file.n >= 4 * CV_WM_BLOCK_LEN && w->file.n % (2 * CV_WM_BLOCK_LEN) == 0;
    if (!sized) {
        return cv_error_set(w->err, CV_ERR_INVALID,
                            "the file has %zu bytes, which no whole file has", w->file.n);
    }
    struct cv_wm_block b;
    enum cv_wm_block_state a_state = cv_wm_block_decode(&w->header, NULL, copy_at(w, 0, 0));
    enum cv_wm_block_state b_state = cv_wm_block_decode(&b, NULL, copy_at(w, 1, 0));
    if (a_state != CV_WM_VALID) {
        w->header = b;
    }
    if ((a_state != CV_WM_VALID && b_state != CV_WM_VALID) || w->header.type != CV_WM_HEADER) {
        return cv_error_set(w->err, CV_ERR_INVALID, "block 0: both copies of the header are bad");
    }
    if ((size_t)w->header.capacity * 2 * CV_WM_BLOCK_LEN != w->file.n) {
        return cv_error_set(w->err, CV_ERR_INVALID, "the file has %zu bytes, its header says %zu",
                            w->file.n, (size_t)w->header.capacity * 2 * CV_WM_BLOCK_LEN);
    }
    if (a_state == CV_WM_VALID && b_state == CV_WM_VALID &&
        memcmp(copy_at(w, 0, 0), copy_at(w, 1, 0), CV_WM_BLOCK_LEN) != 0) {
        return cv_error_set(w->err, CV_ERR_INVALID, "block 0: both copies are valid but differ");
    }
    w->info->repaired += a_state != b_state ? 1 : 0;
    return CV_OK;
}

int cv_wm_log_parse(struct cv_wm_info *info, struct cv_marks *marks, struct cv_bytes file,
                    struct cv_error *err)
{
    memset(info, 0, sizeof *info);
    struct walk w = {.file = file, .info = info, .marks = marks, .err = err};
    int r = read_header(&w);
    if (r != CV_OK) {
        return r;
    }
    memcpy(info->store_id, w.header.store_id, CV_WM_STORE_ID_LEN);
    info->epoch = w.header.epoch;
    info->next_seq = w.header.first_seq;
    return read_blocks(&w);
}

int cv_wm_log_load(struct cv_wm_info *info, struct cv_marks *marks, const char *path,
                   struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf file;
    cv_buf_init(&file, CV_WM_FILE_MAX);
    int r = cv_file_read(&file, path, err);
    if (r != CV_OK) {
        return r;
    }
    if ((r = cv_wm_log_parse(info, marks, cv_buf_view(&file), err)) != CV_OK) {
        cv_error_wrap(err, "%s is damaged", path);
    }
    return r;
}
