/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by vsock_*.c: machines, packets on their way, connections of the host. */
#ifndef CV_LOCAL_VSOCK_INTERNAL_H
#define CV_LOCAL_VSOCK_INTERNAL_H

#include "local/vhost_user.h"
#include "local/vsock_switch.h"
#include "transport/listen.h"

#define CV_VSOCK_HEADER 44u
#define CV_VSOCK_DATA 65536u         /* bytes of a packet's data: Linux sends no more */
#define CV_VSOCK_WINDOW (256u << 10) /* bytes that the host's side takes without being read */

enum cv_vsock_op {
    CV_VSOCK_REQUEST = 1,
    CV_VSOCK_RESPONSE = 2,
    CV_VSOCK_RST = 3,
    CV_VSOCK_SHUTDOWN = 4,
    CV_VSOCK_RW = 5,
    CV_VSOCK_CREDIT_UPDATE = 6,
    CV_VSOCK_CREDIT_REQUEST = 7
};
#define CV_VSOCK_STREAM 1u
#define CV_VSOCK_NO_RECV 1u /* flags of SHUTDOWN */
#define CV_VSOCK_NO_SEND 2u

/* struct virtio_vsock_hdr; little-endian on the ring */
struct cv_vsock_header {
    uint64_t src_cid, dst_cid;
    uint32_t src_port, dst_port, len;
    uint16_t type, op;
    uint32_t flags, buf_alloc, fwd_cnt;
};
void cv_vsock_header_encode(uint8_t out[CV_VSOCK_HEADER], const struct cv_vsock_header *h);
void cv_vsock_header_decode(struct cv_vsock_header *h, const uint8_t in[CV_VSOCK_HEADER]);

/* One that waits for room in the receiver's ring. */
struct cv_vsock_packet {
    struct cv_vsock_packet *next;
    struct cv_vsock_header header;
    size_t at; /* bytes of DATA that are delivered */
    uint8_t data[];
};

struct cv_vsock_conn;

struct cv_vsock_machine {
    struct cv_vsock_switch *in;
    struct cv_vsock_place place;
    struct cv_vhost device;
    struct cv_listener vhost_at, host_at;
    int front_end; /* -1 */
    struct cv_vsock_packet *first, **last;
    size_t queued;               /* bytes of packets */
    bool held;                   /* a packet of it waits for room elsewhere */
    struct cv_vsock_conn *conns; /* of the host with it */
    size_t conn_count;
    uint32_t next_port; /* of the host's side */
};

/* ---- vsock_switch.c ---- */

/* True when a guest's driver has set up its queues. */
bool cv_vsock_running(const struct cv_vsock_machine *m);
/* False when so much waits for M that no more should be sent to it. */
bool cv_vsock_room(const struct cv_vsock_machine *m);
/* Sends a packet with N bytes to M. Without memory it is lost, which is logged. */
void cv_vsock_send(struct cv_vsock_machine *m, const struct cv_vsock_header *h, const void *data,
                   size_t n);
/* Acts on one packet that M sent, HEADER.LEN bytes of DATA. */
void cv_vsock_take(struct cv_vsock_machine *m, const struct cv_vsock_header *header,
                   const uint8_t *data);

/* ---- vsock_host.c ---- */

#define CV_VSOCK_CONNS 1024 /* of the host with one machine */

/* A packet of M for CID 2. */
void cv_vsock_host_take(struct cv_vsock_machine *m, const struct cv_vsock_header *h,
                        const uint8_t *data);
/* Takes FD, a program of this host that will say which port it wants. */
void cv_vsock_host_accept(struct cv_vsock_machine *m, int fd);
/* The guest is gone: ends all connections. */
void cv_vsock_host_end(struct cv_vsock_machine *m);

/* For the loop: the descriptor and what is to be awaited, 0 = nothing. */
struct cv_vsock_conn *cv_vsock_conn_next(const struct cv_vsock_machine *m,
                                         const struct cv_vsock_conn *after);
int cv_vsock_conn_fd(const struct cv_vsock_conn *c);
short cv_vsock_conn_events(const struct cv_vsock_conn *c);
void cv_vsock_conn_event(struct cv_vsock_conn *c, short events);
/* Frees those that have ended. */
void cv_vsock_host_bury(struct cv_vsock_machine *m);

#endif
