/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vhost-user back-end: messages of a front-end and the bytes that a guest
 * writes into its memory, in any order. Input: records of u8 kind, u8 length,
 * data. Kind 255 puts the data (after a u16 offset) into the guest's memory,
 * 254 sets a queue up as a driver does; others are messages, bit 7 = with a
 * descriptor. The queue runs after each.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "local/vhost_user.h"

#define MEMORY 0x10000u
#define GUEST UINT64_C(0x1000)
#define USER UINT64_C(0x7000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int memfd = -1;
static uint8_t *memory;

static void answer(void *ctx, struct cv_bytes request, struct cv_buf *reply)
{
    (void)ctx;
    /* Reads all of the request, writes as much as there is room for at most. */
    if (cv_buf_append(reply, request.p, request.n) != 0)
        abort();
}

static void take(struct cv_vhost *d, struct cv_buf *reply, uint32_t request, const void *payload,
                 size_t n, int fd)
{
    struct cv_vhost_message m = {.request = request, .size = (uint32_t)n};
    if (n > sizeof m.payload)
        return;
    memcpy(m.payload, payload, n);
    if (fd >= 0) {
        m.fd[0] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        m.fds = 1;
    }
    (void)!cv_vhost_take(d, &m, reply, NULL);
    if (m.fds != 0 || reply->n > CV_VHOST_PAYLOAD)
        abort();
}

static void set_up(struct cv_vhost *d, struct cv_buf *reply)
{
    const uint64_t table[5] = {1, GUEST, MEMORY, USER, 0};
    const uint64_t ring[5] = {0, USER + 0x1000, USER + 0x3000, USER + 0x2000, 0};
    const uint32_t num[2] = {0, 8}, none[2] = {0, 0}, enable[2] = {0, 1};
    take(d, reply, CV_VHOST_SET_MEM_TABLE, table, sizeof table, memfd);
    take(d, reply, CV_VHOST_SET_VRING_NUM, num, sizeof num, -1);
    take(d, reply, CV_VHOST_SET_VRING_BASE, none, sizeof none, -1);
    take(d, reply, CV_VHOST_SET_VRING_ADDR, ring, sizeof ring, -1);
    take(d, reply, CV_VHOST_SET_VRING_ENABLE, enable, sizeof enable, -1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cv_vhost d;
    CV_CLEANUP(cv_buf_free) struct cv_buf reply;
    if (memfd < 0) {
        memfd = memfd_create("guest", MFD_CLOEXEC);
        if (memfd < 0 || ftruncate(memfd, MEMORY) != 0)
            abort();
        memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
        if (memory == MAP_FAILED)
            abort();
    }
    memset(memory, 0, MEMORY);
    cv_buf_init(&reply, CV_VHOST_PAYLOAD);
    cv_vhost_init(&d);
    d.answer = answer;
    d.request_max = 256;
    d.reply_max = 512;
    while (size >= 2) {
        uint8_t kind = data[0];
        size_t n = data[1];
        data += 2;
        size -= 2;
        if (n > size)
            n = size;
        if (kind == 255 && n >= 2) {
            size_t at = (size_t)(data[0] << 8 | data[1]);
            memcpy(memory + at, data + 2, n - 2 < MEMORY - at ? n - 2 : MEMORY - at);
        } else if (kind == 254) {
            set_up(&d, &reply);
        } else {
            take(&d, &reply, kind & 0x7f, data, n, kind & 0x80 ? memfd : -1);
        }
        (void)!cv_vhost_run(&d, NULL);
        data += n;
        size -= n;
    }
    cv_vhost_reset(&d);
    return 0;
}
