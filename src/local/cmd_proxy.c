/* SPDX-License-Identifier: Apache-2.0 */
/* claviger-local proxy: the enclave's way to the KMS stand-in, as a process. */
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/log.h"
#include "local/local.h"
#include "proxy/proxy.h"

const char cv_local_proxy_usage[] =
    "usage: claviger-local proxy --listen ADDRESS --to tcp:HOST:PORT\n"
    "\n"
    "Copies bytes between whoever connects to ADDRESS (unix:PATH, tcp:HOST:PORT) and one\n"
    "target. Prints 'ready' on standard output; ends on SIGTERM or SIGINT.\n"
    "example: claviger-local proxy --listen unix:/tmp/proxy.sock --to tcp:127.0.0.1:8443\n";

enum { O_LISTEN = 256, O_TO };

static const struct option long_options[] = {
    {"listen", required_argument, NULL, O_LISTEN},
    {"to", required_argument, NULL, O_TO},
    {NULL, 0, NULL, 0},
};

static int usage_error(const char *what)
{
    fprintf(stderr, "claviger-local proxy: %s\n(claviger-local proxy --help shows the options)\n",
            what);
    return 2;
}

static int read_target(struct cv_proxy_config *config, const char *text, struct cv_error *err)
{
    struct cv_addr to;
    int rc = cv_addr_parse(&to, text, err);
    if (!rc && (to.kind != CV_ADDR_TCP || !*to.host || to.port == 0 || to.port > 65535))
        rc = cv_error_set(err, CV_ERR_INVALID, "the target is tcp:HOST:PORT");
    if (rc)
        return rc;
    memcpy(config->host, to.host, sizeof config->host);
    config->port = (uint16_t)to.port;
    return 0;
}

static int serve(const char *listen, const char *to, struct cv_error *err)
{
    struct cv_proxy_config config = {.port = 0};
    struct cv_proxy *proxy = NULL;
    struct signalfd_siginfo info;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    int stop = signalfd(-1, &set, SFD_CLOEXEC);
    int rc = cv_addr_parse(&config.listen, listen, err);
    if (!rc)
        rc = read_target(&config, to, err);
    if (!rc)
        rc = cv_proxy_start(&proxy, &config, err);
    if (!rc) {
        puts("ready");
        fflush(stdout);
        while (read(stop, &info, sizeof info) < 0)
            ;
    }
    cv_proxy_stop(&proxy);
    if (stop >= 0)
        close(stop);
    return rc;
}

int cv_local_cmd_proxy(int argc, char **argv)
{
    const char *listen = NULL, *to = NULL;
    struct cv_error err;
    int opt;
    cv_error_clear(&err);
    while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (opt == O_LISTEN)
            listen = optarg;
        else if (opt == O_TO)
            to = optarg;
        else
            return usage_error("an option is wrong");
    }
    if (optind != argc || !listen || !to)
        return usage_error("--listen and --to are needed, and no arguments");
    if (serve(listen, to, &err)) {
        cv_log_error(CV_LOG_ERROR, "claviger-local proxy ends", &err);
        return 1;
    }
    return 0;
}
