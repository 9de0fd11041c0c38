/* SPDX-License-Identifier: Apache-2.0 */
/* The NSM stand-in on a UNIX socket: one loop, a buffer each way a client. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "local/nsm_internal.h"

#define MAX_CLIENTS 64
#define FRAME_HEAD 4

struct client {
    int fd;
    struct cv_buf in;  /* at most one frame and what came after it */
    struct cv_buf out; /* while it holds bytes, nothing more is read */
};

struct server {
    struct cv_local_nsm *nsm;
    int listener;
    struct client client[MAX_CLIENTS];
    size_t count;
};

/* True when something answers at ADDR, so that it must not be replaced. */
static bool in_use(const struct sockaddr_un *addr)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool used = fd >= 0 &&
                (connect(fd, (const struct sockaddr *)addr, sizeof *addr) == 0 || errno == EAGAIN);

    if (fd >= 0)
        close(fd);
    return used;
}

static int listen_at(const char *path, int *fd, struct cv_error *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct stat st;

    if (strlen(path) == 0 || strlen(path) >= sizeof addr.sun_path)
        return cv_error_set(err, CV_ERR_LIMIT, "a socket's path has 1 to %zu bytes, not %zu: %s",
                            sizeof addr.sun_path - 1, strlen(path), path);
    memcpy(addr.sun_path, path, strlen(path) + 1);
    if (lstat(path, &st) == 0) {
        if (!S_ISSOCK(st.st_mode))
            return cv_error_set(err, CV_ERR_EXISTS, "%s exists and is not a socket", path);
        if (in_use(&addr))
            return cv_error_set(err, CV_ERR_BUSY, "another process serves at %s", path);
        if (unlink(path) != 0 && errno != ENOENT)
            return cv_error_errno(err, CV_ERR_IO, errno, "removing the old socket %s", path);
    }
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "creating a socket");
    /* Before listen(), so that nobody connects while others still may. */
    if (bind(*fd, (struct sockaddr *)&addr, sizeof addr) != 0 || chmod(path, 0600) != 0 ||
        listen(*fd, MAX_CLIENTS) != 0) {
        int saved = errno;
        close(*fd);
        *fd = -1;
        return cv_error_errno(err, CV_ERR_IO, saved, "listening at %s", path);
    }
    return 0;
}

static void drop(struct server *s, size_t i)
{
    close(s->client[i].fd);
    cv_buf_free(&s->client[i].in);
    cv_buf_free(&s->client[i].out);
    s->client[i] = s->client[--s->count];
}

static void accept_one(struct server *s)
{
    int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    if (s->count == MAX_CLIENTS) {
        cv_log(CV_LOG_WARN, "too many clients, refusing one more", NULL);
        close(fd);
        return;
    }
    struct client *c = &s->client[s->count++];
    c->fd = fd;
    cv_buf_init(&c->in, FRAME_HEAD + CV_LOCAL_NSM_REQUEST_MAX + 1);
    cv_buf_init(&c->out, FRAME_HEAD + CV_LOCAL_NSM_RESPONSE_MAX);
}

static bool put_reply(struct client *c, struct cv_bytes reply)
{
    uint8_t head[FRAME_HEAD] = {(uint8_t)(reply.n >> 24), (uint8_t)(reply.n >> 16),
                                (uint8_t)(reply.n >> 8), (uint8_t)reply.n};

    return cv_buf_append(&c->out, head, sizeof head) == 0 &&
           cv_buf_append(&c->out, reply.p, reply.n) == 0;
}

/* Answers the frame at the start of the input, if it is whole; false when the
 * client is to be dropped. */
static bool answer_one(struct server *s, struct client *c)
{
    if (c->out.n > 0 || c->in.n < FRAME_HEAD)
        return true;
    size_t len =
        (size_t)c->in.p[0] << 24 | (size_t)c->in.p[1] << 16 | (size_t)c->in.p[2] << 8 | c->in.p[3];
    if (len > CV_LOCAL_NSM_REQUEST_MAX + 1) {
        /* Not read any further: the driver would have refused it (EMSGSIZE). */
        cv_log(CV_LOG_WARN, "a request longer than the NSM takes", "bytes", cv_logf("%zu", len),
               NULL);
        return false;
    }
    if (c->in.n - FRAME_HEAD < len)
        return true;
    CV_CLEANUP(cv_buf_free) struct cv_buf reply;
    cv_buf_init(&reply, CV_LOCAL_NSM_RESPONSE_MAX);
    cv_local_nsm_handle(s->nsm, CV_BYTES(c->in.p + FRAME_HEAD, len), &reply);
    cv_buf_consume(&c->in, FRAME_HEAD + len);
    return put_reply(c, cv_buf_view(&reply));
}

static bool receive(struct client *c)
{
    uint8_t chunk[FRAME_HEAD + CV_LOCAL_NSM_REQUEST_MAX + 1];
    ssize_t n = recv(c->fd, chunk, c->in.limit - c->in.n, 0);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    return n > 0 && cv_buf_append(&c->in, chunk, (size_t)n) == 0;
}

static bool transmit(struct client *c)
{
    ssize_t n = send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    cv_buf_consume(&c->out, (size_t)n);
    return true;
}

static bool step(struct server *s, struct client *c, short events)
{
    if (events & POLLOUT) {
        if (!transmit(c))
            return false;
    } else if (events & (POLLIN | POLLHUP | POLLERR)) {
        if (!receive(c))
            return false;
    }
    return answer_one(s, c);
}

static int loop(struct server *s, int stop_fd, struct cv_error *err)
{
    for (;;) {
        struct pollfd p[MAX_CLIENTS + 2] = {{.fd = stop_fd, .events = POLLIN},
                                            {.fd = s->listener, .events = POLLIN}};
        for (size_t i = 0; i < s->count; i++) {
            p[i + 2].fd = s->client[i].fd;
            p[i + 2].events = s->client[i].out.n > 0 ? POLLOUT : POLLIN;
        }
        if (poll(p, s->count + 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            return cv_error_errno(err, CV_ERR_IO, errno, "waiting for clients");
        }
        if (p[0].revents != 0)
            return 0;
        /* From the last to the first: drop() moves the last into the gap. */
        for (size_t i = s->count; i-- > 0;) {
            if (p[i + 2].revents != 0 && !step(s, &s->client[i], p[i + 2].revents))
                drop(s, i);
        }
        if (p[1].revents != 0)
            accept_one(s);
    }
}

int cv_local_nsm_serve(struct cv_local_nsm *nsm, const char *path, int stop_fd,
                       void (*ready)(void *ctx), void *ready_ctx, struct cv_error *err)
{
    struct server s = {.nsm = nsm, .listener = -1};

    int rc = listen_at(path, &s.listener, err);
    if (rc != 0)
        return rc;
    if (ready != NULL)
        ready(ready_ctx);
    rc = loop(&s, stop_fd, err);
    while (s.count > 0)
        drop(&s, s.count - 1);
    close(s.listener);
    unlink(path);
    return rc;
}
