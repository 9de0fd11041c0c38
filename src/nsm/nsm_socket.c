/* SPDX-License-Identifier: Apache-2.0 */
/* The NSM stand-in of development builds: frames on a UNIX socket. */
#include "nsm/transport.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "nsm/nsm.h"

#define TIMEOUT_MS 30000

const char *cv_nsm_transport_name(void)
{
    return "socket";
}

static int wait_for(int fd, short events, int64_t deadline, struct cv_error *err)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = events};
        int r = poll(&p, 1, cv_deadline_poll(deadline));
        if (r > 0)
            return 0;
        if (r == 0)
            return cv_error_set(err, CV_ERR_TIMEOUT, "the NSM stand-in does not answer");
        if (errno != EINTR)
            return cv_error_errno(err, CV_ERR_IO, errno, "waiting for the NSM stand-in");
    }
}

static int send_all(int fd, const uint8_t *p, size_t n, int64_t deadline, struct cv_error *err)
{
    while (n > 0) {
        ssize_t r = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (r >= 0) {
            p += r;
            n -= (size_t)r;
        } else if (errno == EAGAIN) {
            int rc = wait_for(fd, POLLOUT, deadline, err);
            if (rc != 0)
                return rc;
        } else if (errno != EINTR) {
            return cv_error_errno(err, CV_ERR_CLOSED, errno, "sending to the NSM stand-in");
        }
    }
    return 0;
}

static int recv_all(int fd, uint8_t *p, size_t n, int64_t deadline, struct cv_error *err)
{
    while (n > 0) {
        ssize_t r = recv(fd, p, n, MSG_DONTWAIT);
        if (r > 0) {
            p += r;
            n -= (size_t)r;
        } else if (r == 0) {
            return cv_error_set(err, CV_ERR_CLOSED, "the NSM stand-in closed the connection");
        } else if (errno == EAGAIN) {
            int rc = wait_for(fd, POLLIN, deadline, err);
            if (rc != 0)
                return rc;
        } else if (errno != EINTR) {
            return cv_error_errno(err, CV_ERR_CLOSED, errno, "receiving from the NSM stand-in");
        }
    }
    return 0;
}

int cv_nsm_transport_open(int *fd, const char *path, struct cv_error *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    *fd = -1;
    if (path == NULL)
        return cv_error_set(err, CV_ERR_CONFIG,
                            "this development build needs the path of an NSM stand-in's socket");
    if (strncmp(path, "unix:", 5) == 0)
        path += 5;
    if (path[0] == '\0' || strlen(path) >= sizeof addr.sun_path)
        return cv_error_set(err, CV_ERR_LIMIT,
                            "the path of the NSM stand-in's socket is empty or too long");
    memcpy(addr.sun_path, path, strlen(path) + 1);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "creating a socket");
    int r;
    do {
        r = connect(*fd, (struct sockaddr *)&addr, sizeof addr);
    } while (r < 0 && errno == EINTR);
    if (r < 0) {
        int saved = errno;
        close(*fd);
        *fd = -1;
        return cv_error_errno(err, saved == ENOENT ? CV_ERR_NOT_FOUND : CV_ERR_IO, saved,
                              "connecting to the NSM stand-in at %s", path);
    }
    return 0;
}

int cv_nsm_transport_exchange(int fd, struct cv_bytes request, uint8_t *response, size_t cap,
                              size_t *n, struct cv_error *err)
{
    int64_t deadline = cv_deadline(TIMEOUT_MS);
    uint8_t head[4] = {(uint8_t)(request.n >> 24), (uint8_t)(request.n >> 16),
                       (uint8_t)(request.n >> 8), (uint8_t)request.n};
    int rc;

    if ((rc = send_all(fd, head, sizeof head, deadline, err)) != 0 ||
        (rc = send_all(fd, request.p, request.n, deadline, err)) != 0 ||
        (rc = recv_all(fd, head, sizeof head, deadline, err)) != 0)
        return rc;
    size_t len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (len > cap)
        return cv_error_set(err, CV_ERR_PROTOCOL, "the NSM stand-in announces a reply of %zu bytes",
                            len);
    rc = recv_all(fd, response, len, deadline, err);
    if (rc == 0)
        *n = len;
    return rc;
}
