/* SPDX-License-Identifier: Apache-2.0 */
/* The side of whoever wants a program run. */
#include "program/program.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "program/run.h"

#define GRACE_MS 2000 /* for the helper to say that the time is over */

/* Of this process. Set up before there are threads, read by them. */
static struct {
    int control; /* 0 = none: it is never standard input */
    pid_t pid;
    bool used; /* something may have to be run */
    bool sealed;
} helper;

/* ---- with the helper ---- */

static int send_packet(struct cv_bytes packet, int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } ancillary;
    /* iovec has no const; nothing is written through it. */
    union {
        const uint8_t *in;
        void *out;
    } u = {.in = packet.p};
    struct iovec part = {.iov_base = u.out, .iov_len = packet.n};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        memset(&ancillary, 0, sizeof(ancillary));
        m.msg_control = &ancillary;
        m.msg_controllen = sizeof(ancillary);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    }
    ssize_t n;
    do {
        n = sendmsg(helper.control, &m, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)packet.n ? 0 : CV_ERR_IO;
}

/* Exactly N bytes. CV_ERR_CLOSED, CV_ERR_TIMEOUT, CV_ERR_IO. */
static int receive_all(int fd, void *p, size_t n, int64_t deadline)
{
    uint8_t *at = p;
    while (n > 0) {
        struct pollfd w = {.fd = fd, .events = POLLIN};
        int ready = poll(&w, 1, cv_deadline_poll(deadline));
        if (ready == 0) {
            return CV_ERR_TIMEOUT;
        }
        ssize_t k = ready > 0 ? recv(fd, at, n, 0) : -1;
        if (k < 0 && errno != EINTR && errno != EAGAIN) {
            return CV_ERR_IO;
        }
        if (k == 0) {
            return CV_ERR_CLOSED;
        }
        if (k > 0) {
            at += k;
            n -= (size_t)k;
        }
    }
    return 0;
}

static int receive_result(int fd, struct cv_buf *out, int64_t deadline,
                          struct cv_program_result *result)
{
    int rc = receive_all(fd, result, sizeof(*result), deadline);
    if (rc != 0) {
        return rc;
    }
    uint8_t *room =
        result->size <= CV_PROGRAM_OUTPUT_MAX ? cv_buf_reserve(out, result->size) : NULL;
    if (room == NULL) {
        return CV_ERR_LIMIT;
    }
    rc = receive_all(fd, room, result->size, deadline);
    if (rc == 0) {
        cv_buf_commit(out, result->size);
    }
    return rc;
}

static int run_there(const char *const *argv, struct cv_buf *out, int64_t deadline,
                     struct cv_program_result *result, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf packet;
    int64_t ms = deadline - cv_now_ms();
    uint32_t time = ms < 0 ? 0 : ms > CV_PROGRAM_MS_MAX ? CV_PROGRAM_MS_MAX : (uint32_t)ms;
    uint32_t room = (uint32_t)(out->limit - out->n < CV_PROGRAM_OUTPUT_MAX ? out->limit - out->n
                                                                           : CV_PROGRAM_OUTPUT_MAX);
    int fds[2];
    cv_buf_init(&packet, CV_PROGRAM_ARGV_MAX + 16);
    if (cv_buf_append_u8(&packet, 'R') != 0 || cv_buf_append(&packet, &time, sizeof(time)) != 0 ||
        cv_buf_append(&packet, &room, sizeof(room)) != 0 || cv_program_pack(&packet, argv) != 0) {
        return cv_error_set(err, CV_ERR_LIMIT, "the command is too long");
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
        return cv_error_errno(err, CV_ERR_IO, errno, "making a socketpair");
    }
    int rc = send_packet(cv_buf_view(&packet), fds[1]);
    (void)close(fds[1]);
    if (rc == 0) {
        rc = receive_result(fds[0], out, cv_deadline((int64_t)time + GRACE_MS), result);
    }
    (void)close(fds[0]);
    return rc == 0 ? 0
                   : cv_error_set(err, rc, "the process that runs programs for this one %s",
                                  rc == CV_ERR_TIMEOUT ? "does not answer" : "has ended");
}

/* ---- for callers ---- */

int cv_program_run(const char *const *argv, struct cv_buf *out, int *status, int64_t deadline,
                   struct cv_error *err)
{
    struct cv_program_result result;
    *status = -1;
    if (helper.control != 0) {
        int rc = run_there(argv, out, deadline, &result, err);
        if (rc != 0) {
            return rc;
        }
    } else {
        const char *copy[CV_PROGRAM_ARGUMENTS + 1] = {NULL};
        for (size_t i = 0; argv[i] != NULL; i++) {
            if (i == CV_PROGRAM_ARGUMENTS) {
                return cv_error_set(err, CV_ERR_LIMIT, "the command is too long");
            }
            copy[i] = argv[i];
        }
        cv_program_run_here(copy, out, deadline, -1, &result);
    }
    *status = result.status;
    switch (result.code) {
    case CV_OK:
        return 0;
    case CV_ERR_CONFIG:
        return cv_error_errno(err, CV_ERR_CONFIG, result.number, "starting it");
    case CV_ERR_DENIED:
        return cv_error_set(err, CV_ERR_DENIED,
                            "it is not one of the programs that were configured when the daemon "
                            "started: restart it");
    case CV_ERR_TIMEOUT:
        return cv_error_set(err, CV_ERR_TIMEOUT, "it does not end in time");
    case CV_ERR_LIMIT:
        return cv_error_set(err, CV_ERR_LIMIT, "it prints more than %zu bytes", out->limit);
    case CV_ERR_NOMEM:
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for what it prints");
    default:
        return cv_error_errno(err, CV_ERR_IO, result.number, "reading what it prints");
    }
}

int cv_program_helper_start(struct cv_error *err)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
        return cv_error_errno(err, CV_ERR_IO, errno, "making a socketpair");
    }
    pid_t pid = fork();
    if (pid < 0) {
        (void)close(fds[0]);
        (void)close(fds[1]);
        return cv_error_errno(err, CV_ERR_IO, errno, "starting the process that runs programs");
    }
    if (pid == 0) {
        (void)close(fds[0]);
        cv_program_serve(fds[1]);
    }
    (void)close(fds[1]);
    helper.control = fds[0];
    helper.pid = pid;
    helper.used = false;
    helper.sealed = false;
    return 0;
}

int cv_program_helper_allow(const char *const *argv, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf packet;
    cv_buf_init(&packet, CV_PROGRAM_ARGV_MAX + 1);
    if (helper.control == 0 || helper.sealed) {
        return cv_error_set(err, CV_ERR_STATE, "no further program can be run");
    }
    if (cv_buf_append_u8(&packet, 'A') != 0 || cv_program_pack(&packet, argv) != 0) {
        return cv_error_set(err, CV_ERR_LIMIT, "a command of more than %d bytes or %d arguments",
                            CV_PROGRAM_ARGV_MAX, CV_PROGRAM_ARGUMENTS);
    }
    helper.used = true;
    return send_packet(cv_buf_view(&packet), -1) == 0
               ? 0
               : cv_error_set(err, CV_ERR_IO, "the process that runs programs has ended");
}

int cv_program_helper_seal(struct cv_error *err)
{
    if (helper.control == 0 || !helper.used) {
        cv_program_helper_stop();
        return 0;
    }
    helper.sealed = true;
    return send_packet(CV_BYTES("S", 1), -1) == 0
               ? 0
               : cv_error_set(err, CV_ERR_IO, "the process that runs programs has ended");
}

bool cv_program_helper_open(void)
{
    return helper.control != 0 && !helper.sealed;
}

void cv_program_helper_stop(void)
{
    if (helper.control == 0) {
        return;
    }
    (void)close(helper.control);
    while (waitpid(helper.pid, NULL, 0) < 0 && errno == EINTR) {
    }
    memset(&helper, 0, sizeof(helper));
}
