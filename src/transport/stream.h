/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams: bytes to and from a peer, each call with an absolute deadline
 * (monotonic milliseconds, common/clock.h). Implementations: a socket (below),
 * TLS over another stream (transport/tls.h). Not for two threads at once, but
 * one thread may read while another one writes to a socket stream.
 *
 * No call raises SIGPIPE, none is ended early by EINTR.
 */
#ifndef CV_TRANSPORT_STREAM_H
#define CV_TRANSPORT_STREAM_H

#include <sys/types.h>
#include <sys/uio.h>

#include "common/bytes.h"
#include "transport/addr.h"

struct cv_stream;

struct cv_stream_ops {
    /* 1..n bytes read, 0 at the end of the peer's bytes, or a negative code:
     * CV_ERR_TIMEOUT, CV_ERR_CLOSED (reset), CV_ERR_IO, CV_ERR_PROTOCOL. */
    ssize_t (*read)(struct cv_stream *s, void *p, size_t n, int64_t deadline, struct cv_error *err);
    /* Everything written, or a negative code; then the stream is of no more use. */
    int (*writev)(struct cv_stream *s, const struct iovec *iov, int iovcnt, int64_t deadline,
                  struct cv_error *err);
    /* Tells the peer that no more bytes will come; reading goes on. */
    int (*shutdown)(struct cv_stream *s, int64_t deadline, struct cv_error *err);
    /* Closes and frees; never blocks for long. */
    void (*close)(struct cv_stream *s);
    /* The socket below, for poll(2) and peer credentials. */
    int (*fd)(const struct cv_stream *s);
};

/* The first member of every implementation. */
struct cv_stream {
    const struct cv_stream_ops *ops;
};

/* A stream over a connected socket, which it owns from now on, also when this
 * fails (CV_ERR_NOMEM, CV_ERR_IO). Makes it non-blocking and close-on-exec. */
int cv_stream_from_fd(struct cv_stream **out, int fd, struct cv_error *err) CV_NODISCARD;

/* Connects to ADDR: vsock, unix, or tcp with an IP address (CV_ERR_UNSUPPORTED
 * for a name: see cv_resolve_connect). The sentence names the address. */
int cv_connect(struct cv_stream **out, const struct cv_addr *addr, int64_t deadline,
               struct cv_error *err) CV_NODISCARD;
/* The same, giving the non-blocking descriptor. */
int cv_connect_fd(int *fd, const struct cv_addr *addr, int64_t deadline,
                  struct cv_error *err) CV_NODISCARD;

ssize_t cv_stream_read(struct cv_stream *s, void *p, size_t n, int64_t deadline,
                       struct cv_error *err) CV_NODISCARD;
/* All N bytes; CV_ERR_CLOSED when the peer ends before the first, and
 * CV_ERR_TRUNCATED in the middle. */
int cv_stream_read_exact(struct cv_stream *s, void *p, size_t n, int64_t deadline,
                         struct cv_error *err) CV_NODISCARD;
int cv_stream_write(struct cv_stream *s, struct cv_bytes b, int64_t deadline,
                    struct cv_error *err) CV_NODISCARD;
/* Several pieces in as few packets as the kernel allows; at most 16. */
int cv_stream_writev(struct cv_stream *s, const struct iovec *iov, int iovcnt, int64_t deadline,
                     struct cv_error *err) CV_NODISCARD;
int cv_stream_shutdown(struct cv_stream *s, int64_t deadline, struct cv_error *err) CV_NODISCARD;
int cv_stream_fd(const struct cv_stream *s);
/* Closes *S and sets it to NULL; harmless on NULL. Fits CV_CLEANUP. */
void cv_stream_close(struct cv_stream **s);

/* Waits until FD is ready for EVENTS of poll(2) (POLLIN, POLLOUT). 0,
 * CV_ERR_TIMEOUT, CV_ERR_IO. An error or hang-up on FD counts as ready. */
int cv_fd_wait(int fd, short events, int64_t deadline) CV_NODISCARD;

/* The user on the other side of a unix socket (SO_PEERCRED). */
int cv_fd_peer(int fd, pid_t *pid, uid_t *uid, gid_t *gid) CV_NODISCARD;

#endif
