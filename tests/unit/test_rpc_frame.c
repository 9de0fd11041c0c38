/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rpc/frame.h"

static void feed(struct cv_rpc_assembler *a, const void *p, size_t n)
{
    const uint8_t *from = p;
    while (n > 0) {
        size_t room = n;
        uint8_t *to = cv_rpc_assembler_room(a, &room);
        assert_non_null(to);
        memcpy(to, from, room);
        cv_rpc_assembler_fed(a, room);
        from += room;
        n -= room;
    }
}

static void expect(struct cv_rpc_assembler *a, const char *text)
{
    uint8_t *body;
    size_t n;
    assert_int_equal(cv_rpc_assembler_next(a, &body, &n), 1);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(body, text, n);
}

static void expect_none(struct cv_rpc_assembler *a)
{
    uint8_t *body;
    size_t n;
    assert_int_equal(cv_rpc_assembler_next(a, &body, &n), 0);
}

/* Two frames, an empty one between them, cut at every place. */
static void test_every_cut(void **state)
{
    (void)state;
    static const char in[] = "\0\0\0\3abc\0\0\0\0\0\0\0\4defg";
    size_t n = sizeof in - 1;
    for (size_t cut = 0; cut <= n; cut++) {
        struct cv_rpc_assembler a;
        uint8_t *body;
        size_t len, frames = 0;
        cv_rpc_assembler_init(&a, CV_RPC_FRAME_MAX_EARLY);
        feed(&a, in, cut);
        while (cv_rpc_assembler_next(&a, &body, &len) == 1)
            frames++;
        feed(&a, in + cut, n - cut);
        while (cv_rpc_assembler_next(&a, &body, &len) == 1)
            frames++;
        assert_int_equal(frames, 3);
        assert_false(cv_rpc_assembler_partial(&a));
        cv_rpc_assembler_free(&a);
    }
}

static void test_byte_by_byte(void **state)
{
    (void)state;
    static const char in[] = "\0\0\0\3abc\0\0\0\1x";
    struct cv_rpc_assembler a;
    cv_rpc_assembler_init(&a, CV_RPC_FRAME_MAX_EARLY);
    for (size_t i = 0; i < 6; i++) {
        feed(&a, in + i, 1);
        expect_none(&a);
        assert_int_equal(cv_rpc_assembler_partial(&a), i >= 3);
    }
    feed(&a, in + 6, 1);
    expect(&a, "abc");
    expect_none(&a);
    feed(&a, in + 7, 5);
    expect(&a, "x");
    cv_rpc_assembler_free(&a);
}

static void test_announced_length_allocates_nothing(void **state)
{
    (void)state;
    struct cv_rpc_assembler a;
    uint8_t *body;
    size_t n;
    cv_rpc_assembler_init(&a, CV_RPC_FRAME_MAX_EARLY);
    feed(&a, "\0\1\0\0", 4); /* 65536: the largest */
    expect_none(&a);
    assert_true(a.in.cap < 4096);
    cv_rpc_assembler_free(&a);
    cv_rpc_assembler_init(&a, CV_RPC_FRAME_MAX_EARLY);
    feed(&a, "\0\1\0\1", 4);
    assert_int_equal(cv_rpc_assembler_next(&a, &body, &n), CV_ERR_LIMIT);
    a.max = CV_RPC_FRAME_MAX;
    assert_int_equal(cv_rpc_assembler_next(&a, &body, &n), 0);
    cv_rpc_assembler_free(&a);
    cv_rpc_assembler_init(&a, CV_RPC_FRAME_MAX);
    feed(&a, "\xff\xff\xff\xff", 4);
    assert_int_equal(cv_rpc_assembler_next(&a, &body, &n), CV_ERR_LIMIT);
    cv_rpc_assembler_free(&a);
}

static void test_reads_no_further_than_one_frame(void **state)
{
    (void)state;
    struct cv_rpc_assembler a;
    cv_rpc_assembler_init(&a, 100);
    size_t n = 1000;
    assert_non_null(cv_rpc_assembler_room(&a, &n));
    assert_int_equal(n, 104);
    cv_rpc_assembler_fed(&a, n);
    n = 1;
    assert_null(cv_rpc_assembler_room(&a, &n));
    cv_rpc_assembler_free(&a);
}

static void test_append(void **state)
{
    (void)state;
    struct cv_buf out;
    static uint8_t big[CV_RPC_FRAME_MAX + 1];
    cv_buf_init(&out, 64);
    assert_int_equal(cv_rpc_frame_append(&out, CV_BYTES_LIT("abc")), 0);
    assert_int_equal(out.n, 7);
    assert_memory_equal(out.p, "\0\0\0\3abc", 7);
    assert_int_equal(cv_rpc_frame_append(&out, CV_BYTES(big, sizeof big)), CV_ERR_LIMIT);
    assert_int_not_equal(cv_rpc_frame_append(&out, CV_BYTES(big, 100)), 0);
    assert_int_equal(out.n, 7);
    cv_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_announced_length_allocates_nothing),
        cmocka_unit_test(test_reads_no_further_than_one_frame),
        cmocka_unit_test(test_append),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
