/* SPDX-License-Identifier: Apache-2.0 */
/* What every stream has in common. */
#include "transport/stream.h"

#include <errno.h>
#include <poll.h>

#include "common/clock.h"

ssize_t cv_stream_read(struct cv_stream *s, void *p, size_t n, int64_t deadline,
                       struct cv_error *err)
{
    return s->ops->read(s, p, n, deadline, err);
}

int cv_stream_read_exact(struct cv_stream *s, void *p, size_t n, int64_t deadline,
                         struct cv_error *err)
{
    size_t got = 0;
    while (got < n) {
        ssize_t r = s->ops->read(s, (uint8_t *)p + got, n - got, deadline, err);
        if (r < 0)
            return (int)r;
        if (r == 0 && got == 0)
            return cv_error_set(err, CV_ERR_CLOSED, "the peer closed the connection");
        if (r == 0)
            return cv_error_set(err, CV_ERR_TRUNCATED,
                                "the peer closed the connection after %zu of %zu bytes", got, n);
        got += (size_t)r;
    }
    return 0;
}

int cv_stream_write(struct cv_stream *s, struct cv_bytes b, int64_t deadline, struct cv_error *err)
{
    /* iovec has no const; nothing is written through it. */
    union {
        const uint8_t *in;
        void *out;
    } u = {.in = b.p};
    struct iovec iov = {.iov_base = u.out, .iov_len = b.n};
    return b.n == 0 ? 0 : s->ops->writev(s, &iov, 1, deadline, err);
}

int cv_stream_writev(struct cv_stream *s, const struct iovec *iov, int iovcnt, int64_t deadline,
                     struct cv_error *err)
{
    return s->ops->writev(s, iov, iovcnt, deadline, err);
}

int cv_stream_shutdown(struct cv_stream *s, int64_t deadline, struct cv_error *err)
{
    return s->ops->shutdown(s, deadline, err);
}

int cv_stream_fd(const struct cv_stream *s)
{
    return s->ops->fd(s);
}

void cv_stream_close(struct cv_stream **s)
{
    if (s == NULL || *s == NULL)
        return;
    (*s)->ops->close(*s);
    *s = NULL;
}

int cv_fd_wait(int fd, short events, int64_t deadline)
{
    struct pollfd pfd = {.fd = fd, .events = events};
    for (;;) {
        int n = poll(&pfd, 1, cv_deadline_poll(deadline));
        if (n > 0)
            return 0;
        if (n == 0) {
            /* poll() counts in int milliseconds: a far deadline takes turns. */
            if (deadline == CV_NO_DEADLINE || cv_now_ms() < deadline)
                continue;
            return CV_ERR_TIMEOUT;
        }
        if (errno != EINTR)
            return CV_ERR_IO;
    }
}
