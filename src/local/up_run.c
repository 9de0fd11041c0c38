/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The children of `up`: started in order, each waited for until it answers;
 * started again when one dies; ended with `up`, whatever way that ends
 * (PR_SET_PDEATHSIG). Each is in a process group of its own, so that a Ctrl-C
 * reaches `up` alone, which then ends them in order.
 */
#include "local/up.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/hex.h"
#include "common/log.h"
#include "transport/stream.h"

#define START_MS 30000
#define TERM_MS 5000
#define KILL_MS 5000
#define ARGS 24
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000

enum { NSM, KMS, PROXY, ENCLAVE, IMDS, STS, S3, N_CHILDREN };

struct child {
    const char *name;
    const char *program;
    const char *args[ARGS];
    size_t n_args;
    char address[CV_ADDR_TEXT]; /* where it answers */
    pid_t pid;                  /* 0 = not running */
    int out;                    /* its standard output, while a line is awaited; -1 */
    int64_t again_ms;           /* when it is started again; 0 = not */
    int64_t backoff_ms;
};

struct runner {
    const struct cv_up_plan *plan;
    int signals;
    bool stopping;
    char self[CV_UP_PATH];
    char path[16][CV_UP_PATH]; /* texts of arguments */
    char text[N_CHILDREN][256];
    struct child child[N_CHILDREN];
};

static void arg(struct child *c, const char *a)
{
    if (c->n_args < ARGS - 1)
        c->args[c->n_args++] = a;
}

static void describe_nsm(struct runner *r)
{
    struct child *c = &r->child[NSM];
    const struct cv_up_options *o = &r->plan->options;
    *c = (struct child){.name = "nsm", .program = r->self, .out = -1};
    snprintf(c->address, sizeof c->address, "unix:%.250s/nsm.sock", o->dir);
    arg(c, r->self);
    arg(c, "nsm");
    arg(c, "--dir");
    arg(c, cv_up_path(r->path[0], r->plan, "nsm"));
    arg(c, "--socket");
    arg(c, cv_up_path(r->path[1], r->plan, "nsm.sock"));
    arg(c, "--measure");
    arg(c, o->enclave);
    arg(c, "--measure");
    arg(c, cv_up_path(r->path[2], r->plan, "enclave.conf"));
    arg(c, "--role-arn");
    arg(c, r->plan->role_arn);
    arg(c, "--region");
    arg(c, r->plan->region);
    if (o->has_pcr0) {
        cv_hex_encode(r->text[0], o->pcr0, sizeof o->pcr0);
        arg(c, "--pcr0");
        arg(c, r->text[0]);
    }
    if (o->debug_mode)
        arg(c, "--debug-mode");
}

static void describe_kms(struct runner *r)
{
    struct child *c = &r->child[KMS];
    *c = (struct child){.name = "kms", .program = r->self, .out = -1};
    arg(c, r->self);
    arg(c, "kms");
    arg(c, "--state");
    arg(c, cv_up_path(r->path[3], r->plan, "kms.json"));
    arg(c, "--ca");
    arg(c, cv_up_path(r->path[4], r->plan, "ca.pem"));
    arg(c, "--root");
    arg(c, cv_up_path(r->path[5], r->plan, "nsm/root.pem"));
    arg(c, "--fault");
    arg(c, cv_up_path(r->path[6], r->plan, "kms.fault"));
    if (r->plan->options.json_log)
        arg(c, "--json-log");
    arg(c, "--listen");
    /* The port that the kernel chose at the first start is kept at the next. */
    snprintf(r->text[1], sizeof r->text[1], "%s", "tcp:127.0.0.1:0");
    arg(c, r->text[1]);
}

static void describe_proxy(struct runner *r)
{
    struct child *c = &r->child[PROXY];
    *c = (struct child){.name = "proxy", .program = r->self, .out = -1};
    snprintf(c->address, sizeof c->address, "unix:%.250s/proxy.sock", r->plan->options.dir);
    snprintf(r->text[2], sizeof r->text[2], "%.250s", r->child[KMS].address);
    arg(c, r->self);
    arg(c, "proxy");
    arg(c, "--listen");
    arg(c, c->address);
    arg(c, "--to");
    arg(c, r->text[2]);
}

static void describe_enclave(struct runner *r)
{
    struct child *c = &r->child[ENCLAVE];
    *c = (struct child){.name = "enclave", .program = r->plan->options.enclave, .out = -1};
    snprintf(c->address, sizeof c->address, "unix:%.250s/enclave.sock", r->plan->options.dir);
    arg(c, r->plan->options.enclave);
    arg(c, "--settings");
    arg(c, cv_up_path(r->path[7], r->plan, "enclave.conf"));
}

/* Instance metadata, STS and S3 on the state of the KMS. Each chooses its port
 * at the first start and keeps it. */
static void describe_more(struct runner *r, size_t i)
{
    static const char *const names[] = {[IMDS] = "imds", [STS] = "sts", [S3] = "s3"};
    struct child *c = &r->child[i];
    *c = (struct child){.name = names[i], .program = r->self, .out = -1};
    snprintf(r->text[i], sizeof r->text[i], "%s", "tcp:127.0.0.1:0");
    arg(c, r->self);
    arg(c, names[i]);
    arg(c, "--state");
    arg(c, r->path[3]);
    arg(c, "--listen");
    arg(c, r->text[i]);
    if (i != IMDS) {
        arg(c, "--ca");
        arg(c, r->path[4]);
    }
    if (i == S3) {
        arg(c, "--dir");
        arg(c, cv_up_path(r->path[8], r->plan, "s3"));
    }
}

/* In the child, between fork and exec: only what is async-signal-safe. */
static void become(const struct child *c, int out, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
        _exit(127);
    setpgid(0, 0);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(out, STDOUT_FILENO) < 0)
        _exit(127);
    /* execv wants the arguments without const and changes nothing. */
    union {
        const char *const *in;
        char *const *out;
    } argv = {.in = c->args};
    execv(c->program, argv.out);
    _exit(127);
}

static int spawn(struct child *c, struct cv_error *err)
{
    int pipe_fd[2];
    pid_t parent = getpid();
    c->args[c->n_args] = NULL;
    if (pipe2(pipe_fd, O_CLOEXEC))
        return cv_error_errno(err, CV_ERR_IO, errno, "starting %s", c->name);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        become(c, pipe_fd[1], parent);
    int errnum = errno;
    close(pipe_fd[1]);
    if (pid < 0) {
        close(pipe_fd[0]);
        return cv_error_errno(err, CV_ERR_IO, errnum, "starting %s", c->name);
    }
    if (c->out >= 0)
        close(c->out);
    c->out = pipe_fd[0];
    c->pid = pid;
    c->again_ms = 0;
    return 0;
}

static void say_death(const struct child *c, int status)
{
    if (WIFSIGNALED(status))
        cv_log(CV_LOG_WARN, "a child was killed", "child", c->name, "signal",
               cv_logf("%d", WTERMSIG(status)), NULL);
    else
        cv_log(CV_LOG_WARN, "a child ended", "child", c->name, "status",
               cv_logf("%d", WEXITSTATUS(status)), NULL);
}

/* Takes note of children that are gone. */
static void reap(struct runner *r)
{
    for (size_t i = 0; i < N_CHILDREN; i++) {
        struct child *c = &r->child[i];
        int status;
        if (c->pid <= 0 || waitpid(c->pid, &status, WNOHANG) != c->pid)
            continue;
        if (!r->stopping)
            say_death(c, status);
        c->pid = 0;
        if (r->stopping || r->plan->options.no_restart)
            continue;
        c->backoff_ms = c->backoff_ms ? c->backoff_ms * 2 : BACKOFF_MIN_MS;
        if (c->backoff_ms > BACKOFF_MAX_MS)
            c->backoff_ms = BACKOFF_MAX_MS;
        c->again_ms = cv_deadline(c->backoff_ms);
    }
}

/* Reads signals that have come; never waits. */
static void take_signals(struct runner *r)
{
    struct signalfd_siginfo info;
    struct pollfd p = {.fd = r->signals, .events = POLLIN};
    while (poll(&p, 1, 0) > 0 && read(r->signals, &info, sizeof info) == sizeof info)
        if (info.ssi_signo != SIGCHLD)
            r->stopping = true;
    reap(r);
}

/* The KMS says where it listens: "ready tcp:127.0.0.1:PORT". */
static void read_address(struct child *c)
{
    char line[CV_ADDR_TEXT + 16];
    struct pollfd p = {.fd = c->out, .events = POLLIN};
    if (poll(&p, 1, 0) <= 0)
        return;
    ssize_t n = read(c->out, line, sizeof line - 1);
    line[n > 0 ? n : 0] = '\0';
    char *newline = strchr(line, '\n');
    if (newline && !strncmp(line, "ready ", 6)) {
        *newline = '\0';
        snprintf(c->address, sizeof c->address, "%.250s", line + 6);
    }
}

static bool answers(const struct child *c)
{
    struct cv_addr addr;
    struct cv_stream *s = NULL;
    if (!*c->address || cv_addr_parse(&addr, c->address, NULL) ||
        cv_connect(&s, &addr, cv_deadline(500), NULL))
        return false;
    cv_stream_close(&s);
    return true;
}

/* Until C answers. */
static int await(struct runner *r, struct child *c, struct cv_error *err)
{
    int64_t deadline = cv_deadline(START_MS);
    while (cv_now_ms() < deadline) {
        take_signals(r);
        if (r->stopping)
            return cv_error_set(err, CV_ERR_CANCELLED, "asked to end");
        if (!c->pid)
            return cv_error_set(err, CV_ERR_STATE, "%s ended instead of serving; what it wrote "
                                "stands above", c->name);
        if (!*c->address)
            read_address(c);
        if (answers(c))
            return 0;
        cv_sleep_ms(10);
    }
    return cv_error_set(err, CV_ERR_TIMEOUT, "%s does not answer after %d seconds", c->name,
                        START_MS / 1000);
}

static int start(struct runner *r, size_t i, struct cv_error *err)
{
    int rc = spawn(&r->child[i], err);
    return rc ? rc : await(r, &r->child[i], err);
}

static int write_pids(const struct runner *r, struct cv_error *err)
{
    char path[CV_UP_PATH];
    json_t *doc = json_pack("{s:i}", "up", (int)getpid());
    for (size_t i = 0; i < N_CHILDREN; i++)
        json_object_set_new(doc, r->child[i].name, json_pack("{s:i, s:s}", "pid",
                            (int)r->child[i].pid, "address", r->child[i].address));
    char *text = doc ? json_dumps(doc, JSON_INDENT(2)) : NULL;
    json_decref(doc);
    int rc = text ? cv_file_replace(cv_up_path(path, r->plan, "pids.json"), cv_bytes_str(text),
                                    0600, err)
                  : cv_error_set(err, CV_ERR_NOMEM, "no memory for pids.json");
    free(text);
    return rc;
}

/* For a shell, and for whatever speaks AWS: ". DIR/aws.env". */
static int write_environment(const struct runner *r, struct cv_error *err)
{
    struct cv_buf CV_CLEANUP(cv_buf_free) text;
    char path[CV_UP_PATH];
    const char *dir = r->plan->options.dir;
    cv_buf_init(&text, 65536);
    if (cv_buf_printf(&text,
                      "export AWS_REGION=%s\n"
                      "export AWS_CA_BUNDLE='%s/ca.pem'\n"
                      "export AWS_SHARED_CREDENTIALS_FILE='%s/credentials'\n"
                      "export AWS_ENDPOINT_URL_KMS=https://%s\n"
                      "export AWS_ENDPOINT_URL_STS=https://%s\n"
                      "export AWS_ENDPOINT_URL_S3=https://%s\n"
                      "export AWS_EC2_METADATA_SERVICE_ENDPOINT=http://%s\n",
                      r->plan->region, dir, dir, r->child[KMS].address + 4,
                      r->child[STS].address + 4, r->child[S3].address + 4,
                      r->child[IMDS].address + 4))
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for aws.env");
    return cv_file_replace(cv_up_path(path, r->plan, "aws.env"), cv_buf_view(&text), 0600, err);
}

static int start_all(struct runner *r, struct cv_error *err)
{
    int rc;
    describe_nsm(r);
    describe_kms(r);
    if ((rc = start(r, NSM, err)) || (rc = start(r, KMS, err)))
        return rc;
    snprintf(r->text[1], sizeof r->text[1], "%.250s", r->child[KMS].address);
    describe_proxy(r);
    describe_enclave(r);
    if ((rc = start(r, PROXY, err)) || (rc = start(r, ENCLAVE, err)))
        return rc;
    for (size_t i = IMDS; i <= S3; i++) {
        describe_more(r, i);
        if ((rc = start(r, i, err)))
            return rc;
        snprintf(r->text[i], sizeof r->text[i], "%.250s", r->child[i].address);
    }
    if ((rc = write_environment(r, err)))
        return rc;
    return write_pids(r, err);
}

/* Starts again what is due; the milliseconds until the next is, -1 for never. */
static int64_t restart(struct runner *r, struct cv_error *err)
{
    int64_t next = -1;
    for (size_t i = 0; i < N_CHILDREN; i++) {
        struct child *c = &r->child[i];
        if (!c->again_ms)
            continue;
        int64_t left = c->again_ms - cv_now_ms();
        if (left > 0) {
            next = next < 0 || left < next ? left : next;
            continue;
        }
        if (start(r, i, err) == 0) {
            c->backoff_ms = 0;
            cv_log(CV_LOG_INFO, "a child was started again", "child", c->name, NULL);
        } else if (!r->stopping) {
            cv_log_error(CV_LOG_ERROR, "a child cannot be started again", err);
            if (!c->again_ms)
                c->again_ms = cv_deadline(BACKOFF_MAX_MS);
        }
        if (write_pids(r, err))
            cv_log_error(CV_LOG_WARN, "pids.json is out of date", err);
        next = 0;
    }
    return next;
}

/* Until a signal asks for the end. */
static void watch(struct runner *r, struct cv_error *err)
{
    while (!r->stopping) {
        int64_t next = restart(r, err);
        struct pollfd p[1 + N_CHILDREN] = {{.fd = r->signals, .events = POLLIN}};
        for (size_t i = 0; i < N_CHILDREN; i++)
            p[1 + i] = (struct pollfd){.fd = r->child[i].out, .events = POLLIN};
        if (poll(p, 1 + N_CHILDREN, (int)next) < 0 && errno != EINTR)
            cv_sleep_ms(100);
        for (size_t i = 0; i < N_CHILDREN; i++) {
            char ignored[512];
            /* What a child still writes is thrown away, so that it never blocks. */
            if (p[1 + i].revents && read(r->child[i].out, ignored, sizeof ignored) <= 0) {
                close(r->child[i].out);
                r->child[i].out = -1;
            }
        }
        take_signals(r);
    }
}

static bool any_left(const struct runner *r)
{
    for (size_t i = 0; i < N_CHILDREN; i++)
        if (r->child[i].pid > 0)
            return true;
    return false;
}

static void signal_all(struct runner *r, int sig)
{
    for (size_t i = N_CHILDREN; i-- > 0;)
        if (r->child[i].pid > 0)
            kill(r->child[i].pid, sig);
}

static void stop_all(struct runner *r)
{
    char path[CV_UP_PATH];
    r->stopping = true;
    signal_all(r, SIGTERM);
    for (int64_t end = cv_deadline(TERM_MS); any_left(r) && cv_now_ms() < end; cv_sleep_ms(5))
        reap(r);
    signal_all(r, SIGKILL);
    for (int64_t end = cv_deadline(KILL_MS); any_left(r) && cv_now_ms() < end; cv_sleep_ms(5))
        reap(r);
    for (size_t i = 0; i < N_CHILDREN; i++)
        if (r->child[i].out >= 0)
            close(r->child[i].out);
    unlink(cv_up_path(path, r->plan, "pids.json"));
}

int cv_up_run(const struct cv_up_plan *plan, int signals, struct cv_error *err)
{
    struct runner *r = calloc(1, sizeof *r);
    if (!r)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory");
    r->plan = plan;
    r->signals = signals;
    for (size_t i = 0; i < N_CHILDREN; i++)
        r->child[i].out = -1;
    ssize_t n = readlink("/proc/self/exe", r->self, sizeof r->self - 1);
    int rc = n > 0 ? start_all(r, err)
                   : cv_error_errno(err, CV_ERR_IO, errno, "finding this program");
    if (!rc) {
        puts("ready");
        fflush(stdout);
        watch(r, err);
    }
    bool asked = r->stopping;
    stop_all(r);
    free(r);
    return asked ? 0 : rc;
}
