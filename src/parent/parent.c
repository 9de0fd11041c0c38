/* SPDX-License-Identifier: Apache-2.0 */
/* The loop of the parent's side: ports, ticks, signals, the end. */
#include "parent/parent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "parent/internal.h"
#include "transport/vsock_uds.h"

#define TICK_MS 100
#define BATCH 64     /* events, and connections accepted, at a time */
#define WARN_MS 1000 /* between warnings: an enclave must not flood the log */
#define STOP_GRACE_MS 10000
#define SOON_MS 1000

void cv_parent_warn(struct cv_parent_side *p, const char *what, const char *why)
{
    int64_t now = cv_now_ms();
    if (p->last_warning != 0 && now - p->last_warning < WARN_MS)
        return;
    p->last_warning = now;
    cv_log(CV_LOG_WARN, what, "cause", why, NULL);
}

void cv_parent_address(struct cv_addr *out, const struct cv_parent_side *p, bool inside,
                       uint32_t port)
{
    memset(out, 0, sizeof *out);
    if (p->config.dir != NULL) {
        out->kind = CV_ADDR_UNIX;
        /* The length was checked when the side was made. */
        (void)snprintf(out->path, sizeof out->path, "%.80s/%s_%u", p->config.dir,
                       inside ? "enclave" : "parent", port);
    } else if (p->config.vm != NULL) {
        struct cv_addr vm = {.kind = CV_ADDR_VSOCK_UDS, .port = port};
        (void)snprintf(vm.path, sizeof vm.path, "%.96s", p->config.vm);
        *out = vm;
        if (!inside)
            (void)!cv_vsock_uds_listen_addr(out, &vm, NULL);
    } else {
        out->kind = CV_ADDR_VSOCK;
        out->cid = inside ? p->config.cid : (uint32_t)-1;
        out->port = port;
    }
}

int cv_parent_expose_parse(struct cv_parent_expose *out, const char *text, struct cv_error *err)
{
    char outside[CV_ADDR_TEXT];
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    memset(out, 0, sizeof *out);
    if (colon == NULL || colon == text)
        return cv_error_set(err, CV_ERR_INVALID, "expected [HOST:]PORT:INSIDE");
    unsigned long inside = strtoul(colon + 1, &end, 10);
    if (colon[1] < '0' || colon[1] > '9' || *end != 0 || inside == 0 || inside > 65535)
        return cv_error_set(err, CV_ERR_INVALID, "the port inside is a number from 1 to 65535");
    out->inside = (uint32_t)inside;
    size_t n = (size_t)(colon - text);
    bool host = memchr(text, ':', n) != NULL;
    if (n > 280)
        return cv_error_set(err, CV_ERR_INVALID, "an address is shorter than that");
    (void)snprintf(outside, sizeof outside, host ? "tcp:%.*s" : "tcp::%.*s", (int)n, text);
    return cv_addr_parse(&out->outside, outside, err);
}

/* ---- ports ---- */

static bool stranger(const struct cv_parent_side *p, const struct port *port, int fd)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    struct cv_addr peer;
    if (p->config.dir != NULL || p->config.vm != NULL || port->kind == PORT_EXPOSED)
        return false;
    return getpeername(fd, (struct sockaddr *)&ss, &len) != 0 ||
           cv_addr_from_sockaddr(&peer, &ss, len) != 0 || peer.kind != CV_ADDR_VSOCK ||
           peer.cid != p->config.cid;
}

static void take(struct port *port, int fd)
{
    struct cv_parent_side *p = port->p;
    if (stranger(p, port, fd)) {
        close(fd);
        cv_parent_warn(p, "a connection was refused", "it comes from another enclave");
    } else if (port->kind == PORT_CONTROL) {
        cv_parent_control_accept(p, fd);
    } else if (port->kind == PORT_LOGS) {
        cv_parent_logs_accept(p, fd);
    } else {
        cv_parent_conn_accept(port, fd);
    }
}

static void watch_port(struct port *port, bool on)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &port->source};
    if (on != port->listening &&
        epoll_ctl(port->p->epoll, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, port->listener.fd, &ev) == 0)
        port->listening = on;
}

static void port_event(struct cv_parent_source *s, uint32_t events)
{
    struct port *port = (struct port *)s;
    (void)events;
    for (int i = 0; i < BATCH; i++) {
        int fd;
        int rc = cv_accept_fd(&fd, &port->listener, 0, NULL);
        if (rc == 0) {
            take(port, fd);
            continue;
        }
        if (rc != CV_ERR_TIMEOUT) {
            /* Out of descriptors: looked at again with the next tick. */
            cv_parent_warn(port->p, "accepting a connection", strerror(errno));
            watch_port(port, false);
        }
        return;
    }
}

static int open_port(struct cv_parent_side *p, enum port_kind kind, const struct cv_addr *addr,
                     uint32_t inside, struct cv_error *err)
{
    struct port *port = &p->port[p->ports];
    *port = (struct port){.source.event = port_event,
                          .p = p,
                          .kind = kind,
                          .inside = inside,
                          .listener = CV_LISTENER_INIT};
    int rc = cv_listen(&port->listener, addr, err);
    if (rc != 0)
        return rc;
    p->ports++;
    watch_port(port, true);
    return 0;
}

static int open_ports(struct cv_parent_side *p, struct cv_error *err)
{
    static const struct {
        enum port_kind kind;
        uint32_t port;
    } ports[] = {{PORT_AWS, CV_PARENT_PORT_AWS},
                 {PORT_EGRESS, CV_PARENT_PORT_EGRESS},
                 {PORT_CONTROL, CV_PARENT_PORT_CONTROL},
                 {PORT_LOGS, CV_PARENT_PORT_LOGS},
                 {PORT_HEARTBEAT, CV_PARENT_PORT_HEARTBEAT}};
    int rc = 0;
    for (size_t i = 0; i < sizeof ports / sizeof ports[0] && rc == 0; i++) {
        struct cv_addr addr;
        if (ports[i].kind == PORT_HEARTBEAT && p->config.no_heartbeat)
            continue;
        cv_parent_address(&addr, p, false, ports[i].port);
        rc = open_port(p, ports[i].kind, &addr, 0, err);
        if (rc != 0 && ports[i].kind == PORT_HEARTBEAT)
            cv_error_wrap(err, "heartbeat (nitro-cli answers it itself: see --no-heartbeat)");
    }
    for (size_t i = 0; i < p->config.expose_count && rc == 0; i++)
        rc = open_port(p, PORT_EXPOSED, &p->config.expose[i].outside, p->config.expose[i].inside,
                       err);
    return rc;
}

/* ---- wake-ups and signals ---- */

static struct cv_parent_side *side_of(struct cv_parent_source *s, size_t offset)
{
    return (struct cv_parent_side *)(void *)((char *)s - offset);
}

static void woken(struct cv_parent_source *s, uint32_t events)
{
    struct cv_parent_side *p = side_of(s, offsetof(struct cv_parent_side, wake_source));
    uint64_t n;
    (void)events;
    (void)!read(p->wake, &n, sizeof n);
    cv_parent_conn_resolved(p);
    cv_parent_control_credentials(p);
}

static void stop(struct cv_parent_side *p)
{
    int64_t seconds = p->config.stop_seconds != 0 ? p->config.stop_seconds : 10;
    if (p->stopping || !cv_parent_control_stop(p)) {
        p->over = true;
        return;
    }
    p->stopping = true;
    p->end_at = cv_deadline(seconds * 1000 + STOP_GRACE_MS);
    cv_log(CV_LOG_INFO, "the application is told to stop", "seconds",
           cv_logf("%lld", (long long)seconds), NULL);
}

static void signalled(struct cv_parent_source *s, uint32_t events)
{
    struct cv_parent_side *p = side_of(s, offsetof(struct cv_parent_side, signal_source));
    struct signalfd_siginfo info;
    (void)events;
    if (read(p->signals, &info, sizeof info) != sizeof info)
        return;
    switch (p->config.events.signal(p->config.events.signal_ctx, (int)info.ssi_signo)) {
    case CV_PARENT_ROTATE:
        if (!cv_parent_control_rotate(p))
            cv_log(CV_LOG_WARN, "no rotation: no enclave is connected", NULL);
        break;
    case CV_PARENT_STOP:
        stop(p);
        break;
    case CV_PARENT_END:
        p->over = true;
        break;
    case CV_PARENT_END_SOON:
        if (cv_deadline(SOON_MS) < p->end_at)
            p->end_at = cv_deadline(SOON_MS);
        break;
    case CV_PARENT_NOTHING:
        break;
    }
}

/* ---- life ---- */

static int watch_fd(const struct cv_parent_side *p, int fd, struct cv_parent_source *s,
                    struct cv_error *err)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = s};
    if (epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &ev) != 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "setting up the loop");
    return 0;
}

static int set_up(struct cv_parent_side *p, struct cv_error *err)
{
    if (p->config.dir != NULL && strlen(p->config.dir) > 80)
        return cv_error_set(err, CV_ERR_LIMIT, "the folder's path is too long for UNIX sockets");
    if (p->config.vm != NULL && strlen(p->config.vm) >= CV_ADDR_UDS_PATH)
        return cv_error_set(err, CV_ERR_LIMIT, "the path of the vsock device is too long");
    if (p->config.expose_count > CV_PARENT_EXPOSE_MAX)
        return cv_error_set(err, CV_ERR_LIMIT, "more than %d ports are exposed",
                            CV_PARENT_EXPOSE_MAX);
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->epoll < 0 || p->wake < 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "setting up the loop");
    p->wake_source.event = woken;
    p->signal_source.event = signalled;
    int rc = watch_fd(p, p->wake, &p->wake_source, err);
    if (rc == 0 && p->config.provider != NULL)
        rc = cv_renewer_start(&p->renewer, p->config.provider, p->wake, err);
    return rc != 0 ? rc : open_ports(p, err);
}

int cv_parent_new(struct cv_parent_side **out, const struct cv_parent_config *config,
                  struct cv_error *err)
{
    struct cv_parent_side *p = calloc(1, sizeof *p);
    *out = NULL;
    if (p == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory");
    p->config = *config;
    p->epoll = p->wake = -1;
    p->end_at = CV_NO_DEADLINE;
    cv_parent_control_init(p);
    cv_parent_logs_init(p);
    int rc = set_up(p, err);
    if (rc != 0)
        cv_parent_free(&p);
    *out = p;
    return rc;
}

static void tick(struct cv_parent_side *p, int64_t now)
{
    for (size_t i = 0; i < p->ports; i++)
        watch_port(&p->port[i], true);
    cv_parent_conn_tick(p, now);
    cv_parent_control_tick(p, now);
    cv_parent_logs_tick(p, now);
    if (now >= p->end_at)
        p->over = true;
}

int cv_parent_run(struct cv_parent_side *p, int signals, struct cv_parent_outcome *out,
                  struct cv_error *err)
{
    struct epoll_event events[BATCH];
    int64_t next_tick = 0;
    p->signals = signals;
    int rc = watch_fd(p, signals, &p->signal_source, err);
    while (rc == 0 && !p->over) {
        int n = epoll_wait(p->epoll, events, BATCH, TICK_MS);
        if (n < 0 && errno != EINTR)
            rc = cv_error_errno(err, CV_ERR_IO, errno, "waiting for events");
        for (int i = 0; i < n; i++) {
            struct cv_parent_source *s = events[i].data.ptr;
            s->event(s, events[i].events);
        }
        cv_parent_conn_bury(p);
        int64_t now = cv_now_ms();
        if (now >= next_tick) {
            tick(p, now);
            cv_parent_conn_bury(p);
            next_tick = now + TICK_MS;
        }
    }
    cv_parent_logs_close(p);
    *out = p->outcome;
    return rc;
}

void cv_parent_free(struct cv_parent_side **pp)
{
    struct cv_parent_side *p = *pp;
    if (p == NULL)
        return;
    cv_parent_conn_end(p);
    cv_parent_control_close(p);
    cv_parent_logs_close(p);
    cv_renewer_stop(&p->renewer);
    for (size_t i = 0; i < p->ports; i++)
        cv_listener_close(&p->port[i].listener);
    if (p->epoll >= 0)
        close(p->epoll);
    if (p->wake >= 0)
        close(p->wake);
    free(p);
    *pp = NULL;
}
