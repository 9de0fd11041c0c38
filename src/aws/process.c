/* SPDX-License-Identifier: Apache-2.0 */
/* credential_process: a program of the operator that prints credentials. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aws/config_private.h"
#include "common/clock.h"
#include "json/json.h"
#include "transport/stream.h"

#define OUTPUT_MAX 65536
#define RUN_MS 60000

static int start(pid_t *pid, int out, const char *command)
{
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    sigset_t none, defaults;
    char shell[] = "/bin/sh", c[] = "-c";
    char *copy = strdup(command);
    char *argv[] = {shell, c, copy, NULL};
    sigemptyset(&none);
    sigfillset(&defaults);
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&fa, out, 1);
    posix_spawnattr_init(&at);
    /* A group of its own, so that a time-out ends its children too. */
    posix_spawnattr_setflags(&at, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                      POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&at, 0);
    posix_spawnattr_setsigmask(&at, &none);
    posix_spawnattr_setsigdefault(&at, &defaults);
    int rc = copy != NULL ? posix_spawn(pid, shell, &fa, &at, argv, environ) : ENOMEM;
    posix_spawn_file_actions_destroy(&fa);
    posix_spawnattr_destroy(&at);
    free(copy);
    return rc;
}

static int read_output(struct cv_buf *out, int fd, int64_t deadline, struct cv_error *err)
{
    for (;;) {
        uint8_t *p = cv_buf_reserve(out, 4096);
        if (p == NULL)
            return cv_error_set(err, CV_ERR_LIMIT, "it prints more than %d bytes", OUTPUT_MAX);
        if (cv_fd_wait(fd, POLLIN, deadline) != 0)
            return cv_error_set(err, CV_ERR_TIMEOUT, "it does not end in time");
        ssize_t n = read(fd, p, 4096);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return cv_error_errno(err, CV_ERR_IO, errno, "reading what it prints");
        if (n > 0)
            cv_buf_commit(out, (size_t)n);
    }
}

/* Its exit status, or -1 when it had to be killed or died of a signal. */
static int await_end(pid_t pid, int64_t deadline)
{
    int status = 0;
    bool killed = false;
    for (;;) {
        pid_t r = waitpid(pid, &status, killed ? 0 : WNOHANG);
        if (r == pid)
            return !killed && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        if (r < 0 && errno != EINTR)
            return -1;
        if (!killed && cv_now_ms() >= deadline) {
            kill(-pid, SIGKILL);
            kill(pid, SIGKILL);
            killed = true;
        } else if (!killed) {
            cv_sleep_ms(5);
        }
    }
}

static int check_version(struct cv_bytes json, struct cv_error *err)
{
    CV_JSON_AUTO json_t *doc = NULL;
    int64_t version;
    if (cv_json_parse_object(&doc, json, OUTPUT_MAX, "output", NULL) != 0)
        return cv_error_set(err, CV_ERR_CONFIG, "it prints no JSON object");
    if (cv_json_get_int(doc, "Version", 1, 1, &version, NULL) != 0)
        return cv_error_set(err, CV_ERR_CONFIG, "what it prints is not of Version 1");
    return 0;
}

int cv_aws_source_process(const char *command, const char *source, struct cv_aws_credentials *out,
                          int64_t deadline, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    int fds[2];
    pid_t pid;
    int64_t mine = cv_deadline(RUN_MS);
    cv_buf_init(&text, OUTPUT_MAX);
    if (mine > deadline)
        mine = deadline;
    if (pipe2(fds, O_CLOEXEC) != 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "credential_process: making a pipe");
    int e = start(&pid, fds[1], command);
    close(fds[1]);
    if (e != 0) {
        close(fds[0]);
        return cv_error_errno(err, CV_ERR_CONFIG, e, "credential_process: starting it");
    }
    int rc = read_output(&text, fds[0], mine, err);
    close(fds[0]);
    int status = await_end(pid, rc == 0 ? mine : 0);
    if (rc == 0 && status != 0)
        rc = cv_error_set(err, CV_ERR_CONFIG,
                          status > 0 ? "it failed with status %d" : "it was killed (%d)", status);
    if (rc == 0)
        rc = check_version(cv_buf_view(&text), err);
    if (rc == 0)
        rc = cv_aws_credentials_from_json(out, cv_buf_view(&text), source, err);
    if (rc != 0)
        cv_error_wrap(err, "credential_process");
    return rc;
}
