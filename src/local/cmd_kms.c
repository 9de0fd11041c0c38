/* SPDX-License-Identifier: Apache-2.0 */
/* claviger-local kms: the KMS stand-in as a process. */
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "local/kms.h"
#include "local/local.h"

const char cv_local_kms_usage[] =
    "usage: claviger-local kms --state FILE --ca FILE [OPTION]...\n"
    "\n"
    "A KMS for development, over TLS. It checks signatures of requests, attestation\n"
    "documents down to the root given, and key policies with their conditions; its log\n"
    "says which condition failed and with which values.\n"
    "\n"
    "  --state FILE         keys, aliases and principals (JSON, mode 0600); made when absent,\n"
    "                       with the account root as its first principal\n"
    "  --ca FILE            PEM certificate that clients trust; made when absent (its key\n"
    "                       beside it, FILE.key)\n"
    "  --root FILE          PEM of the attestation root (root.pem of claviger-local nsm)\n"
    "  --listen ADDRESS     default tcp:127.0.0.1:0; port 0 chooses a free one\n"
    "  --region NAME        of a new state (default us-west-2)\n"
    "  --account ID         of a new state (default 111122223333)\n"
    "  --fault FILE         faults on demand, read again for each request (see the man page)\n"
    "  --json-log           log lines as JSON\n"
    "\n"
    "Prints 'ready ADDRESS' on standard output once it serves; ends on SIGTERM or SIGINT.\n"
    "example: claviger-local kms --state kms.json --ca ca.pem --root nsm/root.pem\n";

enum { O_STATE = 256, O_CA, O_ROOT, O_LISTEN, O_REGION, O_ACCOUNT, O_FAULT, O_JSON_LOG };

static const struct option options[] = {
    {"state", required_argument, NULL, O_STATE},
    {"ca", required_argument, NULL, O_CA},
    {"root", required_argument, NULL, O_ROOT},
    {"listen", required_argument, NULL, O_LISTEN},
    {"region", required_argument, NULL, O_REGION},
    {"account", required_argument, NULL, O_ACCOUNT},
    {"fault", required_argument, NULL, O_FAULT},
    {"json-log", no_argument, NULL, O_JSON_LOG},
    {NULL, 0, NULL, 0},
};

struct settings {
    struct cv_local_kms_config config;
    const char *ca, *listen;
    bool json_log;
};

static int usage_error(const char *what)
{
    fprintf(stderr, "claviger-local kms: %s\n(claviger-local kms --help shows the options)\n",
            what);
    return 2;
}

static int read_options(struct settings *s, int argc, char **argv)
{
    int opt;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (opt) {
        case O_STATE:
            s->config.state_path = optarg;
            break;
        case O_CA:
            s->ca = optarg;
            break;
        case O_ROOT:
            s->config.root_path = optarg;
            break;
        case O_LISTEN:
            s->listen = optarg;
            break;
        case O_REGION:
            s->config.region = optarg;
            break;
        case O_ACCOUNT:
            s->config.account = optarg;
            break;
        case O_FAULT:
            s->config.fault_path = optarg;
            break;
        case O_JSON_LOG:
            s->json_log = true;
            break;
        default:
            return usage_error("an option is wrong");
        }
    }
    if (optind != argc)
        return usage_error("it takes no arguments, only options");
    if (!s->config.state_path || !s->ca)
        return usage_error("--state and --ca are needed");
    if (s->config.account &&
        (strlen(s->config.account) != 12 || strspn(s->config.account, "0123456789") != 12))
        return usage_error("--account is a number of twelve digits");
    if (s->config.region && (!*s->config.region || strlen(s->config.region) > 40 ||
                             strspn(s->config.region, "abcdefghijklmnopqrstuvwxyz0123456789-") !=
                                 strlen(s->config.region)))
        return usage_error("--region holds lower-case letters, digits and '-'");
    return 0;
}

/* A state without anybody who may sign would be of no use. */
static int first_administrator(struct cv_local_kms_state *s, struct cv_error *err)
{
    if (s->n_principals)
        return 0;
    int rc = cv_local_kms_admin_add(s, err);
    return rc ? rc : cv_local_kms_state_save(s, err);
}

static void ready(void *ctx, const struct cv_addr *addr)
{
    char text[CV_ADDR_TEXT];
    (void)ctx;
    printf("ready %s\n", cv_addr_format(text, addr));
    fflush(stdout);
}

static int stop_descriptor(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static int make_tls(struct cv_tls **tls, const struct settings *s, const char *region,
                    struct cv_error *err)
{
    struct cv_buf CV_CLEANUP(cv_buf_free) chain, key;
    char host[128];
    cv_buf_init(&chain, 32768);
    cv_buf_init(&key, 32768);
    snprintf(host, sizeof host, "kms.%.60s.amazonaws.com", region);
    int rc = cv_local_tls_credentials(&chain, &key, s->ca, host, err);
    return rc ? rc : cv_tls_server_new_pem(tls, cv_buf_view(&chain), cv_buf_view(&key), err);
}

static int serve(const struct settings *s, struct cv_error *err)
{
    char lock_path[4096];
    struct cv_addr addr;
    struct cv_local_kms *kms = NULL;
    struct cv_tls *tls = NULL;
    int lock = -1, stop = stop_descriptor();
    int rc = cv_addr_parse(&addr, s->listen, err);
    snprintf(lock_path, sizeof lock_path, "%s.lock", s->config.state_path);
    if (!rc)
        rc = cv_file_lock(&lock, lock_path, 0, err);
    if (rc == CV_ERR_BUSY)
        cv_error_wrap(err, "another KMS stand-in runs on %s", s->config.state_path);
    if (!rc)
        rc = cv_local_kms_new(&kms, &s->config, err);
    if (!rc)
        rc = first_administrator(cv_local_kms_state(kms), err);
    if (!rc)
        rc = make_tls(&tls, s, cv_local_kms_state(kms)->region, err);
    if (!rc)
        rc = cv_local_kms_serve(kms, &addr, tls, stop, ready, NULL, err);
    cv_tls_free(&tls);
    cv_local_kms_free(kms);
    if (lock >= 0)
        close(lock);
    if (stop >= 0)
        close(stop);
    return rc;
}

int cv_local_cmd_kms(int argc, char **argv)
{
    struct settings s = {.listen = "tcp:127.0.0.1:0"};
    struct cv_error err;
    cv_error_clear(&err);
    int rc = read_options(&s, argc, argv);
    if (rc)
        return rc;
    cv_log_setup(CV_LOG_INFO, s.json_log);
    if (serve(&s, &err)) {
        cv_log_error(CV_LOG_ERROR, "claviger-local kms ends", &err);
        return 1;
    }
    return 0;
}
