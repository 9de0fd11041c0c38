/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log: chain over restarts, and the first altered line found. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "audit/audit.h"
#include "common/file.h"

static char path[64];

static int setup(void **state)
{
    (void)state;
    strcpy(path, "/tmp/cv-audit-XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

static void write_lines(unsigned from, unsigned count)
{
    struct cv_audit *a;
    assert_int_equal(cv_audit_open(&a, path, NULL), CV_OK);
    for (unsigned i = 0; i < count; i++) {
        char level[16];
        snprintf(level, sizeof level, "%u", from + i);
        assert_int_equal(
            cv_audit_add(a, "sign", "level", level, "absent", NULL, "quoted", "a\"<b\n", NULL),
            CV_OK);
    }
    assert_int_equal(cv_audit_flush(a, NULL), CV_OK);
    cv_audit_close(a);
}

static struct cv_audit_report verify(void)
{
    struct cv_audit_report report;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(cv_audit_verify(&report, fd, NULL, NULL), CV_OK);
    close(fd);
    return report;
}

static void test_chain_over_restarts(void **state)
{
    (void)state;
    struct cv_audit_report r = verify();
    assert_int_equal(r.lines, 0);
    write_lines(1, 3);
    write_lines(4, 2);
    r = verify();
    assert_int_equal(r.lines, 5);
    assert_int_equal(r.bad_line, 0);
    assert_int_equal(strlen(r.last_hash), 64);
}

static struct cv_buf content(void)
{
    struct cv_buf b;
    cv_buf_init(&b, 1 << 20);
    assert_int_equal(cv_file_read(&b, path, NULL), CV_OK);
    return b;
}

static void test_every_byte_altered(void **state)
{
    (void)state;
    write_lines(1, 3);
    struct cv_buf b = content();
    unsigned line = 1;
    for (size_t i = 0; i < b.n; i++) {
        uint8_t kept = b.p[i];
        b.p[i] ^= 1;
        assert_int_equal(cv_file_replace(path, cv_buf_view(&b), 0600, NULL), CV_OK);
        b.p[i] = kept;
        assert_int_equal(verify().bad_line, line);
        line += kept == '\n' ? 1 : 0;
    }
    cv_buf_free(&b);
}

static void test_missing_and_inserted(void **state)
{
    (void)state;
    write_lines(1, 4);
    struct cv_buf b = content();
    char *text = (char *)b.p;
    char *second = strchr(text, '\n') + 1;
    char *third = strchr(second, '\n') + 1;
    struct cv_buf cut;
    cv_buf_init(&cut, 1 << 20);
    assert_int_equal(cv_buf_append(&cut, text, (size_t)(second - text)), CV_OK);
    assert_int_equal(cv_buf_append_str(&cut, third), CV_OK);
    assert_int_equal(cv_file_replace(path, cv_buf_view(&cut), 0600, NULL), CV_OK);
    assert_int_equal(verify().bad_line, 2);
    cv_buf_reset(&cut);
    assert_int_equal(cv_buf_append(&cut, text, (size_t)(third - text)), CV_OK);
    assert_int_equal(cv_buf_append_str(&cut, second), CV_OK);
    assert_int_equal(cv_file_replace(path, cv_buf_view(&cut), 0600, NULL), CV_OK);
    assert_int_equal(verify().bad_line, 3);
    cv_buf_free(&cut);
    cv_buf_free(&b);
}

static void test_cut_end_is_refused(void **state)
{
    (void)state;
    write_lines(1, 2);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(verify().bad_line, 1);
    struct cv_audit *a;
    assert_int_equal(cv_audit_open(&a, path, NULL), CV_ERR_INVALID);
}

static void test_one_writer(void **state)
{
    (void)state;
    struct cv_audit *a;
    struct cv_audit *b;
    assert_int_equal(cv_audit_open(&a, path, NULL), CV_OK);
    assert_int_equal(cv_audit_open(&b, path, NULL), CV_ERR_BUSY);
    cv_audit_close(a);
}

static void test_full_disk(void **state)
{
    (void)state;
    struct cv_audit *a;
    if (access("/dev/full", W_OK) != 0) {
        skip();
    }
    assert_int_equal(cv_audit_open(&a, "/dev/full", NULL), CV_OK);
    assert_int_equal(cv_audit_add(a, "sign", NULL), CV_OK);
    assert_int_equal(cv_audit_flush(a, NULL), CV_ERR_IO);
    assert_int_equal(cv_audit_add(a, "sign", NULL), CV_ERR_IO);
    cv_audit_close(a);
}

#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(test_chain_over_restarts),  WITH_FILE(test_every_byte_altered),
        WITH_FILE(test_missing_and_inserted), WITH_FILE(test_cut_end_is_refused),
        WITH_FILE(test_one_writer),           WITH_FILE(test_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
