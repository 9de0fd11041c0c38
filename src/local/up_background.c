/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claviger-local up --background and --stop: a stack that outlives the command
 * that started it. Whoever holds up.lock is in it by process id.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "local/up.h"

#define LOG_NAME "up.log"
#define STOP_MS 30000

/* Copies what LOG holds from byte FROM on to standard error. */
static void show(int log, off_t from)
{
    char text[4096];
    ssize_t n;
    while ((n = pread(log, text, sizeof text, from)) > 0 &&
           cv_fd_write_all(STDERR_FILENO, text, (size_t)n) == 0)
        from += n;
}

static int redirect(int input, int output, int errors)
{
    return dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
                   dup2(errors, STDERR_FILENO) < 0
               ? -1
               : 0;
}

/* What the command does that has started the stack: waits for its "ready". */
static enum cv_up_side await(int from, int log, off_t before)
{
    char word[16];
    size_t got = 0;
    ssize_t n;
    while (got < sizeof word &&
           ((n = read(from, word + got, sizeof word - got)) > 0 || (n < 0 && errno == EINTR)))
        got += n > 0 ? (size_t)n : 0;
    if (got != 6 || memcmp(word, "ready\n", 6) != 0) {
        show(log, before);
        return CV_UP_FAILED;
    }
    puts("ready");
    fflush(stdout);
    return CV_UP_STARTED;
}

enum cv_up_side cv_up_background(const char *dir, struct cv_error *err)
{
    char path[PATH_MAX];
    int line[2] = {-1, -1};
    if (cv_dir_make(dir, 0700, err) != 0)
        return CV_UP_FAILED;
    if (snprintf(path, sizeof path, "%s/" LOG_NAME, dir) >= (int)sizeof path) {
        (void)cv_error_set(err, CV_ERR_INVALID, "the path of the folder is too long");
        return CV_UP_FAILED;
    }
    int empty = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int log = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    off_t before = log < 0 ? 0 : lseek(log, 0, SEEK_END);
    enum cv_up_side side = CV_UP_FAILED;
    pid_t pid = -1;
    if (empty >= 0 && log >= 0 && pipe2(line, O_CLOEXEC) == 0)
        pid = fork();
    if (pid < 0)
        (void)cv_error_errno(err, CV_ERR_IO, errno, "going into the background, log %s", path);
    if (pid > 0) {
        close(line[1]);
        line[1] = -1;
        side = await(line[0], log, before);
    }
    if (pid == 0) {
        (void)setsid();
        side = redirect(empty, line[1], log) == 0 ? CV_UP_SERVES : CV_UP_FAILED;
    }
    const int opened[] = {empty, log, line[0], line[1]};
    for (size_t i = 0; i < sizeof opened / sizeof opened[0]; i++)
        if (opened[i] >= 0)
            close(opened[i]);
    return side;
}

void cv_up_is_ready(bool background)
{
    puts("ready");
    fflush(stdout);
    int nothing = background ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;
    if (nothing < 0)
        return;
    /* The command that waits reads to the end. */
    (void)dup2(nothing, STDOUT_FILENO);
    close(nothing);
}

int cv_up_lock(int *lock, const char *dir, struct cv_error *err)
{
    char path[PATH_MAX + 16], text[32];
    snprintf(path, sizeof path, "%s/up.lock", dir);
    int rc = cv_file_lock(lock, path, 0, err);
    if (rc == CV_ERR_BUSY)
        cv_error_wrap(err, "another 'claviger-local up' runs on %s", dir);
    if (rc)
        return rc;
    snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(*lock, 0) || cv_fd_write_all(*lock, text, strlen(text)))
        return cv_error_errno(err, CV_ERR_IO, errno, "writing %s", path);
    return 0;
}

/* Its lock is free a moment before the process is gone: that is what is awaited. */
static int end_process(pid_t pid, int64_t deadline, struct cv_error *err)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0 || syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0) != 0) {
        int e = errno;
        if (fd >= 0)
            close(fd);
        return e == ESRCH ? 0 : cv_error_errno(err, CV_ERR_IO, e, "ending process %ld", (long)pid);
    }
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n = 0;
    while (n <= 0 && cv_now_ms() < deadline)
        n = poll(&p, 1, cv_deadline_poll(deadline));
    close(fd);
    return n > 0 ? 0
                 : cv_error_set(err, CV_ERR_TIMEOUT, "process %ld does not end in time", (long)pid);
}

int cv_up_stop(const char *dir, struct cv_error *err)
{
    char path[PATH_MAX];
    struct cv_buf CV_CLEANUP(cv_buf_free) text;
    struct stat st;
    int lock = -1;
    cv_buf_init(&text, 64);
    if (snprintf(path, sizeof path, "%s/up.lock", dir) >= (int)sizeof path)
        return cv_error_set(err, CV_ERR_INVALID, "the path of the folder is too long");
    int rc = stat(path, &st) != 0 ? CV_ERR_NOT_FOUND : cv_file_lock(&lock, path, 0, err);
    if (rc == 0 || rc == CV_ERR_NOT_FOUND) {
        if (lock >= 0)
            close(lock);
        return cv_error_set(err, CV_ERR_NOT_FOUND, "no 'claviger-local up' runs on %s", dir);
    }
    if (rc != CV_ERR_BUSY)
        return rc;
    cv_error_clear(err);
    if ((rc = cv_file_read(&text, path, err)) != 0)
        return rc;
    struct cv_bytes view = cv_buf_view(&text);
    char digits[32] = "";
    memcpy(digits, view.p, view.n < sizeof digits - 1 ? view.n : sizeof digits - 1);
    char *end;
    long pid = strtol(digits, &end, 10);
    if (*end != '\n' || pid < 2 || pid > INT_MAX)
        return cv_error_set(err, CV_ERR_STATE, "%s names no process; is it just starting?", path);
    return end_process((pid_t)pid, cv_deadline(STOP_MS), err);
}
