/* SPDX-License-Identifier: Apache-2.0 */
/* The switch: from each machine's transmit queue to others' receive queues. */
#include "local/vsock_switch.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "local/vsock_internal.h"

#define RX 0 /* queues, as virtio numbers them; QEMU keeps the third, for events */
#define TX 1
#define ROOM (4u << 20) /* bytes that may wait for one machine */

struct cv_vsock_switch {
    struct cv_vsock_machine *machine;
    size_t n;
    struct pollfd *poll;
    size_t poll_room;
    uint8_t packet[CV_VSOCK_HEADER + CV_VSOCK_DATA + 1]; /* at work */
};

/* ---- packets ---- */

bool cv_vsock_running(const struct cv_vsock_machine *m)
{
    return m->front_end >= 0 && cv_vhost_ready(&m->device.queue[RX]);
}

bool cv_vsock_room(const struct cv_vsock_machine *m)
{
    return m->queued < ROOM;
}

void cv_vsock_send(struct cv_vsock_machine *m, const struct cv_vsock_header *h, const void *data,
                   size_t n)
{
    struct cv_vsock_packet *p = malloc(sizeof *p + n);
    if (p == NULL) {
        cv_log(CV_LOG_ERROR, "no memory for a vsock packet, which is lost", NULL);
        return;
    }
    *p = (struct cv_vsock_packet){.header = *h};
    p->header.len = (uint32_t)n;
    if (n > 0)
        memcpy(p->data, data, n);
    *m->last = p;
    m->last = &p->next;
    m->queued += sizeof *p + n;
}

static void drop_first(struct cv_vsock_machine *m)
{
    struct cv_vsock_packet *p = m->first;
    m->first = p->next;
    if (m->first == NULL)
        m->last = &m->first;
    m->queued -= sizeof *p + p->header.len;
    free(p);
}

/* To whoever sent H: nobody is there. */
static void refuse(struct cv_vsock_machine *m, const struct cv_vsock_header *h)
{
    const struct cv_vsock_header rst = {.src_cid = h->dst_cid,
                                        .dst_cid = h->src_cid,
                                        .src_port = h->dst_port,
                                        .dst_port = h->src_port,
                                        .type = h->type,
                                        .op = CV_VSOCK_RST};
    if (h->op != CV_VSOCK_RST)
        cv_vsock_send(m, &rst, NULL, 0);
}

static struct cv_vsock_machine *find(struct cv_vsock_switch *s, uint64_t cid)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->machine[i].place.cid == cid)
            return &s->machine[i];
    return NULL;
}

void cv_vsock_take(struct cv_vsock_machine *m, const struct cv_vsock_header *h, const uint8_t *data)
{
    if (h->src_cid != m->place.cid) {
        cv_log(CV_LOG_WARN, "a vsock packet with another machine's CID is dropped", "from",
               cv_logf("%u", m->place.cid), NULL);
        return;
    }
    struct cv_vsock_machine *to = find(m->in, h->dst_cid);
    if (h->type != CV_VSOCK_STREAM)
        refuse(m, h);
    else if (h->dst_cid == CV_VSOCK_HOST_CID)
        cv_vsock_host_take(m, h, data);
    else if (to != NULL && cv_vsock_running(to))
        cv_vsock_send(to, h, data, h->len);
    else
        refuse(m, h);
}

/* ---- queues ---- */

static void broken(struct cv_vsock_machine *m, size_t queue, const struct cv_error *err)
{
    cv_log_error(CV_LOG_ERROR, "the guest broke its vsock device's queue", err);
    m->device.queue[queue].broken = true;
}

/* One packet of M's, if there is one and its receiver has room: 1, else 0, or
 * a negative code for a queue that is broken. */
static int take_one(struct cv_vsock_machine *m, struct cv_error *err)
{
    struct cv_vsock_switch *s = m->in;
    struct cv_vring *ring = &m->device.queue[TX].ring;
    struct cv_vsock_header h;
    struct cv_vring_chain chain;
    size_t got = 0;
    int rc = cv_vring_peek(ring, &m->device.memory, 0, &chain, err);
    if (rc != 0)
        return rc == CV_ERR_NOT_FOUND ? 0 : rc;
    rc = cv_vring_read(ring, &m->device.memory, chain.head, s->packet, sizeof s->packet, &got, err);
    if (rc != 0)
        return rc;
    if (got < CV_VSOCK_HEADER || got > CV_VSOCK_HEADER + CV_VSOCK_DATA)
        return cv_error_set(err, CV_ERR_INVALID, "a vsock packet of %zu bytes", got);
    cv_vsock_header_decode(&h, s->packet);
    if (h.len > got - CV_VSOCK_HEADER)
        return cv_error_set(err, CV_ERR_INVALID, "a vsock packet that is shorter than it says");
    /* Its own queue counts as well: many a packet is answered with another. */
    const struct cv_vsock_machine *to = find(s, h.dst_cid);
    if (!cv_vsock_room(m) || (to != NULL && cv_vsock_running(to) && !cv_vsock_room(to))) {
        m->held = true;
        return 0;
    }
    cv_vsock_take(m, &h, s->packet + CV_VSOCK_HEADER);
    cv_vring_done(ring, chain.head, 0);
    return 1;
}

static void take_packets(struct cv_vsock_machine *m)
{
    struct cv_vhost_queue *q = &m->device.queue[TX];
    struct cv_error err;
    bool any = false;
    int rc = 1;
    cv_error_clear(&err);
    m->held = false;
    /* A ring's worth at a time: the others' turn comes. */
    for (uint32_t i = 0; cv_vhost_ready(q) && i < q->ring.num && rc == 1; i++)
        any |= (rc = take_one(m, &err)) == 1;
    if (rc < 0)
        broken(m, TX, &err);
    if (any)
        cv_vhost_call(q);
}

/* As much of the first packet as the next buffer holds: 1, 0 without a buffer. */
static int deliver_one(struct cv_vsock_machine *m, struct cv_error *err)
{
    struct cv_vsock_switch *s = m->in;
    struct cv_vring *ring = &m->device.queue[RX].ring;
    struct cv_vsock_packet *p = m->first;
    struct cv_vsock_header h = p->header;
    struct cv_vring_chain chain;
    int rc = cv_vring_peek(ring, &m->device.memory, 0, &chain, err);
    if (rc != 0)
        return rc == CV_ERR_NOT_FOUND ? 0 : rc;
    size_t left = p->header.len - p->at;
    if (chain.writable < CV_VSOCK_HEADER + (left > 0 ? 1 : 0))
        return cv_error_set(err, CV_ERR_INVALID, "a buffer without room for a vsock packet");
    size_t n =
        chain.writable - CV_VSOCK_HEADER < left ? (size_t)chain.writable - CV_VSOCK_HEADER : left;
    h.len = (uint32_t)n;
    cv_vsock_header_encode(s->packet, &h);
    memcpy(s->packet + CV_VSOCK_HEADER, p->data + p->at, n);
    rc = cv_vring_write(ring, &m->device.memory, chain.head, s->packet, CV_VSOCK_HEADER + n, err);
    if (rc != 0)
        return rc;
    cv_vring_done(ring, chain.head, (uint32_t)(CV_VSOCK_HEADER + n));
    p->at += n;
    if (p->at == p->header.len)
        drop_first(m);
    return 1;
}

static void deliver(struct cv_vsock_machine *m)
{
    struct cv_vhost_queue *q = &m->device.queue[RX];
    struct cv_error err;
    bool any = false;
    int rc = 1;
    cv_error_clear(&err);
    while (m->first != NULL && rc == 1 && cv_vhost_ready(q))
        any |= (rc = deliver_one(m, &err)) == 1;
    if (rc < 0)
        broken(m, RX, &err);
    if (any)
        cv_vhost_call(q);
}

/* ---- machines that come and go ---- */

static void guest_gone(struct cv_vsock_machine *m)
{
    cv_vsock_host_end(m);
    while (m->first != NULL)
        drop_first(m);
    m->held = false;
}

static void front_end_gone(struct cv_vsock_machine *m)
{
    cv_vhost_reset(&m->device);
    close(m->front_end);
    m->front_end = -1;
    guest_gone(m);
}

static void front_end_message(struct cv_vsock_machine *m)
{
    bool was = cv_vsock_running(m);
    if (cv_vhost_serve_message(&m->device, m->front_end) <= 0)
        front_end_gone(m);
    else if (was && !cv_vsock_running(m))
        guest_gone(m);
    else
        take_packets(m); /* what was there before the kick's descriptor came */
}

static void drain(int fd)
{
    uint64_t count;
    (void)!read(fd, &count, sizeof count);
}

/* ---- the loop ---- */

struct plan {
    struct cv_vsock_switch *s;
    size_t n;
};

static short *add(struct plan *p, int fd, short events)
{
    struct pollfd *e = &p->s->poll[p->n++];
    *e = (struct pollfd){.fd = fd, .events = events};
    return &e->revents;
}

/* Room for what all machines may have. */
static int make_room(struct cv_vsock_switch *s, struct cv_error *err)
{
    size_t want = 1;
    for (size_t i = 0; i < s->n; i++)
        want += 4 + s->machine[i].conn_count;
    if (want > s->poll_room) {
        struct pollfd *p = realloc(s->poll, 2 * want * sizeof *p);
        if (p == NULL)
            return cv_error_set(err, CV_ERR_NOMEM, "no memory for the vsock device");
        s->poll = p;
        s->poll_room = 2 * want;
    }
    return 0;
}

/* The order here is that of act(). A machine that is taken has no second one
 * accepted: QEMU waits until the first has gone. */
static void plan_machine(struct plan *p, const struct cv_vsock_machine *m)
{
    (void)add(p, m->front_end >= 0 ? m->front_end : m->vhost_at.fd, POLLIN);
    (void)add(p, m->device.queue[RX].kick, POLLIN);
    (void)add(p, m->held ? -1 : m->device.queue[TX].kick, POLLIN);
    (void)add(p, m->conn_count < CV_VSOCK_CONNS ? m->host_at.fd : -1, POLLIN);
    for (struct cv_vsock_conn *c = cv_vsock_conn_next(m, NULL); c != NULL;
         c = cv_vsock_conn_next(m, c)) {
        short events = cv_vsock_conn_events(c);
        (void)add(p, events != 0 ? cv_vsock_conn_fd(c) : -1, events);
    }
}

static const struct pollfd *act(struct cv_vsock_machine *m, const struct pollfd *p)
{
    int fd;
    /* Connections first: what comes after may end or add some. */
    const struct pollfd *after = p + 4;
    for (struct cv_vsock_conn *c = cv_vsock_conn_next(m, NULL); c != NULL;
         c = cv_vsock_conn_next(m, c), after++)
        if (after->fd >= 0 && after->revents != 0)
            cv_vsock_conn_event(c, after->revents);
    if (p[3].revents != 0 && cv_accept_fd(&fd, &m->host_at, 0, NULL) == 0)
        cv_vsock_host_accept(m, fd);
    if (p[1].revents != 0)
        drain(m->device.queue[RX].kick);
    if (p[2].revents != 0) {
        drain(m->device.queue[TX].kick);
        take_packets(m);
    }
    if (p[0].revents != 0 && m->front_end >= 0)
        front_end_message(m);
    else if (p[0].revents != 0 && cv_accept_fd(&fd, &m->vhost_at, 0, NULL) == 0)
        m->front_end = fd;
    return after;
}

/* What became possible: packets that were held, buffers that were given. */
static void settle(struct cv_vsock_switch *s)
{
    for (size_t i = 0; i < s->n; i++)
        deliver(&s->machine[i]);
    for (size_t i = 0; i < s->n; i++)
        if (s->machine[i].held)
            take_packets(&s->machine[i]);
    for (size_t i = 0; i < s->n; i++) {
        deliver(&s->machine[i]);
        cv_vsock_host_bury(&s->machine[i]);
    }
}

int cv_vsock_switch_serve(struct cv_vsock_switch *s, int stop_fd, struct cv_error *err)
{
    for (;;) {
        struct plan p = {.s = s};
        int rc = make_room(s, err);
        if (rc != 0)
            return rc;
        (void)add(&p, stop_fd, POLLIN);
        for (size_t i = 0; i < s->n; i++)
            plan_machine(&p, &s->machine[i]);
        if (poll(s->poll, (nfds_t)p.n, -1) < 0) {
            if (errno == EINTR)
                continue;
            return cv_error_errno(err, CV_ERR_IO, errno, "waiting for the virtual machines");
        }
        if (s->poll[0].revents != 0)
            return 0;
        const struct pollfd *at = s->poll + 1;
        for (size_t i = 0; i < s->n; i++)
            at = act(&s->machine[i], at);
        settle(s);
    }
}

/* ---- start and end ---- */

static int listen_at(struct cv_listener *l, const char *path, struct cv_error *err)
{
    struct cv_addr addr = {.kind = CV_ADDR_UNIX};
    int n = snprintf(addr.path, sizeof addr.path, "%s", path);
    if (n < 0 || (size_t)n >= sizeof addr.path)
        return cv_error_set(err, CV_ERR_LIMIT, "the path %s is too long for a socket", path);
    return cv_listen(l, &addr, err);
}

static int make_machine(struct cv_vsock_machine *m, struct cv_vsock_switch *s,
                        const struct cv_vsock_place *place, struct cv_error *err)
{
    uint64_t cid = htole64((uint64_t)place->cid);
    *m = (struct cv_vsock_machine){.in = s,
                                   .place = *place,
                                   .vhost_at = CV_LISTENER_INIT,
                                   .host_at = CV_LISTENER_INIT,
                                   .front_end = -1,
                                   .next_port = UINT32_C(1) << 30};
    m->last = &m->first;
    cv_vhost_init(&m->device);
    m->device.queues = 2;
    m->device.config_size = sizeof cid;
    memcpy(m->device.config, &cid, sizeof cid);
    int rc = listen_at(&m->vhost_at, place->vhost, err);
    return rc == 0 ? listen_at(&m->host_at, place->host, err) : rc;
}

int cv_vsock_switch_new(struct cv_vsock_switch **out, const struct cv_vsock_place *places, size_t n,
                        struct cv_error *err)
{
    struct cv_vsock_switch *s = calloc(1, sizeof *s);
    int rc = 0;
    *out = NULL;
    if (s == NULL || (s->machine = calloc(n, sizeof *s->machine)) == NULL) {
        free(s);
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the vsock device");
    }
    for (; s->n < n && rc == 0; s->n++)
        rc = make_machine(&s->machine[s->n], s, &places[s->n], err);
    if (rc != 0)
        cv_vsock_switch_free(&s);
    *out = s;
    return rc;
}

void cv_vsock_switch_free(struct cv_vsock_switch **sp)
{
    struct cv_vsock_switch *s = *sp;
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n; i++) {
        struct cv_vsock_machine *m = &s->machine[i];
        if (m->front_end >= 0)
            front_end_gone(m);
        guest_gone(m);
        cv_vsock_host_bury(m);
        cv_listener_close(&m->vhost_at);
        cv_listener_close(&m->host_at);
    }
    free(s->machine);
    free(s->poll);
    free(s);
    *sp = NULL;
}
