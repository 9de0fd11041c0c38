/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/vsock_uds.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int cv_vsock_uds_ask(int fd, const struct cv_addr *addr, struct cv_error *err)
{
    char line[32];
    int n = snprintf(line, sizeof line, "CONNECT %u\n", addr->port);
    ssize_t sent = send(fd, line, (size_t)n, MSG_NOSIGNAL);
    if (sent != n)
        return cv_error_errno(err, CV_ERR_IO, sent < 0 ? errno : EIO,
                              "asking the vsock device for port %u", addr->port);
    return 0;
}

/* "OK <digits>\n" */
static bool reply_ok(const char *p, size_t n)
{
    if (n < 5 || memcmp(p, "OK ", 3) != 0)
        return false;
    for (size_t i = 3; i + 1 < n; i++)
        if (p[i] < '0' || p[i] > '9')
            return false;
    return true;
}

int cv_vsock_uds_take(struct cv_vsock_uds_greeting *g, int fd, struct cv_error *err)
{
    for (;;) {
        if (g->n == sizeof g->reply)
            return cv_error_set(err, CV_ERR_PROTOCOL, "the vsock device's answer is too long");
        /* Byte by byte: what follows the line is the guest's. */
        ssize_t r = recv(fd, g->reply + g->n, 1, 0);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return CV_ERR_BUSY;
        if (r == 0 || (r < 0 && errno == ECONNRESET))
            return cv_error_set(err, CV_ERR_CLOSED,
                                "nobody listens at that vsock port in the virtual machine");
        if (r < 0)
            return cv_error_errno(err, CV_ERR_IO, errno, "reading the vsock device's answer");
        if (g->reply[g->n++] != '\n')
            continue;
        return reply_ok(g->reply, g->n)
                   ? 0
                   : cv_error_set(err, CV_ERR_PROTOCOL, "the vsock device did not answer OK");
    }
}

static int greet(int fd, const struct cv_addr *addr, int64_t deadline, struct cv_error *err)
{
    struct cv_vsock_uds_greeting g = {.n = 0};
    int rc = cv_vsock_uds_ask(fd, addr, err);
    while (rc == 0 && (rc = cv_vsock_uds_take(&g, fd, err)) == CV_ERR_BUSY) {
        rc = cv_fd_wait(fd, POLLIN, deadline);
        if (rc == CV_ERR_TIMEOUT)
            return cv_error_set(err, rc, "the vsock device did not answer in time");
        if (rc != 0)
            return cv_error_errno(err, rc, errno, "waiting for the vsock device");
    }
    return rc;
}

int cv_vsock_uds_connect(struct cv_stream **out, const struct cv_addr *addr, int64_t deadline,
                         struct cv_error *err)
{
    int fd;
    char text[CV_ADDR_TEXT];
    *out = NULL;
    int rc = cv_connect_fd(&fd, addr, deadline, err);
    if (rc != 0)
        return rc;
    rc = greet(fd, addr, deadline, err);
    if (rc != 0) {
        close(fd);
        return cv_error_wrap(err, "connecting to %s", cv_addr_format(text, addr)), rc;
    }
    return cv_stream_from_fd(out, fd, err);
}

int cv_vsock_uds_listen_addr(struct cv_addr *out, const struct cv_addr *addr, struct cv_error *err)
{
    memset(out, 0, sizeof *out);
    out->kind = CV_ADDR_UNIX;
    int n = snprintf(out->path, sizeof out->path, "%s_%u", addr->path, addr->port);
    if (n < 0 || (size_t)n >= sizeof out->path)
        return cv_error_set(err, CV_ERR_LIMIT, "the path %s is too long", addr->path);
    return 0;
}
