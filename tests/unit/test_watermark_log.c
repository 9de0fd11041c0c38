/* SPDX-License-Identifier: Apache-2.0 */
/* The log on disk: every flip of a bit and every truncation is detected or
 * harmless; torn flushes are forgotten, torn anything else is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/file.h"
#include "unit/watermark_samples.h"
#include "watermark/log.h"

static char dir[64];
static char path[96];
static const uint8_t store_id[CV_WM_STORE_ID_LEN] = "0123456789abcde";

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/cv-wm-log-XXXXXX");
    if (mkdtemp(dir) == NULL) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/log", dir);
    return 0;
}

static int drop_dir(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

/* A file with a snapshot of two keys and FLUSHES flushes of one record each. */
static struct cv_buf make_file(unsigned flushes, uint32_t spare)
{
    struct cv_marks *marks;
    struct cv_wm_log log;
    assert_int_equal(cv_marks_new(&marks), CV_OK);
    struct cv_mark m = sample_mark(1, CV_MARK_BLOCK, 10, 0, 1);
    m.seq = 1;
    assert_int_equal(cv_marks_put(marks, &m), CV_OK);
    m = sample_known(2);
    m.seq = 2;
    assert_int_equal(cv_marks_put(marks, &m), CV_OK);
    assert_int_equal(cv_wm_log_create(&log, path, store_id, 7, 3, marks, spare, NULL), CV_OK);
    for (unsigned i = 0; i < flushes; i++) {
        m = sample_mark(1, CV_MARK_BLOCK, 11 + (int32_t)i, 0, 2);
        m.seq = 3 + i;
        assert_int_equal(cv_wm_log_append(&log, &m, 1, NULL), CV_OK);
    }
    cv_wm_log_close(&log);
    cv_marks_free(marks);
    struct cv_buf file;
    cv_buf_init(&file, CV_WM_FILE_MAX);
    assert_int_equal(cv_file_read(&file, path, NULL), CV_OK);
    return file;
}

/* The level that key 1 has after reading, or -1 when the file is refused. */
static int32_t level_of(struct cv_bytes file, struct cv_wm_info *info)
{
    struct cv_marks *marks;
    assert_int_equal(cv_marks_new(&marks), CV_OK);
    int32_t level = -1;
    if (cv_wm_log_parse(info, marks, file, NULL) == CV_OK) {
        struct cv_mark m = sample_mark(1, CV_MARK_BLOCK, 0, 0, 0);
        const struct cv_mark *found = cv_marks_find(marks, &m.pkh, m.kind, m.chain);
        assert_non_null(found);
        struct cv_pkh two = sample_pkh(2);
        assert_true(cv_marks_known(marks, &two));
        level = found->level;
    }
    cv_marks_free(marks);
    return level;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct cv_buf file = make_file(3, 8);
    struct cv_wm_info info;
    assert_int_equal(level_of(cv_buf_view(&file), &info), 13);
    assert_int_equal(info.epoch, 7);
    assert_int_equal(info.next_seq, 6);
    assert_int_equal(info.repaired, 0);
    assert_false(info.torn);
    assert_memory_equal(info.store_id, store_id, sizeof store_id);
    cv_buf_free(&file);
}

static void test_every_bit(void **state)
{
    (void)state;
    struct cv_buf file = make_file(2, 3);
    struct cv_wm_info info;
    for (size_t bit = 0; bit < file.n * 8; bit++) {
        /* Inside long runs of zeros every flip is like the next one. */
        if (file.p[bit / 8] == 0 && bit % 8 != 0) {
            continue;
        }
        file.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        int32_t level = level_of(cv_buf_view(&file), &info);
        /* One copy repairs the other; behind the end it is either taken for a
         * torn flush or refused. Never an older mark. */
        assert_true(level == 12 || level == -1);
        file.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    cv_buf_free(&file);
}

static void test_every_truncation(void **state)
{
    (void)state;
    struct cv_buf file = make_file(2, 3);
    struct cv_wm_info info;
    for (size_t n = 0; n < file.n; n++) {
        assert_int_equal(level_of(CV_BYTES(file.p, n), &info), -1);
    }
    cv_buf_free(&file);
}

static uint8_t *block(struct cv_buf *file, unsigned copy, uint32_t index)
{
    return file->p + copy * (file->n / 2) + (size_t)index * CV_WM_BLOCK_LEN;
}

static void test_torn_last_flush(void **state)
{
    (void)state;
    struct cv_buf file = make_file(3, 8);
    struct cv_wm_info info;
    /* Half of it in copy A, nothing in copy B: nobody was told of it. */
    memset(block(&file, 0, 4) + 100, 0, CV_WM_BLOCK_LEN - 100);
    memset(block(&file, 1, 4), 0, CV_WM_BLOCK_LEN);
    assert_int_equal(level_of(cv_buf_view(&file), &info), 12);
    assert_true(info.torn);
    assert_int_equal(info.next_seq, 5);
    cv_buf_free(&file);
}

static void test_one_copy_repairs(void **state)
{
    (void)state;
    struct cv_buf file = make_file(3, 8);
    struct cv_wm_info info;
    memset(block(&file, 0, 0), 0xff, CV_WM_BLOCK_LEN);
    memset(block(&file, 1, 1), 0xff, CV_WM_BLOCK_LEN);
    memset(block(&file, 0, 2), 0, CV_WM_BLOCK_LEN);
    memset(block(&file, 1, 4), 0, CV_WM_BLOCK_LEN);
    assert_int_equal(level_of(cv_buf_view(&file), &info), 13);
    assert_int_equal(info.repaired, 4);
    cv_buf_free(&file);
}

static void test_both_bad_is_refused(void **state)
{
    (void)state;
    struct cv_wm_info info;
    for (uint32_t i = 0; i < 4; i++) {
        struct cv_buf file = make_file(3, 8);
        block(&file, 0, i)[40] ^= 1;
        block(&file, 1, i)[41] ^= 1;
        assert_int_equal(level_of(cv_buf_view(&file), &info), -1);
        cv_buf_free(&file);
    }
}

static void test_block_of_elsewhere(void **state)
{
    (void)state;
    struct cv_buf file = make_file(3, 8);
    struct cv_wm_info info;
    /* A valid block at another place is a bad one. */
    memcpy(block(&file, 0, 4), block(&file, 0, 3), CV_WM_BLOCK_LEN);
    memcpy(block(&file, 1, 4), block(&file, 1, 3), CV_WM_BLOCK_LEN);
    assert_int_equal(level_of(cv_buf_view(&file), &info), 12);
    assert_true(info.torn);
    /* Two valid copies that differ are refused: which one is right? */
    struct cv_buf more = make_file(3, 8);
    struct cv_wm_block b;
    struct cv_mark records[CV_WM_BLOCK_RECORDS];
    assert_int_equal(cv_wm_block_decode(&b, records, block(&more, 0, 3)), CV_WM_VALID);
    records[0].level = 5;
    cv_wm_block_encode(block(&more, 0, 3), &b, records);
    assert_int_equal(level_of(cv_buf_view(&more), &info), -1);
    cv_buf_free(&file);
    cv_buf_free(&more);
}

static void test_full(void **state)
{
    (void)state;
    struct cv_marks *marks;
    struct cv_wm_log log;
    assert_int_equal(cv_marks_new(&marks), CV_OK);
    assert_int_equal(cv_wm_log_create(&log, path, store_id, 1, 1, marks, 2, NULL), CV_OK);
    struct cv_mark m[2 * CV_WM_BLOCK_RECORDS];
    for (unsigned i = 0; i < 2 * CV_WM_BLOCK_RECORDS; i++) {
        m[i] = sample_mark(i, CV_MARK_BLOCK, 1, 0, 1);
        m[i].seq = 1 + i;
    }
    assert_int_equal(cv_wm_log_append(&log, m, 2 * CV_WM_BLOCK_RECORDS, NULL), CV_OK);
    struct cv_mark late = sample_mark(500, CV_MARK_BLOCK, 1, 0, 1);
    assert_int_equal(cv_wm_log_append(&log, &late, 1, NULL), CV_ERR_LIMIT);
    cv_wm_log_close(&log);
    struct cv_wm_info info;
    assert_int_equal(cv_wm_log_load(&info, marks, path, NULL), CV_OK);
    assert_int_equal(info.next_seq, 1 + 2 * CV_WM_BLOCK_RECORDS);
    cv_marks_free(marks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),         cmocka_unit_test(test_every_bit),
        cmocka_unit_test(test_every_truncation),   cmocka_unit_test(test_torn_last_flush),
        cmocka_unit_test(test_one_copy_repairs),   cmocka_unit_test(test_both_bad_is_refused),
        cmocka_unit_test(test_block_of_elsewhere), cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
