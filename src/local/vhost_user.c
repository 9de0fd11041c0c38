/* SPDX-License-Identifier: Apache-2.0 */
/* What a message means, and the queue's work. */
#include "local/vhost_user.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define F_VERSION_1 (UINT64_C(1) << 32)
#define F_PROTOCOL_FEATURES (UINT64_C(1) << 30)
#define FEATURES (F_VERSION_1 | F_PROTOCOL_FEATURES)
#define PROTOCOL_F_CONFIG (UINT64_C(1) << 9)
#define CONFIG_HEAD 12u /* u32 offset, size, flags */
#define VRING_INDEX 0xffu
#define VRING_NOFD 0x100u
#define REGION_SIZE_MAX (UINT64_C(1) << 40)

static uint32_t u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint64_t u64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

void cv_vhost_init(struct cv_vhost *d)
{
    memset(d, 0, sizeof *d);
    d->queues = 1;
    for (size_t i = 0; i < CV_VHOST_QUEUES; i++)
        d->queue[i].kick = d->queue[i].call = -1;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void forget_memory(struct cv_vhost *d)
{
    for (size_t i = 0; i < d->memory.count; i++)
        munmap(d->memory.region[i].map, d->memory.region[i].map_size);
    memset(&d->memory, 0, sizeof d->memory);
    for (size_t i = 0; i < CV_VHOST_QUEUES; i++) {
        struct cv_vring *r = &d->queue[i].ring;
        r->desc = r->avail = r->used = NULL;
    }
}

void cv_vhost_reset(struct cv_vhost *d)
{
    forget_memory(d);
    for (size_t i = 0; i < CV_VHOST_QUEUES; i++) {
        struct cv_vhost_queue *q = &d->queue[i];
        close_fd(&q->kick);
        close_fd(&q->call);
        memset(&q->ring, 0, sizeof q->ring);
        q->enabled = q->broken = false;
    }
    d->features = 0;
}

/* ---- messages ---- */

/* One entry of the table: guest address, size, user address, offset in FD. */
static int map_region(struct cv_guest_region *g, const uint8_t *p, int fd, struct cv_error *err)
{
    uint64_t size = u64(p + 8), offset = u64(p + 24), end;
    struct stat st;
    *g = (struct cv_guest_region){.guest = u64(p), .size = size, .user = u64(p + 16)};
    if (size == 0 || size > REGION_SIZE_MAX || __builtin_add_overflow(g->guest, size, &end) ||
        __builtin_add_overflow(g->user, size, &end) || __builtin_add_overflow(offset, size, &end))
        return cv_error_set(err, CV_ERR_INVALID, "a memory region of impossible size");
    /* What lies beyond the file's end would be SIGBUS. */
    if (fstat(fd, &st) != 0 || st.st_size < 0 || (uint64_t)st.st_size < end)
        return cv_error_set(err, CV_ERR_INVALID, "a memory region beyond the end of its file");
    g->map_size = (size_t)end;
    g->map = mmap(NULL, g->map_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (g->map == MAP_FAILED)
        return cv_error_errno(err, CV_ERR_INVALID, errno, "mapping the guest's memory");
    g->base = (uint8_t *)g->map + offset;
    return 0;
}

static int set_memory(struct cv_vhost *d, struct cv_vhost_message *m, struct cv_error *err)
{
    uint32_t n = m->size >= 8 ? u32(m->payload) : 0;
    if (n == 0 || n > CV_GUEST_REGIONS || m->size != 8 + n * 32 || m->fds != n)
        return cv_error_set(err, CV_ERR_INVALID,
                            "a table of %u memory regions, %u bytes, %zu files", n, m->size,
                            m->fds);
    forget_memory(d);
    for (uint32_t i = 0; i < n; i++) {
        int rc = map_region(&d->memory.region[i], m->payload + 8 + i * 32, m->fd[i], err);
        if (rc != 0)
            return rc;
        d->memory.count++;
    }
    return 0;
}

/* "u64: queue in bits 0 to 7, bit 8 = no descriptor". */
static int set_fd(struct cv_vhost *d, struct cv_vhost_message *m, struct cv_error *err)
{
    uint64_t v = u64(m->payload);
    size_t want = v & VRING_NOFD ? 0 : 1;
    int unused = -1;
    if ((v & ~(uint64_t)(VRING_INDEX | VRING_NOFD)) != 0 || (v & VRING_INDEX) >= d->queues ||
        m->fds != want)
        return cv_error_set(err, CV_ERR_INVALID, "an event for a queue that there is not");
    struct cv_vhost_queue *q = &d->queue[v & VRING_INDEX];
    int *fd = m->request == CV_VHOST_SET_VRING_KICK   ? &q->kick
              : m->request == CV_VHOST_SET_VRING_CALL ? &q->call
                                                      : &unused;
    close_fd(fd);
    if (want == 1) {
        *fd = m->fd[0];
        m->fds = 0;
    }
    close_fd(&unused);
    return 0;
}

static int ring_state(struct cv_vhost *d, const struct cv_vhost_message *m, struct cv_buf *reply,
                      struct cv_error *err)
{
    uint32_t index = u32(m->payload), num = u32(m->payload + 4);
    if (index >= d->queues)
        return cv_error_set(err, CV_ERR_INVALID, "queue %u of %zu", index, d->queues);
    struct cv_vhost_queue *q = &d->queue[index];
    uint32_t state[2] = {index, q->ring.next_avail};
    switch (m->request) {
    case CV_VHOST_SET_VRING_NUM:
        q->ring.num = num;
        q->ring.desc = NULL;
        return 0;
    case CV_VHOST_SET_VRING_BASE:
        q->ring.next_avail = (uint16_t)num;
        q->broken = false;
        return num > UINT16_MAX
                   ? cv_error_set(err, CV_ERR_INVALID, "a queue that starts at %u", num)
                   : 0;
    case CV_VHOST_SET_VRING_ENABLE:
        q->enabled = num != 0;
        return 0;
    default: /* GET_VRING_BASE: the ring stops */
        q->ring.desc = NULL;
        close_fd(&q->kick);
        close_fd(&q->call);
        return cv_buf_append(reply, state, sizeof state);
    }
}

static int set_ring(struct cv_vhost *d, const struct cv_vhost_message *m, struct cv_error *err)
{
    if (u32(m->payload) >= d->queues || u32(m->payload + 4) != 0)
        return cv_error_set(err, CV_ERR_INVALID,
                            "a queue that there is not, or one that is logged");
    struct cv_vhost_queue *q = &d->queue[u32(m->payload)];
    q->ring.desc_at = u64(m->payload + 8);
    q->ring.used_at = u64(m->payload + 16);
    q->ring.avail_at = u64(m->payload + 24);
    q->broken = false;
    return cv_vring_map(&q->ring, &d->memory, err);
}

/* The configuration space, or a part of it, behind the header of the question. */
static int get_config(const struct cv_vhost *d, const struct cv_vhost_message *m,
                      struct cv_buf *reply, struct cv_error *err)
{
    uint8_t answer[CONFIG_HEAD + CV_VHOST_CONFIG] = {0};
    if (d->config_size == 0)
        return cv_error_set(err, CV_ERR_UNSUPPORTED, "a configuration, which was not offered");
    uint32_t offset = m->size >= CONFIG_HEAD ? u32(m->payload) : 0;
    uint32_t size = m->size >= CONFIG_HEAD ? u32(m->payload + 4) : 0;
    if (m->size != CONFIG_HEAD + size || offset > d->config_size ||
        size > d->config_size - offset || size == 0)
        return cv_error_set(err, CV_ERR_INVALID, "%u bytes at %u of a configuration of %zu", size,
                            offset, d->config_size);
    memcpy(answer, m->payload, CONFIG_HEAD);
    memcpy(answer + CONFIG_HEAD, d->config + offset, size);
    return cv_buf_append(reply, answer, CONFIG_HEAD + size);
}

static int set_features(struct cv_vhost *d, uint64_t features, struct cv_error *err)
{
    if (features & ~(uint64_t)FEATURES)
        return cv_error_set(err, CV_ERR_INVALID, "features that were not offered");
    /* Without protocol features queues start enabled (vhost-user.rst). */
    for (size_t i = 0; i < d->queues; i++)
        d->queue[i].enabled = d->queue[i].enabled || !(features & F_PROTOCOL_FEATURES);
    d->features = features;
    return 0;
}

/* The size of each message's payload; -1 = checked where it is read. */
static int payload_size(uint32_t request)
{
    switch (request) {
    case CV_VHOST_GET_FEATURES:
    case CV_VHOST_SET_OWNER:
    case CV_VHOST_RESET_OWNER:
    case CV_VHOST_GET_PROTOCOL_FEATURES:
    case CV_VHOST_GET_QUEUE_NUM:
        return 0;
    case CV_VHOST_SET_MEM_TABLE:
    case CV_VHOST_GET_CONFIG:
        return -1;
    case CV_VHOST_SET_VRING_ADDR:
        return 40;
    default:
        return 8;
    }
}

static int answer_u64(struct cv_buf *reply, uint64_t v)
{
    return cv_buf_append(reply, &v, sizeof v);
}

static int dispatch(struct cv_vhost *d, struct cv_vhost_message *m, struct cv_buf *reply,
                    struct cv_error *err)
{
    const uint64_t protocol = d->config_size != 0 ? PROTOCOL_F_CONFIG : 0;
    int want = payload_size(m->request);
    if (want >= 0 && m->size != (uint32_t)want)
        return cv_error_set(err, CV_ERR_INVALID, "message %u of %u bytes", m->request, m->size);
    switch (m->request) {
    case CV_VHOST_GET_FEATURES:
        return answer_u64(reply, FEATURES);
    case CV_VHOST_GET_PROTOCOL_FEATURES:
        return answer_u64(reply, protocol);
    case CV_VHOST_GET_QUEUE_NUM:
        return answer_u64(reply, d->queues);
    case CV_VHOST_SET_FEATURES:
        return set_features(d, u64(m->payload), err);
    case CV_VHOST_SET_PROTOCOL_FEATURES:
        return (u64(m->payload) & ~protocol) == 0
                   ? 0
                   : cv_error_set(err, CV_ERR_INVALID, "no such feature");
    case CV_VHOST_SET_OWNER:
        return 0;
    case CV_VHOST_RESET_OWNER:
        for (size_t i = 0; i < d->queues; i++)
            d->queue[i].enabled = false;
        return 0;
    case CV_VHOST_SET_MEM_TABLE:
        return set_memory(d, m, err);
    case CV_VHOST_SET_VRING_NUM:
    case CV_VHOST_SET_VRING_BASE:
    case CV_VHOST_GET_VRING_BASE:
    case CV_VHOST_SET_VRING_ENABLE:
        return ring_state(d, m, reply, err);
    case CV_VHOST_SET_VRING_ADDR:
        return set_ring(d, m, err);
    case CV_VHOST_SET_VRING_KICK:
    case CV_VHOST_SET_VRING_CALL:
    case CV_VHOST_SET_VRING_ERR:
        return set_fd(d, m, err);
    case CV_VHOST_GET_CONFIG:
        return get_config(d, m, reply, err);
    default:
        return cv_error_set(err, CV_ERR_UNSUPPORTED, "message %u, which was not offered",
                            m->request);
    }
}

int cv_vhost_take(struct cv_vhost *d, struct cv_vhost_message *m, struct cv_buf *reply,
                  struct cv_error *err)
{
    cv_buf_reset(reply);
    int rc = dispatch(d, m, reply, err);
    for (size_t i = 0; i < m->fds; i++)
        close_fd(&m->fd[i]);
    m->fds = 0;
    return rc;
}

/* ---- the queue ---- */

bool cv_vhost_ready(const struct cv_vhost_queue *q)
{
    return q->ring.desc != NULL && q->enabled && !q->broken;
}

void cv_vhost_call(const struct cv_vhost_queue *q)
{
    static const uint64_t one = 1;
    if (q->call >= 0 && cv_vring_wants_call(&q->ring))
        (void)!write(q->call, &one, sizeof one);
}

/* 1 when a request was answered, 0 when none is there, or a negative code. */
static int answer_one(struct cv_vhost *d, uint8_t *request, struct cv_buf *reply,
                      struct cv_error *err)
{
    struct cv_vring *ring = &d->queue[0].ring;
    struct cv_vring_chain in, out;
    size_t got = 0;
    int rc = cv_vring_peek(ring, &d->memory, 0, &in, err);
    if (rc == 0)
        rc = cv_vring_peek(ring, &d->memory, 1, &out, err);
    if (rc != 0)
        return rc == CV_ERR_NOT_FOUND ? 0 : rc;
    if (in.readable == 0 || in.writable != 0 || out.readable != 0 || out.writable == 0 ||
        in.head == out.head)
        return cv_error_set(err, CV_ERR_INVALID, "not a request followed by room for its reply");
    rc = cv_vring_read(ring, &d->memory, in.head, request, d->request_max + 1, &got, err);
    if (rc != 0)
        return rc;
    cv_buf_reset(reply);
    d->answer(d->ctx, CV_BYTES(request, got), reply);
    rc = cv_vring_write(ring, &d->memory, out.head, reply->p, reply->n, err);
    if (rc != 0)
        return rc;
    cv_vring_done(ring, in.head, 0);
    cv_vring_done(ring, out.head, (uint32_t)reply->n);
    return 1;
}

int cv_vhost_run(struct cv_vhost *d, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf request, reply;
    struct cv_vhost_queue *q = &d->queue[0];
    int rc = 1;
    cv_buf_init(&request, d->request_max + 1);
    cv_buf_init(&reply, d->reply_max);
    if (!cv_vhost_ready(q))
        return 0;
    uint8_t *room = cv_buf_reserve(&request, d->request_max + 1);
    if (room == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a request");
    /* A ring's worth at a time: a guest that never stops asking waits its turn. */
    for (uint32_t i = 0; i < q->ring.num && rc == 1; i++) {
        rc = answer_one(d, room, &reply, err);
        if (rc == 1)
            cv_vhost_call(q);
    }
    if (rc < 0)
        q->broken = true;
    return rc < 0 ? rc : 0;
}
