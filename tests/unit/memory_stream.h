/* SPDX-License-Identifier: Apache-2.0 */
/* A stream whose peer is memory: gives bytes in pieces, keeps what is written. */
#ifndef CV_TEST_MEMORY_STREAM_H
#define CV_TEST_MEMORY_STREAM_H

#include <string.h>

#include "transport/stream.h"

struct memory_stream {
    struct cv_stream base;
    struct cv_bytes in;
    size_t off;
    size_t piece; /* most bytes of one read; 0 = no limit */
    bool cut;     /* the end is a reset, not an orderly end */
    struct cv_buf out;
};

static ssize_t memory_read(struct cv_stream *b, void *p, size_t n, int64_t deadline,
                           struct cv_error *err)
{
    struct memory_stream *s = (struct memory_stream *)b;
    size_t left = s->in.n - s->off;
    (void)deadline;
    if (left == 0 && s->cut)
        return cv_error_set(err, CV_ERR_CLOSED, "cut");
    if (n > left)
        n = left;
    if (s->piece != 0 && n > s->piece)
        n = s->piece;
    if (n > 0)
        memcpy(p, s->in.p + s->off, n);
    s->off += n;
    return (ssize_t)n;
}

static int memory_writev(struct cv_stream *b, const struct iovec *iov, int n, int64_t deadline,
                         struct cv_error *err)
{
    struct memory_stream *s = (struct memory_stream *)b;
    (void)deadline;
    for (int i = 0; i < n; i++)
        if (cv_buf_append(&s->out, iov[i].iov_base, iov[i].iov_len) != 0)
            return cv_error_set(err, CV_ERR_IO, "full");
    return 0;
}

static int memory_shutdown(struct cv_stream *b, int64_t deadline, struct cv_error *err)
{
    (void)b, (void)deadline, (void)err;
    return 0;
}

static void memory_close(struct cv_stream *b)
{
    cv_buf_free(&((struct memory_stream *)b)->out);
}

static int memory_fd(const struct cv_stream *b)
{
    (void)b;
    return -1;
}

static const struct cv_stream_ops memory_ops = {
    memory_read, memory_writev, memory_shutdown, memory_close, memory_fd,
};

static inline void memory_stream_init(struct memory_stream *s, struct cv_bytes in, size_t piece)
{
    *s = (struct memory_stream){.base.ops = &memory_ops, .in = in, .piece = piece};
    cv_buf_init(&s->out, 1u << 20);
}

#endif
