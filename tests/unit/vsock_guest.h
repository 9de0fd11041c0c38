/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine with a vsock device as the device sees it: a front-end and a driver,
 * with buffers that are much smaller than a packet.
 */
#ifndef CV_UNIT_VSOCK_GUEST_H
#define CV_UNIT_VSOCK_GUEST_H

#include "unit/cv_test.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "local/vsock_internal.h"

#define GUEST UINT64_C(0x40000000)
#define USER UINT64_C(0x7f0000001000)
#define MEMORY 0x40000u
#define NUM 8u
#define RING(q) (0x1000u + (q)*0x3000u) /* descriptors; +0x1000 available, +0x2000 used */
#define RX_AT 0x8000u
#define RX_SIZE 512u
#define TX_AT 0x10000u
#define WAIT_MS 5000
#define RX 0u
#define TX 1u

struct guest {
    uint32_t cid;
    int fd, memfd, kick[2], call[2];
    uint8_t *memory;
    uint16_t avail[2], used[2];
};

static void message(struct guest *g, uint32_t request, const void *payload, uint32_t n, int with)
{
    uint8_t out[CV_VHOST_HEADER + CV_VHOST_PAYLOAD];
    const uint32_t head[3] = {request, 1, n};
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.room = {0}};
    memcpy(out, head, sizeof head);
    memcpy(out + sizeof head, payload, n);
    struct iovec iov = {out, sizeof head + n};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (with >= 0) {
        msg.msg_control = &control;
        msg.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof with);
        memcpy(CMSG_DATA(c), &with, sizeof with);
    }
    assert_int_equal(sendmsg(g->fd, &msg, MSG_NOSIGNAL), (ssize_t)(sizeof head + n));
}

static void put16(uint8_t *p, uint16_t v)
{
    __atomic_store_n((uint16_t *)(void *)p, v, __ATOMIC_RELEASE);
}

static uint16_t get16(const uint8_t *p)
{
    return __atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_ACQUIRE);
}

/* Makes descriptor 0..7 of queue Q, and offers it. */
static void offer(struct guest *g, unsigned q, uint16_t index, uint32_t at, uint32_t size)
{
    uint8_t *desc = g->memory + RING(q) + index * 16u, *avail = g->memory + RING(q) + 0x1000;
    const uint64_t address = GUEST + at;
    const uint16_t flags = q == RX ? 2 : 0;
    memcpy(desc, &address, 8);
    memcpy(desc + 8, &size, 4);
    memcpy(desc + 12, &flags, 2);
    put16(avail + 4 + (g->avail[q] & (NUM - 1)) * 2, index);
    put16(avail + 2, ++g->avail[q]);
    assert_int_equal(eventfd_write(g->kick[q], 1), 0);
}

/* The next used entry of queue Q; false when none comes. */
static bool used(struct guest *g, unsigned q, uint32_t *index, uint32_t *size, int ms)
{
    const uint8_t *ring = g->memory + RING(q) + 0x2000;
    int64_t deadline = cv_deadline(ms);
    while (get16(ring + 2) == g->used[q]) {
        if (cv_now_ms() >= deadline)
            return false;
        cv_sleep_ms(1);
    }
    const uint8_t *entry = ring + 4 + (g->used[q]++ & (NUM - 1)) * 8u;
    memcpy(index, entry, 4);
    memcpy(size, entry + 4, 4);
    return true;
}

static void join(struct guest *g, uint32_t cid, const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    const uint64_t features = UINT64_C(1) << 32 | UINT64_C(1) << 30, config = UINT64_C(1) << 9;
    const uint64_t table[5] = {1, GUEST, MEMORY, USER, 0};
    uint8_t ask[20] = {0, 0, 0, 0, 8}, reply[CV_VHOST_HEADER + 20];
    memset(g, 0, sizeof *g);
    g->cid = cid;
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
    g->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(g->fd, (struct sockaddr *)&addr, sizeof addr), 0);
    g->memfd = memfd_create("guest", MFD_CLOEXEC);
    assert_int_equal(ftruncate(g->memfd, MEMORY), 0);
    g->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, g->memfd, 0);
    assert_true(g->memory != MAP_FAILED);
    message(g, CV_VHOST_SET_PROTOCOL_FEATURES, &config, 8, -1);
    message(g, CV_VHOST_GET_CONFIG, ask, sizeof ask, -1);
    assert_int_equal(recv(g->fd, reply, sizeof reply, MSG_WAITALL), (ssize_t)sizeof reply);
    assert_memory_equal(reply + CV_VHOST_HEADER + 12, (&(uint64_t){cid}), 8);
    message(g, CV_VHOST_SET_FEATURES, &features, 8, -1);
    message(g, CV_VHOST_SET_MEM_TABLE, table, sizeof table, g->memfd);
    for (uint32_t q = 0; q < 2; q++) {
        const uint32_t num[2] = {q, NUM}, none[2] = {q, 0}, enable[2] = {q, 1};
        const uint64_t ring[5] = {q, USER + RING(q), USER + RING(q) + 0x2000,
                                  USER + RING(q) + 0x1000, 0};
        const uint64_t index = q;
        g->kick[q] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        g->call[q] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        message(g, CV_VHOST_SET_VRING_NUM, num, 8, -1);
        message(g, CV_VHOST_SET_VRING_BASE, none, 8, -1);
        message(g, CV_VHOST_SET_VRING_ADDR, ring, sizeof ring, -1);
        message(g, CV_VHOST_SET_VRING_KICK, &index, 8, g->kick[q]);
        message(g, CV_VHOST_SET_VRING_CALL, &index, 8, g->call[q]);
        message(g, CV_VHOST_SET_VRING_ENABLE, enable, 8, -1);
    }
    /* An answer tells that all before it was taken. */
    message(g, CV_VHOST_GET_FEATURES, "", 0, -1);
    assert_int_equal(recv(g->fd, reply, CV_VHOST_HEADER + 8, MSG_WAITALL), CV_VHOST_HEADER + 8);
    for (uint16_t i = 0; i < NUM; i++)
        offer(g, RX, i, RX_AT + i * RX_SIZE, RX_SIZE);
}

static void leave(struct guest *g)
{
    if (g->memory == NULL)
        return;
    munmap(g->memory, MEMORY);
    close(g->memfd);
    for (int q = 0; q < 2; q++) {
        close(g->kick[q]);
        close(g->call[q]);
    }
    close(g->fd);
    g->memory = NULL;
}

static void transmit(struct guest *g, const struct cv_vsock_header *h, const void *data)
{
    uint32_t index, size;
    cv_vsock_header_encode(g->memory + TX_AT, h);
    memcpy(g->memory + TX_AT + CV_VSOCK_HEADER, data, h->len);
    offer(g, TX, 0, TX_AT, CV_VSOCK_HEADER + h->len);
    assert_true(used(g, TX, &index, &size, WAIT_MS));
    assert_int_equal(index, 0);
}

static struct cv_vsock_header packet(const struct guest *from, uint64_t to, uint32_t src,
                                     uint32_t dst, enum cv_vsock_op op, uint32_t len)
{
    return (struct cv_vsock_header){.src_cid = from->cid,
                                    .dst_cid = to,
                                    .src_port = src,
                                    .dst_port = dst,
                                    .len = len,
                                    .type = CV_VSOCK_STREAM,
                                    .op = (uint16_t)op,
                                    .buf_alloc = 4096};
}

static void send_op(struct guest *g, uint64_t to, uint32_t src, uint32_t dst, enum cv_vsock_op op,
                    const char *text)
{
    struct cv_vsock_header h = packet(g, to, src, dst, op, (uint32_t)strlen(text));
    transmit(g, &h, text);
}

/* The next packet; its data into DATA (RX_SIZE bytes). False when none comes. */
static bool receive(struct guest *g, struct cv_vsock_header *h, uint8_t *data, int ms)
{
    uint32_t index, size;
    if (!used(g, RX, &index, &size, ms))
        return false;
    assert_in_range(index, 0, NUM - 1);
    assert_in_range(size, CV_VSOCK_HEADER, RX_SIZE);
    const uint8_t *p = g->memory + RX_AT + index * RX_SIZE;
    cv_vsock_header_decode(h, p);
    assert_int_equal(h->len, size - CV_VSOCK_HEADER);
    memcpy(data, p + CV_VSOCK_HEADER, h->len);
    offer(g, RX, (uint16_t)index, RX_AT + index * RX_SIZE, RX_SIZE);
    return true;
}

static void expect(struct guest *g, struct cv_vsock_header *h, enum cv_vsock_op op,
                   const char *text)
{
    uint8_t data[RX_SIZE];
    assert_true(receive(g, h, data, WAIT_MS));
    assert_int_equal(h->op, op);
    assert_int_equal(h->dst_cid, g->cid);
    assert_int_equal(h->len, strlen(text));
    assert_memory_equal(data, text, h->len);
}

static void expect_nothing(struct guest *g)
{
    uint8_t data[RX_SIZE];
    struct cv_vsock_header h;
    assert_false(receive(g, &h, data, 50));
}

#endif
