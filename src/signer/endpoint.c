/* SPDX-License-Identifier: Apache-2.0 */
/* One libmicrohttpd daemon inside the loop. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "signer/server_impl.h"
#include "transport/listen.h"
#include "transport/resolve.h"

/* Runs of libmicrohttpd before we wait: what was resumed gets its answer in one
 * and is sent in the next. Looking for the next request of such a connection
 * can wait until the next turn: by then it is often there, and its descriptor
 * need not be given to epoll and taken away again. */
#define PASSES 2
#define RESOLVE_MS 10000
#define OPTIONS_MAX 16
/* Of libmicrohttpd for a connection: its headers must fit. It clears all of it
 * twice a request. */
#define CONNECTION_MEMORY (8 * 1024)
#define OTHER_FILES 128 /* descriptors for everything that is no client */

static CV_PRINTF(2, 0) void on_log(void *cls, const char *fmt, va_list ap)
{
    char text[256];
    (void)cls;
    if (cv_log_enabled(CV_LOG_DEBUG)) {
        (void)vsnprintf(text, sizeof(text), fmt, ap);
        text[strcspn(text, "\r\n")] = 0;
        cv_log(CV_LOG_DEBUG, "http", "message", text, NULL);
    }
}

/* Percent escapes as libmicrohttpd undoes them, except %00: its texts end
 * there, and "/keys/tz1…%00x" would be taken for what stands before. It becomes
 * another byte that is in no name. */
static size_t unescape(void *cls, struct MHD_Connection *connection, char *text)
{
    (void)cls;
    (void)connection;
    for (char *p = text; (p = strstr(p, "%00")) != NULL; p += 3) {
        p[2] = '1';
    }
    return MHD_http_unescape(text);
}

static void run(struct cv_endpoint *e)
{
    cv_gate_write_audit(e->server->o.gate); /* of the answers that leave now */
    (void)MHD_run(e->daemon);
    cv_http_suspend(e);
}

static void on_ready(struct cv_loop_source *source, uint32_t events)
{
    struct cv_endpoint *e =
        (struct cv_endpoint *)(void *)((char *)source - offsetof(struct cv_endpoint, source));
    (void)events;
    e->run = false;
    run(e);
}

static int64_t before_wait(struct cv_loop_hook *hook)
{
    struct cv_endpoint *e =
        (struct cv_endpoint *)(void *)((char *)hook - offsetof(struct cv_endpoint, hook));
    MHD_UNSIGNED_LONG_LONG ms = 0;
    for (int i = 0; i < PASSES; i++) {
        if (e->run) {
            e->run = false;
            run(e);
        }
        if (MHD_get_timeout(e->daemon, &ms) != MHD_YES) {
            return CV_NO_DEADLINE;
        }
        if (ms > 0) {
            return cv_deadline(ms > 1000000 ? 1000000 : (int64_t)ms);
        }
        e->run = true;
    }
    return 0;
}

/* An address with a name is that of its first IP address. */
static int resolve(struct cv_addr *addr, struct cv_error *err)
{
    struct cv_resolved found;
    if (addr->kind != CV_ADDR_TCP || addr->host[0] == 0 || cv_host_is_ip(addr->host)) {
        return 0;
    }
    int rc = cv_resolve(&found, addr->host, (uint16_t)addr->port, CV_RESOLVE_ANY,
                        cv_deadline(RESOLVE_MS), err);
    if (rc == 0) {
        *addr = found.addr[0];
    }
    return rc;
}

/* How many connections there may be: as configured, unless this process may
 * not open as many files. Both servers, vaults, stores and threads share them. */
static size_t connections_max(const struct cv_endpoint *e)
{
    size_t wanted = e->server->o.config->caps.connections;
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur == RLIM_INFINITY) {
        return wanted;
    }
    size_t files = (size_t)r.rlim_cur;
    size_t most =
        files > OTHER_FILES + 2 * CV_CONN_SPARE ? (files - OTHER_FILES - 2 * CV_CONN_SPARE) / 2 : 1;
    if (wanted > most) {
        cv_log(CV_LOG_WARN,
               "the limit of open files is too low for the configured connections: fewer are taken",
               "connections", cv_logf("%zu", most), "configured", cv_logf("%zu", wanted), "limit",
               cv_logf("%zu", files), NULL);
    }
    return wanted < most ? wanted : most;
}

static void add(struct MHD_OptionItem *list, size_t *n, enum MHD_OPTION option, intptr_t value,
                void *pointer)
{
    list[(*n)++] = (struct MHD_OptionItem){option, value, pointer};
}

static struct MHD_Daemon *start_daemon(struct cv_endpoint *e, int fd)
{
    const struct cv_config_caps *caps = &e->server->o.config->caps;
    struct MHD_OptionItem o[OPTIONS_MAX];
    size_t n = 0;
    e->conn_max = connections_max(e);
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
                     MHD_USE_SUPPRESS_DATE_NO_CLOCK; /* we give it */
    add(o, &n, MHD_OPTION_LISTEN_SOCKET, fd, NULL);
    add(o, &n, MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)cv_http_on_completed, NULL);
    add(o, &n, MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)cv_conn_notify, e);
    add(o, &n, MHD_OPTION_CONNECTION_LIMIT, (intptr_t)(e->conn_max + CV_CONN_SPARE), NULL);
    add(o, &n, MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)caps->idle_seconds, NULL);
    add(o, &n, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, NULL);
    add(o, &n, MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)unescape, NULL);
    if (e->tls != NULL) {
        flags |= MHD_USE_TLS;
        cv_server_tls_options(o, &n);
    }
    add(o, &n, MHD_OPTION_END, 0, NULL);
    return MHD_start_daemon(flags, 0, NULL, NULL, cv_http_on_request, e, MHD_OPTION_EXTERNAL_LOGGER,
                            on_log, NULL, MHD_OPTION_ARRAY, o, MHD_OPTION_END);
}

int cv_endpoint_start(struct cv_endpoint *e, const char *what, const struct cv_addr *addr,
                      struct cv_error *err)
{
    struct cv_listener listener = CV_LISTENER_INIT;
    struct cv_addr target = *addr;
    e->source.fd = -1;
    int rc = resolve(&target, err);
    if (rc == 0) {
        rc = cv_listen(&listener, &target, err);
    }
    if (rc != 0) {
        (void)cv_error_wrap(err, "starting the %s server", what);
        return rc;
    }
    e->addr = listener.addr;
    e->daemon = start_daemon(e, listener.fd); /* whose the descriptor is from here on */
    if (e->daemon == NULL) {
        (void)close(listener.fd);
        return cv_error_set(err, CV_ERR_IO, "starting the %s server: libmicrohttpd refuses%s", what,
                            e->tls != NULL ? " (is the TLS certificate or the CA file good?)" : "");
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(e->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    e->source.fd = info != NULL ? info->epoll_fd : -1;
    e->source.ready = on_ready;
    e->hook.before_wait = before_wait;
    if (e->source.fd < 0 || cv_loop_add(e->server->o.loop, &e->source, EPOLLIN) != 0) {
        e->source.fd = -1;
        MHD_stop_daemon(e->daemon);
        e->daemon = NULL;
        return cv_error_set(err, CV_ERR_IO, "starting the %s server: no epoll descriptor", what);
    }
    cv_loop_hook_add(e->server->o.loop, &e->hook);
    cv_conn_start(e);
    return 0;
}

void cv_endpoint_quiesce(struct cv_endpoint *e)
{
    if (e->daemon != NULL) {
        MHD_socket fd = MHD_quiesce_daemon(e->daemon);
        if (fd != MHD_INVALID_SOCKET) {
            (void)close(fd);
        }
    }
}

void cv_endpoint_stop(struct cv_endpoint *e)
{
    if (e->daemon == NULL) {
        return;
    }
    for (int i = 0; i < 16; i++) {
        run(e); /* sends what was answered */
    }
    cv_loop_remove(e->server->o.loop, &e->source);
    cv_loop_hook_remove(e->server->o.loop, &e->hook);
    MHD_stop_daemon(e->daemon);
    e->daemon = NULL;
    cv_conn_stop(e);
    if (e->addr.kind == CV_ADDR_UNIX) {
        (void)unlink(e->addr.path);
    }
}
