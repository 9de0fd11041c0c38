/* SPDX-License-Identifier: Apache-2.0 */
/* claviger enclave serve: the parent's side of one enclave with claviger-init. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "aws/config.h"
#include "cli/commands.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/utf8.h"
#include "parent/show.h"
#include "signer/notify.h"

#define REGION_MS 10000
#define SHOW_MS 5000
#define ENV_FILE_MAX (256u << 10)
#define PAIRS_MAX 1024

struct options {
    const char *cid, *dir, *vm, *region, *profile, *env_file, *log_dir;
    struct cv_option_list env, file, egress, expose, endpoint;
    unsigned stop_seconds, connections, rotate_seconds;
    bool no_heartbeat, no_credentials;
};

/* All that the configuration points to. */
struct plan {
    struct cv_parent_config config;
    struct cv_parent_rules aws, egress;
    struct cv_parent_expose expose[CV_OPTION_LIST_MAX];
    struct cv_parent_pair env[PAIRS_MAX], file[CV_OPTION_LIST_MAX];
    struct cv_buf env_file; /* the pairs point into it */
    struct cv_aws_config *credentials;
    char *copies[2 * CV_OPTION_LIST_MAX];
    size_t copy_count;
};

static void free_plan(struct plan *p)
{
    for (size_t i = 0; i < p->copy_count; i++)
        free(p->copies[i]);
    cv_buf_free(&p->env_file);
    cv_aws_config_free(&p->credentials);
    free(p);
}

/* ---- variables and files ---- */

/* Splits TEXT, which it changes, at its first '='. */
static bool split(struct cv_parent_pair *pair, char *text)
{
    char *eq = strchr(text, '=');
    if (eq == NULL || eq == text)
        return false;
    *eq = 0;
    pair->name = text;
    pair->value = eq + 1;
    return cv_utf8_valid(cv_bytes_str(text)) && cv_utf8_valid(cv_bytes_str(eq + 1));
}

/* A copy of TEXT that lives as long as the plan. */
static char *keep(struct plan *p, const char *text)
{
    char *copy = strdup(text);
    if (copy != NULL)
        p->copies[p->copy_count++] = copy;
    return copy;
}

static int add_variable(struct plan *p, char *text, const char *where, struct cv_error *err)
{
    struct cv_parent_config *c = &p->config;
    if (c->environment_count == PAIRS_MAX)
        return cv_error_set(err, CV_ERR_LIMIT, "more than %d variables", PAIRS_MAX);
    if (text == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory");
    /* The value may be somebody's secret by mistake: it is not shown. */
    if (!split(&p->env[c->environment_count], text))
        return cv_error_set(err, CV_ERR_INVALID, "%s: expected NAME=VALUE in UTF-8", where);
    c->environment_count++;
    return 0;
}

/* NAME=VALUE a line; empty lines and those that begin with # are left out. */
static int read_env_file(struct plan *p, const char *path, struct cv_error *err)
{
    char *at, *line, *rest;
    unsigned number = 0;
    int rc = cv_file_read(&p->env_file, path, err);
    if (rc != 0 || p->env_file.n == 0)
        return rc;
    if (memchr(p->env_file.p, 0, p->env_file.n) != NULL)
        return cv_error_set(err, CV_ERR_INVALID, "%s holds a NUL", path);
    for (at = (char *)p->env_file.p; rc == 0 && at != NULL; at = rest) {
        char where[64];
        line = at;
        rest = strchr(at, '\n');
        if (rest != NULL)
            *rest++ = 0;
        number++;
        if (line[0] == 0 || line[0] == '#')
            continue;
        (void)snprintf(where, sizeof where, "line %u", number);
        rc = add_variable(p, line, where, err);
    }
    if (rc != 0)
        cv_error_wrap(err, "%s", path);
    return rc;
}

static int environment(struct plan *p, const struct options *o, struct cv_error *err)
{
    cv_buf_init(&p->env_file, ENV_FILE_MAX);
    int rc = o->env_file != NULL ? read_env_file(p, o->env_file, err) : 0;
    for (size_t i = 0; rc == 0 && i < o->env.count; i++)
        rc = add_variable(p, keep(p, o->env.item[i]), "--env", err);
    p->config.environment = p->env;
    return rc;
}

static int files(struct plan *p, const struct options *o, struct cv_error *err)
{
    for (size_t i = 0; i < o->file.count; i++) {
        char *copy = keep(p, o->file.item[i]);
        if (copy == NULL)
            return cv_error_set(err, CV_ERR_NOMEM, "no memory");
        if (!split(&p->file[i], copy) || strlen(copy) >= CV_PARENT_NAME_MAX)
            return cv_error_set(err, CV_ERR_INVALID, "--file: expected NAME=PATH");
        if (access(p->file[i].value, R_OK) != 0)
            return cv_error_errno(err, CV_ERR_NOT_FOUND, errno, "--file %s: %s", copy,
                                  p->file[i].value);
    }
    p->config.files = p->file;
    p->config.file_count = o->file.count;
    return 0;
}

/* ---- hosts and ports ---- */

static int add_rules(struct cv_parent_rules *rules, const struct cv_option_list *list,
                     const char *option, struct cv_error *err)
{
    for (size_t i = 0; i < list->count; i++) {
        int rc = cv_parent_rules_add(rules, list->item[i], err);
        if (rc != 0) {
            cv_error_wrap(err, "--%s %.200s", option, list->item[i]);
            return rc;
        }
    }
    return 0;
}

static int network(struct plan *p, const struct options *o, struct cv_error *err)
{
    char region[CV_AWS_REGION_MAX + 1];
    char kms[CV_AWS_HOST_MAX + 8];
    struct cv_aws_endpoint e;
    struct cv_parent_config *c = &p->config;
    int rc = cv_aws_config_region(p->credentials, region, cv_cli_deadline(REGION_MS), err);
    if (rc == 0) /* first, so that what the operator says about a host holds */
        rc = add_rules(&p->aws, &o->endpoint, "aws-endpoint", err);
    if (rc == 0)
        rc = cv_parent_rules_add_region(&p->aws, region, err);
    if (rc == 0)
        rc = cv_aws_config_endpoint(p->credentials, &e, "kms", region, NULL, err);
    if (rc == 0 && cv_parent_rules_find(&p->aws, e.host, e.port) == NULL) {
        bool v6 = strchr(e.host, ':') != NULL;
        (void)snprintf(kms, sizeof kms, v6 ? "[%s]:%u" : "%s:%u", e.host, e.port);
        rc = cv_parent_rules_add(&p->aws, kms, err);
    }
    if (rc == 0)
        rc = add_rules(&p->egress, &o->egress, "egress", err);
    if (rc != 0)
        return rc;
    (void)snprintf(c->kms_host, sizeof c->kms_host, "%s", e.host);
    c->kms_port = e.port;
    c->aws = &p->aws;
    c->egress = &p->egress;
    for (size_t i = 0; i < o->expose.count; i++) {
        rc = cv_parent_expose_parse(&p->expose[i], o->expose.item[i], err);
        if (rc != 0) {
            cv_error_wrap(err, "--expose %.200s", o->expose.item[i]);
            return rc;
        }
    }
    c->expose = p->expose;
    c->expose_count = o->expose.count;
    return 0;
}

static int make_plan(struct plan *p, const struct options *o, struct cv_error *err)
{
    struct cv_aws_options aws = {.profile = o->profile, .region = o->region};
    struct cv_parent_config *c = &p->config;
    c->dir = o->dir;
    c->vm = o->vm;
    c->cid = o->cid != NULL ? (uint32_t)strtoul(o->cid, NULL, 10) : 0;
    c->no_heartbeat = o->no_heartbeat;
    c->stop_seconds = o->stop_seconds;
    c->max_connections = o->connections;
    int rc = cv_aws_config_load(&p->credentials, &aws, err);
    if (rc == 0 && !o->no_credentials)
        c->provider = cv_aws_config_provider(p->credentials);
    if (rc == 0)
        rc = network(p, o, err);
    if (rc == 0)
        rc = environment(p, o, err);
    if (rc == 0)
        rc = files(p, o, err);
    return rc;
}

/* ---- running ---- */

static enum cv_parent_order on_signal(void *ctx, int signo)
{
    (void)ctx;
    return signo == SIGHUP ? CV_PARENT_ROTATE : CV_PARENT_STOP;
}

/* Before the first thread, so that all of them leave these to us. */
static int signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Sends ourselves SIGHUP every SECONDS: a rotation by the clock is one on
 * request, at a time that nobody has to remember. */
static bool rotate_every(unsigned seconds)
{
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGHUP};
    struct itimerspec when = {.it_value.tv_sec = (time_t)seconds,
                              .it_interval.tv_sec = (time_t)seconds};
    return seconds == 0 || (timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 &&
                            timer_settime(timer, 0, &when, NULL) == 0);
}

/* Two descriptors for each connection of each port. */
static void raise_descriptors(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &r);
    }
}

static enum cv_exit ending(const struct cv_parent_outcome *outcome)
{
    if (outcome->exited)
        return (enum cv_exit)outcome->status;
    if (outcome->failed)
        return cv_cli_fail(NULL, "the enclave did not boot: %s: %s", outcome->stage,
                           outcome->error);
    return CV_EXIT_OK;
}

static enum cv_exit serve(struct plan *p, const char *log_dir, bool json, int signal_fd)
{
    struct cv_parent_outcome outcome = {.exited = false};
    struct cv_parent_show *show = NULL;
    struct cv_parent_side *side = NULL;
    struct cv_error err;
    cv_error_clear(&err);
    int rc = cv_parent_show_start(&show, log_dir, json, &err);
    if (rc == 0) {
        cv_parent_show_events(show, &p->config.events);
        p->config.events.signal = on_signal;
        rc = cv_parent_new(&side, &p->config, &err);
    }
    if (rc == 0) {
        cv_log(CV_LOG_INFO, "waiting for the enclave", "at",
               p->config.dir != NULL  ? p->config.dir
               : p->config.vm != NULL ? p->config.vm
                                      : cv_logf("CID %u", p->config.cid),
               NULL);
        cv_notify("READY=1");
        rc = cv_parent_run(side, signal_fd, &outcome, &err);
        cv_notify("STOPPING=1");
    }
    cv_parent_free(&side);
    (void)cv_parent_show_stop(&show, SHOW_MS);
    return rc != 0 ? cv_cli_fail(&err, "%s", "") : ending(&outcome);
}

static bool check(const struct options *o)
{
    char *end = NULL;
    if ((o->cid != NULL) + (o->dir != NULL) + (o->vm != NULL) != 1) {
        (void)cv_cli_usage(&cv_cmd_enclave_serve, "one of --cid, --vm and --dir is needed");
        return false;
    }
    if (o->cid == NULL)
        return true;
    unsigned long cid = strtoul(o->cid, &end, 10);
    if (o->cid[0] < '0' || o->cid[0] > '9' || *end != 0 || cid < 4 || cid >= UINT32_MAX) {
        (void)cv_cli_usage(&cv_cmd_enclave_serve, "--cid is a number from 4 up: what nitro-cli "
                                                  "describe-enclaves shows");
        return false;
    }
    return true;
}

static enum cv_exit run(const struct cv_cli *cli, int argc, char **argv)
{
    struct options o = {.cid = NULL};
    const struct cv_option options[] = {
        {"cid", 0, CV_OPT_TEXT, &o.cid},
        {"vm", 0, CV_OPT_TEXT, &o.vm},
        {"dir", 0, CV_OPT_TEXT, &o.dir},
        {"region", 0, CV_OPT_TEXT, &o.region},
        {"profile", 0, CV_OPT_TEXT, &o.profile},
        {"env", 'e', CV_OPT_LIST, &o.env},
        {"env-file", 0, CV_OPT_TEXT, &o.env_file},
        {"file", 0, CV_OPT_LIST, &o.file},
        {"egress", 0, CV_OPT_LIST, &o.egress},
        {"expose", 'p', CV_OPT_LIST, &o.expose},
        {"aws-endpoint", 0, CV_OPT_LIST, &o.endpoint},
        {"log-dir", 0, CV_OPT_TEXT, &o.log_dir},
        {"stop-timeout", 0, CV_OPT_COUNT, &o.stop_seconds},
        {"rotate-every", 0, CV_OPT_COUNT, &o.rotate_seconds},
        {"max-connections", 0, CV_OPT_COUNT, &o.connections},
        {"no-heartbeat", 0, CV_OPT_FLAG, &o.no_heartbeat},
        {"no-credentials", 0, CV_OPT_FLAG, &o.no_credentials},
    };
    struct cv_error err;
    cv_error_clear(&err);
    if (!cv_options_parse(&cv_cmd_enclave_serve, options, sizeof options / sizeof options[0], argc,
                          argv, NULL) ||
        !check(&o))
        return CV_EXIT_USAGE;
    struct plan *p = calloc(1, sizeof *p);
    int signal_fd = signals();
    if (p == NULL || signal_fd < 0 || !rotate_every(o.rotate_seconds)) {
        free(p);
        return cv_cli_fail(NULL, "starting: %s", strerror(errno));
    }
    raise_descriptors();
    enum cv_exit result = make_plan(p, &o, &err) != 0 ? cv_cli_fail(&err, "%s", "")
                                                      : serve(p, o.log_dir, cli->json, signal_fd);
    free_plan(p);
    close(signal_fd);
    return result;
}

const struct cv_command cv_cmd_enclave_serve = {
    .name = "enclave serve",
    .summary = "the parent's side of one enclave: network, credentials, logs",
    .usage = "--cid CID|--vm PATH|--dir FOLDER [--region REGION] [--egress HOST:PORT] ...",
    .help =
        "Serves an enclave that `claviger eif build` made: it reaches KMS, S3 and what is\n"
        "allowed here, gets AWS credentials and their renewals, and its log, the stages of\n"
        "its boot and the end of its application come out here. Start it before the\n"
        "enclave. Ends with the application's exit status (128 + signal), or 1 when the\n"
        "boot fails. SIGHUP: have the encrypted configurations fetched again. SIGTERM: stop\n"
        "the application; a second one ends at once.\n\n"
        "      --cid CID                 of the enclave (nitro-cli --enclave-cid)\n"
        "      --vm PATH                 of a virtual machine (claviger-local vm): DIR/vm.vsock\n"
        "      --dir FOLDER              UNIX sockets instead of vsock, for claviger-init-dev\n"
        "      --region REGION           of KMS and S3 (default: as every command finds it)\n"
        "      --profile NAME            of ~/.aws, for the credentials\n"
        "  -e, --env NAME=VALUE          a variable; the image decides which it takes\n"
        "      --env-file FILE           such lines\n"
        "      --file NAME=PATH          an encrypted configuration on this machine\n"
        "      --egress [*.]HOST:PORT    where the application may connect to\n"
        "  -p, --expose [HOST:]PORT:INSIDE\n"
        "                                a TCP port here for a port of the enclave\n"
        "      --aws-endpoint [*.]HOST:PORT[=ADDRESS]\n"
        "                                one more AWS endpoint, or where one really is\n"
        "                                (tcp:IP:PORT, unix:PATH)\n"
        "      --log-dir FOLDER          the log goes to FOLDER/enclave.log\n"
        "      --rotate-every SECONDS    have the configurations fetched again by the clock\n"
        "      --stop-timeout SECONDS    from the stop signal to the kill (10)\n"
        "      --max-connections N       for each port (256); more are closed at once\n"
        "      --no-heartbeat            nitro-cli starts the enclave, and answers it\n"
        "      --no-credentials          the enclave gets none\n\n"
        "Example: claviger enclave serve --cid 16 --no-heartbeat -p 443:8443\n",
    .run = run,
};
