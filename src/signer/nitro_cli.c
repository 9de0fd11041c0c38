/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/nitro_cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "json/json.h"

#define OUTPUT_MAX (1024 * 1024)
#define CID_LEAST 3 /* below are the hypervisor, this machine, and its parent (vsock(7)) */

extern char **environ;

/* nitro-cli with its output into FD, no input, no signal blocked. */
static int start(pid_t *pid, int fd)
{
    static char program[] = "nitro-cli", verb[] = "describe-enclaves";
    char *argv[] = {program, verb, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none;
    (void)sigemptyset(&none);
    int e = posix_spawn_file_actions_init(&files);
    if (e != 0) {
        return e;
    }
    e = posix_spawnattr_init(&attr);
    if (e == 0) {
        e = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        if (e == 0) {
            e = posix_spawn_file_actions_adddup2(&files, fd, STDOUT_FILENO);
        }
        if (e == 0) {
            e = posix_spawnattr_setsigmask(&attr, &none);
        }
        if (e == 0) {
            e = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
        }
        if (e == 0) {
            e = posix_spawnp(pid, program, &files, &attr, argv, environ);
        }
        (void)posix_spawnattr_destroy(&attr);
    }
    (void)posix_spawn_file_actions_destroy(&files);
    return e;
}

static int read_all(struct cv_buf *out, int fd, int64_t deadline, struct cv_error *err)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int r = poll(&p, 1, cv_deadline_poll(deadline));
        if (r < 0 && errno == EINTR) {
            continue;
        }
        if (r <= 0) {
            return cv_error_set(err, CV_ERR_TIMEOUT, "nitro-cli describe-enclaves does not end");
        }
        uint8_t *room = cv_buf_reserve(out, 4096);
        if (room == NULL) {
            return cv_error_set(err, CV_ERR_LIMIT, "nitro-cli describe-enclaves prints too much");
        }
        ssize_t n = read(fd, room, 4096);
        if (n == 0) {
            return 0;
        }
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            return cv_error_errno(err, CV_ERR_IO, errno, "reading what nitro-cli prints");
        }
        cv_buf_commit(out, n > 0 ? (size_t)n : 0);
    }
}

/* 0 when it ended well; it is killed first when KILL_IT. */
static int reap(pid_t pid, bool kill_it)
{
    int status = 0;
    if (kill_it) {
        (void)kill(pid, SIGKILL);
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return -1;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int cv_nitro_cli_cid(uint32_t *cid, const char *name, int64_t deadline, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    int fds[2];
    pid_t pid = 0;
    cv_buf_init(&text, OUTPUT_MAX);
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return cv_error_errno(err, CV_ERR_IO, errno, "making a pipe");
    }
    int e = start(&pid, fds[1]);
    (void)close(fds[1]);
    if (e != 0) {
        (void)close(fds[0]);
        return cv_error_errno(err, CV_ERR_CONFIG, e,
                              "enclave_cid is auto, and nitro-cli cannot be run");
    }
    int rc = read_all(&text, fds[0], deadline, err);
    (void)close(fds[0]);
    int status = reap(pid, rc != 0);
    if (rc == 0 && status != 0) {
        rc = cv_error_set(err, CV_ERR_CONFIG, "nitro-cli describe-enclaves failed with status %d",
                          status);
    }
    return rc != 0 ? rc : cv_nitro_cli_choose(cid, name, cv_buf_view(&text), err);
}

static bool fits(const json_t *enclave, const char *name)
{
    const char *state = json_string_value(json_object_get(enclave, "State"));
    const char *its = json_string_value(json_object_get(enclave, "EnclaveName"));
    return state != NULL && strcmp(state, "RUNNING") == 0 &&
           (name == NULL || (its != NULL && strcmp(its, name) == 0));
}

int cv_nitro_cli_choose(uint32_t *cid, const char *name, struct cv_bytes json, struct cv_error *err)
{
    CV_JSON_AUTO json_t *list = NULL;
    size_t found = 0;
    int rc = cv_json_parse(&list, json, OUTPUT_MAX, "output of nitro-cli", err);
    if (rc != 0) {
        return rc;
    }
    if (!json_is_array(list)) {
        return cv_error_set(err, CV_ERR_INVALID, "nitro-cli describe-enclaves prints no list");
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *enclave = json_array_get(list, i);
        const json_t *number = json_object_get(enclave, "EnclaveCID");
        json_int_t v = json_integer_value(number);
        if (!fits(enclave, name)) {
            continue;
        }
        if (!json_is_integer(number) || v < CID_LEAST || v >= UINT32_MAX) {
            return cv_error_set(err, CV_ERR_INVALID,
                                "nitro-cli describe-enclaves tells no good EnclaveCID");
        }
        *cid = (uint32_t)v;
        found++;
    }
    if (found == 0) {
        return cv_error_set(err, CV_ERR_NOT_FOUND, "nitro-cli knows no running enclave%s%.64s",
                            name != NULL ? " of the name " : "", name != NULL ? name : "");
    }
    return found == 1
               ? 0
               : cv_error_set(err, CV_ERR_CONFIG,
                              "nitro-cli knows %zu running enclaves%s: name one with enclave_name",
                              found, name != NULL ? " of that name" : "");
}
