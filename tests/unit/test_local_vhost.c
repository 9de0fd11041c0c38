/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vhost-user back-end against a front-end and a driver of our own: a memfd
 * is the guest's memory, at an address that differs in guest, front-end and here.
 */
#include "unit/cv_test.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "local/vhost_user.h"

#define MEMORY 0x10000u
#define GUEST UINT64_C(0x40000000)
#define USER UINT64_C(0x7f0000001000)
#define NUM 8u
#define DESC 0x1000u /* offsets in the memory */
#define AVAIL 0x2000u
#define USED 0x3000u
#define BUFFERS 0x4000u
#define REQUEST_MAX 64u
#define REPLY_MAX 128u

struct desc {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
};

static struct {
    struct cv_vhost d;
    int memfd, kick, call;
    uint8_t *memory;
    struct cv_buf reply;
    int answers;
    uint8_t request[REQUEST_MAX + 1];
    size_t request_n;
    struct cv_error err;
} t;

/* Answers with "<" request ">". */
static void answer(void *ctx, struct cv_bytes request, struct cv_buf *reply)
{
    (void)ctx;
    t.answers++;
    t.request_n = request.n;
    memcpy(t.request, request.p, request.n);
    assert_int_equal(cv_buf_append(reply, "<", 1), 0);
    assert_int_equal(cv_buf_append(reply, request.p, request.n), 0);
    assert_int_equal(cv_buf_append(reply, ">", 1), 0);
}

static int message(uint32_t request, const void *payload, size_t n, int fd)
{
    struct cv_vhost_message m = {.request = request, .size = (uint32_t)n};
    memcpy(m.payload, payload, n);
    if (fd >= 0) {
        m.fd[0] = dup(fd);
        m.fds = 1;
    }
    cv_error_clear(&t.err);
    int rc = cv_vhost_take(&t.d, &m, &t.reply, &t.err);
    assert_int_equal(m.fds, 0);
    return rc;
}

static int set(uint32_t request, uint32_t index, uint32_t num)
{
    const uint32_t state[2] = {index, num};
    return message(request, state, sizeof state, -1);
}

static int set_memory(uint64_t size, uint64_t offset)
{
    uint64_t table[5] = {1, GUEST, size, USER, offset};
    return message(CV_VHOST_SET_MEM_TABLE, table, sizeof table, t.memfd);
}

static int set_ring(uint64_t desc, uint64_t used, uint64_t avail)
{
    const uint64_t ring[5] = {0, USER + desc, USER + used, USER + avail, 0};
    return message(CV_VHOST_SET_VRING_ADDR, ring, sizeof ring, -1);
}

static uint64_t ask(uint32_t request)
{
    uint64_t v;
    assert_code(message(request, "", 0, -1), 0, &t.err);
    assert_int_equal(t.reply.n, sizeof v);
    memcpy(&v, t.reply.p, sizeof v);
    return v;
}

/* The messages of QEMU, in its order. */
static void start(void)
{
    const uint64_t features = UINT64_C(1) << 32 | UINT64_C(1) << 30, zero = 0;
    memset(&t, 0, sizeof t);
    cv_vhost_init(&t.d);
    t.d.answer = answer;
    t.d.request_max = REQUEST_MAX;
    t.d.reply_max = REPLY_MAX;
    cv_buf_init(&t.reply, CV_VHOST_PAYLOAD);
    t.memfd = memfd_create("guest", MFD_CLOEXEC);
    t.kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    t.call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_int_equal(ftruncate(t.memfd, MEMORY), 0);
    t.memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, t.memfd, 0);
    assert_true(t.memory != MAP_FAILED);
    assert_int_equal(ask(CV_VHOST_GET_FEATURES), features);
    assert_int_equal(ask(CV_VHOST_GET_PROTOCOL_FEATURES), 0);
    assert_int_equal(ask(CV_VHOST_GET_QUEUE_NUM), 1);
    assert_int_equal(message(CV_VHOST_SET_OWNER, "", 0, -1), 0);
    assert_int_equal(message(CV_VHOST_SET_VRING_CALL, &zero, 8, t.call), 0);
    assert_int_equal(message(CV_VHOST_SET_VRING_ERR, &zero, 8, t.call), 0);
    assert_int_equal(message(CV_VHOST_SET_FEATURES, &features, 8, -1), 0);
    assert_code(set_memory(MEMORY, 0), 0, &t.err);
    assert_int_equal(set(CV_VHOST_SET_VRING_NUM, 0, NUM), 0);
    assert_int_equal(set(CV_VHOST_SET_VRING_BASE, 0, 0), 0);
    assert_code(set_ring(DESC, USED, AVAIL), 0, &t.err);
    assert_int_equal(message(CV_VHOST_SET_VRING_KICK, &zero, 8, t.kick), 0);
    assert_int_equal(message(CV_VHOST_SET_VRING_CALL, &zero, 8, t.call), 0);
    assert_int_equal(set(CV_VHOST_SET_VRING_ENABLE, 0, 1), 0);
}

static void stop(void)
{
    cv_vhost_reset(&t.d);
    cv_buf_free(&t.reply);
    munmap(t.memory, MEMORY);
    close(t.memfd);
    close(t.kick);
    close(t.call);
}

/* ---- the driver ---- */

static void put_desc(unsigned i, uint64_t address, uint32_t length, uint16_t flags, uint16_t next)
{
    const struct desc d = {address, length, flags, next};
    memcpy(t.memory + DESC + i * sizeof d, &d, sizeof d);
}

static void put16(unsigned offset, unsigned v)
{
    const uint16_t x = (uint16_t)v;
    memcpy(t.memory + offset, &x, 2);
}

static uint32_t get32(unsigned offset)
{
    uint32_t v;
    memcpy(&v, t.memory + offset, 4);
    return v;
}

static unsigned used_index(void)
{
    uint16_t v;
    memcpy(&v, t.memory + USED + 2, 2);
    return v;
}

static void offer(unsigned at, uint16_t head)
{
    put16(AVAIL + 4 + (at % NUM) * 2, head);
}

/* A request of two descriptors (0, 1) and room for the reply of two (2, 3). */
static void put_request(const char *text)
{
    size_t n = strlen(text), first = n / 2;
    memcpy(t.memory + BUFFERS, text, first);
    memcpy(t.memory + BUFFERS + 0x100, text + first, n - first);
    put_desc(0, GUEST + BUFFERS, (uint32_t)first, 1, 1);
    put_desc(1, GUEST + BUFFERS + 0x100, (uint32_t)(n - first), 0, 0);
    put_desc(2, GUEST + BUFFERS + 0x200, 3, 1 | 2, 3);
    put_desc(3, GUEST + BUFFERS + 0x300, 125, 2, 0);
}

static void answers_in_the_next_chain(void **state)
{
    (void)state;
    start();
    /* More rounds than the ring is long, and across the wrap of 16 bits. */
    assert_int_equal(set(CV_VHOST_SET_VRING_BASE, 0, 65530), 0);
    put16(USED + 2, 65530);
    put16(AVAIL + 2, 65530);
    assert_code(set_ring(DESC, USED, AVAIL), 0, &t.err);
    unsigned at = 65530;
    for (int i = 0; i < 20; i++) {
        uint64_t calls = 0;
        put_request("hello");
        offer(at, 0);
        put16(AVAIL + 2, at + 1);
        assert_code(cv_vhost_run(&t.d, &t.err), 0, &t.err);
        assert_int_equal(t.answers, i); /* the room for the reply is awaited */
        offer(at + 1, 2);
        put16(AVAIL + 2, at + 2);
        assert_code(cv_vhost_run(&t.d, &t.err), 0, &t.err);
        assert_int_equal(t.answers, i + 1);
        assert_int_equal(t.request_n, 5);
        assert_memory_equal(t.request, "hello", 5);
        assert_memory_equal(t.memory + BUFFERS + 0x200, "<he", 3);
        assert_memory_equal(t.memory + BUFFERS + 0x300, "llo>", 4);
        assert_int_equal(used_index(), (at + 2) & 0xffff);
        assert_int_equal(get32(USED + 4 + (at % NUM) * 8), 0);
        assert_int_equal(get32(USED + 4 + (at % NUM) * 8 + 4), 0);
        assert_int_equal(get32(USED + 4 + ((at + 1) % NUM) * 8), 2);
        assert_int_equal(get32(USED + 4 + ((at + 1) % NUM) * 8 + 4), 7);
        assert_int_equal(read(t.call, &calls, 8), 8);
        at = (at + 2) & 0xffff;
    }
    assert_int_equal(set(CV_VHOST_GET_VRING_BASE, 0, 0), 0);
    assert_int_equal(t.reply.n, 8);
    assert_int_equal(t.reply.p[4] | t.reply.p[5] << 8, at);
    /* Stopped: nothing more is answered. */
    offer(at, 0);
    offer(at + 1, 2);
    put16(AVAIL + 2, at + 2);
    assert_int_equal(cv_vhost_run(&t.d, &t.err), 0);
    assert_int_equal(t.answers, 20);
    stop();
}

static void no_interrupt_when_not_wanted(void **state)
{
    uint64_t calls;
    (void)state;
    start();
    put_request("x");
    put16(AVAIL, 1);
    offer(0, 0);
    offer(1, 2);
    put16(AVAIL + 2, 2);
    assert_int_equal(cv_vhost_run(&t.d, &t.err), 0);
    assert_int_equal(t.answers, 1);
    assert_int_equal(read(t.call, &calls, 8), -1);
    stop();
}

static void too_long_requests_are_seen_as_such(void **state)
{
    (void)state;
    start();
    put_request("");
    put_desc(0, GUEST + BUFFERS, 0x1000, 0, 0);
    put_desc(2, GUEST + BUFFERS + 0x2000, REPLY_MAX, 2, 0);
    offer(0, 0);
    offer(1, 2);
    put16(AVAIL + 2, 2);
    assert_int_equal(cv_vhost_run(&t.d, &t.err), 0);
    assert_int_equal(t.request_n, REQUEST_MAX + 1);
    stop();
}

/* ---- a guest that lies ---- */

static const struct {
    const char *what;
    struct desc first, second; /* descriptors 0 and 2, the heads */
    uint16_t heads[2], ready;
} lies[] = {
    {"outside memory", {GUEST + MEMORY, 1, 0, 0}, {GUEST, 1, 2, 0}, {0, 2}, 2},
    {"across the end", {GUEST + MEMORY - 1, 2, 0, 0}, {GUEST, 1, 2, 0}, {0, 2}, 2},
    {"below memory", {GUEST - 1, 2, 0, 0}, {GUEST, 1, 2, 0}, {0, 2}, 2},
    {"front-end address", {USER, 1, 0, 0}, {GUEST, 1, 2, 0}, {0, 2}, 2},
    {"wrapping", {UINT64_MAX, 2, 0, 0}, {GUEST, 1, 2, 0}, {0, 2}, 2},
    {"longest", {GUEST, UINT32_MAX, 0, 0}, {GUEST, 1, 2, 0}, {0, 2}, 2},
    {"loop", {GUEST, 1, 1, 0}, {GUEST, 1, 2, 0}, {0, 2}, 2},
    {"next beyond", {GUEST, 1, 1, NUM}, {GUEST, 1, 2, 0}, {0, 2}, 2},
    {"next far beyond", {GUEST, 1, 1, 65535}, {GUEST, 1, 2, 0}, {0, 2}, 2},
    {"head beyond", {GUEST, 1, 0, 0}, {GUEST, 1, 2, 0}, {NUM, 2}, 2},
    {"indirect", {GUEST, 16, 4, 0}, {GUEST, 1, 2, 0}, {0, 2}, 2},
    {"two requests", {GUEST, 1, 0, 0}, {GUEST, 1, 0, 0}, {0, 2}, 2},
    {"reply first", {GUEST, 64, 2, 0}, {GUEST, 1, 0, 0}, {0, 2}, 2},
    {"same chain twice", {GUEST, 1, 0, 0}, {GUEST, 1, 2, 0}, {0, 0}, 2},
    {"readable after writable", {GUEST, 1, 1 | 2, 2}, {GUEST, 1, 0, 0}, {0, 2}, 2},
    {"more than the ring", {GUEST, 1, 0, 0}, {GUEST, 1, 2, 0}, {0, 2}, NUM + 1},
    {"backwards", {GUEST, 1, 0, 0}, {GUEST, 1, 2, 0}, {0, 2}, 65535},
    {"reply room too small", {GUEST, 1, 0, 0}, {GUEST, 2, 2, 0}, {0, 2}, 2},
};

static void lies_stop_the_device(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        start();
        memcpy(t.memory + DESC, &lies[i].first, 16);
        memcpy(t.memory + DESC + 32, &lies[i].second, 16);
        offer(0, lies[i].heads[0]);
        offer(1, lies[i].heads[1]);
        put16(AVAIL + 2, lies[i].ready);
        cv_error_clear(&t.err);
        int rc = cv_vhost_run(&t.d, &t.err);
        if (rc != CV_ERR_INVALID && rc != CV_ERR_LIMIT)
            fail_msg("%s gave %d", lies[i].what, rc);
        assert_int_equal(used_index(), 0);
        /* Stopped until the ring is set up again. */
        put_request("x");
        offer(0, 0);
        offer(1, 2);
        put16(AVAIL + 2, 2);
        int before = t.answers;
        assert_int_equal(cv_vhost_run(&t.d, &t.err), 0);
        assert_int_equal(t.answers, before);
        assert_int_equal(set_ring(DESC, USED, AVAIL), 0);
        assert_int_equal(cv_vhost_run(&t.d, &t.err), 0);
        assert_int_equal(t.answers, before + 1);
        stop();
    }
}

static void refuses_bad_messages(void **state)
{
    const uint64_t wrong = 1, all = UINT64_MAX;
    (void)state;
    start();
    assert_int_equal(set_memory(MEMORY + 1, 0), CV_ERR_INVALID);
    assert_int_equal(set_memory(MEMORY, 1), CV_ERR_INVALID);
    assert_int_equal(set_memory(0, 0), CV_ERR_INVALID);
    assert_int_equal(set_memory(UINT64_MAX, 4096), CV_ERR_INVALID);
    assert_int_equal(message(CV_VHOST_SET_MEM_TABLE, "", 0, t.memfd), CV_ERR_INVALID);
    assert_int_equal(cv_vhost_run(&t.d, &t.err), 0); /* without memory: nothing */
    assert_int_equal(set_memory(MEMORY, 0), 0);
    assert_int_equal(set_ring(MEMORY - 16, USED, AVAIL), CV_ERR_INVALID);
    assert_int_equal(set_ring(DESC, MEMORY, AVAIL), CV_ERR_INVALID);
    assert_int_equal(set_ring(DESC, USED, MEMORY - 4), CV_ERR_INVALID);
    assert_int_equal(set_ring(DESC + 8, USED, AVAIL), CV_ERR_INVALID);
    assert_int_equal(set_ring(DESC, USED + 2, AVAIL), CV_ERR_INVALID);
    assert_int_equal(set_ring(DESC, USED, AVAIL + 1), CV_ERR_INVALID);
    for (unsigned i = 0; i < 4; i++) {
        static const uint32_t sizes[] = {0, 3, 2048, UINT32_MAX};
        assert_int_equal(set(CV_VHOST_SET_VRING_NUM, 0, sizes[i]), 0);
        assert_int_equal(set_ring(DESC, USED, AVAIL), CV_ERR_INVALID);
    }
    assert_int_equal(set(CV_VHOST_SET_VRING_NUM, 1, NUM), CV_ERR_INVALID);
    assert_int_equal(set(CV_VHOST_SET_VRING_BASE, 0, 65536), CV_ERR_INVALID);
    assert_int_equal(message(CV_VHOST_SET_VRING_KICK, &wrong, 8, t.kick), CV_ERR_INVALID);
    assert_int_equal(message(CV_VHOST_SET_VRING_CALL, &wrong, 8, -1), CV_ERR_INVALID);
    assert_int_equal(message(CV_VHOST_SET_FEATURES, &all, 8, -1), CV_ERR_INVALID);
    assert_int_equal(message(CV_VHOST_GET_FEATURES, &all, 8, -1), CV_ERR_INVALID);
    for (uint32_t r = 0; r < 64; r++)
        if ((r < 1 || r > 18 || r == 6 || r == 7) &&
            message(r, &all, 8, t.memfd) != CV_ERR_UNSUPPORTED)
            fail_msg("message %u was taken", r);
    stop();
}

/* ---- over the socket ---- */

struct server {
    int listener, stop;
    int rc;
};

static void *serve(void *arg)
{
    struct server *s = arg;
    s->rc = cv_vhost_serve(&t.d, s->listener, s->stop, NULL);
    return NULL;
}

static void send_message(int fd, uint32_t request, const void *payload, uint32_t n, int with)
{
    uint8_t out[CV_VHOST_HEADER + CV_VHOST_PAYLOAD];
    const uint32_t head[3] = {request, 1, n};
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    memcpy(out, head, sizeof head);
    memcpy(out + sizeof head, payload, n);
    struct iovec iov = {out, sizeof head + n};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (with >= 0) {
        memset(&control, 0, sizeof control);
        msg.msg_control = &control;
        msg.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof with);
        memcpy(CMSG_DATA(c), &with, sizeof with);
    }
    assert_int_equal(sendmsg(fd, &msg, MSG_NOSIGNAL), (ssize_t)(sizeof head + n));
}

static void serves_a_front_end_and_the_next(void **state)
{
    struct server s = {.rc = -1};
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    char dir[] = "/tmp/cv-vhost-XXXXXX";
    const uint64_t zero = 0, features = UINT64_C(1) << 32 | UINT64_C(1) << 30;
    const uint64_t table[5] = {1, GUEST, MEMORY, USER, 0};
    const uint64_t ring[5] = {0, USER + DESC, USER + USED, USER + AVAIL, 0};
    const uint32_t num[2] = {0, NUM}, none[2] = {0, 0}, enable[2] = {0, 1};
    pthread_t thread;
    (void)state;
    start();
    cv_vhost_reset(&t.d);
    assert_non_null(mkdtemp(dir));
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s/s", dir);
    s.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    s.stop = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(bind(s.listener, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(listen(s.listener, 1), 0);
    assert_int_equal(pthread_create(&thread, NULL, serve, &s), 0);
    for (int round = 0; round < 3; round++) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        uint8_t reply[CV_VHOST_HEADER + 8];
        uint64_t calls;
        assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
        send_message(fd, CV_VHOST_GET_FEATURES, "", 0, -1);
        assert_int_equal(recv(fd, reply, sizeof reply, MSG_WAITALL), (ssize_t)sizeof reply);
        memset(t.memory, 0, MEMORY);
        send_message(fd, CV_VHOST_SET_FEATURES, &features, 8, -1);
        send_message(fd, CV_VHOST_SET_MEM_TABLE, table, sizeof table, t.memfd);
        send_message(fd, CV_VHOST_SET_VRING_NUM, num, 8, -1);
        send_message(fd, CV_VHOST_SET_VRING_BASE, none, 8, -1);
        send_message(fd, CV_VHOST_SET_VRING_ADDR, ring, sizeof ring, -1);
        send_message(fd, CV_VHOST_SET_VRING_KICK, &zero, 8, t.kick);
        send_message(fd, CV_VHOST_SET_VRING_CALL, &zero, 8, t.call);
        send_message(fd, CV_VHOST_SET_VRING_ENABLE, enable, 8, -1);
        put_request("ping");
        offer(0, 0);
        offer(1, 2);
        put16(AVAIL + 2, 2);
        assert_int_equal(eventfd_write(t.kick, 1), 0);
        struct pollfd p = {.fd = t.call, .events = POLLIN};
        assert_int_equal(poll(&p, 1, 5000), 1);
        assert_int_equal(read(t.call, &calls, 8), 8);
        assert_memory_equal(t.memory + BUFFERS + 0x200, "<pi", 3);
        if (round == 1) /* a message that makes the back-end hang up */
            send_message(fd, 63, "", 0, -1);
        else
            send_message(fd, CV_VHOST_GET_VRING_BASE, none, 8, -1);
        ssize_t n = recv(fd, reply, sizeof reply, MSG_WAITALL);
        assert_int_equal(n, round == 1 ? 0 : (ssize_t)sizeof reply);
        close(fd);
    }
    assert_int_equal(eventfd_write(s.stop, 1), 0);
    pthread_join(thread, NULL);
    assert_int_equal(s.rc, 0);
    close(s.listener);
    close(s.stop);
    unlink(addr.sun_path);
    rmdir(dir);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_in_the_next_chain),
        cmocka_unit_test(no_interrupt_when_not_wanted),
        cmocka_unit_test(too_long_requests_are_seen_as_such),
        cmocka_unit_test(lies_stop_the_device),
        cmocka_unit_test(refuses_bad_messages),
        cmocka_unit_test(serves_a_front_end_and_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
