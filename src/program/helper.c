/* SPDX-License-Identifier: Apache-2.0 */
/* The helper's own life: one thread, no secrets; each run is a child of it. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "program/run.h"

#define PACKET_MAX (CV_PROGRAM_ARGV_MAX + 16)
#define RUN_HEAD 9 /* bytes before argv: 'R', milliseconds, bytes */

struct helper {
    int control;
    bool sealed;
    struct cv_buf commands[CV_PROGRAM_COMMANDS];
    size_t count;
};

/* A packet, and the descriptor that came with it (or -1). Its length, 0 at the
 * end; what does not fit is the end, too. */
static size_t receive(int control, uint8_t packet[PACKET_MAX], int *fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } ancillary;
    struct iovec part = {.iov_base = packet, .iov_len = PACKET_MAX};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = &ancillary,
                       .msg_controllen = sizeof(ancillary)};
    ssize_t n;
    do {
        n = recvmsg(control, &m, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    *fd = -1;
    const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof(int))) {
        memcpy(fd, CMSG_DATA(c), sizeof(*fd));
    }
    return n > 0 && (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 ? (size_t)n : 0;
}

static bool knows(const struct helper *h, struct cv_bytes command)
{
    for (size_t i = 0; i < h->count; i++) {
        if (cv_bytes_equal(cv_buf_view(&h->commands[i]), command)) {
            return true;
        }
    }
    return false;
}

static bool allow(struct helper *h, struct cv_bytes command)
{
    const char *argv[CV_PROGRAM_ARGUMENTS + 1];
    if (h->sealed || cv_program_unpack(argv, command) != 0) {
        return false;
    }
    if (knows(h, command)) {
        return true;
    }
    if (h->count == CV_PROGRAM_COMMANDS) {
        return false;
    }
    struct cv_buf *b = &h->commands[h->count++];
    cv_buf_init(b, CV_PROGRAM_ARGV_MAX);
    return cv_buf_append(b, command.p, command.n) == 0;
}

static void send_all(int fd, const void *p, size_t n)
{
    while (n > 0) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k < 0 && errno == EINTR) {
            continue;
        }
        if (k <= 0) {
            return; /* nobody wants it any more */
        }
        p = (const char *)p + k;
        n -= (size_t)k;
    }
}

/* In a child of the helper: runs, answers, ends. */
static void run(const struct helper *h, int fd, uint32_t ms, uint32_t size, struct cv_bytes command)
{
    struct cv_program_result result = {.code = CV_ERR_DENIED};
    const char *argv[CV_PROGRAM_ARGUMENTS + 1];
    struct cv_buf out;
    (void)signal(SIGCHLD, SIG_DFL); /* this one waits for its program */
    cv_buf_init(&out, size < CV_PROGRAM_OUTPUT_MAX ? size : CV_PROGRAM_OUTPUT_MAX);
    if (h->sealed && knows(h, command) && cv_program_unpack(argv, command) == 0) {
        cv_program_run_here(
            argv, &out, cv_deadline(ms < CV_PROGRAM_MS_MAX ? ms : CV_PROGRAM_MS_MAX), fd, &result);
    }
    send_all(fd, &result, sizeof(result));
    send_all(fd, out.p, result.size);
    cv_buf_free(&out);
    _exit(0);
}

static bool take_run(const struct helper *h, int fd, const uint8_t *packet, size_t n)
{
    uint32_t ms, size;
    if (fd < 0 || n <= RUN_HEAD) {
        return false;
    }
    memcpy(&ms, packet + 1, sizeof(ms));
    memcpy(&size, packet + 5, sizeof(size));
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(h->control);
        run(h, fd, ms, size, CV_BYTES(packet + RUN_HEAD, n - RUN_HEAD));
    }
    return true; /* without a child the caller sees the end of its socket */
}

void cv_program_serve(int control)
{
    static struct helper h;
    static uint8_t packet[PACKET_MAX];
    h.control = control;
    (void)prctl(PR_SET_NAME, "claviger-run", 0, 0, 0);
    /* It ends when the daemon does, not before, whoever is told to stop. */
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGCHLD, SIG_IGN); /* no zombies */
    for (bool good = true; good;) {
        int fd;
        size_t n = receive(control, packet, &fd);
        if (n == 0) {
            break;
        }
        if (packet[0] == 'A' && fd < 0) {
            good = allow(&h, CV_BYTES(packet + 1, n - 1));
        } else if (packet[0] == 'S' && fd < 0 && n == 1) {
            h.sealed = true;
        } else if (packet[0] == 'R') {
            good = take_run(&h, fd, packet, n);
        } else {
            good = false;
        }
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    _exit(0);
}
