/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/log.h"
#include "common/utf8.h"
#include "unit/cv_test.h"

static char captured[65536];
static size_t captured_n, lines;

static void capture(void *ctx, const char *line, size_t n)
{
    assert_ptr_equal(ctx, &lines);
    assert_true(n < sizeof(captured));
    memcpy(captured, line, n);
    captured[n] = '\0';
    captured_n = n;
    lines++;
}

static int setup(void **state)
{
    (void)state;
    cv_log_sink(capture, &lines);
    lines = captured_n = 0;
    return unsetenv("JOURNAL_STREAM");
}

static int teardown(void **state)
{
    (void)state;
    cv_log_sink(NULL, NULL);
    cv_log_setup(CV_LOG_INFO, false);
    return 0;
}

/* What follows the time in a line of text. */
static const char *after_time(void)
{
    assert_int_equal(captured[24], ' ');
    assert_int_equal(captured[23], 'Z');
    return captured + 25;
}

static void text_lines(void **state)
{
    (void)state;
    cv_log_setup(CV_LOG_INFO, false);
    cv_log(CV_LOG_INFO, "key imported", "vault", "nitro", "n", cv_logf("%d", 3), NULL);
    assert_string_equal(after_time(), "info key imported vault=nitro n=3\n");
    cv_log(CV_LOG_ERROR, "plain", NULL);
    assert_string_equal(after_time(), "error plain\n");
    cv_log(CV_LOG_WARN, "odd", "a", "two words", "b", "", "c", NULL, "d", "k=v", "e", "q\"\\",
           NULL);
    assert_string_equal(after_time(),
                        "warn odd a=\"two words\" b=\"\" d=\"k=v\" e=\"q\\\"\\\\\"\n");
}

static void no_line_can_be_forged(void **state)
{
    (void)state;
    cv_log_setup(CV_LOG_INFO, false);
    cv_log(CV_LOG_INFO, "got", "v", "x\nerror fake\r\x1b[31m\x7f\xc2\x85\xff\xc3\xa9", NULL);
    assert_string_equal(after_time(), "info got v=\"x\\nerror fake\\u000d\\u001b[31m\\u007f"
                                      "\\u0085\\\\xff\xc3\xa9\"\n");
    cv_log(CV_LOG_INFO, "message\nwith a break", "n", "%s%n", NULL);
    assert_string_equal(after_time(), "info message\\nwith a break n=%s%n\n");
}

static void json_lines(void **state)
{
    (void)state;
    cv_log_setup(CV_LOG_DEBUG, true);
    cv_log(CV_LOG_DEBUG, "he said \"hi\"", "a", "1\n\t\xff", "b", NULL, NULL);
    assert_memory_equal(captured, "{\"time\":\"2", 10);
    assert_string_equal(captured + 9 + 24, "\",\"level\":\"debug\",\"msg\":\"he said \\\"hi\\\"\","
                                           "\"a\":\"1\\n\\u0009\\\\xff\"}\n");
}

static void levels(void **state)
{
    (void)state;
    cv_log_setup(CV_LOG_WARN, false);
    assert_true(cv_log_enabled(CV_LOG_ERROR));
    assert_true(cv_log_enabled(CV_LOG_WARN));
    assert_false(cv_log_enabled(CV_LOG_INFO));
    cv_log(CV_LOG_INFO, "x", NULL);
    assert_int_equal(lines, 0);
    cv_log(CV_LOG_WARN, "x", NULL);
    assert_int_equal(lines, 1);
    enum cv_log_level level;
    static const char *const names[] = {"error", "warn", "info", "debug", "trace"};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(cv_log_level_parse(&level, names[i]), 0);
        assert_int_equal(level, i);
    }
    assert_int_equal(cv_log_level_parse(&level, "INFO"), CV_ERR_INVALID);
    assert_int_equal(cv_log_level_parse(&level, ""), CV_ERR_INVALID);
}

static void journal_priority(void **state)
{
    (void)state;
    cv_log_setup(CV_LOG_TRACE, false);
    struct stat st;
    char stream[64];
    assert_int_equal(setenv("JOURNAL_STREAM", "8:1", 1), 0); /* a parent's, not ours */
    cv_log(CV_LOG_ERROR, "e", NULL);
    assert_string_equal(after_time(), "error e\n");
    assert_int_equal(fstat(2, &st), 0);
    (void)snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
    cv_log(CV_LOG_ERROR, "e", NULL);
    assert_string_equal(captured, "<3>e\n");
    cv_log(CV_LOG_WARN, "w", "k", "v", NULL);
    assert_string_equal(captured, "<4>w k=v\n");
    cv_log(CV_LOG_INFO, "i", NULL);
    assert_string_equal(captured, "<6>i\n");
    cv_log(CV_LOG_TRACE, "t", NULL);
    assert_string_equal(captured, "<7>t\n");
}

static void errors_are_a_field(void **state)
{
    (void)state;
    cv_log_setup(CV_LOG_INFO, false);
    struct cv_error err;
    (void)cv_error_set(&err, CV_ERR_IO, "disk full");
    (void)cv_error_wrap(&err, "saving");
    cv_log_error(CV_LOG_ERROR, "cannot go on", &err);
    assert_string_equal(after_time(), "error cannot go on error=\"saving: disk full\"\n");
}

/* Whatever is too long is cut, and the line stays whole. */
static void long_values(void **state)
{
    (void)state;
    char *big = malloc(100001);
    assert_non_null(big);
    memset(big, 'a', 100000);
    big[100000] = '\0';
    for (int json = 0; json < 2; json++) {
        for (int kind = 0; kind < 3; kind++) {
            big[0] = kind == 0 ? 'a' : kind == 1 ? '\n' : '"';
            if (kind == 2) { /* many escapes and wide characters at the edge */
                for (size_t i = 0; i + 3 < 100000; i += 3)
                    memcpy(big + i, "\xe2\x82\xac", 3);
            }
            cv_log_setup(CV_LOG_INFO, json != 0);
            cv_log(CV_LOG_INFO, "m", "k", big, "after", "cut", NULL);
            assert_true(captured_n > 10000 && captured_n <= 16384);
            assert_int_equal(captured[captured_n - 1], '\n');
            assert_null(memchr(captured, '\n', captured_n - 1));
            assert_int_equal(captured[captured_n - 2], json ? '}' : '"');
            assert_true(cv_utf8_valid(CV_BYTES(captured, captured_n)));
        }
    }
    cv_log_setup(CV_LOG_INFO, true);
    cv_log(CV_LOG_INFO, big, "k", big, NULL); /* even the message fills it */
    assert_int_equal(captured[captured_n - 2], '}');
    free(big);
}

static void one_line_one_write(void **state)
{
    (void)state;
    cv_log_sink(NULL, NULL);
    cv_log_setup(CV_LOG_INFO, false);
    int fds[2];
    assert_int_equal(pipe2(fds, O_DIRECT | O_CLOEXEC), 0); /* a packet for each write */
    int saved = dup(2);
    assert_int_equal(dup2(fds[1], 2), 2);
    cv_log(CV_LOG_INFO, "hello", "k", "v", NULL);
    cv_log(CV_LOG_INFO, "world", NULL);
    assert_int_equal(dup2(saved, 2), 2);
    char buf[512];
    ssize_t n = read(fds[0], buf, sizeof(buf) - 1);
    assert_true(n > 0);
    buf[n] = '\0';
    assert_string_equal(buf + 25, "info hello k=v\n");
    n = read(fds[0], buf, sizeof(buf) - 1);
    assert_true(n > 0);
    buf[n] = '\0';
    assert_string_equal(buf + 25, "info world\n");
    close(fds[0]);
    close(fds[1]);
    close(saved);
}

/* The next packet of the pipe as text; "" when there is none. */
static const char *written(int fd)
{
    static char buf[4096];
    ssize_t n = read(fd, buf, sizeof(buf) - 1);
    buf[n > 0 ? n : 0] = '\0';
    return buf;
}

static void gathered_lines_are_one_write(void **state)
{
    (void)state;
    cv_log_sink(NULL, NULL);
    cv_log_setup(CV_LOG_DEBUG, false);
    int fds[2];
    assert_int_equal(pipe2(fds, O_DIRECT | O_CLOEXEC | O_NONBLOCK), 0);
    int saved = dup(2);
    assert_int_equal(dup2(fds[1], 2), 2);
    cv_log_gather(true);
    cv_log_gather(true);
    cv_log(CV_LOG_INFO, "one", NULL);
    cv_log(CV_LOG_DEBUG, "two", NULL);
    bool early = written(fds[0])[0] != 0;
    cv_log_flush();
    const char *both = written(fds[0]);
    bool good = strstr(both, "info one\n") != NULL && strstr(both, "debug two\n") != NULL;
    cv_log_flush();
    good = good && written(fds[0])[0] == 0;
    /* A warning is written at once, and not before what came before it. */
    cv_log(CV_LOG_INFO, "three", NULL);
    cv_log(CV_LOG_WARN, "four", NULL);
    good = good && strstr(written(fds[0]), "info three\n") != NULL;
    good = good && strstr(written(fds[0]), "warn four\n") != NULL;
    cv_log(CV_LOG_INFO, "five", NULL);
    cv_log_gather(false);
    good = good && strstr(written(fds[0]), "info five\n") != NULL;
    cv_log(CV_LOG_INFO, "six", NULL);
    good = good && strstr(written(fds[0]), "info six\n") != NULL;
    assert_int_equal(dup2(saved, 2), 2);
    assert_false(early);
    assert_true(good);
    close(fds[0]);
    close(fds[1]);
    close(saved);
}

/* More than is kept: nothing is lost, and no line is divided. */
static void gathered_without_end(void **state)
{
    (void)state;
    char path[] = "/tmp/cv-log-XXXXXX", line[300];
    cv_log_sink(NULL, NULL);
    cv_log_setup(CV_LOG_INFO, false);
    int fd = mkstemp(path), saved = dup(2), seen = 0;
    assert_int_equal(dup2(fd, 2), 2);
    cv_log_gather(true);
    for (int i = 0; i < 5000; i++)
        cv_log(CV_LOG_INFO, "line", "n", cv_logf("%d", i), NULL);
    cv_log_gather(false);
    assert_int_equal(dup2(saved, 2), 2);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL) {
        char want[40];
        (void)snprintf(want, sizeof(want), "info line n=%d\n", seen++);
        assert_string_equal(line + 25, want);
    }
    assert_int_equal(seen, 5000);
    (void)fclose(f);
    close(fd);
    close(saved);
    unlink(path);
}

static void ring_holds_eight(void **state)
{
    (void)state;
    const char *v[8];
    for (int i = 0; i < 8; i++)
        v[i] = cv_logf("%d", i);
    for (int i = 0; i < 8; i++)
        assert_int_equal(v[i][0], '0' + i);
    char big[400];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    assert_int_equal(strlen(cv_logf("%s", big)), 255);
}

static size_t whole;

static void count_whole(void *ctx, const char *line, size_t n)
{
    (void)ctx;
    if (n > 30 && line[n - 1] == '\n' && memcmp(line + 24, " info line k=v\n", 15) == 0)
        whole++;
}

static void *write_lines(void *arg)
{
    for (int i = 0; i < 500; i++)
        cv_log(CV_LOG_INFO, "line", "k", cv_logf("%s", "v"), NULL);
    return arg;
}

static void threads_do_not_mix_lines(void **state)
{
    (void)state;
    pthread_t threads[4];
    cv_log_setup(CV_LOG_INFO, false);
    cv_log_sink(count_whole, NULL);
    whole = 0;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, NULL), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(whole, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(text_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(no_line_can_be_forged, setup, teardown),
        cmocka_unit_test_setup_teardown(json_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(levels, setup, teardown),
        cmocka_unit_test_setup_teardown(journal_priority, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_are_a_field, setup, teardown),
        cmocka_unit_test_setup_teardown(long_values, setup, teardown),
        cmocka_unit_test_setup_teardown(one_line_one_write, setup, teardown),
        cmocka_unit_test_setup_teardown(gathered_lines_are_one_write, setup, teardown),
        cmocka_unit_test_setup_teardown(gathered_without_end, setup, teardown),
        cmocka_unit_test_setup_teardown(ring_holds_eight, setup, teardown),
        cmocka_unit_test_setup_teardown(threads_do_not_mix_lines, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
