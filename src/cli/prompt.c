/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "common/file.h"

static volatile sig_atomic_t interrupted;

static void on_signal(int signal_number)
{
    interrupted = signal_number;
}

int cv_prompt_read_all(struct cv_secret *out, int fd, size_t limit, struct cv_error *err)
{
    size_t n = 0;
    int rc = cv_secret_alloc(out, limit + 1);
    if (rc != 0) {
        return cv_error_set(err, rc, "no memory for a secret");
    }
    for (;;) {
        ssize_t r = read(fd, out->p + n, limit + 1 - n);
        if (r < 0 && errno == EINTR) {
            continue;
        }
        if (r < 0) {
            return cv_error_errno(err, CV_ERR_IO, errno, "reading standard input");
        }
        if (r == 0) {
            break;
        }
        n += (size_t)r;
        if (n > limit) {
            return cv_error_set(err, CV_ERR_LIMIT, "more than %zu bytes on standard input", limit);
        }
    }
    cv_secret_shrink(out, n);
    return 0;
}

/* One byte. The signals get through only while it is waited for, so that none
 * comes between a look at INTERRUPTED and the wait. */
static ssize_t read_byte(int fd, uint8_t *c, const sigset_t *open_to)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (interrupted == 0 && ppoll(&p, 1, NULL, open_to) < 0) {
        if (errno != EINTR) {
            return -1;
        }
    }
    return interrupted == 0 ? read(fd, c, 1) : 0;
}

/* One line from the terminal FD, byte for byte, so that nothing of it stays in
 * a buffer of the C library. */
static int read_line(struct cv_secret *out, int fd, size_t limit, const sigset_t *open_to,
                     struct cv_error *err)
{
    size_t n = 0;
    for (;;) {
        uint8_t c;
        ssize_t r = read_byte(fd, &c, open_to);
        if (interrupted != 0) {
            return cv_error_set(err, CV_ERR_CANCELLED, "interrupted");
        }
        if (r < 0 && errno == EINTR) {
            continue;
        }
        if (r < 0) {
            return cv_error_errno(err, CV_ERR_IO, errno, "reading the terminal");
        }
        if (r == 0 && n == 0) {
            return cv_error_set(err, CV_ERR_CANCELLED, "nothing was entered");
        }
        if (r == 0 || c == '\n') {
            cv_secret_shrink(out, n);
            return 0;
        }
        if (n == limit) {
            return cv_error_set(err, CV_ERR_LIMIT, "more than %zu characters were entered", limit);
        }
        out->p[n++] = c;
    }
}

int cv_prompt_secret(struct cv_secret *out, const char *question, size_t limit,
                     struct cv_error *err)
{
    struct termios old, quiet;
    struct sigaction act = {.sa_handler = on_signal}, old_int, old_term;
    sigset_t both, mask;
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        return cv_error_set(err, CV_ERR_IO, "there is no terminal to ask on");
    }
    int rc = cv_secret_alloc(out, limit);
    if (rc != 0 || tcgetattr(fd, &old) != 0) {
        (void)close(fd);
        return cv_error_set(err, rc != 0 ? rc : CV_ERR_IO, "the terminal cannot be asked");
    }
    /* Ctrl-C must not leave the terminal without its echo. */
    interrupted = 0;
    (void)sigemptyset(&both);
    (void)sigaddset(&both, SIGINT);
    (void)sigaddset(&both, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &both, &mask);
    (void)sigaction(SIGINT, &act, &old_int);
    (void)sigaction(SIGTERM, &act, &old_term);
    quiet = old;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    if (tcsetattr(fd, TCSAFLUSH, &quiet) != 0) {
        rc = cv_error_errno(err, CV_ERR_IO, errno, "turning the terminal's echo off");
    } else {
        if (cv_fd_write_all(fd, question, strlen(question)) == 0) {
            rc = read_line(out, fd, limit, &mask, err);
        } else {
            rc = cv_error_set(err, CV_ERR_IO, "writing to the terminal failed");
        }
        (void)tcsetattr(fd, TCSAFLUSH, &old);
        rc = cv_fd_write_all(fd, "\n", 1) != 0 && rc == 0 ? CV_ERR_IO : rc;
    }
    (void)sigaction(SIGINT, &old_int, NULL);
    (void)sigaction(SIGTERM, &old_term, NULL);
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    (void)close(fd);
    return rc;
}
