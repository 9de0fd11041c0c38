/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vhost-user back-end for small devices: the few messages that QEMU sends them
 * (QEMU's docs/interop/vhost-user.rst). Offers VIRTIO_F_VERSION_1 and
 * VHOST_USER_F_PROTOCOL_FEATURES, and as protocol feature a configuration space
 * where the device has one.
 *
 * The front-end, which hands over the guest's memory, is QEMU, started by us;
 * what the guest writes into that memory is not trusted (vring.h). A guest that
 * breaks a ring finds that queue stopped until it resets it.
 *
 * For a device with one queue on which the driver sends requests and awaits
 * replies there is cv_vhost_run() too. Requests and replies are chains of their
 * own: a request in a device-readable one, the reply in the device-writable one
 * that follows, as Linux's nsm driver has it.
 */
#ifndef CV_LOCAL_VHOST_USER_H
#define CV_LOCAL_VHOST_USER_H

#include "local/vring.h"

#define CV_VHOST_HEADER 12u   /* u32 request, flags, size, in the machine's order */
#define CV_VHOST_PAYLOAD 264u /* bytes of the longest message that we take (SET_MEM_TABLE) */
#define CV_VHOST_FDS 8u
#define CV_VHOST_QUEUES 2u
#define CV_VHOST_CONFIG 8u /* bytes of a configuration space */

enum cv_vhost_request {
    CV_VHOST_GET_FEATURES = 1,
    CV_VHOST_SET_FEATURES = 2,
    CV_VHOST_SET_OWNER = 3,
    CV_VHOST_RESET_OWNER = 4,
    CV_VHOST_SET_MEM_TABLE = 5,
    CV_VHOST_SET_VRING_NUM = 8,
    CV_VHOST_SET_VRING_ADDR = 9,
    CV_VHOST_SET_VRING_BASE = 10,
    CV_VHOST_GET_VRING_BASE = 11,
    CV_VHOST_SET_VRING_KICK = 12,
    CV_VHOST_SET_VRING_CALL = 13,
    CV_VHOST_SET_VRING_ERR = 14,
    CV_VHOST_GET_PROTOCOL_FEATURES = 15,
    CV_VHOST_SET_PROTOCOL_FEATURES = 16,
    CV_VHOST_GET_QUEUE_NUM = 17,
    CV_VHOST_SET_VRING_ENABLE = 18,
    CV_VHOST_GET_CONFIG = 24,
};

struct cv_vhost_queue {
    struct cv_vring ring;
    int kick, call; /* eventfds, -1 */
    bool enabled, broken;
};

struct cv_vhost {
    /* Answers REQUEST with what it appends to REPLY (at most REPLY's limit). */
    void (*answer)(void *ctx, struct cv_bytes request, struct cv_buf *reply);
    void *ctx;
    size_t request_max, reply_max;   /* bytes; one more of a request is read, so that
                                      ANSWER sees that it is too long */
    size_t queues;                   /* 1 unless the device says otherwise */
    uint8_t config[CV_VHOST_CONFIG]; /* what the guest reads there */
    size_t config_size;              /* 0 = no configuration space */
    /* What the front-end set. */
    struct cv_guest_memory memory;
    struct cv_vhost_queue queue[CV_VHOST_QUEUES];
    uint64_t features;
};

struct cv_vhost_message {
    uint32_t request, size;
    uint8_t payload[CV_VHOST_PAYLOAD];
    int fd[CV_VHOST_FDS];
    size_t fds;
};

void cv_vhost_init(struct cv_vhost *d);
/* Unmaps the memory and closes the descriptors: the front-end is gone. */
void cv_vhost_reset(struct cv_vhost *d);
/* Acts on one message. Its descriptors are taken over, or closed. REPLY (emptied
 * first, CV_VHOST_PAYLOAD bytes of room) holds the reply's payload when there is
 * one. CV_ERR_INVALID, CV_ERR_UNSUPPORTED: the connection is of no more use. */
int cv_vhost_take(struct cv_vhost *d, struct cv_vhost_message *m, struct cv_buf *reply,
                  struct cv_error *err) CV_NODISCARD;
/* True when the queue's ring may be worked on. */
bool cv_vhost_ready(const struct cv_vhost_queue *q);
/* Interrupts the guest, if it wants to be. */
void cv_vhost_call(const struct cv_vhost_queue *q);
/* Answers every request that is in the ring of queue 0. 0, or CV_ERR_INVALID the first
 * time that the ring turns out to be broken. */
int cv_vhost_run(struct cv_vhost *d, struct cv_error *err) CV_NODISCARD;

/* Reads one message of the front-end at FD and acts on it. 1, 0 when the
 * front-end left, -1 when it is to be left, which is logged. */
int cv_vhost_serve_message(struct cv_vhost *d, int fd);
/* Serves front-ends at LISTENER, one at a time, until STOP_FD becomes readable;
 * then 0. */
int cv_vhost_serve(struct cv_vhost *d, int listener, int stop_fd,
                   struct cv_error *err) CV_NODISCARD;

#endif
