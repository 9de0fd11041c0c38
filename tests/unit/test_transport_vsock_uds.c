/* SPDX-License-Identifier: Apache-2.0 */
/* A virtual machine's vsock behind UNIX sockets, against a device of our own. */
#include "unit/cv_test.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "transport/listen.h"
#include "transport/resolve.h"
#include "transport/vsock_uds.h"

struct device {
    struct cv_listener listener;
    struct cv_addr addr;
    char dir[64];
    const char *reply; /* NULL = hang up, "" = say nothing */
    char asked[64];
    pthread_t thread;
};

/* One connection: reads the request line, answers, stays until the peer goes. */
static void *serve(void *arg)
{
    struct device *d = arg;
    struct cv_stream *s = NULL;
    size_t n = 0;
    char c;
    if (cv_accept(&s, &d->listener, cv_deadline(5000), NULL) != 0)
        return NULL;
    while (n + 1 < sizeof d->asked &&
           cv_stream_read_exact(s, &c, 1, cv_deadline(5000), NULL) == 0) {
        d->asked[n++] = c;
        if (c == '\n')
            break;
    }
    if (d->reply != NULL) {
        (void)!cv_stream_write(s, cv_bytes_str(d->reply), cv_deadline(5000), NULL);
        (void)!cv_stream_read(s, &c, 1, cv_deadline(5000), NULL);
    }
    cv_stream_close(&s);
    return NULL;
}

static void start(struct device *d, const char *reply)
{
    memset(d, 0, sizeof *d);
    strcpy(d->dir, "/tmp/cv-uds-XXXXXX");
    assert_non_null(mkdtemp(d->dir));
    char text[128];
    snprintf(text, sizeof text, "unix:%s/vm.vsock", d->dir);
    assert_int_equal(cv_addr_parse(&d->addr, text, NULL), 0);
    assert_int_equal(cv_listen(&d->listener, &d->addr, NULL), 0);
    snprintf(text, sizeof text, "vsock-uds:%s/vm.vsock:2000", d->dir);
    assert_int_equal(cv_addr_parse(&d->addr, text, NULL), 0);
    d->reply = reply;
    assert_int_equal(pthread_create(&d->thread, NULL, serve, d), 0);
}

static void stop(struct device *d)
{
    pthread_join(d->thread, NULL);
    cv_listener_close(&d->listener);
    rmdir(d->dir);
}

static void connects_and_keeps_what_follows(void **state)
{
    struct device d;
    struct cv_stream *s;
    struct cv_error err;
    char got[5] = {0};
    (void)state;
    cv_error_clear(&err);
    start(&d, "OK 1073741824\nhello");
    assert_code(cv_resolve_connect(&s, &d.addr, cv_deadline(5000), &err), 0, &err);
    assert_int_equal(cv_stream_read_exact(s, got, 5, cv_deadline(5000), NULL), 0);
    assert_memory_equal(got, "hello", 5);
    cv_stream_close(&s);
    stop(&d);
    assert_string_equal(d.asked, "CONNECT 2000\n");
}

static void refuses_other_answers(void **state)
{
    static const struct {
        const char *reply;
        int code;
    } cases[] = {
        {NULL, CV_ERR_CLOSED},       {"OK \n", CV_ERR_PROTOCOL},
        {"NO 1\n", CV_ERR_PROTOCOL}, {"OK 1x\n", CV_ERR_PROTOCOL},
        {"OK12\n", CV_ERR_PROTOCOL}, {"OK 12345678901\n", CV_ERR_PROTOCOL},
        {"\n", CV_ERR_PROTOCOL},     {"OK -1\n", CV_ERR_PROTOCOL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct device d;
        struct cv_stream *s;
        struct cv_error err;
        cv_error_clear(&err);
        start(&d, cases[i].reply);
        assert_code(cv_vsock_uds_connect(&s, &d.addr, cv_deadline(5000), &err), cases[i].code,
                    &err);
        assert_null(s);
        assert_says(&err, "vsock-uds:");
        stop(&d);
    }
}

static void silence_ends_at_the_deadline(void **state)
{
    struct device d;
    struct cv_stream *s;
    struct cv_error err;
    (void)state;
    cv_error_clear(&err);
    start(&d, "");
    int64_t before = cv_now_ms();
    assert_code(cv_vsock_uds_connect(&s, &d.addr, cv_deadline(100), &err), CV_ERR_TIMEOUT, &err);
    assert_true(cv_now_ms() - before < 3000);
    stop(&d);
}

static void where_the_guest_is_awaited(void **state)
{
    struct cv_addr a, at;
    char text[CV_ADDR_TEXT];
    (void)state;
    assert_int_equal(cv_addr_parse(&a, "vsock-uds:/run/vm.vsock:8000", NULL), 0);
    assert_int_equal(cv_vsock_uds_listen_addr(&at, &a, NULL), 0);
    assert_string_equal(cv_addr_format(text, &at), "unix:/run/vm.vsock_8000");
    /* The longest path that is taken leaves room for the longest port. */
    char longest[128] = "vsock-uds:";
    memset(longest + 10, 'p', 96);
    strcpy(longest + 106, ":4294967295");
    assert_int_equal(cv_addr_parse(&a, longest, NULL), 0);
    assert_int_equal(cv_vsock_uds_listen_addr(&at, &a, NULL), 0);
    memset(longest + 10, 'p', 97);
    strcpy(longest + 107, ":1");
    assert_int_equal(cv_addr_parse(&a, longest, NULL), CV_ERR_INVALID);
}

/* The enclave's own way to connect has no part in this. */
static void plain_connect_and_listen_refuse(void **state)
{
    struct cv_addr a;
    struct cv_stream *s;
    struct cv_listener l;
    struct cv_error err;
    (void)state;
    cv_error_clear(&err);
    assert_int_equal(cv_addr_parse(&a, "vsock-uds:/nowhere/x:1", NULL), 0);
    assert_code(cv_connect(&s, &a, cv_deadline(10), &err), CV_ERR_UNSUPPORTED, &err);
    assert_code(cv_listen(&l, &a, &err), CV_ERR_UNSUPPORTED, &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connects_and_keeps_what_follows),
        cmocka_unit_test(refuses_other_answers),
        cmocka_unit_test(silence_ends_at_the_deadline),
        cmocka_unit_test(where_the_guest_is_awaited),
        cmocka_unit_test(plain_connect_and_listen_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
