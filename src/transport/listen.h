/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets. A unix socket gets mode 0600 from its first moment; a
 * socket file that nobody answers at is removed first, a live one is
 * CV_ERR_EXISTS, and any other kind of file is left alone (CV_ERR_EXISTS).
 * Closing removes the socket file that this listener made, and no other.
 */
#ifndef CV_TRANSPORT_LISTEN_H
#define CV_TRANSPORT_LISTEN_H

#include <sys/types.h>

#include "transport/stream.h"

struct cv_listener {
    int fd;              /* non-blocking, close-on-exec; -1 when closed */
    struct cv_addr addr; /* as bound: with the port that the kernel chose for 0 */
    dev_t dev;           /* of the unix socket file, to know it again */
    ino_t ino;
};

#define CV_LISTENER_INIT \
    {                    \
        .fd = -1         \
    }

/* Binds and listens. The sentence names the address and the step. */
int cv_listen(struct cv_listener *l, const struct cv_addr *addr, struct cv_error *err) CV_NODISCARD;
/* Harmless twice. */
void cv_listener_close(struct cv_listener *l);

/* The next connection, as a stream or as a non-blocking close-on-exec
 * descriptor. CV_ERR_TIMEOUT at the deadline (a deadline in the past tries
 * once). A peer that went away while it waited is skipped. CV_ERR_BUSY when
 * descriptors or memory ran out: wait a moment and go on. */
int cv_accept(struct cv_stream **out, struct cv_listener *l, int64_t deadline,
              struct cv_error *err) CV_NODISCARD;
int cv_accept_fd(int *fd, struct cv_listener *l, int64_t deadline,
                 struct cv_error *err) CV_NODISCARD;

#endif
