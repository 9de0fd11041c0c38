/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/cv_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "proxy/proxy.h"
#include "transport/listen.h"

/* A server that echoes until the client's half-close, then says "bye". */
static struct cv_listener server;
static pthread_t server_thread;
static atomic_bool server_stop;
static atomic_int server_count;

static void *echo(void *arg)
{
    struct cv_stream *s = arg;
    char buf[4096];
    ssize_t n;
    while ((n = cv_stream_read(s, buf, sizeof buf, cv_deadline(10000), NULL)) > 0)
        if (cv_stream_write(s, CV_BYTES(buf, (size_t)n), cv_deadline(10000), NULL) != 0)
            break;
    if (n == 0)
        (void)!cv_stream_write(s, CV_BYTES_LIT("bye"), cv_deadline(1000), NULL);
    cv_stream_close(&s);
    server_count--;
    return NULL;
}

static void *serve(void *arg)
{
    (void)arg;
    while (!server_stop) {
        struct cv_stream *s;
        pthread_t t;
        if (cv_accept(&s, &server, cv_deadline(20), NULL) != 0)
            continue;
        server_count++;
        if (pthread_create(&t, NULL, echo, s) == 0)
            pthread_detach(t);
    }
    return NULL;
}

static void quiet(void *ctx, const char *line, size_t n)
{
    (void)ctx, (void)line, (void)n;
}

static int setup(void **state)
{
    struct cv_addr a;
    (void)state;
    cv_log_sink(quiet, NULL);
    return cv_addr_parse(&a, "tcp:127.0.0.1:0", NULL) != 0 || cv_listen(&server, &a, NULL) != 0 ||
           pthread_create(&server_thread, NULL, serve, NULL) != 0;
}

static int teardown(void **state)
{
    (void)state;
    server_stop = true;
    pthread_join(server_thread, NULL);
    for (int i = 0; i < 200 && server_count > 0; i++)
        cv_sleep_ms(10);
    cv_listener_close(&server);
    return 0;
}

static struct cv_proxy *start(const char *host, const struct cv_proxy_config *more)
{
    struct cv_proxy_config c =
        more != NULL ? *more : (struct cv_proxy_config){.max_connections = 0};
    struct cv_proxy *p;
    struct cv_error err;
    cv_error_clear(&err);
    if (c.listen.port == 0 && c.listen.path[0] == '\0')
        assert_int_equal(cv_addr_parse(&c.listen, "tcp:127.0.0.1:0", NULL), 0);
    snprintf(c.host, sizeof c.host, "%s", host);
    if (c.port == 0)
        c.port = (uint16_t)server.addr.port;
    assert_code(cv_proxy_start(&p, &c, &err), 0, &err);
    return p;
}

static struct cv_stream *dial(struct cv_proxy *p)
{
    struct cv_stream *s;
    struct cv_error err;
    cv_error_clear(&err);
    assert_code(cv_connect(&s, cv_proxy_address(p), cv_deadline(3000), &err), 0, &err);
    return s;
}

static void exchange(struct cv_stream *s)
{
    char got[5] = "";
    struct cv_error err;
    cv_error_clear(&err);
    assert_code(cv_stream_write(s, CV_BYTES_LIT("ping"), cv_deadline(3000), &err), 0, &err);
    assert_code(cv_stream_read_exact(s, got, 4, cv_deadline(3000), &err), 0, &err);
    assert_string_equal(got, "ping");
}

/* The proxy closed it: an end, or a reset. */
static void closed(struct cv_stream *s)
{
    char c;
    ssize_t n = cv_stream_read(s, &c, 1, cv_deadline(3000), NULL);
    assert_true(n == 0 || n == CV_ERR_CLOSED);
}

static void await_active(struct cv_proxy *p, uint64_t n)
{
    struct cv_proxy_stats st = {0};
    for (int i = 0; i < 300; i++) {
        cv_proxy_stats(p, &st);
        if (st.active == n)
            return;
        cv_sleep_ms(10);
    }
    fail_msg("%llu connections are open, not %llu", (unsigned long long)st.active,
             (unsigned long long)n);
}

static void half_close_goes_through(void **state)
{
    struct cv_proxy *p = start("127.0.0.1", NULL);
    struct cv_stream *s = dial(p);
    struct cv_proxy_stats st;
    char got[4] = "", more;
    (void)state;
    exchange(s);
    assert_int_equal(cv_stream_shutdown(s, 0, NULL), 0);
    assert_int_equal(cv_stream_read_exact(s, got, 3, cv_deadline(3000), NULL), 0);
    assert_string_equal(got, "bye");
    assert_int_equal(cv_stream_read(s, &more, 1, cv_deadline(3000), NULL), 0);
    await_active(p, 0);
    cv_stream_close(&s);
    cv_proxy_stats(p, &st);
    assert_int_equal(st.accepted, 1);
    assert_int_equal(st.bytes_up, 4);
    assert_int_equal(st.bytes_down, 7);
    cv_proxy_stop(&p);
}

static void megabytes_arrive_whole(void **state)
{
    struct cv_proxy *p = start("127.0.0.1", NULL);
    struct cv_stream *s = dial(p);
    uint8_t out[50000], in[50000];
    (void)state;
    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (uint8_t)(i * 13 + i / 255);
    for (int round = 0; round < 60; round++) {
        assert_int_equal(cv_stream_write(s, CV_BYTES(out, sizeof out), cv_deadline(3000), NULL), 0);
        assert_int_equal(cv_stream_read_exact(s, in, sizeof in, cv_deadline(3000), NULL), 0);
        assert_memory_equal(in, out, sizeof in);
    }
    cv_stream_close(&s);
    await_active(p, 0);
    cv_proxy_stop(&p);
}

static void two_hundred_at_once(void **state)
{
    struct cv_proxy *p = start("localhost", NULL);
    struct cv_stream *s[200];
    (void)state;
    for (size_t i = 0; i < 200; i++)
        s[i] = dial(p);
    for (size_t i = 0; i < 200; i++)
        exchange(s[i]);
    await_active(p, 200);
    for (size_t i = 0; i < 200; i++)
        cv_stream_close(&s[i]);
    await_active(p, 0);
    cv_proxy_stop(&p);
}

static void the_cap_refuses(void **state)
{
    struct cv_proxy_config c = {.max_connections = 2};
    struct cv_proxy *p = start("127.0.0.1", &c);
    struct cv_stream *a = dial(p), *b = dial(p);
    struct cv_proxy_stats st;
    (void)state;
    exchange(a);
    exchange(b);
    struct cv_stream *d = dial(p);
    closed(d);
    cv_stream_close(&d);
    cv_proxy_stats(p, &st);
    assert_int_equal(st.refused, 1);
    cv_stream_close(&a);
    await_active(p, 1);
    d = dial(p);
    exchange(d);
    cv_stream_close(&b);
    cv_stream_close(&d);
    cv_proxy_stop(&p);
}

static void a_dead_target_closes_the_client(void **state)
{
    struct cv_proxy_config c = {.port = 1};
    struct cv_proxy *p = start("127.0.0.1", &c);
    struct cv_stream *s = dial(p);
    struct cv_proxy_stats st;
    (void)state;
    closed(s);
    await_active(p, 0);
    cv_stream_close(&s);
    cv_proxy_stats(p, &st);
    assert_int_equal(st.failed, 1);
    cv_proxy_stop(&p);
}

static void a_name_that_is_unknown_is_no_end(void **state)
{
    struct cv_proxy_config c = {.connect_ms = 1500};
    struct cv_proxy *p = start("claviger.invalid", &c);
    struct cv_stream *s = dial(p);
    struct cv_proxy_stats st;
    (void)state;
    closed(s);
    cv_stream_close(&s);
    await_active(p, 0);
    cv_proxy_stats(p, &st);
    assert_int_equal(st.failed, 1);
    s = dial(p);
    closed(s);
    cv_stream_close(&s);
    cv_proxy_stop(&p);
}

/* Who reads nothing stops his own connection and nobody else's. */
static void a_slow_reader_holds_up_nobody(void **state)
{
    static uint8_t much[1u << 20];
    struct cv_proxy *p = start("127.0.0.1", NULL);
    struct cv_stream *slow = dial(p);
    (void)state;
    for (int i = 0; i < 30; i++)
        if (cv_stream_write(slow, CV_BYTES(much, sizeof much), cv_deadline(50), NULL) != 0)
            break;
    for (int i = 0; i < 5; i++) {
        struct cv_stream *s = dial(p);
        int64_t t = cv_now_ms();
        exchange(s);
        assert_in_range(cv_now_ms() - t, 0, 2000);
        cv_stream_close(&s);
    }
    cv_stream_close(&slow);
    await_active(p, 0);
    cv_proxy_stop(&p);
}

static void idle_connections_end(void **state)
{
    struct cv_proxy_config c = {.idle_ms = 100};
    struct cv_proxy *p = start("127.0.0.1", &c);
    struct cv_stream *s = dial(p);
    struct cv_proxy_stats st;
    (void)state;
    exchange(s);
    closed(s);
    cv_stream_close(&s);
    await_active(p, 0);
    cv_proxy_stats(p, &st);
    assert_int_equal(st.timed_out, 1);
    cv_proxy_stop(&p);
}

static void unix_socket_and_stop_with_clients(void **state)
{
    char dir[] = "/tmp/cv-proxy-XXXXXX";
    struct cv_proxy_config c = {.listen.kind = CV_ADDR_UNIX};
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(c.listen.path, sizeof c.listen.path, "%s/p.sock", dir);
    struct cv_proxy *p = start("127.0.0.1", &c);
    struct cv_stream *s = dial(p);
    exchange(s);
    int64_t t = cv_now_ms();
    cv_proxy_stop(&p);
    assert_in_range(cv_now_ms() - t, 0, 1000);
    closed(s);
    cv_stream_close(&s);
    assert_int_equal(access(c.listen.path, F_OK), -1);
    assert_int_equal(rmdir(dir), 0);
}

/* Out of descriptors it waits, and serves again when there are some. */
static void without_descriptors(void **state)
{
    struct cv_proxy *p = start("127.0.0.1", NULL);
    struct rlimit old, few;
    int held[64];
    size_t n = 0;
    (void)state;
    struct cv_stream *first = dial(p);
    exchange(first);
    struct cv_stream *waiting = dial(p);
    exchange(waiting);
    cv_stream_close(&waiting);
    await_active(p, 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    /* One more descriptor for the client of ours, none for the proxy. */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    few = (struct rlimit){(rlim_t)fd + 1, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    while (n < 64 && (held[n] = dup(fd)) >= 0)
        n++;
    struct sockaddr_storage ss;
    socklen_t len;
    assert_int_equal(cv_addr_sockaddr(&ss, &len, cv_proxy_address(p), NULL), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
    cv_sleep_ms(300);
    exchange(first);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    while (n > 0)
        close(held[--n]);
    struct cv_stream *late;
    assert_int_equal(cv_stream_from_fd(&late, fd, NULL), 0);
    exchange(late);
    cv_stream_close(&late);
    cv_stream_close(&first);
    await_active(p, 0);
    cv_proxy_stop(&p);
}

static void bad_configurations(void **state)
{
    struct cv_proxy_config c = {.port = 1};
    struct cv_proxy *p;
    struct cv_error err;
    (void)state;
    cv_error_clear(&err);
    assert_int_equal(cv_addr_parse(&c.listen, "tcp:127.0.0.1:0", NULL), 0);
    assert_code(cv_proxy_start(&p, &c, &err), CV_ERR_INVALID, &err);
    strcpy(c.host, "127.0.0.1");
    c.listen = server.addr;
    assert_code(cv_proxy_start(&p, &c, &err), CV_ERR_EXISTS, &err);
    assert_says(&err, "starting the proxy to 127.0.0.1:1");
    assert_null(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_close_goes_through),
        cmocka_unit_test(megabytes_arrive_whole),
        cmocka_unit_test(two_hundred_at_once),
        cmocka_unit_test(the_cap_refuses),
        cmocka_unit_test(a_dead_target_closes_the_client),
        cmocka_unit_test(a_name_that_is_unknown_is_no_end),
        cmocka_unit_test(a_slow_reader_holds_up_nobody),
        cmocka_unit_test(idle_connections_end),
        cmocka_unit_test(unix_socket_and_stop_with_clients),
        cmocka_unit_test(without_descriptors),
        cmocka_unit_test(bad_configurations),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
