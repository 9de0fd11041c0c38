/* SPDX-License-Identifier: Apache-2.0 */
#include "local/children.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "transport/stream.h"

#define TERM_MS 5000
#define KILL_MS 5000

int cv_local_children_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

void cv_local_child_arg(struct cv_local_child *c, const char *a)
{
    if (c->n_args < CV_LOCAL_ARGS - 1)
        c->args[c->n_args++] = a;
}

static bool put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return good;
}

/* We become root of a namespace that knows no other user. */
static bool enter_users(const char *uid_map, const char *gid_map)
{
    return unshare(CLONE_NEWUSER) == 0 && put("/proc/self/setgroups", "deny") &&
           put("/proc/self/uid_map", uid_map) && put("/proc/self/gid_map", gid_map);
}

struct start {
    pid_t parent;
    int in, out, err; /* err: -1 = ours */
    char uid_map[32], gid_map[32];
};

/* In the child, between fork and exec: only what is async-signal-safe. */
static void become(const struct cv_local_child *c, const struct start *s)
{
    static const char no_users[] = "user namespaces are not allowed here: run as root\n";
    sigset_t none;
    sigemptyset(&none);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != s->parent)
        _exit(127);
    setpgid(0, 0);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(s->in, STDIN_FILENO) < 0 || dup2(s->out, STDOUT_FILENO) < 0 ||
        (s->err >= 0 && dup2(s->err, STDERR_FILENO) < 0))
        _exit(127);
    if (c->own_users && !enter_users(s->uid_map, s->gid_map)) {
        (void)!write(STDERR_FILENO, no_users, sizeof no_users - 1);
        _exit(126);
    }
    /* execv wants the arguments without const and changes nothing. */
    union {
        const char *const *in;
        char *const *out;
    } argv = {.in = c->args};
    execv(c->program, argv.out);
    _exit(127);
}

static void close_all(const int *fd, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (fd[i] >= 0)
            close(fd[i]);
}

/* What the child is to have as its three descriptors; *FROM = our end of its output. */
static int open_three(struct start *s, int *from, const struct cv_local_child *c,
                      struct cv_error *err)
{
    int pipe_fd[2] = {-1, -1};
    s->in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (s->in < 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "starting %s", c->name);
    if (c->log != NULL) {
        s->err = open(c->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (s->err < 0)
            return cv_error_errno(err, CV_ERR_IO, errno, "opening %s", c->log);
    }
    if (c->all_to_log) {
        s->out = fcntl(s->err, F_DUPFD_CLOEXEC, 0);
    } else if (pipe2(pipe_fd, O_CLOEXEC) == 0) {
        *from = pipe_fd[0];
        s->out = pipe_fd[1];
    }
    return s->out >= 0 ? 0 : cv_error_errno(err, CV_ERR_IO, errno, "starting %s", c->name);
}

int cv_local_child_spawn(struct cv_local_child *c, struct cv_error *err)
{
    struct start s = {.parent = getpid(), .in = -1, .out = -1, .err = -1};
    int from = -1;
    pid_t pid = -1;
    c->args[c->n_args] = NULL;
    snprintf(s.uid_map, sizeof s.uid_map, "0 %u 1", (unsigned)geteuid());
    snprintf(s.gid_map, sizeof s.gid_map, "0 %u 1", (unsigned)getegid());
    int rc = open_three(&s, &from, c, err);
    if (!rc) {
        fflush(NULL);
        pid = fork();
        if (pid == 0)
            become(c, &s);
        if (pid < 0)
            rc = cv_error_errno(err, CV_ERR_IO, errno, "starting %s", c->name);
    }
    close_all((const int[]){s.in, s.out, s.err}, 3);
    if (rc) {
        close_all(&from, 1);
        return rc;
    }
    close_all(&c->out, 1);
    c->out = from;
    c->pid = pid;
    return 0;
}

bool cv_local_child_gone(struct cv_local_child *c, int *status)
{
    if (c->pid <= 0 || waitpid(c->pid, status, WNOHANG) != c->pid)
        return false;
    c->pid = 0;
    return true;
}

bool cv_local_child_ready(struct cv_local_child *c)
{
    char line[CV_ADDR_TEXT + 16];
    struct pollfd p = {.fd = c->out, .events = POLLIN};
    if (poll(&p, 1, 0) <= 0)
        return false;
    ssize_t n = read(c->out, line, sizeof line - 1);
    line[n > 0 ? n : 0] = '\0';
    char *newline = strchr(line, '\n');
    if (newline == NULL)
        return false;
    *newline = '\0';
    if (!strncmp(line, "ready ", 6))
        snprintf(c->address, sizeof c->address, "%.250s", line + 6);
    return !strcmp(line, "ready");
}

bool cv_local_child_answers(const struct cv_local_child *c)
{
    struct cv_addr addr;
    struct cv_stream *s = NULL;
    if (!*c->address || cv_addr_parse(&addr, c->address, NULL) ||
        cv_connect(&s, &addr, cv_deadline(500), NULL))
        return false;
    cv_stream_close(&s);
    return true;
}

static void await_all(struct cv_local_child *c, size_t n, int sig, int64_t ms)
{
    int64_t end = cv_deadline(ms);
    bool left = true;
    for (size_t i = n; i-- > 0;)
        if (c[i].pid > 0)
            kill(c[i].pid, sig);
    while (left && cv_now_ms() < end) {
        int status;
        left = false;
        for (size_t i = 0; i < n; i++)
            left |= c[i].pid > 0 && !cv_local_child_gone(&c[i], &status);
        if (left)
            cv_sleep_ms(5);
    }
}

void cv_local_children_stop(struct cv_local_child *c, size_t n)
{
    await_all(c, n, SIGTERM, TERM_MS);
    await_all(c, n, SIGKILL, KILL_MS);
    for (size_t i = 0; i < n; i++) {
        if (c[i].out >= 0)
            close(c[i].out);
        c[i].out = -1;
    }
}
