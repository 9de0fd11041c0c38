/* SPDX-License-Identifier: Apache-2.0 */
#include "init/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "init/logring.h"
#include "transport/stream.h"

#define CONNECT_MS 5000
#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 5000

struct cv_logs {
    struct cv_addr addr;
    bool echo;
    pthread_t thread;
    int wake;
    int pipe[2][2]; /* [stdout, stderr][read, write] */
    pthread_mutex_t lock;
    struct cv_logring ring; /* under the lock, as what follows */
    bool stopping;
    int64_t until; /* when stopping */
    /* the thread's own */
    int fd;          /* connection, or -1 */
    bool connecting; /* under way, until give_up_at */
    int64_t retry_at, pause_ms, give_up_at;
    uint8_t record[CV_LOGRING_HEAD + CV_LOGRING_RECORD];
    size_t record_n, record_at; /* being sent */
};

static void ring_bell(int fd)
{
    uint64_t one = 1;
    ssize_t ignored = write(fd, &one, sizeof one);
    (void)ignored;
}

static void put(struct cv_logs *l, enum cv_log_stream stream, const void *p, size_t n)
{
    pthread_mutex_lock(&l->lock);
    cv_logring_put(&l->ring, stream, p, n);
    pthread_mutex_unlock(&l->lock);
}

static void sink(void *ctx, const char *line, size_t n)
{
    struct cv_logs *l = ctx;
    put(l, CV_LOG_INIT, line, n);
    ring_bell(l->wake);
    int ignored = cv_fd_write_all(STDERR_FILENO, line, n);
    (void)ignored;
}

/* True when there may be more. */
static bool drain(struct cv_logs *l, int which)
{
    uint8_t data[CV_LOGRING_RECORD];
    ssize_t n = read(l->pipe[which][0], data, sizeof data);
    if (n <= 0)
        return n < 0 && errno == EINTR;
    put(l, which == 0 ? CV_LOG_STDOUT : CV_LOG_STDERR, data, (size_t)n);
    if (l->echo) {
        int ignored = cv_fd_write_all(STDERR_FILENO, data, (size_t)n);
        (void)ignored;
    }
    return true;
}

static void disconnect(struct cv_logs *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    l->connecting = false;
    /* A record that was cut is told again from its start. */
    l->record_at = 0;
    l->retry_at = cv_deadline(l->pause_ms);
    l->pause_ms = 2 * l->pause_ms > PAUSE_MAX_MS ? PAUSE_MAX_MS : 2 * l->pause_ms;
}

/* Begins to connect without waiting: the pipes are read meanwhile. */
static void connect_when_due(struct cv_logs *l)
{
    struct sockaddr_storage to;
    socklen_t n;
    if (l->connecting && cv_now_ms() >= l->give_up_at)
        disconnect(l);
    if (l->fd >= 0 || cv_now_ms() < l->retry_at || cv_addr_sockaddr(&to, &n, &l->addr, NULL) != 0)
        return;
    l->fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    l->connecting = true;
    l->give_up_at = cv_deadline(CONNECT_MS);
    if (l->fd >= 0 && connect(l->fd, (const struct sockaddr *)&to, n) == 0)
        l->connecting = false;
    else if (l->fd < 0 || errno != EINPROGRESS)
        disconnect(l);
}

/* The connection that was begun is there, or is not. */
static void connected(struct cv_logs *l)
{
    int number = 0;
    socklen_t n = sizeof number;
    if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &number, &n) != 0 || number != 0)
        disconnect(l);
    else
        l->connecting = false;
}

/* Sends until the socket is full or nothing is left. True when all is sent. */
static bool send_records(struct cv_logs *l)
{
    while (l->fd >= 0 && !l->connecting) {
        if (l->record_at == l->record_n) {
            pthread_mutex_lock(&l->lock);
            l->record_n = cv_logring_take(&l->ring, l->record);
            pthread_mutex_unlock(&l->lock);
            l->record_at = 0;
            if (l->record_n == 0)
                return true;
        }
        ssize_t n = send(l->fd, l->record + l->record_at, l->record_n - l->record_at,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            l->record_at += (size_t)n;
            l->pause_ms = PAUSE_MIN_MS;
        } else if (errno == EAGAIN) {
            return false;
        } else if (errno != EINTR) {
            disconnect(l);
        }
    }
    return false;
}

/* The parent says nothing here: readable means that it is gone. */
static void check_peer(struct cv_logs *l)
{
    uint8_t unwanted[256];
    ssize_t n = recv(l->fd, unwanted, sizeof unwanted, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        disconnect(l);
}

static void once(struct cv_logs *l, int64_t until)
{
    connect_when_due(l);
    bool all = send_records(l);
    int64_t next = l->connecting ? l->give_up_at : l->fd < 0 ? l->retry_at : until;
    next = next < until ? next : until;
    struct pollfd p[4] = {
        {.fd = l->pipe[0][0], .events = POLLIN},
        {.fd = l->pipe[1][0], .events = POLLIN},
        {.fd = l->wake, .events = POLLIN},
        {.fd = l->fd, .events = (short)(POLLIN | (all ? 0 : POLLOUT))},
    };
    if (poll(p, 4, cv_deadline_poll(next)) <= 0)
        return;
    for (int i = 0; i < 2; i++) {
        if (p[i].revents != 0)
            drain(l, i);
    }
    if (p[2].revents != 0) {
        uint64_t count;
        ssize_t ignored = read(l->wake, &count, sizeof count);
        (void)ignored;
    }
    if (l->fd >= 0 && l->connecting && p[3].revents != 0)
        connected(l);
    else if (l->fd >= 0 && (p[3].revents & ~POLLOUT) != 0)
        check_peer(l);
}

static bool stopping(struct cv_logs *l, int64_t *until)
{
    pthread_mutex_lock(&l->lock);
    bool yes = l->stopping;
    *until = yes ? l->until : CV_NO_DEADLINE;
    pthread_mutex_unlock(&l->lock);
    return yes;
}

static void *run(void *arg)
{
    struct cv_logs *l = arg;
    int64_t until;
    uint8_t rest[64];
    while (!stopping(l, &until))
        once(l, until);
    for (int i = 0; i < 2; i++) {
        while (drain(l, i) && cv_now_ms() < until)
            ;
    }
    l->retry_at = 0;
    while (cv_now_ms() < until) {
        connect_when_due(l);
        if (send_records(l))
            break;
        if (l->fd < 0)
            cv_sleep_ms(20);
        else if (cv_fd_wait(l->fd, POLLOUT, until) == 0 && l->connecting)
            connected(l);
    }
    if (l->fd < 0)
        return NULL;
    /* So that the last records arrive before the enclave is gone. */
    shutdown(l->fd, SHUT_WR);
    while (cv_fd_wait(l->fd, POLLIN, until) == 0 &&
           recv(l->fd, rest, sizeof rest, MSG_DONTWAIT) > 0)
        ;
    close(l->fd);
    l->fd = -1;
    return NULL;
}

static void free_all(struct cv_logs *l)
{
    for (int i = 0; i < 4; i++) {
        if (l->pipe[i / 2][i % 2] >= 0)
            close(l->pipe[i / 2][i % 2]);
    }
    if (l->wake >= 0)
        close(l->wake);
    pthread_mutex_destroy(&l->lock);
    cv_wipe(l, sizeof *l);
    free(l);
}

int cv_logs_start(struct cv_logs **out, const struct cv_parent *parent, bool echo,
                  struct cv_error *err)
{
    struct cv_logs *l = calloc(1, sizeof *l);
    *out = NULL;
    if (l == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the log");
    l->echo = echo;
    l->fd = -1;
    l->pause_ms = PAUSE_MIN_MS;
    cv_logring_init(&l->ring);
    cv_parent_address(&l->addr, parent, CV_PORT_LOGS);
    pthread_mutex_init(&l->lock, NULL);
    memset(l->pipe, 0xff, sizeof l->pipe);
    l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bool ok = l->wake >= 0;
    for (int i = 0; ok && i < 2; i++) {
        /* Our end alone does not block: the application's is as it expects. */
        ok = pipe2(l->pipe[i], O_CLOEXEC) == 0 && fcntl(l->pipe[i][0], F_SETFL, O_NONBLOCK) == 0;
    }
    if (!ok || pthread_create(&l->thread, NULL, run, l) != 0) {
        free_all(l);
        return cv_error_set(err, CV_ERR_IO, "starting the log's thread");
    }
    cv_log_sink(sink, l);
    *out = l;
    return 0;
}

int cv_logs_pipe(const struct cv_logs *l, int which)
{
    return l->pipe[which][1];
}

void cv_logs_stop(struct cv_logs **pl, int64_t ms)
{
    struct cv_logs *l = *pl;
    if (l == NULL)
        return;
    *pl = NULL;
    cv_log_sink(NULL, NULL);
    pthread_mutex_lock(&l->lock);
    l->stopping = true;
    l->until = cv_deadline(ms);
    pthread_mutex_unlock(&l->lock);
    ring_bell(l->wake);
    pthread_join(l->thread, NULL);
    free_all(l);
}
