/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's side of the vsock device: packets of a guest, and programs of this
 * host that connect, write, read and leave, in any order. Input: records of u8
 * kind and its data. Whatever happens: no more bytes go to the guest than it has
 * room for, none is invented, and all ends with the machine.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "local/vsock_internal.h"

#define PROGRAMS 4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cv_vsock_machine m;
static int program[PROGRAMS];
static uint8_t flood[CV_VSOCK_DATA];

static void quiet(void *ctx, const char *line, size_t n)
{
    (void)ctx, (void)line, (void)n;
}

static void start(void)
{
    static uint8_t ring[16];
    cv_log_sink(quiet, NULL);
    memset(&m, 0, sizeof m);
    m.place.cid = 16;
    m.last = &m.first;
    m.next_port = UINT32_C(1) << 30;
    cv_vhost_init(&m.device);
    m.device.queue[0].ring.desc = ring; /* a driver is there */
    m.device.queue[0].enabled = true;
    for (size_t i = 0; i < PROGRAMS; i++)
        program[i] = -1;
}

/* The guest's: u8 op, flags, port, u16 len, alloc. Ports are those given out. */
static void packet(const uint8_t *p)
{
    struct cv_vsock_header h = {.src_cid = 16,
                                .dst_cid = CV_VSOCK_HOST_CID,
                                .src_port = 2000,
                                .dst_port = (UINT32_C(1) << 30) + p[2] % 8,
                                .len = (uint32_t)(p[3] << 8 | p[4]),
                                .type = CV_VSOCK_STREAM,
                                .op = p[0] % 9,
                                .flags = p[1],
                                .buf_alloc = (uint32_t)(p[5] << 8 | p[6]),
                                .fwd_cnt = 0};
    cv_vsock_host_take(&m, &h, flood);
}

static void connect_program(size_t i)
{
    static const char line[] = "CONNECT 2000\nearly";
    int pair[2];
    if (program[i] >= 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return;
    program[i] = pair[0];
    if (write(pair[0], line, sizeof line - 1) != (ssize_t)sizeof line - 1)
        abort();
    cv_vsock_host_accept(&m, pair[1]);
}

static void use_program(uint8_t what, size_t i)
{
    static uint8_t bytes[1000];
    if (program[i] < 0)
        return;
    if (what == 2)
        (void)!send(program[i], bytes, sizeof bytes, MSG_NOSIGNAL);
    else if (what == 3)
        (void)!read(program[i], bytes, sizeof bytes);
    else if (what == 4)
        (void)shutdown(program[i], SHUT_WR);
    else
        close(program[i]), program[i] = -1;
}

static void pump(void)
{
    for (struct cv_vsock_conn *c = cv_vsock_conn_next(&m, NULL); c != NULL;
         c = cv_vsock_conn_next(&m, c)) {
        struct pollfd p = {.fd = cv_vsock_conn_fd(c), .events = cv_vsock_conn_events(c)};
        if (p.events != 0 && poll(&p, 1, 0) > 0)
            cv_vsock_conn_event(c, p.revents);
    }
    cv_vsock_host_bury(&m);
}

/* What went to the guest; it took none of it, so that 64 KiB is the most that
 * one connection may send. */
static void check(void)
{
    uint64_t sent[8] = {0};
    while (m.first != NULL) {
        struct cv_vsock_packet *p = m.first;
        uint32_t port = p->header.src_port - (UINT32_C(1) << 30);
        if (p->header.dst_cid != 16 || p->header.src_cid != CV_VSOCK_HOST_CID)
            abort();
        if (p->header.op == CV_VSOCK_RW && port < 8)
            sent[port] += p->header.len;
        m.first = p->next;
        free(p);
    }
    for (size_t i = 0; i < 8; i++)
        if (sent[i] > UINT16_MAX)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    start();
    for (size_t n = 0; size > 0; data += n, size -= n) {
        uint8_t kind = data[0] % 7;
        n = kind == 0 ? 8 : 1;
        if (n > size)
            break;
        if (kind == 0)
            packet(data + 1);
        else if (kind == 1)
            connect_program(data[0] / 7 % PROGRAMS);
        else if (kind < 6)
            use_program(kind, data[0] / 7 % PROGRAMS);
        pump();
    }
    cv_vsock_host_end(&m);
    cv_vsock_host_bury(&m);
    if (m.conns != NULL || m.conn_count != 0)
        abort();
    check();
    for (size_t i = 0; i < PROGRAMS; i++)
        if (program[i] >= 0)
            close(program[i]);
    return 0;
}
