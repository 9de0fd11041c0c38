/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/reader.h"
#include "common/utf8.h"
#include "common/writer.h"
#include "unit/cv_test.h"

static void views(void **state)
{
    (void)state;
    assert_true(cv_bytes_equal(cv_bytes_str("abc"), CV_BYTES_LIT("abc")));
    assert_false(cv_bytes_equal(cv_bytes_str("abc"), CV_BYTES_LIT("abd")));
    assert_false(cv_bytes_equal(cv_bytes_str("abc"), CV_BYTES_LIT("ab")));
    assert_true(cv_bytes_equal((struct cv_bytes){NULL, 0}, CV_BYTES_LIT("")));
    assert_true(cv_bytes_equal_str(CV_BYTES_LIT("x"), "x"));
    assert_int_equal(cv_bytes_str(NULL).n, 0);
    assert_true(cv_equal_ct("abc", "abc", 3));
    assert_false(cv_equal_ct("abc", "abd", 3));
    assert_true(cv_equal_ct(NULL, NULL, 0));
    char text[] = "secret";
    cv_wipe(text, 6);
    assert_memory_equal(text, "\0\0\0\0\0\0", 7);
    cv_wipe(NULL, 0);
}

static void buffer_grows_to_its_limit(void **state)
{
    (void)state;
    struct cv_buf b;
    cv_buf_init(&b, 300);
    assert_int_equal(cv_buf_view(&b).n, 0);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(cv_buf_append_u8(&b, (uint8_t)i), 0);
        assert_int_equal(b.n, i + 1);
        assert_int_equal(b.p[b.n], 0);
    }
    for (int i = 0; i < 300; i++)
        assert_int_equal(b.p[i], (uint8_t)i);
    assert_int_equal(cv_buf_append_u8(&b, 1), CV_ERR_LIMIT);
    assert_int_equal(cv_buf_append(&b, "", SIZE_MAX), CV_ERR_LIMIT);
    assert_int_equal(cv_buf_append(&b, "", 0), 0);
    assert_null(cv_buf_reserve(&b, 1));
    assert_int_equal(b.n, 300);
    cv_buf_consume(&b, 299);
    assert_int_equal(b.n, 1);
    assert_int_equal(b.p[0], 299 & 255);
    assert_int_equal(b.p[1], 0);
    cv_buf_consume(&b, 0);
    cv_buf_consume(&b, 1);
    assert_int_equal(cv_buf_append_str(&b, "text"), 0);
    assert_string_equal((char *)b.p, "text");
    cv_buf_reset(&b);
    assert_int_equal(b.n, 0);
    assert_memory_equal(b.p, "\0\0\0\0", 4);
    cv_buf_free(&b);
    cv_buf_free(&b);
    assert_int_equal(b.limit, 300);
    assert_int_equal(cv_buf_append(&b, NULL, 0), 0);
    assert_string_equal((char *)b.p, "");
    cv_buf_free(&b);
}

static void buffer_printf_and_reserve(void **state)
{
    (void)state;
    CV_CLEANUP(cv_buf_free) struct cv_buf b;
    cv_buf_init(&b, 10);
    assert_int_equal(cv_buf_printf(&b, "%d-%s", 12, "ab"), 0);
    assert_string_equal((char *)b.p, "12-ab");
    assert_int_equal(cv_buf_printf(&b, "%s", "123456"), CV_ERR_LIMIT);
    assert_string_equal((char *)b.p, "12-ab");
    assert_int_equal(cv_buf_printf(&b, "%s", "12345"), 0);
    assert_string_equal((char *)b.p, "12-ab12345");
    cv_buf_reset(&b);
    uint8_t *p = cv_buf_reserve(&b, 4);
    assert_non_null(p);
    memcpy(p, "wxyz", 4);
    assert_int_equal(b.n, 0);
    cv_buf_commit(&b, 3);
    assert_string_equal((char *)b.p, "wxy");
}

/* A caller that writes past what it reserved is stopped, not believed. */
static void buffer_misuse_aborts(void **state)
{
    (void)state;
    for (int which = 0; which < 3; which++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            (void)signal(SIGABRT, SIG_DFL); /* cmocka has a handler of its own */
            struct cv_buf b;
            cv_buf_init(&b, 10);
            if (which == 0)
                cv_buf_commit(&b, 1);
            else if (which == 1 && cv_buf_reserve(&b, 4) != NULL)
                cv_buf_commit(&b, 100);
            else
                cv_buf_consume(&b, 1);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    }
}

static void reader_reads_and_sticks(void **state)
{
    (void)state;
    static const uint8_t in[] = {1, 2, 3, 0xff, 0xff, 0xff, 0xfe, 0x80, 0, 0, 0,   0,   0,
                                 0, 0, 9, 8,    7,    6,    5,    4,    3, 2, 'a', 'b', 'c'};
    struct cv_reader r;
    cv_reader_init(&r, CV_BYTES(in, sizeof(in)));
    assert_int_equal(cv_peek_u8(&r), 1);
    assert_int_equal(cv_read_u8(&r), 1);
    assert_int_equal(cv_read_be16(&r), 0x0203);
    assert_int_equal(cv_read_be_i32(&r), -2);
    assert_true(cv_read_be_i64(&r) == INT64_MIN);
    assert_true(cv_read_be64(&r) == UINT64_C(0x0908070605040302));
    assert_int_equal(cv_reader_end(&r), CV_ERR_TRAILING);
    struct cv_reader w = cv_read_window(&r, 2);
    assert_int_equal(cv_read_u8(&w), 'a');
    assert_int_equal(cv_read_u8(&w), 'b');
    assert_int_equal(cv_reader_end(&w), 0);
    char c[2] = "Z";
    cv_read_copy(&r, c, 1);
    assert_string_equal(c, "c");
    assert_int_equal(cv_reader_end(&r), 0);
    assert_int_equal(cv_reader_left(&r), 0);
    assert_int_equal(cv_peek_u8(&r), 0);
    assert_int_equal(cv_read_bytes(&r, 0).n, 0);
    cv_read_skip(&r, 0);
    assert_int_equal(cv_reader_end(&r), 0);

    assert_int_equal(cv_read_be32(&r), 0);
    assert_int_equal(cv_reader_end(&r), CV_ERR_TRUNCATED);
    r.off = 0; /* even so: the error stays */
    assert_int_equal(cv_read_u8(&r), 0);
    assert_int_equal(cv_read_bytes(&r, 1).n, 0);
    assert_int_equal(cv_reader_left(&r), 0);
    cv_read_copy(&r, c, 1);
    assert_int_equal(c[0], 0);
    w = cv_read_window(&r, 1);
    assert_int_equal(cv_reader_end(&w), CV_ERR_TRUNCATED);
    cv_reader_fail(&r, CV_ERR_INVALID);
    assert_int_equal(cv_reader_end(&r), CV_ERR_TRUNCATED);
}

static void reader_takes_no_partial_value(void **state)
{
    (void)state;
    struct cv_reader r;
    cv_reader_init(&r, CV_BYTES_LIT("\1\2\3"));
    assert_int_equal(cv_read_be32(&r), 0);
    assert_int_equal(r.off, 0);
    assert_int_equal(cv_reader_end(&r), CV_ERR_TRUNCATED);
    cv_reader_init(&r, CV_BYTES_LIT("\1\2\3"));
    assert_int_equal(cv_read_bytes(&r, SIZE_MAX).n, 0);
    assert_int_equal(cv_reader_end(&r), CV_ERR_TRUNCATED);
    cv_reader_init(&r, (struct cv_bytes){NULL, 0});
    assert_int_equal(cv_reader_end(&r), 0);
    cv_reader_fail(&r, CV_ERR_LIMIT);
    assert_int_equal(cv_reader_end(&r), CV_ERR_LIMIT);
}

static void writer_writes_and_sticks(void **state)
{
    (void)state;
    uint8_t out[20];
    memset(out, 'Z', sizeof(out));
    struct cv_writer w;
    cv_writer_init(&w, out, 19);
    cv_write_u8(&w, 1);
    cv_write_be16(&w, 0x0203);
    cv_write_be32(&w, 0x04050607);
    cv_write_be64(&w, UINT64_C(0x08090a0b0c0d0e0f));
    cv_write_bytes(&w, CV_BYTES_LIT("\x10\x11"));
    cv_write_raw(&w, "\x12", 1);
    cv_write_raw(&w, NULL, 0);
    size_t n = 0;
    assert_int_equal(cv_writer_end(&w, &n), 0);
    assert_int_equal(n, 18);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(out[i], i + 1);
    assert_int_equal(cv_writer_view(&w).n, 18);
    cv_write_be16(&w, 7); /* one byte too many: none is written */
    assert_int_equal(out[18], 'Z');
    cv_write_u8(&w, 7); /* would fit, but the error stays */
    assert_int_equal(out[18], 'Z');
    assert_null(cv_write_room(&w, 0));
    assert_int_equal(cv_writer_end(&w, &n), CV_ERR_LIMIT);
    assert_int_equal(n, 0);
    assert_int_equal(cv_writer_end(&w, NULL), CV_ERR_LIMIT);

    cv_writer_init(&w, out, 4);
    assert_ptr_equal(cv_write_room(&w, 4), out);
    assert_int_equal(cv_writer_end(&w, NULL), 0);
    assert_null(cv_write_room(&w, SIZE_MAX));
}

static void utf8(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "ascii",
                                       "\x7f",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "a\xc3\xa9z"};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2\x41",
                                      "\xc2\xc0",
                                      "\xe0\x9f\xbf",
                                      "\xe0\xa0",
                                      "\xe0\xa0\x41",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf0\x90\x80",
                                      "\xf0\x90\x80\x41",
                                      "\xf0\x90\x41\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "\xfe",
                                      "ok\xff"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(cv_utf8_valid(cv_bytes_str(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(cv_utf8_valid(cv_bytes_str(bad[i])));
    assert_true(cv_utf8_valid(CV_BYTES_LIT("a\0b")));
    assert_int_equal(cv_utf8_next((struct cv_bytes){NULL, 0}), 0);
    assert_int_equal(cv_utf8_next(CV_BYTES_LIT("\xf0\x90\x80\x80z")), 4);

    /* Every code point, encoded by the plain rule, is valid exactly when it is
     * no surrogate. */
    for (uint32_t c = 0x80; c < 0x110000; c++) {
        uint8_t e[4];
        size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        for (size_t i = n; i-- > 1;)
            e[i] = (uint8_t)(0x80 | ((c >> (6 * (n - 1 - i))) & 0x3f));
        e[0] = (uint8_t)((0xf00u >> n) | c >> (6 * (n - 1)));
        assert_int_equal(cv_utf8_valid(CV_BYTES(e, n)), c < 0xd800 || c > 0xdfff);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views),
        cmocka_unit_test(buffer_grows_to_its_limit),
        cmocka_unit_test(buffer_printf_and_reserve),
        cmocka_unit_test(buffer_misuse_aborts),
        cmocka_unit_test(reader_reads_and_sticks),
        cmocka_unit_test(reader_takes_no_partial_value),
        cmocka_unit_test(writer_writes_and_sticks),
        cmocka_unit_test(utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
