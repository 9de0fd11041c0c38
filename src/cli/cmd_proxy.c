/* SPDX-License-Identifier: Apache-2.0 */
/* claviger proxy: AWS's vsock-proxy, for any number of targets. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/proxy_metrics.h"
#include "common/clock.h"
#include "proxy/allowlist.h"

#define CHECK_MS 10000 /* for the names of the allowlist, altogether */

struct options {
    bool v4, v6;
    unsigned connections, idle_s, connect_s, resolve_s;
    struct cv_option_list forward, cid;
    uint32_t cids[CV_PROXY_CIDS];
    const char *metrics;
    const char *listen;
};

static bool usage(const char *text, const char *value)
{
    char quoted[128];
    if (value == NULL)
        (void)cv_cli_usage(&cv_cmd_proxy, "%s", text);
    else
        (void)cv_cli_usage(&cv_cmd_proxy, "%s: %s", text,
                           cv_error_quote(quoted, sizeof(quoted), value, strlen(value)));
    return false;
}

/* AWS's three operands: LOCAL_PORT REMOTE_ADDRESS REMOTE_PORT. */
static bool classic(struct cv_proxy_config *c, const struct options *o, char **argv)
{
    struct cv_error err;
    char text[CV_ADDR_TEXT];
    char *end = NULL;
    cv_error_clear(&err);
    (void)snprintf(text, sizeof(text), "vsock:any:%.20s", argv[1]);
    if (o->listen == NULL && cv_addr_parse(&c->listen, text, &err) != 0)
        return usage("the local port is a vsock port", argv[1]);
    if (!cv_host_is_ip(argv[2]) && !cv_host_is_name(argv[2]))
        return usage("the remote address is a host name or an IP address", argv[2]);
    (void)snprintf(c->host, sizeof(c->host), "%s", argv[2]);
    unsigned long port = strtoul(argv[3], &end, 10);
    if (argv[3][0] < '0' || argv[3][0] > '9' || *end != 0 || port == 0 || port > 65535)
        return usage("the remote port is a number from 1 to 65535", argv[3]);
    c->port = (uint16_t)port;
    return true;
}

/* ADDRESS=HOST:PORT */
static bool forward(struct cv_proxy_config *c, const char *text)
{
    char address[CV_ADDR_TEXT];
    struct cv_error err;
    const char *eq = strrchr(text, '=');
    cv_error_clear(&err);
    if (eq == NULL || (size_t)(eq - text) >= sizeof(address))
        return usage("--forward wants ADDRESS=HOST:PORT", text);
    memcpy(address, text, (size_t)(eq - text));
    address[eq - text] = 0;
    if (cv_addr_parse(&c->listen, address, &err) != 0 ||
        cv_hostport_parse(c->host, &c->port, eq + 1, 0, &err) != 0) {
        (void)cv_cli_usage(&cv_cmd_proxy, "--forward: %s", cv_error_top(&err));
        return false;
    }
    return true;
}

static bool enclaves(struct options *o)
{
    for (size_t i = 0; i < o->cid.count; i++) {
        char *end = NULL;
        unsigned long cid = strtoul(o->cid.item[i], &end, 10);
        if (o->cid.item[i][0] < '0' || o->cid.item[i][0] > '9' || *end != 0 || cid >= UINT32_MAX)
            return usage("--cid is a number: what nitro-cli describe-enclaves shows",
                         o->cid.item[i]);
        if (i == CV_PROXY_CIDS)
            return usage("at most 16 enclaves have --cid", NULL);
        o->cids[i] = (uint32_t)cid;
    }
    return true;
}

static void common(struct cv_proxy_config *c, const struct options *o)
{
    memcpy(c->cids, o->cids, sizeof c->cids);
    c->cid_count = o->cid.count;
    c->family = o->v4 ? CV_RESOLVE_IPV4 : o->v6 ? CV_RESOLVE_IPV6 : CV_RESOLVE_ANY;
    c->max_connections = o->connections;
    c->idle_ms = (int64_t)o->idle_s * 1000;
    c->connect_ms = (int64_t)o->connect_s * 1000;
    c->resolve_ms = (int64_t)o->resolve_s * 1000;
}

/* Fills TARGETS, of which there is room for all; *COUNT of them. */
static bool targets(struct cv_proxy_config *list, size_t *count, const struct options *o,
                    int operands, char **argv)
{
    struct cv_error err;
    cv_error_clear(&err);
    *count = 0;
    if (o->v4 && o->v6)
        return usage("--ipv4 and --ipv6 exclude each other", NULL);
    if (operands != 0 && operands != 3)
        return usage("expected LOCAL_PORT REMOTE_ADDRESS REMOTE_PORT", NULL);
    if (o->listen != NULL && cv_addr_parse(&list[0].listen, o->listen, &err) != 0)
        return usage(cv_error_top(&err), NULL);
    if (o->listen != NULL && operands == 0)
        return usage("--listen goes with LOCAL_PORT REMOTE_ADDRESS REMOTE_PORT", NULL);
    if (operands == 3) {
        if (!classic(&list[0], o, argv))
            return false;
        *count = 1;
    }
    for (size_t i = 0; i < o->forward.count; i++)
        if (!forward(&list[(*count)++], o->forward.item[i]))
            return false;
    for (size_t i = 0; i < *count; i++)
        common(&list[i], o);
    return *count > 0 || usage("no target is given", NULL);
}

/* Fills ALLOW, which the proxies go on to look at. */
static enum cv_exit allowed(const struct cv_cli *cli, struct cv_allowlist *allow,
                            struct cv_proxy_config *list, size_t count)
{
    struct cv_error err;
    enum cv_exit rc = CV_EXIT_OK;
    const char *file = cli->config_given ? cli->config : CV_ALLOWLIST_DEFAULT;
    cv_error_clear(&err);
    if (!cli->config_given && access(file, F_OK) != 0)
        cv_allowlist_builtin(allow);
    else if (cv_allowlist_read(allow, file, &err) != 0)
        return cv_cli_fail(&err, "allowlist");
    int64_t deadline = cv_deadline(CHECK_MS);
    for (size_t i = 0; i < count && rc == CV_EXIT_OK; i++) {
        list[i].allow = allow;
        if (cv_allowlist_check(allow, list[i].host, list[i].port, deadline, &err) != 0)
            rc = cv_cli_fail(&err, allow->builtin ? "no allowlist file %s" : "allowlist %s", file);
    }
    return rc;
}

static void say_listening(const struct cv_proxy_config *c, struct cv_proxy *p)
{
    char text[CV_ADDR_TEXT];
    cv_log(CV_LOG_INFO, "proxy listening", "address", cv_addr_format(text, cv_proxy_address(p)),
           "target", cv_logf("%s:%u", c->host, c->port), NULL);
}

static void say_numbers(const struct cv_proxy_config *c, struct cv_proxy *p)
{
    struct cv_proxy_stats s;
    cv_proxy_stats(p, &s);
    cv_log(CV_LOG_INFO, "proxy ended", "target", cv_logf("%s:%u", c->host, c->port), "accepted",
           cv_logf("%llu", (unsigned long long)s.accepted), "refused",
           cv_logf("%llu", (unsigned long long)s.refused), "failed",
           cv_logf("%llu", (unsigned long long)s.failed), "bytes_up",
           cv_logf("%llu", (unsigned long long)s.bytes_up), "bytes_down",
           cv_logf("%llu", (unsigned long long)s.bytes_down), NULL);
}

/* Runs until a signal. */
static enum cv_exit serve(const struct cv_proxy_config *list, size_t count, const char *metrics)
{
    struct cv_proxy **proxies = calloc(count, sizeof(*proxies));
    struct cv_proxy_metrics *numbers = NULL;
    struct cv_error err;
    sigset_t set;
    enum cv_exit rc = CV_EXIT_OK;
    int signal_number;
    cv_error_clear(&err);
    if (proxies == NULL)
        return cv_cli_fail(NULL, "no memory");
    /* Before the first thread, so that all of them leave these to us. */
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    for (size_t i = 0; i < count && rc == CV_EXIT_OK; i++) {
        if (cv_proxy_start(&proxies[i], &list[i], &err) != 0)
            rc = cv_cli_fail(&err, "%s", "");
        else
            say_listening(&list[i], proxies[i]);
    }
    if (rc == CV_EXIT_OK && metrics != NULL &&
        cv_proxy_metrics_start(&numbers, metrics, list, proxies, count, &err) != 0)
        rc = cv_cli_fail(&err, "metrics");
    if (rc == CV_EXIT_OK)
        (void)sigwait(&set, &signal_number);
    cv_proxy_metrics_stop(&numbers);
    for (size_t i = 0; i < count; i++) {
        if (proxies[i] != NULL && rc == CV_EXIT_OK)
            say_numbers(&list[i], proxies[i]);
        cv_proxy_stop(&proxies[i]);
    }
    free(proxies);
    return rc;
}

static enum cv_exit run(const struct cv_cli *cli, int argc, char **argv)
{
    struct options o = {.metrics = NULL};
    int operands = 0;
    size_t count = 0;
    const struct cv_option options[] = {
        {"ipv4", '4', CV_OPT_FLAG, &o.v4},
        {"ipv6", '6', CV_OPT_FLAG, &o.v6},
        {"num_workers", 'w', CV_OPT_COUNT, &o.connections},
        {"max-connections", 0, CV_OPT_COUNT, &o.connections},
        {"idle-timeout", 0, CV_OPT_COUNT, &o.idle_s},
        {"connect-timeout", 0, CV_OPT_COUNT, &o.connect_s},
        {"resolve-interval", 0, CV_OPT_COUNT, &o.resolve_s},
        {"forward", 0, CV_OPT_LIST, &o.forward},
        {"cid", 0, CV_OPT_LIST, &o.cid},
        {"listen", 0, CV_OPT_TEXT, &o.listen},
        {"metrics", 0, CV_OPT_TEXT, &o.metrics},
    };
    if (!cv_options_parse(&cv_cmd_proxy, options, sizeof(options) / sizeof(options[0]), argc, argv,
                          &operands))
        return CV_EXIT_USAGE;
    struct cv_proxy_config *list = calloc(o.forward.count + 1, sizeof(*list));
    if (list == NULL)
        return cv_cli_fail(NULL, "no memory");
    enum cv_exit rc = CV_EXIT_USAGE;
    struct cv_allowlist allow = {.entries = NULL};
    if (enclaves(&o) && targets(list, &count, &o, operands, argv)) {
        rc = allowed(cli, &allow, list, count);
        if (rc == CV_EXIT_OK)
            rc = serve(list, count, o.metrics);
    }
    cv_allowlist_free(&allow);
    free(list);
    return rc;
}

const struct cv_command cv_cmd_proxy = {
    .name = "proxy",
    .summary = "let enclaves reach AWS: forward vsock to allowed hosts",
    .usage = "[-4|-6] [-w N] [--config ALLOWLIST] LOCAL_PORT REMOTE_ADDRESS REMOTE_PORT\n"
             "       claviger proxy [options] --forward ADDRESS=HOST:PORT ...",
    .help = "Takes the place of AWS's vsock-proxy, with its operands and its allowlist\n"
            "(--config, default " CV_ALLOWLIST_DEFAULT "; without that file\n"
            "the KMS endpoints of every region are allowed).\n\n"
            "      --forward ADDRESS=HOST:PORT  one more target; ADDRESS is vsock:any:PORT,\n"
            "                                   unix:PATH or tcp:HOST:PORT\n"
            "      --listen ADDRESS             instead of vsock:any:LOCAL_PORT\n"
            "      --cid CID                    only this enclave, on vsock; may be repeated\n"
            "  -4, --ipv4                       only IPv4 addresses of the target\n"
            "  -6, --ipv6                       only IPv6 addresses\n"
            "  -w, --num_workers N              connections at a time for each target (256);\n"
            "      --max-connections N          more are closed at once\n"
            "      --idle-timeout SECONDS       without a byte either way (300)\n"
            "      --connect-timeout SECONDS    for all addresses of the target (10)\n"
            "      --resolve-interval SECONDS   the target's name is resolved again (its TTL)\n"
            "      --metrics ADDRESS            serve numbers for Prometheus at /metrics\n\n"
            "Example: claviger proxy 8000 kms.us-east-1.amazonaws.com 443\n"
            "Example: claviger proxy --forward vsock:any:8000=kms.us-east-1.amazonaws.com:443 \\\n"
            "             --forward vsock:any:8001=s3.us-east-1.amazonaws.com:443\n",
    .run = run,
};
