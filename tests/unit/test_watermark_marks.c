/* SPDX-License-Identifier: Apache-2.0 */
/* The rule, as a table, and the table of marks itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/file.h"
#include "json/json.h"
#include "unit/watermark_samples.h"

static void test_rule(void **state)
{
    (void)state;
    static const struct {
        int32_t level, round;
        uint8_t hash;
        enum cv_mark_verdict want;
    } cases[] = {
        {10, 2, 1, CV_MARK_REPEAT},
        {10, 2, 2, CV_MARK_REFUSE},
        {10, 3, 2, CV_MARK_ADVANCE},
        {11, 0, 2, CV_MARK_ADVANCE},
        {10, 1, 2, CV_MARK_REFUSE},
        {9, 9, 2, CV_MARK_REFUSE},
        {INT32_MAX, 0, 2, CV_MARK_ADVANCE},
        {INT32_MIN, 0, 2, CV_MARK_NEGATIVE},
        {-1, 0, 2, CV_MARK_NEGATIVE},
        {11, -1, 2, CV_MARK_NEGATIVE},
        /* The same hash is the same request, whatever level is claimed for it. */
        {9, 0, 1, CV_MARK_REPEAT},
    };
    struct cv_marks *marks;
    assert_int_equal(cv_marks_new(&marks), CV_OK);
    struct cv_mark stored = sample_mark(1, CV_MARK_BLOCK, 10, 2, 1);
    assert_int_equal(cv_marks_put(marks, &stored), CV_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cv_mark m =
            sample_mark(1, CV_MARK_BLOCK, cases[i].level, cases[i].round, cases[i].hash);
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
    /* Nor does a request without a hash repeat one that has one. */
    struct cv_mark with = sample_mark(2, CV_MARK_BLOCK, 5, 0, 0);
    assert_int_equal(cv_marks_put(marks, &with), CV_OK);
    with.has_hash = false;
    assert_int_equal(cv_marks_check(marks, &with), CV_MARK_REFUSE);
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

static struct cv_mark mark_of(const json_t *v)
{
    struct cv_mark m =
        sample_mark(1, CV_MARK_BLOCK, (int32_t)json_integer_value(json_object_get(v, "level")),
                    (int32_t)json_integer_value(json_object_get(v, "round")), 0);
    const char *hash = json_string_value(json_object_get(v, "hash"));
    m.has_hash = hash != NULL;
    memset(m.hash, hash != NULL ? hash[1] : 0, sizeof m.hash);
    return m;
}

/* The cases of the original's own tests, where the shared vectors are there. */
static void test_shared_cases(void **state)
{
    (void)state;
    char path[512];
    struct cv_buf text;
    json_t *doc;
    snprintf(path, sizeof path, "%s/vectors/tezos-vectors.json",
             getenv("CV_SHARED") != NULL ? getenv("CV_SHARED") : "");
    cv_buf_init(&text, 16 << 20);
    if (cv_file_read(&text, path, NULL) != CV_OK) {
        print_message("%s is absent\n", path);
        skip();
    }
    assert_int_equal(cv_json_parse_object(&doc, cv_buf_view(&text), text.n, "vectors", NULL),
                     CV_OK);
    const json_t *cases =
        json_object_get(json_object_get(doc, "watermark_validate_cases"), "cases");
    assert_true(json_array_size(cases) > 0);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        const json_t *wanted = json_object_get(c, "new");
        struct cv_marks *marks;
        struct cv_mark stored = mark_of(json_object_get(c, "stored"));
        assert_int_equal(cv_marks_new(&marks), CV_OK);
        assert_int_equal(cv_marks_put(marks, &stored), CV_OK);
        for (size_t k = 0; k < json_array_size(wanted); k++) {
            struct cv_mark m = mark_of(json_array_get(wanted, k));
            enum cv_mark_verdict v = cv_marks_check(marks, &m);
            bool ok = json_is_true(json_object_get(json_array_get(wanted, k), "ok"));
            assert_int_equal(v == CV_MARK_ADVANCE || v == CV_MARK_REPEAT, ok);
        }
        cv_marks_free(marks);
    }
    json_decref(doc);
    cv_buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared_cases),       cmocka_unit_test(test_rule),
        cmocka_unit_test(test_no_wrap_around),     cmocka_unit_test(test_hash_absent),
        cmocka_unit_test(test_separate),           cmocka_unit_test(test_many),
        cmocka_unit_test(test_chains_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
