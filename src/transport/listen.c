/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"

#define BACKLOG 256

/* True when somebody may be serving at ADDR: only a refusal proves that nobody
 * does. A full backlog is a live server, and lack of permission proves nothing. */
static bool maybe_alive(const struct cv_addr *addr)
{
    struct sockaddr_storage ss;
    socklen_t len;
    if (cv_addr_sockaddr(&ss, &len, addr, NULL) != 0)
        return true;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return true;
    bool alive = connect(fd, (const struct sockaddr *)&ss, len) == 0 || errno != ECONNREFUSED;
    close(fd);
    return alive;
}

/* Makes room at the path: nothing there, or a socket that nobody answers at. */
static int clear_stale(const struct cv_addr *addr, struct cv_error *err)
{
    struct stat st;
    if (lstat(addr->path, &st) != 0) {
        if (errno == ENOENT)
            return 0;
        return cv_error_errno(err, CV_ERR_IO, errno, "looking at %s", addr->path);
    }
    if (!S_ISSOCK(st.st_mode))
        return cv_error_set(err, CV_ERR_EXISTS, "%s exists and is not a socket", addr->path);
    if (maybe_alive(addr))
        return cv_error_set(err, CV_ERR_EXISTS, "another process serves at %s", addr->path);
    if (unlink(addr->path) != 0 && errno != ENOENT)
        return cv_error_errno(err, CV_ERR_IO, errno, "removing the stale socket %s", addr->path);
    return 0;
}

/* Locks the directory of PATH, so that of two that start together none takes
 * the other's new socket, bound and not yet listening, for a stale one. -1 when
 * the directory cannot be opened: then there is no lock. */
static int lock_directory(const char *path)
{
    char dir[CV_ADDR_PATH] = ".";
    const char *slash = strrchr(path, '/');
    int64_t deadline = cv_deadline(2000);
    if (slash != NULL) {
        size_t n = slash == path ? 1 : (size_t)(slash - path);
        memcpy(dir, path, n);
        dir[n] = '\0';
    }
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && cv_now_ms() < deadline)
        cv_sleep_ms(5);
    return fd;
}

static int bind_unix(struct cv_listener *l, const struct cv_addr *addr,
                     const struct sockaddr_storage *ss, socklen_t len, struct cv_error *err)
{
    struct stat st;
    int rc = clear_stale(addr, err);
    if (rc != 0)
        return rc;
    /* On Linux the socket file takes its mode from the socket. */
    if (fchmod(l->fd, 0600) != 0 || bind(l->fd, (const struct sockaddr *)ss, len) != 0)
        return cv_error_errno(err, errno == EADDRINUSE ? CV_ERR_EXISTS : CV_ERR_IO, errno,
                              "making the socket %s", addr->path);
    if (listen(l->fd, BACKLOG) != 0 || lstat(addr->path, &st) != 0) {
        rc = cv_error_errno(err, CV_ERR_IO, errno, "listening at %s", addr->path);
        unlink(addr->path);
        return rc;
    }
    l->dev = st.st_dev;
    l->ino = st.st_ino;
    return 0;
}

static int bind_inet(struct cv_listener *l, const struct sockaddr_storage *ss, socklen_t len,
                     struct cv_error *err)
{
    char text[CV_ADDR_TEXT];
    struct sockaddr_storage bound;
    socklen_t blen = sizeof bound;
    if (ss->ss_family != AF_VSOCK)
        (void)setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (ss->ss_family == AF_INET6)
        (void)setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int));
    if (bind(l->fd, (const struct sockaddr *)ss, len) != 0)
        return cv_error_errno(err, errno == EADDRINUSE ? CV_ERR_EXISTS : CV_ERR_IO, errno,
                              "listening at %s", cv_addr_format(text, &l->addr));
    if (listen(l->fd, BACKLOG) != 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "listening at %s",
                              cv_addr_format(text, &l->addr));
    if (getsockname(l->fd, (struct sockaddr *)&bound, &blen) == 0) {
        struct cv_addr a;
        if (cv_addr_from_sockaddr(&a, &bound, blen) == 0)
            l->addr.port = a.port;
    }
    return 0;
}

int cv_listen(struct cv_listener *l, const struct cv_addr *addr, struct cv_error *err)
{
    struct sockaddr_storage ss;
    socklen_t len;
    char text[CV_ADDR_TEXT];
    *l = (struct cv_listener)CV_LISTENER_INIT;
    l->addr = *addr;
    if (addr->kind == CV_ADDR_VSOCK_UDS) /* cv_vsock_uds_listen_addr() tells where */
        return cv_error_set(err, CV_ERR_UNSUPPORTED, "%s cannot be listened at from here",
                            cv_addr_format(text, addr));
    int rc = cv_addr_sockaddr(&ss, &len, addr, err);
    if (rc != 0)
        return rc;
    l->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0 && ss.ss_family == AF_INET6 && addr->host[0] == '\0' && errno == EAFNOSUPPORT) {
        /* A kernel without IPv6: every IPv4 address is every address. */
        struct cv_addr v4 = *addr;
        memcpy(v4.host, "0.0.0.0", sizeof "0.0.0.0");
        return cv_listen(l, &v4, err);
    }
    if (l->fd < 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "listening at %s: making a socket",
                              cv_addr_format(text, addr));
    if (addr->kind == CV_ADDR_UNIX) {
        int lock = lock_directory(addr->path);
        rc = bind_unix(l, addr, &ss, len, err);
        if (lock >= 0)
            close(lock);
    } else {
        rc = bind_inet(l, &ss, len, err);
    }
    if (rc != 0) {
        close(l->fd);
        l->fd = -1;
    }
    return rc;
}

void cv_listener_close(struct cv_listener *l)
{
    struct stat st;
    if (l->fd < 0)
        return;
    if (l->addr.kind == CV_ADDR_UNIX && lstat(l->addr.path, &st) == 0 && S_ISSOCK(st.st_mode) &&
        st.st_dev == l->dev && st.st_ino == l->ino)
        unlink(l->addr.path);
    close(l->fd);
    l->fd = -1;
}

int cv_accept_fd(int *out, struct cv_listener *l, int64_t deadline, struct cv_error *err)
{
    *out = -1;
    for (;;) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            *out = fd;
            return 0;
        }
        switch (errno) {
        case EAGAIN: {
            int rc = cv_fd_wait(l->fd, POLLIN, deadline);
            if (rc == CV_ERR_TIMEOUT)
                return cv_error_set(err, rc, "nobody connected in time");
            if (rc != 0)
                return cv_error_errno(err, rc, errno, "waiting for a connection");
            break;
        }
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            return cv_error_errno(err, CV_ERR_BUSY, errno, "accepting a connection");
        case EBADF:
        case EINVAL:
        case ENOTSOCK:
        case EFAULT:
            return cv_error_errno(err, CV_ERR_IO, errno, "accepting a connection");
        default:
            /* EINTR, ECONNABORTED, and what accept(2) passes on from the
             * network: that connection is gone, the next one may be good. */
            break;
        }
    }
}

int cv_accept(struct cv_stream **out, struct cv_listener *l, int64_t deadline, struct cv_error *err)
{
    int fd;
    *out = NULL;
    int rc = cv_accept_fd(&fd, l, deadline, err);
    return rc != 0 ? rc : cv_stream_from_fd(out, fd, err);
}
