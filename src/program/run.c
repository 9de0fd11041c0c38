/* SPDX-License-Identifier: Apache-2.0 */
#include "program/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

#define CHUNK 4096
#define REAP_MS 5 /* between two looks whether it has ended */

/* In a group of its own, so that its children end with it; no signal blocked
 * or ignored. */
static int spawn(pid_t *pid, const char *const *argv, int out)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    int e = posix_spawn_file_actions_init(&files);
    if (e != 0) {
        return e;
    }
    e = posix_spawnattr_init(&attr);
    if (e != 0) {
        (void)posix_spawn_file_actions_destroy(&files);
        return e;
    }
    if ((e = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0)) ==
            0 &&
        (e = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO)) == 0 &&
        (e = posix_spawnattr_setpgroup(&attr, 0)) == 0 &&
        (e = posix_spawnattr_setsigmask(&attr, &none)) == 0 &&
        (e = posix_spawnattr_setsigdefault(&attr, &all)) == 0 &&
        (e = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                 POSIX_SPAWN_SETSIGDEF)) == 0) {
        /* POSIX has it not const, and does not write to it. */
        char *copy[CV_PROGRAM_ARGUMENTS + 1];
        memcpy(copy, argv, sizeof(copy));
        e = posix_spawnp(pid, copy[0], &files, &attr, copy, environ);
    }
    (void)posix_spawnattr_destroy(&attr);
    (void)posix_spawn_file_actions_destroy(&files);
    return e;
}

/* Waits for output. False: RESULT says why there will be none. */
static bool await_output(int fd, int64_t deadline, int watch, struct cv_program_result *result)
{
    struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = watch, .events = POLLRDHUP}};
    for (;;) {
        int n = poll(p, 2, cv_deadline_poll(deadline));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            result->code = n == 0 ? CV_ERR_TIMEOUT : CV_ERR_IO;
            result->number = errno;
            return false;
        }
        if (p[1].revents != 0) {
            result->code = CV_ERR_CANCELLED;
            return false;
        }
        return true;
    }
}

static void read_output(struct cv_buf *out, int fd, int64_t deadline, int watch,
                        struct cv_program_result *result)
{
    while (await_output(fd, deadline, watch, result)) {
        uint8_t chunk[CHUNK];
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n == 0) {
            return;
        }
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            result->code = CV_ERR_IO;
            result->number = errno;
            return;
        }
        int rc = n > 0 ? cv_buf_append(out, chunk, (size_t)n) : 0;
        cv_wipe(chunk, sizeof(chunk)); /* it may be credentials */
        if (rc != 0) {
            result->code = rc;
            return;
        }
    }
}

/* Until it has ended; it is killed at DEADLINE, or at once when reading what it
 * prints went wrong. */
static void reap(pid_t pid, int64_t deadline, struct cv_program_result *result)
{
    bool killed = false;
    for (;;) {
        int status = 0;
        pid_t r = waitpid(pid, &status, killed ? 0 : WNOHANG);
        if (r == pid) {
            result->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
            return;
        }
        if (r < 0 && errno != EINTR) {
            result->status = -1;
            return;
        }
        if (!killed && (result->code != 0 || cv_now_ms() >= deadline)) {
            result->code = result->code != 0 ? result->code : CV_ERR_TIMEOUT;
            (void)kill(-pid, SIGKILL);
            (void)kill(pid, SIGKILL);
            killed = true;
        } else if (!killed) {
            cv_sleep_ms(REAP_MS);
        }
    }
}

void cv_program_run_here(const char *const *argv, struct cv_buf *out, int64_t deadline, int watch,
                         struct cv_program_result *result)
{
    size_t before = out->n;
    int fds[2];
    pid_t pid = 0;
    memset(result, 0, sizeof(*result));
    if (pipe2(fds, O_CLOEXEC) != 0) {
        result->code = CV_ERR_IO;
        result->number = errno;
        return;
    }
    int e = spawn(&pid, argv, fds[1]);
    (void)close(fds[1]);
    if (e != 0) {
        (void)close(fds[0]);
        result->code = CV_ERR_CONFIG;
        result->number = e;
        return;
    }
    read_output(out, fds[0], deadline, watch, result);
    (void)close(fds[0]);
    reap(pid, deadline, result);
    result->size = (uint32_t)(out->n - before);
}

int cv_program_pack(struct cv_buf *out, const char *const *argv)
{
    size_t count = 0, before = out->n;
    for (; argv[count] != NULL; count++) {
        if (count == CV_PROGRAM_ARGUMENTS ||
            cv_buf_append(out, argv[count], strlen(argv[count]) + 1) != 0) {
            return CV_ERR_LIMIT;
        }
    }
    return count > 0 && out->n - before <= CV_PROGRAM_ARGV_MAX ? 0 : CV_ERR_LIMIT;
}

int cv_program_unpack(const char *argv[CV_PROGRAM_ARGUMENTS + 1], struct cv_bytes text)
{
    size_t count = 0;
    memset(argv, 0, (CV_PROGRAM_ARGUMENTS + 1) * sizeof(argv[0]));
    if (text.n == 0 || text.n > CV_PROGRAM_ARGV_MAX || text.p[text.n - 1] != 0) {
        return CV_ERR_INVALID;
    }
    for (const char *p = (const char *)text.p, *end = p + text.n; p < end; p += strlen(p) + 1) {
        if (count == CV_PROGRAM_ARGUMENTS) {
            return CV_ERR_INVALID;
        }
        argv[count++] = p;
    }
    return count > 0 && argv[0][0] != 0 ? 0 : CV_ERR_INVALID;
}
