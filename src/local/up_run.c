/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The children of `up`: started in order, each waited for until it answers;
 * started again when one dies; ended in order.
 */
#include "local/up.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/hex.h"
#include "common/log.h"
#include "local/children.h"

#define START_MS 30000
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000

enum { NSM, KMS, PROXY, ENCLAVE, IMDS, STS, S3, N_CHILDREN };

struct restart {
    int64_t again_ms; /* when it is started again; 0 = not */
    int64_t backoff_ms;
};

struct runner {
    const struct cv_up_plan *plan;
    int signals;
    bool stopping;
    char self[CV_UP_PATH];
    char path[16][CV_UP_PATH]; /* texts of arguments */
    char text[N_CHILDREN][256];
    struct cv_local_child child[N_CHILDREN];
    struct restart restart[N_CHILDREN];
};

static void describe_nsm(struct runner *r)
{
    struct cv_local_child *c = &r->child[NSM];
    const struct cv_up_options *o = &r->plan->options;
    *c = (struct cv_local_child){.name = "nsm", .program = r->self, .out = -1};
    snprintf(c->address, sizeof c->address, "unix:%.250s/nsm.sock", o->dir);
    cv_local_child_arg(c, r->self);
    cv_local_child_arg(c, "nsm");
    cv_local_child_arg(c, "--dir");
    cv_local_child_arg(c, cv_up_path(r->path[0], r->plan, "nsm"));
    cv_local_child_arg(c, "--socket");
    cv_local_child_arg(c, cv_up_path(r->path[1], r->plan, "nsm.sock"));
    cv_local_child_arg(c, "--measure");
    cv_local_child_arg(c, o->enclave);
    cv_local_child_arg(c, "--measure");
    cv_local_child_arg(c, cv_up_path(r->path[2], r->plan, "enclave.conf"));
    cv_local_child_arg(c, "--role-arn");
    cv_local_child_arg(c, r->plan->role_arn);
    cv_local_child_arg(c, "--region");
    cv_local_child_arg(c, r->plan->region);
    if (o->has_pcr0) {
        cv_hex_encode(r->text[0], o->pcr0, sizeof o->pcr0);
        cv_local_child_arg(c, "--pcr0");
        cv_local_child_arg(c, r->text[0]);
    }
    if (o->debug_mode)
        cv_local_child_arg(c, "--debug-mode");
}

static void describe_kms(struct runner *r)
{
    struct cv_local_child *c = &r->child[KMS];
    *c = (struct cv_local_child){.name = "kms", .program = r->self, .out = -1};
    cv_local_child_arg(c, r->self);
    cv_local_child_arg(c, "kms");
    cv_local_child_arg(c, "--state");
    cv_local_child_arg(c, cv_up_path(r->path[3], r->plan, "kms.json"));
    cv_local_child_arg(c, "--ca");
    cv_local_child_arg(c, cv_up_path(r->path[4], r->plan, "ca.pem"));
    cv_local_child_arg(c, "--root");
    cv_local_child_arg(c, cv_up_path(r->path[5], r->plan, "nsm/root.pem"));
    cv_local_child_arg(c, "--fault");
    cv_local_child_arg(c, cv_up_path(r->path[6], r->plan, "kms.fault"));
    if (r->plan->options.json_log)
        cv_local_child_arg(c, "--json-log");
    cv_local_child_arg(c, "--listen");
    /* The port that the kernel chose at the first start is kept at the next. */
    snprintf(r->text[1], sizeof r->text[1], "%s", "tcp:127.0.0.1:0");
    cv_local_child_arg(c, r->text[1]);
}

static void describe_proxy(struct runner *r)
{
    struct cv_local_child *c = &r->child[PROXY];
    *c = (struct cv_local_child){.name = "proxy", .program = r->self, .out = -1};
    snprintf(c->address, sizeof c->address, "unix:%.250s/proxy.sock", r->plan->options.dir);
    snprintf(r->text[2], sizeof r->text[2], "%.250s", r->child[KMS].address);
    cv_local_child_arg(c, r->self);
    cv_local_child_arg(c, "proxy");
    cv_local_child_arg(c, "--listen");
    cv_local_child_arg(c, c->address);
    cv_local_child_arg(c, "--to");
    cv_local_child_arg(c, r->text[2]);
}

static void describe_enclave(struct runner *r)
{
    struct cv_local_child *c = &r->child[ENCLAVE];
    *c = (struct cv_local_child){.name = "enclave", .program = r->plan->options.enclave, .out = -1};
    snprintf(c->address, sizeof c->address, "unix:%.250s/enclave.sock", r->plan->options.dir);
    cv_local_child_arg(c, r->plan->options.enclave);
    cv_local_child_arg(c, "--settings");
    cv_local_child_arg(c, cv_up_path(r->path[7], r->plan, "enclave.conf"));
}

/* Instance metadata, STS and S3 on the state of the KMS. Each chooses its port
 * at the first start and keeps it. */
static void describe_more(struct runner *r, size_t i)
{
    static const char *const names[] = {[IMDS] = "imds", [STS] = "sts", [S3] = "s3"};
    struct cv_local_child *c = &r->child[i];
    *c = (struct cv_local_child){.name = names[i], .program = r->self, .out = -1};
    snprintf(r->text[i], sizeof r->text[i], "%s", "tcp:127.0.0.1:0");
    cv_local_child_arg(c, r->self);
    cv_local_child_arg(c, names[i]);
    cv_local_child_arg(c, "--state");
    cv_local_child_arg(c, r->path[3]);
    cv_local_child_arg(c, "--listen");
    cv_local_child_arg(c, r->text[i]);
    if (i != IMDS) {
        cv_local_child_arg(c, "--ca");
        cv_local_child_arg(c, r->path[4]);
    }
    if (i == S3) {
        cv_local_child_arg(c, "--dir");
        cv_local_child_arg(c, cv_up_path(r->path[8], r->plan, "s3"));
    }
}

static void say_death(const struct cv_local_child *c, int status)
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
        struct cv_local_child *c = &r->child[i];
        int status;
        if (!cv_local_child_gone(c, &status))
            continue;
        struct restart *again = &r->restart[i];
        if (!r->stopping)
            say_death(c, status);
        if (r->stopping || r->plan->options.no_restart)
            continue;
        again->backoff_ms = again->backoff_ms ? again->backoff_ms * 2 : BACKOFF_MIN_MS;
        if (again->backoff_ms > BACKOFF_MAX_MS)
            again->backoff_ms = BACKOFF_MAX_MS;
        again->again_ms = cv_deadline(again->backoff_ms);
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

/* Until C answers. */
static int await(struct runner *r, struct cv_local_child *c, struct cv_error *err)
{
    int64_t deadline = cv_deadline(START_MS);
    while (cv_now_ms() < deadline) {
        take_signals(r);
        if (r->stopping)
            return cv_error_set(err, CV_ERR_CANCELLED, "asked to end");
        if (!c->pid)
            return cv_error_set(err, CV_ERR_STATE,
                                "%s ended instead of serving; what it wrote "
                                "stands above",
                                c->name);
        if (!*c->address)
            (void)cv_local_child_ready(c); /* "ready tcp:127.0.0.1:PORT" */
        if (cv_local_child_answers(c))
            return 0;
        cv_sleep_ms(10);
    }
    return cv_error_set(err, CV_ERR_TIMEOUT, "%s does not answer after %d seconds", c->name,
                        START_MS / 1000);
}

static int start(struct runner *r, size_t i, struct cv_error *err)
{
    int rc = cv_local_child_spawn(&r->child[i], err);
    if (!rc)
        r->restart[i].again_ms = 0;
    return rc ? rc : await(r, &r->child[i], err);
}

static int write_pids(const struct runner *r, struct cv_error *err)
{
    char path[CV_UP_PATH];
    json_t *doc = json_pack("{s:i}", "up", (int)getpid());
    for (size_t i = 0; i < N_CHILDREN; i++)
        json_object_set_new(
            doc, r->child[i].name,
            json_pack("{s:i, s:s}", "pid", (int)r->child[i].pid, "address", r->child[i].address));
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
        struct cv_local_child *c = &r->child[i];
        struct restart *again = &r->restart[i];
        if (!again->again_ms)
            continue;
        int64_t left = again->again_ms - cv_now_ms();
        if (left > 0) {
            next = next < 0 || left < next ? left : next;
            continue;
        }
        if (start(r, i, err) == 0) {
            again->backoff_ms = 0;
            cv_log(CV_LOG_INFO, "a child was started again", "child", c->name, NULL);
        } else if (!r->stopping) {
            cv_log_error(CV_LOG_ERROR, "a child cannot be started again", err);
            if (!again->again_ms)
                again->again_ms = cv_deadline(BACKOFF_MAX_MS);
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

static void stop_all(struct runner *r)
{
    char path[CV_UP_PATH];
    r->stopping = true;
    cv_local_children_stop(r->child, N_CHILDREN);
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
    int rc =
        n > 0 ? start_all(r, err) : cv_error_errno(err, CV_ERR_IO, errno, "finding this program");
    if (!rc) {
        cv_up_is_ready(plan->options.background);
        watch(r, err);
    }
    bool asked = r->stopping;
    stop_all(r);
    free(r);
    return asked ? 0 : rc;
}
