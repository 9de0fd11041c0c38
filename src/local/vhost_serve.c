/* SPDX-License-Identifier: Apache-2.0 */
/* The socket of a vhost-user back-end: messages with descriptors, and kicks. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "local/vhost_user.h"

#define VERSION 1u
#define FLAG_REPLY 4u
#define MESSAGE_MS 5000 /* for the rest of a message, and for a reply to be taken */

/* Waits for FD; 0 or -1. */
static int wait_for(int fd, short events, int64_t deadline)
{
    struct pollfd p = {.fd = fd, .events = events};
    int n;
    do
        n = poll(&p, 1, cv_deadline_poll(deadline));
    while (n < 0 && errno == EINTR);
    return n > 0 ? 0 : -1;
}

/* Descriptors beyond what a message may carry are closed by the kernel
 * (MSG_CTRUNC), which is refused. */
static bool take_fds(struct cv_vhost_message *m, struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (m->fds < CV_VHOST_FDS)
                m->fd[m->fds++] = fd;
            else
                close(fd);
        }
    }
    return !(msg->msg_flags & MSG_CTRUNC);
}

/* N bytes; the descriptors come with the first. 1, 0 at the front-end's end, -1. */
static int receive(int fd, void *p, size_t n, struct cv_vhost_message *m, int64_t deadline)
{
    size_t got = 0;
    while (got < n) {
        union {
            struct cmsghdr align;
            char room[CMSG_SPACE(CV_VHOST_FDS * sizeof(int))];
        } control;
        struct iovec iov = {.iov_base = (uint8_t *)p + got, .iov_len = n - got};
        struct msghdr msg = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
        ssize_t r = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (r > 0) {
            if (!take_fds(m, &msg))
                return -1;
            got += (size_t)r;
        } else if (r == 0) {
            return got == 0 ? 0 : -1;
        } else if (errno == EAGAIN ? wait_for(fd, POLLIN, deadline) != 0 : errno != EINTR) {
            return -1;
        }
    }
    return 1;
}

static int transmit(int fd, const uint8_t *p, size_t n, int64_t deadline)
{
    while (n > 0) {
        ssize_t r = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (r > 0) {
            p += r;
            n -= (size_t)r;
        } else if (errno == EAGAIN ? wait_for(fd, POLLOUT, deadline) != 0 : errno != EINTR) {
            return -1;
        }
    }
    return 0;
}

static int reply_with(int fd, uint32_t request, const struct cv_buf *reply, int64_t deadline)
{
    uint8_t out[CV_VHOST_HEADER + CV_VHOST_PAYLOAD];
    uint32_t head[3] = {request, VERSION | FLAG_REPLY, (uint32_t)reply->n};
    memcpy(out, head, sizeof head);
    memcpy(out + sizeof head, reply->p, reply->n);
    return transmit(fd, out, sizeof head + reply->n, deadline);
}

int cv_vhost_serve_message(struct cv_vhost *d, int fd)
{
    struct cv_vhost_message m = {.fds = 0};
    CV_CLEANUP(cv_buf_free) struct cv_buf reply;
    struct cv_error err;
    uint32_t head[3];
    int64_t deadline = cv_deadline(MESSAGE_MS);
    cv_error_clear(&err);
    cv_buf_init(&reply, CV_VHOST_PAYLOAD);
    int got = receive(fd, head, sizeof head, &m, deadline);
    if (got == 1) {
        m.request = head[0];
        m.size = head[2];
        got = (head[1] & 3u) == VERSION && m.size <= CV_VHOST_PAYLOAD
                  ? receive(fd, m.payload, m.size, &m, deadline)
                  : -1;
    }
    if (got == 1) {
        if (cv_vhost_take(d, &m, &reply, &err) != 0) {
            cv_log_error(CV_LOG_ERROR, "vhost-user front-end", &err);
            return -1;
        }
        return reply.n == 0 || reply_with(fd, m.request, &reply, deadline) == 0 ? 1 : -1;
    }
    for (size_t i = 0; i < m.fds; i++)
        close(m.fd[i]);
    return got;
}

static void run_queue(struct cv_vhost *d)
{
    struct cv_error err;
    cv_error_clear(&err);
    if (cv_vhost_run(d, &err) != 0)
        cv_log_error(CV_LOG_ERROR, "the guest broke the device's queue", &err);
}

/* Until the front-end leaves (0) or STOP_FD is readable (1). */
static int serve_front_end(struct cv_vhost *d, int fd, int stop_fd)
{
    for (;;) {
        struct pollfd p[3] = {{.fd = stop_fd, .events = POLLIN},
                              {.fd = fd, .events = POLLIN},
                              {.fd = d->queue[0].kick, .events = POLLIN}};
        if (poll(p, 3, -1) < 0) {
            if (errno == EINTR)
                continue;
            return 0;
        }
        if (p[0].revents != 0)
            return 1;
        if (p[2].revents != 0) {
            uint64_t count;
            if (read(d->queue[0].kick, &count, sizeof count) < 0 && errno != EAGAIN &&
                errno != EINTR)
                return 0;
            run_queue(d);
        }
        if (p[1].revents != 0) {
            if (cv_vhost_serve_message(d, fd) <= 0)
                return 0;
            /* What was there before the kick's descriptor came. */
            run_queue(d);
        }
    }
}

int cv_vhost_serve(struct cv_vhost *d, int listener, int stop_fd, struct cv_error *err)
{
    for (int stop = 0; !stop;) {
        struct pollfd p[2] = {{.fd = stop_fd, .events = POLLIN},
                              {.fd = listener, .events = POLLIN}};
        if (poll(p, 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            return cv_error_errno(err, CV_ERR_IO, errno, "waiting for the virtual machine");
        }
        if (p[0].revents != 0)
            break;
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        stop = serve_front_end(d, fd, stop_fd);
        cv_vhost_reset(d);
        close(fd);
    }
    return 0;
}
