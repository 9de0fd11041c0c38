/* SPDX-License-Identifier: Apache-2.0 */
/* Stand-ins, NSM, parent's side and init of `run`: started, watched, ended. */
#include <errno.h>
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
#include "local/run.h"
#include "parent/show.h"

#define START_MS 60000
#define SHOW_MS 5000
#define LOG_TAIL 2000
#define HEX_PCR (2 * CV_EIF_PCR_LEN + 1)

enum { UP, NSM, INIT, N_CHILDREN };

struct go {
    struct cv_run *r;
    int signals;
    struct cv_local_child child[N_CHILDREN];
    bool asked; /* to end */
    bool init_gone;
    int init_status; /* of waitpid(2) */
    /* Texts of arguments. */
    char self[PATH_MAX], init[PATH_MAX];
    char path[12][PATH_MAX];
    char pcr[4][HEX_PCR + 2];
    char s3[CV_ADDR_TEXT];
    /* The parent's side. */
    struct cv_parent_config config;
    struct cv_parent_rules aws, egress;
    struct cv_parent_expose expose[CV_RUN_LIST];
    struct cv_parent_pair env[CV_RUN_LIST], file[CV_RUN_LIST];
    char *copies[2 * CV_RUN_LIST];
    size_t copy_count;
};

static void arg2(struct cv_local_child *c, const char *option, const char *value)
{
    cv_local_child_arg(c, option);
    cv_local_child_arg(c, value);
}

/* ---- children ---- */

static void describe_up(struct go *g)
{
    struct cv_local_child *c = &g->child[UP];
    snprintf(g->path[0], PATH_MAX, "%.*s/up.log", PATH_MAX - 16, g->r->dir);
    *c = (struct cv_local_child){.name = "up", .program = g->self, .out = -1, .log = g->path[0]};
    cv_local_child_arg(c, g->self);
    cv_local_child_arg(c, "up");
    arg2(c, "--dir", g->r->dir);
}

/* The registers that the image measures, and the one of the parent's role. */
static void describe_nsm(struct go *g)
{
    static const unsigned which[] = {0, 1, 2, 8};
    const struct cv_eif_pcrs *p = &g->r->pcrs;
    const uint8_t *const value[] = {p->pcr0, p->pcr1, p->pcr2, p->pcr8};
    struct cv_local_child *c = &g->child[NSM];
    *c = (struct cv_local_child){.name = "nsm", .program = g->self, .out = -1};
    snprintf(g->path[1], PATH_MAX, "%.*s/nsm", PATH_MAX - 16, g->r->dir);
    cv_run_path(g->path[2], g->r, "nsm.sock");
    snprintf(c->address, sizeof c->address, "unix:%.100s", g->path[2]);
    cv_local_child_arg(c, g->self);
    cv_local_child_arg(c, "nsm");
    arg2(c, "--dir", g->path[1]);
    arg2(c, "--socket", g->path[2]);
    arg2(c, "--role-arn", g->r->role_arn);
    arg2(c, "--region", g->r->region);
    for (size_t i = 0; i < 4; i++) {
        char hex[HEX_PCR];
        if (which[i] == 8 && !p->has_pcr8)
            continue;
        cv_hex_encode(hex, value[i], CV_EIF_PCR_LEN);
        snprintf(g->pcr[i], sizeof g->pcr[i], "%u=%s", which[i],
                 i == 0 && g->r->options->pcr0 != NULL ? g->r->options->pcr0 : hex);
        arg2(c, "--pcr", g->pcr[i]);
    }
    if (g->r->options->debug_mode)
        cv_local_child_arg(c, "--debug-mode");
}

static void describe_init(struct go *g)
{
    struct cv_local_child *c = &g->child[INIT];
    *c = (struct cv_local_child){.name = "init",
                                 .program = g->init,
                                 .out = -1,
                                 .own_users = geteuid() != 0,
                                 .log = cv_run_path(g->path[3], g->r, "init.log")};
    snprintf(g->path[4], PATH_MAX, "%.*s/ca.pem", PATH_MAX - 16, g->r->dir);
    snprintf(g->s3, sizeof g->s3, "https://%.280s", g->r->s3 + 4);
    cv_local_child_arg(c, g->init);
    arg2(c, "--image", cv_run_path(g->path[5], g->r, "image"));
    arg2(c, "--parent", cv_run_path(g->path[6], g->r, "vsock"));
    arg2(c, "--nsm", g->path[2]);
    arg2(c, "--ca-file", g->path[4]);
    arg2(c, "--s3-endpoint", g->s3);
}

static void reap(struct go *g)
{
    int status;
    if (cv_local_child_gone(&g->child[INIT], &status)) {
        g->init_gone = true;
        g->init_status = status;
    }
    for (size_t i = UP; i <= NSM; i++)
        if (cv_local_child_gone(&g->child[i], &status) && !g->asked)
            cv_log(CV_LOG_WARN, "a stand-in has ended", "name", g->child[i].name, NULL);
}

static void take_signals(struct go *g)
{
    struct signalfd_siginfo info;
    while (read(g->signals, &info, sizeof info) == sizeof info)
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            g->asked = true;
    reap(g);
}

/* Starts C and waits until it serves. */
static int start(struct go *g, size_t i, struct cv_error *err)
{
    struct cv_local_child *c = &g->child[i];
    int64_t deadline = cv_deadline(START_MS);
    bool ready = false;
    int rc = cv_local_child_spawn(c, err);
    while (!rc && !ready) {
        take_signals(g);
        if (g->asked)
            rc = cv_error_set(err, CV_ERR_CANCELLED, "asked to end");
        else if (c->pid == 0)
            rc = cv_error_set(err, CV_ERR_STATE, "%s ended instead of serving%s%s", c->name,
                              c->log != NULL ? ": see " : "", c->log != NULL ? c->log : "");
        else if (cv_now_ms() >= deadline)
            rc = cv_error_set(err, CV_ERR_TIMEOUT, "%s does not answer", c->name);
        else if (!(ready = cv_local_child_ready(c)))
            cv_sleep_ms(10);
    }
    return rc;
}

/* ---- the parent's side ---- */

static char *keep(struct go *g, const char *text)
{
    char *copy = strdup(text);
    if (copy != NULL)
        g->copies[g->copy_count++] = copy;
    return copy;
}

static int pairs(struct go *g, struct cv_parent_pair *out, const struct cv_run_list *list,
                 const char *option, struct cv_error *err)
{
    for (size_t i = 0; i < list->count; i++) {
        char *text = keep(g, list->item[i]), *eq = text != NULL ? strchr(text, '=') : NULL;
        if (eq == NULL || eq == text)
            return cv_error_set(err, CV_ERR_INVALID, "--%s wants NAME=VALUE", option);
        *eq = 0;
        out[i] = (struct cv_parent_pair){text, eq + 1};
    }
    return 0;
}

static int add_rule(struct cv_parent_rules *rules, struct cv_error *err, const char *host,
                    const char *to)
{
    char text[2 * CV_ADDR_TEXT];
    snprintf(text, sizeof text, "%.280s%s%.280s", host, to != NULL ? "=" : "",
             to != NULL ? to : "");
    return cv_parent_rules_add(rules, text, err);
}

/* KMS has its own name, whose certificate the stand-in shows. */
static int rules(struct go *g, struct cv_error *err)
{
    struct cv_parent_config *c = &g->config;
    char kms[CV_ADDR_TEXT];
    snprintf(c->kms_host, sizeof c->kms_host, "kms.%.60s.amazonaws.com", g->r->region);
    c->kms_port = 443;
    snprintf(kms, sizeof kms, "%.100s:443", c->kms_host);
    int rc = add_rule(&g->aws, err, kms, g->r->kms);
    if (!rc)
        rc = add_rule(&g->aws, err, g->r->s3 + 4, NULL);
    for (size_t i = 0; !rc && i < g->r->settings.egress.count; i++)
        rc = add_rule(&g->egress, err, g->r->settings.egress.item[i], NULL);
    c->aws = &g->aws;
    c->egress = &g->egress;
    return rc;
}

/* Those asked for; otherwise every port of the image, on this machine only. */
static int ports(struct go *g, struct cv_error *err)
{
    const struct cv_run_options *o = g->r->options;
    const struct cv_boot_list *image = &g->r->settings.ports;
    size_t n = 0;
    int rc = 0;
    for (size_t i = 0; !rc && i < o->expose.count; i++)
        rc = cv_parent_expose_parse(&g->expose[n++], o->expose.item[i], err);
    for (size_t i = 0; !rc && !o->no_expose && o->expose.count == 0 && i < image->count; i++) {
        char text[64];
        int digits = (int)strcspn(image->item[i], ":");
        snprintf(text, sizeof text, "127.0.0.1:%.*s:%.*s", digits, image->item[i], digits,
                 image->item[i]);
        if (n < CV_RUN_LIST)
            rc = cv_parent_expose_parse(&g->expose[n++], text, err);
    }
    g->config.expose = g->expose;
    g->config.expose_count = n;
    return rc;
}

static enum cv_parent_order on_signal(void *ctx, int signo)
{
    struct go *g = ctx;
    if (signo == SIGHUP)
        return CV_PARENT_ROTATE;
    if (signo != SIGCHLD) {
        g->asked = true;
        return CV_PARENT_STOP;
    }
    reap(g);
    return g->init_gone ? CV_PARENT_END_SOON : CV_PARENT_NOTHING;
}

static int configure(struct go *g, struct cv_parent_show *show, struct cv_error *err)
{
    const struct cv_run_options *o = g->r->options;
    struct cv_parent_config *c = &g->config;
    c->dir = g->path[6];
    c->provider = g->r->provider;
    c->stop_seconds = o->stop_seconds;
    int rc = rules(g, err);
    if (!rc)
        rc = ports(g, err);
    if (!rc)
        rc = pairs(g, g->env, &o->env, "env", err);
    if (!rc)
        rc = pairs(g, g->file, &o->file, "file", err);
    c->environment = g->env;
    c->environment_count = o->env.count;
    c->files = g->file;
    c->file_count = o->file.count;
    cv_parent_show_events(show, &c->events);
    c->events.signal = on_signal;
    c->events.signal_ctx = g;
    return rc;
}

/* ---- the whole ---- */

static int find_programs(struct go *g, struct cv_error *err)
{
    const char *named = g->r->options->init;
    ssize_t n = readlink("/proc/self/exe", g->self, sizeof g->self - 1);
    if (n <= 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "finding this program");
    char *slash = strrchr(g->self, '/');
    snprintf(g->init, sizeof g->init, "%.*s/claviger-init-dev", (int)(slash - g->self), g->self);
    if (named != NULL)
        snprintf(g->init, sizeof g->init, "%.*s", PATH_MAX - 1, named);
    if (access(g->init, X_OK) != 0)
        return cv_error_errno(err, CV_ERR_NOT_FOUND, errno, "the init %s cannot be run", g->init);
    return 0;
}

static int standins(struct go *g, struct cv_error *err)
{
    int rc = 0;
    if (!cv_run_standins_up(g->r)) {
        cv_log(CV_LOG_INFO, "starting the stand-ins of AWS", "folder", g->r->dir, NULL);
        describe_up(g);
        rc = start(g, UP, err);
    }
    if (!rc)
        rc = cv_run_standins(g->r, err);
    if (!rc) {
        describe_nsm(g);
        rc = start(g, NSM, err);
    }
    if (rc)
        cv_error_wrap(err, "stand-ins of %s", g->r->dir);
    return rc;
}

static void say_start(const struct go *g)
{
    char hex[HEX_PCR], text[CV_ADDR_TEXT];
    cv_hex_encode(hex, g->r->pcrs.pcr0, CV_EIF_PCR_LEN);
    cv_log(CV_LOG_INFO, "the image starts", "pcr0", hex, NULL);
    for (size_t i = 0; i < g->config.expose_count; i++)
        cv_log(CV_LOG_INFO, "port", "inside", cv_logf("%u", g->expose[i].inside), "at",
               cv_addr_format(text, &g->expose[i].outside), NULL);
}

/* What the init wrote, when it never came to say anything. */
static void show_init_log(const struct go *g)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, 1u << 20);
    if (cv_file_read(&text, g->path[3], NULL) != 0 || text.n == 0)
        return;
    size_t n = text.n < LOG_TAIL ? text.n : LOG_TAIL;
    (void)fwrite(text.p + text.n - n, 1, n, stderr);
}

static int ending(const struct go *g, const struct cv_parent_outcome *o)
{
    if (o->exited)
        return o->status;
    if (o->failed) {
        fprintf(stderr, "claviger-local run: the enclave did not boot: %s: %s\n", o->stage,
                o->error);
        return 1;
    }
    if (g->asked)
        return 0;
    show_init_log(g);
    fprintf(stderr, "claviger-local run: the init ended (status %d) without a word\n",
            WIFEXITED(g->init_status) ? WEXITSTATUS(g->init_status)
                                      : 128 + WTERMSIG(g->init_status));
    return 1;
}

static int run(struct go *g, struct cv_parent_outcome *outcome, struct cv_error *err)
{
    struct cv_parent_show *show = NULL;
    struct cv_parent_side *side = NULL;
    int rc = find_programs(g, err);
    if (!rc)
        rc = standins(g, err);
    if (!rc)
        rc = cv_parent_show_start(&show, NULL, g->r->options->json, err);
    if (!rc) {
        describe_init(g);
        rc = configure(g, show, err);
    }
    if (!rc)
        rc = cv_parent_new(&side, &g->config, err);
    if (!rc) {
        say_start(g);
        rc = cv_local_child_spawn(&g->child[INIT], err);
    }
    if (!rc)
        rc = cv_parent_run(side, g->signals, outcome, err);
    cv_parent_free(&side);
    (void)cv_parent_show_stop(&show, SHOW_MS);
    return rc;
}

int cv_run_go(struct cv_run *r, int signals)
{
    struct cv_parent_outcome outcome = {.exited = false};
    struct cv_error err;
    struct go *g = calloc(1, sizeof *g);
    cv_error_clear(&err);
    if (g == NULL)
        return 1;
    g->r = r;
    g->signals = signals;
    for (size_t i = 0; i < N_CHILDREN; i++)
        g->child[i].out = -1;
    int rc = run(g, &outcome, &err);
    int status = 1;
    if (rc == CV_ERR_CANCELLED)
        status = 0;
    else if (rc)
        cv_log_error(CV_LOG_ERROR, "claviger-local run ends", &err);
    cv_local_children_stop(g->child, N_CHILDREN);
    if (!rc)
        status = ending(g, &outcome);
    for (size_t i = 0; i < g->copy_count; i++)
        free(g->copies[i]);
    free(g);
    return status;
}
