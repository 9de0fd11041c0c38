/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes between two sockets in an epoll loop (library cv_relay): each direction
 * has a bounded buffer of its own and ends by itself. Nothing here blocks, and
 * nothing is looked at.
 */
#ifndef CV_PROXY_RELAY_H
#define CV_PROXY_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "common/error.h"

#define CV_RELAY_BUFFER 32768 /* bytes under way in one direction */

struct cv_relay_end {
    int fd; /* non-blocking, owned; -1 when there is none */
    int epoll;
    void *tag;       /* what epoll gives back for it */
    uint32_t events; /* asked of epoll */
    bool watched;    /* epoll has it */
    bool eof;        /* it sends no more */
    bool shut;       /* we send no more to it */
    /* Bytes read from it, on their way to the other end. */
    uint8_t *buf;
    size_t start, used;
};

struct cv_relay {
    struct cv_relay_end near, far;
    int64_t active_ms;            /* last byte either way */
    uint64_t from_near, from_far; /* bytes sent on */
};

/* Asks epoll for EVENTS of E; harmless without a descriptor. */
void cv_relay_watch(struct cv_relay_end *e, uint32_t events);
void cv_relay_unwatch(struct cv_relay_end *e);
void cv_relay_end_close(struct cv_relay_end *e);

/* The buffers; bytes may then be put into them before the copying starts.
 * Harmless twice. CV_ERR_NOMEM. */
int cv_relay_alloc(struct cv_relay *r) CV_NODISCARD;
/* Both ends are connected: begins to copy. False: it is over already. */
bool cv_relay_start(struct cv_relay *r);
/* EVENTS happened at E, one of the two. False: the connection is over, or
 * broken, and cv_relay_close() is due. */
bool cv_relay_event(struct cv_relay *r, struct cv_relay_end *e, uint32_t events);
/* Closes both ends. */
void cv_relay_close(struct cv_relay *r);
/* Wipes and frees the buffers. */
void cv_relay_free(struct cv_relay *r);

#endif
