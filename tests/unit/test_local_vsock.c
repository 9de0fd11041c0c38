/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vsock device against drivers of our own: two machines at a switch, with
 * buffers that are much smaller than a packet, and programs of this host.
 */
#include "unit/vsock_guest.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/log.h"

static struct {
    char dir[32];
    struct cv_vsock_switch *s;
    struct cv_vsock_place place[2];
    struct guest a, b;
    pthread_t thread;
    int stop, rc;
} t;

/* ---- a switch ---- */

static void quiet(void *ctx, const char *line, size_t n)
{
    (void)ctx, (void)line, (void)n;
}

static void *serve(void *arg)
{
    (void)arg;
    t.rc = cv_vsock_switch_serve(t.s, t.stop, NULL);
    return NULL;
}

static int set_up(void **state)
{
    struct cv_error err;
    (void)state;
    memset(&t, 0, sizeof t);
    cv_log_sink(quiet, NULL);
    cv_error_clear(&err);
    snprintf(t.dir, sizeof t.dir, "/tmp/cv-vsock-XXXXXX");
    assert_non_null(mkdtemp(t.dir));
    for (uint32_t i = 0; i < 2; i++) {
        t.place[i].cid = i == 0 ? 3 : 16;
        snprintf(t.place[i].vhost, sizeof t.place[i].vhost, "%s/%u.sock", t.dir, t.place[i].cid);
        snprintf(t.place[i].host, sizeof t.place[i].host, "%s/%u.vsock", t.dir, t.place[i].cid);
    }
    t.stop = eventfd(0, EFD_CLOEXEC);
    assert_code(cv_vsock_switch_new(&t.s, t.place, 2, &err), 0, &err);
    assert_int_equal(pthread_create(&t.thread, NULL, serve, NULL), 0);
    join(&t.a, 3, t.place[0].vhost);
    join(&t.b, 16, t.place[1].vhost);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    leave(&t.a);
    leave(&t.b);
    assert_int_equal(eventfd_write(t.stop, 1), 0);
    pthread_join(t.thread, NULL);
    assert_int_equal(t.rc, 0);
    cv_vsock_switch_free(&t.s);
    close(t.stop);
    assert_int_equal(rmdir(t.dir), 0); /* no socket is left */
    return 0;
}

/* A program of this host that connects to machine I. */
static int dial(unsigned i, const char *line)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    const struct timeval limit = {.tv_sec = WAIT_MS / 1000};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", t.place[i].host);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(send(fd, line, strlen(line), MSG_NOSIGNAL), (ssize_t)strlen(line));
    return fd;
}

static void expect_bytes(int fd, const char *text)
{
    char got[128];
    size_t n = strlen(text);
    assert_int_equal(recv(fd, got, n, MSG_WAITALL), (ssize_t)n);
    assert_memory_equal(got, text, n);
}

static void expect_end(int fd)
{
    char byte;
    assert_in_range(recv(fd, &byte, 1, 0) + 1, 0, 1); /* an end or a reset */
    close(fd);
}

/* Machine B takes a connection of this host to its port 2000. */
static int open_to_b(struct cv_vsock_header *h)
{
    char line[64];
    int fd = dial(1, "CONNECT 2000\n");
    expect(&t.b, h, CV_VSOCK_REQUEST, "");
    assert_int_equal(h->src_cid, CV_VSOCK_HOST_CID);
    assert_int_equal(h->dst_port, 2000);
    send_op(&t.b, CV_VSOCK_HOST_CID, 2000, h->src_port, CV_VSOCK_RESPONSE, "");
    snprintf(line, sizeof line, "OK %u\n", h->src_port);
    expect_bytes(fd, line);
    return fd;
}

/* ---- between machines ---- */

static void long_packets_are_cut(void **state)
{
    static uint8_t data[20000], got[RX_SIZE];
    size_t n = 0;
    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
    struct cv_vsock_header h = packet(&t.a, 16, 1024, 2000, CV_VSOCK_RW, sizeof data), r;
    h.fwd_cnt = 77;
    transmit(&t.a, &h, data);
    while (n < sizeof data) {
        assert_true(receive(&t.b, &r, got, WAIT_MS));
        assert_int_equal(r.op, CV_VSOCK_RW);
        assert_int_equal(r.src_cid, 3);
        assert_int_equal(r.src_port, 1024);
        assert_int_equal(r.dst_port, 2000);
        assert_int_equal(r.buf_alloc, 4096);
        assert_int_equal(r.fwd_cnt, 77);
        assert_true(r.len > 0 && n + r.len <= sizeof data);
        assert_memory_equal(got, data + n, r.len);
        n += r.len;
    }
    expect_nothing(&t.b);
}

static void nobody_is_a_reset(void **state)
{
    struct cv_vsock_header h, odd = packet(&t.a, 16, 1024, 2000, CV_VSOCK_REQUEST, 0);
    (void)state;
    send_op(&t.a, 17, 1024, 2000, CV_VSOCK_REQUEST, "");
    expect(&t.a, &h, CV_VSOCK_RST, "");
    assert_int_equal(h.src_cid, 17);
    assert_int_equal(h.src_port, 2000);
    assert_int_equal(h.dst_port, 1024);
    send_op(&t.a, 17, 1024, 2000, CV_VSOCK_RST, ""); /* never answered */
    odd.type = 2;
    transmit(&t.a, &odd, "");
    expect(&t.a, &h, CV_VSOCK_RST, "");
    leave(&t.b);
    for (int i = 0; i < 100; i++) { /* until the switch has seen it */
        send_op(&t.a, 16, 1024, 2000, CV_VSOCK_RW, "x");
        uint8_t data[RX_SIZE];
        if (receive(&t.a, &h, data, 50))
            break;
    }
    assert_int_equal(h.op, CV_VSOCK_RST);
    assert_int_equal(h.src_cid, 16);
    expect_nothing(&t.a);
    /* Another machine takes its place. */
    join(&t.b, 16, t.place[1].vhost);
    send_op(&t.a, 16, 1024, 2000, CV_VSOCK_RW, "again");
    expect(&t.b, &h, CV_VSOCK_RW, "again");
}

static void machines_speak_for_themselves_alone(void **state)
{
    struct cv_vsock_header h = packet(&t.a, 16, 1, 2, CV_VSOCK_RW, 3);
    (void)state;
    h.src_cid = 16;
    transmit(&t.a, &h, "lie");
    h.src_cid = CV_VSOCK_HOST_CID;
    transmit(&t.a, &h, "lie");
    expect_nothing(&t.b);
    expect_nothing(&t.a);
}

/* More than is allowed to wait: the sender is held up, and goes on. */
static void a_slow_machine_holds_up_its_senders(void **state)
{
    static uint8_t data[CV_VSOCK_DATA];
    struct cv_vsock_header h = packet(&t.a, 16, 1, 2, CV_VSOCK_RW, sizeof data), r;
    uint8_t got[RX_SIZE];
    uint32_t index, size;
    size_t sent = 0, taken = 0;
    (void)state;
    cv_vsock_header_encode(t.a.memory + TX_AT, &h);
    bool held = false;
    while (!held && sent < 1000) {
        offer(&t.a, TX, 0, TX_AT, CV_VSOCK_HEADER + h.len);
        sent++;
        held = !used(&t.a, TX, &index, &size, 200);
    }
    assert_true(held);
    assert_in_range(sent, 10, 200);
    while (taken < sent * sizeof data) {
        assert_true(receive(&t.b, &r, got, WAIT_MS));
        taken += r.len;
    }
    assert_int_equal(taken, sent * sizeof data);
    assert_true(used(&t.a, TX, &index, &size, WAIT_MS));
}

static void a_broken_queue_stops_alone(void **state)
{
    uint32_t index, size;
    struct cv_vsock_header h = packet(&t.a, 16, 1, 2, CV_VSOCK_RW, 100);
    (void)state;
    cv_vsock_header_encode(t.a.memory + TX_AT, &h);
    offer(&t.a, TX, 0, TX_AT, CV_VSOCK_HEADER + 99); /* shorter than it says */
    assert_false(used(&t.a, TX, &index, &size, 100));
    expect_nothing(&t.b);
    send_op(&t.b, 3, 2, 1, CV_VSOCK_RW, "still");
    expect(&t.a, &h, CV_VSOCK_RW, "still");
    leave(&t.a);
    join(&t.a, 3, t.place[0].vhost);
    send_op(&t.a, 16, 1, 2, CV_VSOCK_RW, "well");
    expect(&t.b, &h, CV_VSOCK_RW, "well");
}

/* ---- with this host ---- */

static void host_to_guest_and_back(void **state)
{
    struct cv_vsock_header h;
    (void)state;
    int fd = open_to_b(&h);
    uint32_t port = h.src_port;
    assert_int_equal(send(fd, "question", 8, MSG_NOSIGNAL), 8);
    expect(&t.b, &h, CV_VSOCK_RW, "question");
    assert_int_equal(h.buf_alloc, CV_VSOCK_WINDOW);
    send_op(&t.b, CV_VSOCK_HOST_CID, 2000, port, CV_VSOCK_RW, "answer");
    expect_bytes(fd, "answer");
    send_op(&t.b, CV_VSOCK_HOST_CID, 2000, port, CV_VSOCK_CREDIT_REQUEST, "");
    expect(&t.b, &h, CV_VSOCK_CREDIT_UPDATE, "");
    assert_int_equal(h.fwd_cnt, 6);
    /* Each direction ends by itself. */
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    expect(&t.b, &h, CV_VSOCK_SHUTDOWN, "");
    assert_int_equal(h.flags, CV_VSOCK_NO_SEND);
    send_op(&t.b, CV_VSOCK_HOST_CID, 2000, port, CV_VSOCK_RW, "more");
    struct cv_vsock_header bye = packet(&t.b, CV_VSOCK_HOST_CID, 2000, port, CV_VSOCK_SHUTDOWN, 0);
    bye.flags = CV_VSOCK_NO_SEND | CV_VSOCK_NO_RECV;
    transmit(&t.b, &bye, "");
    expect(&t.b, &h, CV_VSOCK_RST, "");
    expect_bytes(fd, "more");
    expect_end(fd);
}

static void nobody_in_the_guest(void **state)
{
    struct cv_vsock_header h;
    (void)state;
    int fd = dial(1, "CONNECT 2000\n");
    expect(&t.b, &h, CV_VSOCK_REQUEST, "");
    send_op(&t.b, CV_VSOCK_HOST_CID, 2000, h.src_port, CV_VSOCK_RST, "");
    expect_end(fd);
    /* One that does not wait for the answer. */
    fd = dial(1, "CONNECT 2000\n");
    expect(&t.b, &h, CV_VSOCK_REQUEST, "");
    close(fd);
    expect(&t.b, &h, CV_VSOCK_RST, "");
    static const char *const bad[] = {
        "HELLO 2000\n",         "CONNECT\n",
        "CONNECT x\n",          "CONNECT -1\n",
        "CONNECT 4294967295\n", "CONNECT 00000000000000000000000000002000\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_end(dial(1, bad[i]));
    leave(&t.b);
    cv_sleep_ms(50);
    expect_end(dial(1, "CONNECT 2000\n"));
}

static void guest_to_host(void **state)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct cv_vsock_header h;
    (void)state;
    send_op(&t.b, CV_VSOCK_HOST_CID, 1024, 8000, CV_VSOCK_REQUEST, "");
    expect(&t.b, &h, CV_VSOCK_RST, ""); /* nobody listens */
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(addr.sun_path, sizeof addr.sun_path, "%.80s_8000", t.place[1].host);
    assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(listen(listener, 1), 0);
    send_op(&t.b, CV_VSOCK_HOST_CID, 1024, 8000, CV_VSOCK_REQUEST, "");
    expect(&t.b, &h, CV_VSOCK_RESPONSE, "");
    int fd = accept(listener, NULL, NULL);
    send_op(&t.b, CV_VSOCK_HOST_CID, 1024, 8000, CV_VSOCK_RW, "out");
    expect_bytes(fd, "out");
    assert_int_equal(send(fd, "in", 2, MSG_NOSIGNAL), 2);
    expect(&t.b, &h, CV_VSOCK_RW, "in");
    /* What was sent before the reset still arrives. */
    send_op(&t.b, CV_VSOCK_HOST_CID, 1024, 8000, CV_VSOCK_RW, "last");
    send_op(&t.b, CV_VSOCK_HOST_CID, 1024, 8000, CV_VSOCK_RST, "");
    expect_bytes(fd, "last");
    expect_end(fd);
    close(listener);
    unlink(addr.sun_path);
}

static void credit_is_kept(void **state)
{
    static char data[10000];
    struct cv_vsock_header h;
    uint8_t got[RX_SIZE];
    size_t n = 0;
    (void)state;
    int fd = open_to_b(&h); /* the guest has room for 4096 bytes */
    uint32_t port = h.src_port;
    assert_int_equal(send(fd, data, sizeof data, MSG_NOSIGNAL), (ssize_t)sizeof data);
    while (n < 4096) {
        assert_true(receive(&t.b, &h, got, WAIT_MS));
        n += h.len;
    }
    assert_int_equal(n, 4096);
    expect_nothing(&t.b);
    struct cv_vsock_header more =
        packet(&t.b, CV_VSOCK_HOST_CID, 2000, port, CV_VSOCK_CREDIT_UPDATE, 0);
    more.fwd_cnt = 1000;
    transmit(&t.b, &more, "");
    while (n < 5096) {
        assert_true(receive(&t.b, &h, got, WAIT_MS));
        n += h.len;
    }
    expect_nothing(&t.b);
    /* A guest that disregards ours is cut off. */
    static uint8_t flood[CV_VSOCK_DATA];
    struct cv_vsock_header rw =
        packet(&t.b, CV_VSOCK_HOST_CID, 2000, port, CV_VSOCK_RW, sizeof flood);
    bool reset = false;
    for (int i = 0; i < 200 && !reset; i++) {
        transmit(&t.b, &rw, flood);
        reset = receive(&t.b, &h, got, 5) && h.op == CV_VSOCK_RST;
    }
    assert_true(reset);
    close(fd);
}

static void a_machine_that_ends_takes_its_connections_along(void **state)
{
    struct cv_vsock_header h;
    (void)state;
    int fd = open_to_b(&h);
    leave(&t.b);
    expect_end(fd);
    join(&t.b, 16, t.place[1].vhost);
    fd = open_to_b(&h);
    close(fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(long_packets_are_cut),
        TEST(nobody_is_a_reset),
        TEST(machines_speak_for_themselves_alone),
        TEST(a_slow_machine_holds_up_its_senders),
        TEST(a_broken_queue_stops_alone),
        TEST(host_to_guest_and_back),
        TEST(nobody_in_the_guest),
        TEST(guest_to_host),
        TEST(credit_is_kept),
        TEST(a_machine_that_ends_takes_its_connections_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
