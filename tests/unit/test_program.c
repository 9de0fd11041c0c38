/* SPDX-License-Identifier: Apache-2.0 */
/* Running programs, here and by the helper. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "program/run.h"

#define SH(script) ((const char *const[]){"/bin/sh", "-c", (script), NULL})
#define HELLO SH("echo hello; echo to the log >&2")
#define STATUS SH("echo out; exit 3")
#define FLOOD SH("yes")
#define SLEEP SH("sleep 60")
#define CHILD SH("sleep 60 & echo $!; wait")
#define DIES SH("kill -9 $$")
#define ABSENT ((const char *const[]){"/nonexistent/program", NULL})
#define SECRET SH("echo never")

static struct cv_buf out;
static int status;
static struct cv_error err;

static int run(const char *const *argv, size_t limit, int64_t ms)
{
    cv_buf_free(&out);
    cv_buf_init(&out, limit);
    cv_error_clear(&err);
    return cv_program_run(argv, &out, &status, cv_deadline(ms), &err);
}

static bool alive(pid_t pid)
{
    return kill(pid, 0) == 0;
}

/* The same whether a helper runs it or this process does. */
static void everything(void)
{
    assert_int_equal(run(HELLO, 100, 10000), 0);
    assert_int_equal(status, 0);
    assert_string_equal((const char *)out.p, "hello\n");
    assert_int_equal(run(STATUS, 100, 10000), 0);
    assert_int_equal(status, 3);
    assert_string_equal((const char *)out.p, "out\n");
    assert_int_equal(run(DIES, 100, 10000), 0);
    assert_int_equal(status, -1);
    int64_t start = cv_now_ms();
    assert_int_equal(run(FLOOD, 5000, 10000), CV_ERR_LIMIT);
    assert_non_null(strstr(cv_error_top(&err), "prints more than 5000 bytes"));
    assert_int_equal(run(SLEEP, 100, 200), CV_ERR_TIMEOUT);
    assert_non_null(strstr(cv_error_top(&err), "does not end in time"));
    /* Its children end with it. */
    assert_int_equal(run(CHILD, 100, 500), CV_ERR_TIMEOUT);
    assert_true(cv_now_ms() - start < 8000);
    assert_int_equal(run(ABSENT, 100, 1000), CV_ERR_CONFIG);
    assert_non_null(strstr(cv_error_top(&err), "No such file"));
}

static void test_here(void **state)
{
    (void)state;
    everything();
    /* Without a helper none is refused, and none can be named. */
    assert_false(cv_program_helper_open());
    assert_int_equal(cv_program_helper_allow(HELLO, &err), CV_ERR_STATE);
    assert_int_equal(cv_program_helper_seal(NULL), 0);
    cv_program_helper_stop();
}

static void test_children_are_killed(void **state)
{
    struct cv_program_result result;
    const char *argv[CV_PROGRAM_ARGUMENTS + 1] = {"/bin/sh", "-c", "sleep 60 & echo $!; wait"};
    (void)state;
    cv_buf_free(&out);
    cv_buf_init(&out, 100);
    cv_program_run_here(argv, &out, cv_deadline(500), -1, &result);
    assert_int_equal(result.code, CV_ERR_TIMEOUT);
    pid_t child = (pid_t)strtol((const char *)out.p, NULL, 10);
    assert_true(child > 1);
    for (int i = 0; i < 200 && alive(child); i++) {
        cv_sleep_ms(10); /* until its new parent has waited for it */
    }
    /* Where nobody waits for orphans it stays as a zombie. */
    char path[64], text[256] = "";
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)child);
    FILE *f = fopen(path, "re");
    if (f != NULL) {
        assert_non_null(fgets(text, sizeof(text), f));
        (void)fclose(f);
        assert_non_null(strstr(text, ") Z"));
    }
}

static void start(void)
{
    const char *const *const known[] = {HELLO, STATUS, FLOOD, SLEEP, CHILD, DIES, ABSENT};
    assert_int_equal(cv_program_helper_start(&err), 0);
    assert_true(cv_program_helper_open());
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        assert_int_equal(cv_program_helper_allow(known[i], &err), 0);
        assert_int_equal(cv_program_helper_allow(known[i], &err), 0); /* twice is once */
    }
}

static void test_helper(void **state)
{
    (void)state;
    start();
    /* Not before the seal: what is let in must be settled. */
    assert_int_equal(run(HELLO, 100, 1000), CV_ERR_DENIED);
    assert_int_equal(cv_program_helper_seal(&err), 0);
    assert_false(cv_program_helper_open());
    everything();
    assert_int_equal(run(SECRET, 100, 1000), CV_ERR_DENIED);
    assert_int_equal(out.n, 0);
    assert_non_null(strstr(cv_error_top(&err), "restart"));
    assert_int_equal(run(SH("echo hello; echo to the log >&2; id"), 100, 1000), CV_ERR_DENIED);
    assert_int_equal(run(((const char *const[]){"/bin/sh", "-c", "echo hello; echo to the log >&2",
                                                "more", NULL}),
                         100, 1000),
                     CV_ERR_DENIED);
    assert_int_equal(cv_program_helper_allow(SECRET, &err), CV_ERR_STATE);
    cv_program_helper_stop();
    cv_program_helper_stop();
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left of it */
}

static void test_nothing_to_run(void **state)
{
    (void)state;
    assert_int_equal(cv_program_helper_start(&err), 0);
    assert_int_equal(cv_program_helper_seal(&err), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_pack(void **state)
{
    struct cv_buf text;
    const char *argv[CV_PROGRAM_ARGUMENTS + 1];
    const char *many[CV_PROGRAM_ARGUMENTS + 2];
    char *large = malloc(CV_PROGRAM_ARGV_MAX + 1);
    (void)state;
    cv_buf_init(&text, 4 * CV_PROGRAM_ARGV_MAX);
    assert_int_equal(cv_program_pack(&text, ((const char *const[]){"a", "", "bc", NULL})), 0);
    assert_int_equal(text.n, 6);
    assert_int_equal(cv_program_unpack(argv, cv_buf_view(&text)), 0);
    assert_string_equal(argv[0], "a");
    assert_string_equal(argv[1], "");
    assert_string_equal(argv[2], "bc");
    assert_null(argv[3]);
    for (size_t i = 0; i <= CV_PROGRAM_ARGUMENTS; i++) {
        many[i] = "x";
    }
    many[CV_PROGRAM_ARGUMENTS + 1] = NULL;
    assert_int_equal(cv_program_pack(&text, many), CV_ERR_LIMIT);
    memset(large, 'x', CV_PROGRAM_ARGV_MAX);
    large[CV_PROGRAM_ARGV_MAX] = 0;
    cv_buf_reset(&text);
    assert_int_equal(cv_program_pack(&text, ((const char *const[]){large, NULL})), CV_ERR_LIMIT);
    assert_int_equal(cv_program_pack(&text, ((const char *const[]){NULL})), CV_ERR_LIMIT);
    assert_int_equal(cv_program_unpack(argv, CV_BYTES("a", 1)), CV_ERR_INVALID); /* no NUL */
    assert_int_equal(cv_program_unpack(argv, CV_BYTES("", 0)), CV_ERR_INVALID);
    assert_int_equal(cv_program_unpack(argv, CV_BYTES("\0a", 3)), CV_ERR_INVALID);
    uint8_t seventeen[2 * (CV_PROGRAM_ARGUMENTS + 1)];
    for (size_t i = 0; i < sizeof(seventeen); i++) {
        seventeen[i] = i % 2 == 0 ? 'x' : 0;
    }
    assert_int_equal(cv_program_unpack(argv, CV_BYTES(seventeen, sizeof(seventeen))),
                     CV_ERR_INVALID);
    cv_buf_free(&text);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_here),   cmocka_unit_test(test_children_are_killed),
        cmocka_unit_test(test_helper), cmocka_unit_test(test_nothing_to_run),
        cmocka_unit_test(test_pack),
    };
    cv_buf_init(&out, 1);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    cv_buf_free(&out);
    return rc;
}
