/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/cv_test.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "transport/stream.h"

static void pair(struct cv_stream **a, struct cv_stream **b)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(cv_stream_from_fd(a, fds[0], NULL), 0);
    assert_int_equal(cv_stream_from_fd(b, fds[1], NULL), 0);
}

static void pieces_arrive_in_order(void **state)
{
    struct cv_stream *a, *b;
    char got[16] = "";
    char text[] = "abcdef";
    struct iovec iov[] = {{text, 2}, {text, 0}, {text + 2, 3}, {text + 5, 1}, {text, 0}};
    (void)state;
    pair(&a, &b);
    assert_int_equal(cv_stream_writev(a, iov, 5, cv_deadline(1000), NULL), 0);
    assert_int_equal(cv_stream_read_exact(b, got, 6, cv_deadline(1000), NULL), 0);
    assert_string_equal(got, "abcdef");
    cv_stream_close(&a);
    cv_stream_close(&b);
}

static void half_close(void **state)
{
    struct cv_stream *a, *b;
    char c;
    struct cv_error err;
    (void)state;
    cv_error_clear(&err);
    pair(&a, &b);
    assert_int_equal(cv_stream_shutdown(a, cv_deadline(1000), NULL), 0);
    assert_int_equal(cv_stream_read(b, &c, 1, cv_deadline(1000), NULL), 0);
    assert_int_equal(cv_stream_write(b, CV_BYTES("x", 1), cv_deadline(1000), NULL), 0);
    assert_int_equal(cv_stream_read(a, &c, 1, cv_deadline(1000), NULL), 1);
    cv_stream_close(&b);
    assert_code(cv_stream_read_exact(a, &c, 1, cv_deadline(1000), &err), CV_ERR_CLOSED, &err);
    cv_stream_close(&a);
}

static void cut_in_the_middle(void **state)
{
    struct cv_stream *a, *b;
    char got[4];
    struct cv_error err;
    (void)state;
    cv_error_clear(&err);
    pair(&a, &b);
    assert_int_equal(cv_stream_write(a, CV_BYTES("xy", 2), cv_deadline(1000), NULL), 0);
    cv_stream_close(&a);
    assert_code(cv_stream_read_exact(b, got, 4, cv_deadline(1000), &err), CV_ERR_TRUNCATED, &err);
    assert_says(&err, "2 of 4");
    cv_stream_close(&b);
}

static void time_outs(void **state)
{
    struct cv_stream *a, *b;
    char c;
    struct cv_error err;
    uint8_t *much = calloc(1, 8u << 20);
    (void)state;
    cv_error_clear(&err);
    pair(&a, &b);
    int64_t t = cv_now_ms();
    assert_code(cv_stream_read(a, &c, 1, cv_deadline(50), &err), CV_ERR_TIMEOUT, &err);
    assert_in_range(cv_now_ms() - t, 45, 5000);
    assert_code(cv_stream_read(a, &c, 1, 0, &err), CV_ERR_TIMEOUT, &err);
    assert_code(cv_stream_write(a, CV_BYTES(much, 8u << 20), cv_deadline(50), &err), CV_ERR_TIMEOUT,
                &err);
    free(much);
    cv_stream_close(&a);
    cv_stream_close(&b);
}

static void dead_peer_raises_no_signal(void **state)
{
    struct cv_stream *a, *b;
    (void)state;
    signal(SIGPIPE, SIG_DFL);
    pair(&a, &b);
    cv_stream_close(&b);
    assert_int_equal(cv_stream_write(a, CV_BYTES("x", 1), cv_deadline(1000), NULL), CV_ERR_CLOSED);
    cv_stream_close(&a);
}

static void on_alarm(int sig)
{
    (void)sig;
}

struct feeder {
    struct cv_stream *s;
    size_t n;
};

static void *feed(void *arg)
{
    struct feeder *f = arg;
    uint8_t *p = malloc(f->n);
    for (size_t i = 0; i < f->n; i++)
        p[i] = (uint8_t)(i * 7 + i / 251);
    struct iovec iov[2] = {{p, f->n / 3}, {p + f->n / 3, f->n - f->n / 3}};
    int rc = cv_stream_writev(f->s, iov, 2, cv_deadline(20000), NULL);
    free(p);
    return rc == 0 ? NULL : arg;
}

/* Megabytes through full buffers while signals interrupt both sides. */
static void survives_signals_and_short_counts(void **state)
{
    struct cv_stream *a, *b;
    struct sigaction sa = {.sa_handler = on_alarm};
    pthread_t t;
    void *failed;
    (void)state;
    sigaction(SIGALRM, &sa, NULL);
    pair(&a, &b);
    ualarm(1000, 1000);
    struct feeder f = {a, 6u << 20};
    assert_int_equal(pthread_create(&t, NULL, feed, &f), 0);
    uint8_t *got = malloc(f.n);
    assert_int_equal(cv_stream_read_exact(b, got, f.n, cv_deadline(20000), NULL), 0);
    ualarm(0, 0);
    pthread_join(t, &failed);
    assert_null(failed);
    for (size_t i = 0; i < f.n; i++)
        if (got[i] != (uint8_t)(i * 7 + i / 251))
            fail_msg("byte %zu differs", i);
    free(got);
    cv_stream_close(&a);
    cv_stream_close(&b);
}

static void refused_connection_names_the_address(void **state)
{
    struct cv_addr a;
    struct cv_stream *s;
    struct cv_error err;
    (void)state;
    cv_error_clear(&err);
    assert_int_equal(cv_addr_parse(&a, "unix:/nonexistent/claviger.sock", NULL), 0);
    assert_code(cv_connect(&s, &a, cv_deadline(1000), &err), CV_ERR_IO, &err);
    assert_says(&err, "unix:/nonexistent/claviger.sock");
    assert_null(s);
    assert_int_equal(cv_addr_parse(&a, "tcp:127.0.0.1:1", NULL), 0);
    assert_code(cv_connect(&s, &a, cv_deadline(1000), &err), CV_ERR_IO, &err);
    assert_says(&err, "refused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_arrive_in_order),
        cmocka_unit_test(half_close),
        cmocka_unit_test(cut_in_the_middle),
        cmocka_unit_test(time_outs),
        cmocka_unit_test(dead_peer_raises_no_signal),
        cmocka_unit_test(survives_signals_and_short_counts),
        cmocka_unit_test(refused_connection_names_the_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
