/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/cv_test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "transport/listen.h"

static char dir[] = "/tmp/cv-listen-XXXXXX";
static struct cv_addr at;

static int setup(void **state)
{
    (void)state;
    at.kind = CV_ADDR_UNIX;
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(at.path, sizeof at.path, "%s/s.sock", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(at.path);
    return rmdir(dir);
}

static void exchange(struct cv_listener *l)
{
    struct cv_stream *a, *b;
    char c = 0;
    assert_int_equal(cv_connect(&a, &l->addr, cv_deadline(1000), NULL), 0);
    assert_int_equal(cv_accept(&b, l, cv_deadline(1000), NULL), 0);
    assert_int_equal(cv_stream_write(a, CV_BYTES("!", 1), cv_deadline(1000), NULL), 0);
    assert_int_equal(cv_stream_read_exact(b, &c, 1, cv_deadline(1000), NULL), 0);
    assert_int_equal(c, '!');
    cv_stream_close(&a);
    cv_stream_close(&b);
}

static void unix_mode_and_removal(void **state)
{
    struct cv_listener l;
    struct stat st;
    mode_t old = umask(0);
    (void)state;
    assert_int_equal(cv_listen(&l, &at, NULL), 0);
    umask(old);
    assert_int_equal(stat(at.path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    exchange(&l);
    cv_listener_close(&l);
    cv_listener_close(&l);
    assert_int_equal(access(at.path, F_OK), -1);
}

static void stale_socket_is_replaced(void **state)
{
    struct cv_listener l;
    (void)state;
    assert_int_equal(cv_listen(&l, &at, NULL), 0);
    close(l.fd); /* as a killed process leaves it */
    assert_int_equal(access(at.path, F_OK), 0);
    assert_int_equal(cv_listen(&l, &at, NULL), 0);
    exchange(&l);
    cv_listener_close(&l);
}

static void live_socket_is_left_alone(void **state)
{
    struct cv_listener l, second;
    struct cv_stream *probe;
    struct cv_error err;
    (void)state;
    cv_error_clear(&err);
    assert_int_equal(cv_listen(&l, &at, NULL), 0);
    assert_code(cv_listen(&second, &at, &err), CV_ERR_EXISTS, &err);
    assert_says(&err, at.path);
    cv_listener_close(&second);
    /* The question whether anybody serves here was a connection too. */
    assert_int_equal(cv_accept(&probe, &l, cv_deadline(1000), NULL), 0);
    cv_stream_close(&probe);
    exchange(&l);
    cv_listener_close(&l);
}

static void other_files_are_left_alone(void **state)
{
    struct cv_listener l;
    struct cv_error err;
    (void)state;
    cv_error_clear(&err);
    int fd = open(at.path, O_CREAT | O_WRONLY | O_EXCL, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_code(cv_listen(&l, &at, &err), CV_ERR_EXISTS, &err);
    assert_int_equal(access(at.path, F_OK), 0);
    assert_int_equal(unlink(at.path), 0);
    assert_int_equal(symlink("/dev/null", at.path), 0);
    assert_code(cv_listen(&l, &at, &err), CV_ERR_EXISTS, &err);
    assert_int_equal(unlink(at.path), 0);
}

static void closing_removes_only_its_own_file(void **state)
{
    struct cv_listener a, b;
    (void)state;
    assert_int_equal(cv_listen(&a, &at, NULL), 0);
    assert_int_equal(unlink(at.path), 0);
    assert_int_equal(cv_listen(&b, &at, NULL), 0);
    cv_listener_close(&a);
    assert_int_equal(access(at.path, F_OK), 0);
    cv_listener_close(&b);
}

static void tcp_tells_its_port(void **state)
{
    static const char *const texts[] = {"tcp:127.0.0.1:0", "tcp::0"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct cv_listener l, second;
        struct cv_addr a;
        struct cv_error err;
        cv_error_clear(&err);
        assert_int_equal(cv_addr_parse(&a, texts[i], NULL), 0);
        assert_code(cv_listen(&l, &a, &err), 0, &err);
        assert_true(l.addr.port > 0);
        assert_code(cv_listen(&second, &l.addr, &err), CV_ERR_EXISTS, &err);
        strcpy(l.addr.host, "127.0.0.1");
        exchange(&l);
        cv_listener_close(&l);
    }
}

static void accept_times_out(void **state)
{
    struct cv_listener l;
    struct cv_stream *s;
    (void)state;
    assert_int_equal(cv_listen(&l, &at, NULL), 0);
    assert_int_equal(cv_accept(&s, &l, cv_deadline(30), NULL), CV_ERR_TIMEOUT);
    assert_int_equal(cv_accept(&s, &l, 0, NULL), CV_ERR_TIMEOUT);
    cv_listener_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unix_mode_and_removal),
        cmocka_unit_test(stale_socket_is_replaced),
        cmocka_unit_test(live_socket_is_left_alone),
        cmocka_unit_test(other_files_are_left_alone),
        cmocka_unit_test(closing_removes_only_its_own_file),
        cmocka_unit_test(tcp_tells_its_port),
        cmocka_unit_test(accept_times_out),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
