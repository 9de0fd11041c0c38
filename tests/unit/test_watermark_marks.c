/* SPDX-License-Identifier: Apache-2.0 */
/* The rule, as a table, and the table of marks itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/watermark_samples.h"

static void test_rule(void **state)
{
    (void)state;
    static const struct {
        int32_t level, round;
        uint8_t hash;
        enum cv_mark_verdict want;
    } cases[] = {
        {10, 2, 1, CV_MARK_REPEAT},       {10, 2, 2, CV_MARK_REFUSE},   {10, 3, 2, CV_MARK_ADVANCE},
        {11, 0, 2, CV_MARK_ADVANCE},      {10, 1, 2, CV_MARK_REFUSE},   {9, 9, 2, CV_MARK_REFUSE},
        {INT32_MAX, 0, 2, CV_MARK_ADVANCE}, {INT32_MIN, 0, 2, CV_MARK_NEGATIVE},
        {-1, 0, 2, CV_MARK_NEGATIVE},     {11, -1, 2, CV_MARK_NEGATIVE},
        /* The same hash is the same request, whatever level is claimed for it. */
        {9, 0, 1, CV_MARK_REPEAT},
    };
    struct cv_marks *marks;
    assert_int_equal(cv_marks_new(&marks), CV_OK);
    struct cv_mark stored = sample_mark(1, CV_MARK_BLOCK, 10, 2, 1);
    assert_int_equal(cv_marks_put(marks, &stored), CV_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cv_mark m = sample_mark(1, CV_MARK_BLOCK, cases[i].level, cases[i].round, cases[i].hash);
        assert_int_equal(cv_marks_check(marks, &m), cases[i].want);
    }
    cv_marks_free(marks);
}

static void test_no_wrap_around(void **state)
{
    (void)state;
    /* With subtraction in 32 bits, 8000000 → -2^31 → -1 → 8000000 would all be
     * "greater" than their predecessor. */
    struct cv_marks *marks;
    assert_int_equal(cv_marks_new(&marks), CV_OK);
    struct cv_mark m = sample_mark(1, CV_MARK_BLOCK, 8000000, 0, 1);
    assert_int_equal(cv_marks_put(marks, &m), CV_OK);
    m = sample_mark(1, CV_MARK_BLOCK, INT32_MIN, 0, 2);
    assert_int_equal(cv_marks_check(marks, &m), CV_MARK_NEGATIVE);
    m = sample_mark(1, CV_MARK_BLOCK, 0, INT32_MAX, 2);
    assert_int_equal(cv_marks_check(marks, &m), CV_MARK_REFUSE);
    cv_marks_free(marks);
}

static void test_hash_absent(void **state)
{
    (void)state;
    struct cv_marks *marks;
    assert_int_equal(cv_marks_new(&marks), CV_OK);
    struct cv_mark m = sample_mark(1, CV_MARK_ATTESTATION, 5, 0, 0);
    m.has_hash = false;
    assert_int_equal(cv_marks_put(marks, &m), CV_OK);
    struct cv_mark same = sample_mark(1, CV_MARK_ATTESTATION, 5, 0, 0);
    assert_int_equal(cv_marks_check(marks, &same), CV_MARK_REFUSE);
    cv_marks_free(marks);
}

static void test_separate(void **state)
{
    (void)state;
    struct cv_marks *marks;
    assert_int_equal(cv_marks_new(&marks), CV_OK);
    struct cv_mark m = sample_mark(1, CV_MARK_BLOCK, 10, 0, 1);
    assert_int_equal(cv_marks_check(marks, &m), CV_MARK_UNKNOWN);
    assert_int_equal(cv_marks_put(marks, &m), CV_OK);
    struct cv_mark other = sample_mark(1, CV_MARK_PREATTESTATION, 1, 0, 1);
    assert_int_equal(cv_marks_check(marks, &other), CV_MARK_ADVANCE);
    other = sample_mark(1, CV_MARK_BLOCK, 1, 0, 2);
    other.chain[0] ^= 1;
    assert_int_equal(cv_marks_check(marks, &other), CV_MARK_ADVANCE);
    other = sample_mark(2, CV_MARK_BLOCK, 11, 0, 2);
    assert_int_equal(cv_marks_check(marks, &other), CV_MARK_UNKNOWN);
    /* The same 20 bytes under another scheme are another key. */
    other = sample_mark(1, CV_MARK_BLOCK, 11, 0, 2);
    other.pkh.scheme = CV_SCHEME_BLS;
    assert_int_equal(cv_marks_check(marks, &other), CV_MARK_UNKNOWN);
    cv_marks_free(marks);
}

static int count(void *ctx, const struct cv_mark *mark)
{
    (void)mark;
    ++*(unsigned *)ctx;
    return 0;
}

static void test_many(void **state)
{
    (void)state;
    struct cv_marks *marks;
    assert_int_equal(cv_marks_new(&marks), CV_OK);
    for (unsigned i = 0; i < 5000; i++) {
        struct cv_mark m = sample_mark(i, CV_MARK_BLOCK, (int32_t)i, 0, 1);
        assert_int_equal(cv_marks_put(marks, &m), CV_OK);
    }
    assert_int_equal(cv_marks_count(marks), 10000);
    for (unsigned i = 0; i < 5000; i++) {
        struct cv_mark m = sample_mark(i, CV_MARK_BLOCK, 0, 0, 0);
        const struct cv_mark *found = cv_marks_find(marks, &m.pkh, m.kind, m.chain);
        assert_non_null(found);
        assert_int_equal(found->level, i);
    }
    unsigned n = 0;
    assert_int_equal(cv_marks_each(marks, count, &n), 0);
    assert_int_equal(n, 10000);
    cv_marks_free(marks);
}

static void test_chains_are_bounded(void **state)
{
    (void)state;
    struct cv_marks *marks;
    assert_int_equal(cv_marks_new(&marks), CV_OK);
    for (unsigned i = 0; i < CV_MARK_CHAINS_MAX; i++) {
        struct cv_mark m = sample_mark(1, CV_MARK_BLOCK, 1, 0, 1);
        m.chain[3] = (uint8_t)i;
        assert_int_equal(cv_marks_put(marks, &m), CV_OK);
        m.kind = CV_MARK_ATTESTATION;
        assert_int_equal(cv_marks_put(marks, &m), CV_OK);
    }
    struct cv_mark m = sample_mark(1, CV_MARK_BLOCK, 1, 0, 1);
    m.chain[0] = 0xee;
    assert_int_equal(cv_marks_put(marks, &m), CV_ERR_LIMIT);
    cv_marks_free(marks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rule),     cmocka_unit_test(test_no_wrap_around), cmocka_unit_test(test_hash_absent),
        cmocka_unit_test(test_separate), cmocka_unit_test(test_many),           cmocka_unit_test(test_chains_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
