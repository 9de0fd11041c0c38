/* SPDX-License-Identifier: Apache-2.0 */
/* The stream over a socket, and connecting one. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "common/clock.h"
#include "transport/stream.h"

#define MAX_IOV 16

struct socket_stream {
    struct cv_stream base;
    int fd;
};

static int failure(struct cv_error *err, const char *what)
{
    int e = errno;
    int code = e == ECONNRESET || e == EPIPE || e == ENOTCONN ? CV_ERR_CLOSED : CV_ERR_IO;
    return cv_error_errno(err, code, e, "%s", what);
}

static ssize_t socket_read(struct cv_stream *base, void *p, size_t n, int64_t deadline,
                           struct cv_error *err)
{
    struct socket_stream *s = (struct socket_stream *)base;
    for (;;) {
        ssize_t r = recv(s->fd, p, n, 0);
        if (r >= 0)
            return r;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            return failure(err, "reading from the peer");
        int rc = cv_fd_wait(s->fd, POLLIN, deadline);
        if (rc == CV_ERR_TIMEOUT)
            return cv_error_set(err, rc, "the peer sent nothing in time");
        if (rc != 0)
            return failure(err, "waiting for the peer");
    }
}

/* Drops the first N bytes of the vector. */
static void advance(struct iovec *iov, int *at, int count, size_t n)
{
    while (*at < count && n >= iov[*at].iov_len) {
        n -= iov[*at].iov_len;
        (*at)++;
    }
    if (*at < count && n > 0) {
        iov[*at].iov_base = (uint8_t *)iov[*at].iov_base + n;
        iov[*at].iov_len -= n;
    }
}

static int socket_writev(struct cv_stream *base, const struct iovec *in, int count,
                         int64_t deadline, struct cv_error *err)
{
    struct socket_stream *s = (struct socket_stream *)base;
    struct iovec iov[MAX_IOV];
    int at = 0;
    if (count < 0 || count > MAX_IOV)
        return cv_error_set(err, CV_ERR_INTERNAL, "too many pieces in one write");
    memcpy(iov, in, (size_t)count * sizeof *iov);
    advance(iov, &at, count, 0);
    while (at < count) {
        struct msghdr msg = {.msg_iov = iov + at, .msg_iovlen = (size_t)(count - at)};
        ssize_t r = sendmsg(s->fd, &msg, MSG_NOSIGNAL);
        if (r >= 0) {
            advance(iov, &at, count, (size_t)r);
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            return failure(err, "writing to the peer");
        int rc = cv_fd_wait(s->fd, POLLOUT, deadline);
        if (rc == CV_ERR_TIMEOUT)
            return cv_error_set(err, rc, "the peer took no more bytes in time");
        if (rc != 0)
            return failure(err, "waiting for the peer");
    }
    return 0;
}

static int socket_shutdown(struct cv_stream *base, int64_t deadline, struct cv_error *err)
{
    struct socket_stream *s = (struct socket_stream *)base;
    (void)deadline;
    if (shutdown(s->fd, SHUT_WR) != 0 && errno != ENOTCONN)
        return failure(err, "closing the sending half");
    return 0;
}

static void socket_close(struct cv_stream *base)
{
    struct socket_stream *s = (struct socket_stream *)base;
    close(s->fd);
    free(s);
}

static int socket_fd(const struct cv_stream *base)
{
    return ((const struct socket_stream *)base)->fd;
}

static const struct cv_stream_ops socket_ops = {
    socket_read, socket_writev, socket_shutdown, socket_close, socket_fd,
};

static int prepare(int fd)
{
    int fl = fcntl(fd, F_GETFL), fdfl = fcntl(fd, F_GETFD);
    if (fl < 0 || fdfl < 0 || fcntl(fd, F_SETFL, fl | O_NONBLOCK) != 0 ||
        fcntl(fd, F_SETFD, fdfl | FD_CLOEXEC) != 0)
        return CV_ERR_IO;
    return 0;
}

int cv_stream_from_fd(struct cv_stream **out, int fd, struct cv_error *err)
{
    struct socket_stream *s = calloc(1, sizeof *s);
    *out = NULL;
    if (s == NULL) {
        close(fd);
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a connection");
    }
    if (prepare(fd) != 0) {
        int rc = cv_error_errno(err, CV_ERR_IO, errno, "preparing a socket");
        close(fd);
        free(s);
        return rc;
    }
    /* Messages are written whole: waiting for more to send only costs time.
     * Fails on all but TCP sockets, which is fine. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    s->base.ops = &socket_ops;
    s->fd = fd;
    *out = &s->base;
    return 0;
}

/* What connect() of a non-blocking socket came to. */
static int await_connect(int fd, int64_t deadline)
{
    int e = 0;
    socklen_t len = sizeof e;
    int rc = cv_fd_wait(fd, POLLOUT, deadline);
    if (rc == CV_ERR_TIMEOUT) {
        errno = ETIMEDOUT;
        return CV_ERR_TIMEOUT;
    }
    if (rc != 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0)
        return CV_ERR_IO;
    errno = e;
    return e == 0 ? 0 : CV_ERR_IO;
}

int cv_connect_fd(int *out, const struct cv_addr *addr, int64_t deadline, struct cv_error *err)
{
    struct sockaddr_storage ss;
    socklen_t len;
    char text[CV_ADDR_TEXT];
    *out = -1;
    int rc = cv_addr_sockaddr(&ss, &len, addr, err);
    if (rc != 0)
        return rc;
    int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "connecting to %s: making a socket",
                              cv_addr_format(text, addr));
    for (;;) {
        rc = connect(fd, (const struct sockaddr *)&ss, len) == 0 ? 0 : CV_ERR_IO;
        if (rc == 0)
            break;
        if (errno == EINPROGRESS || errno == EINTR) {
            rc = await_connect(fd, deadline);
            break;
        }
        /* A unix socket's full backlog: it cannot be waited for. */
        if (errno != EAGAIN || cv_now_ms() >= deadline)
            break;
        cv_sleep_ms(5);
    }
    if (rc != 0) {
        int e = errno;
        if (e == EAGAIN) {
            rc = CV_ERR_TIMEOUT;
            e = ETIMEDOUT;
        }
        close(fd);
        return cv_error_errno(err, rc, e, "connecting to %s", cv_addr_format(text, addr));
    }
    *out = fd;
    return 0;
}

int cv_connect(struct cv_stream **out, const struct cv_addr *addr, int64_t deadline,
               struct cv_error *err)
{
    int fd;
    char text[CV_ADDR_TEXT];
    *out = NULL;
    if (addr->kind == CV_ADDR_VSOCK_UDS) /* what a greeting opens: vsock_uds.h */
        return cv_error_set(err, CV_ERR_UNSUPPORTED, "%s cannot be connected to from here",
                            cv_addr_format(text, addr));
    int rc = cv_connect_fd(&fd, addr, deadline, err);
    return rc != 0 ? rc : cv_stream_from_fd(out, fd, err);
}

int cv_fd_peer(int fd, pid_t *pid, uid_t *uid, gid_t *gid)
{
    struct ucred c;
    socklen_t len = sizeof c;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) != 0)
        return CV_ERR_IO;
    *pid = c.pid;
    *uid = c.uid;
    *gid = c.gid;
    return 0;
}
