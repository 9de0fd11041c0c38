/* SPDX-License-Identifier: Apache-2.0 */
/* The proxy's loop: one thread, one epoll, all connections. */
#include "proxy/proxy.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "proxy/internal.h"
#include "transport/vsock_uds.h"

#define TICK_MS 100          /* how exactly time-outs are kept */
#define IDLE_TICK_MS 1000    /* the same without connections */
#define BATCH 64             /* events, and connections accepted, at a time */
#define LOOKUP_MS 10000      /* one look-up may take this long */
#define LOOKUP_RETRY_MS 1000 /* between look-ups that fail */
#define WARN_MS 5000         /* between warnings of the same proxy */

void cv_proxy_warn(struct cv_proxy *p, const char *what, const char *why)
{
    char text[CV_ADDR_TEXT];
    int64_t now = cv_now_ms();
    if (p->last_warning != 0 && now - p->last_warning < WARN_MS)
        return;
    p->last_warning = now;
    cv_log(CV_LOG_WARN, "proxy", "listen", cv_addr_format(text, &p->listener.addr), "target",
           cv_logf("%s:%u", p->config.host, p->config.port), "problem", what, "cause", why, NULL);
}

/* ---- the target's addresses ---- */

static void start_lookup(struct cv_proxy *p)
{
    struct cv_error err;
    int64_t now = cv_now_ms();
    if (p->lookup != NULL || now < p->retry_lookup_at)
        return;
    cv_error_clear(&err);
    p->lookup_deadline = now + LOOKUP_MS;
    if (cv_lookup_start(&p->lookup, p->config.host, p->config.family, p->config.resolve_ms == 0,
                        p->wake, &err) != 0) {
        p->n.resolve_errors++;
        p->retry_lookup_at = now + LOOKUP_RETRY_MS;
        cv_proxy_warn(p, cv_error_top(&err), "");
    }
}

bool cv_proxy_addresses(struct cv_proxy *p, struct cv_resolved *out)
{
    if (cv_now_ms() >= p->known_until)
        start_lookup(p);
    /* What was known stays good while the new look-up runs. */
    *out = p->known;
    return p->known.n > 0;
}

void cv_proxy_distrust_addresses(struct cv_proxy *p)
{
    if (!cv_host_is_ip(p->config.host))
        p->known_until = 0;
}

static void tell_waiting(struct cv_proxy *p, int code)
{
    struct conn *next;
    for (struct conn *c = p->conns; c != NULL; c = next) {
        next = c->next;
        cv_proxy_conn_resolved(c, code);
    }
}

static void lookup_failed(struct cv_proxy *p, int code, const struct cv_error *err)
{
    int64_t now = cv_now_ms();
    char text[CV_ERROR_TEXT];
    p->n.resolve_errors++;
    p->retry_lookup_at = now + LOOKUP_RETRY_MS;
    cv_proxy_warn(p, cv_error_format(text, sizeof text, err),
                  p->known.n > 0 ? "the addresses known before are used" : "");
    cv_lookup_free(&p->lookup);
    if (p->known.n == 0)
        tell_waiting(p, code);
}

static int64_t good_for(const struct cv_proxy *p, const struct cv_resolved *r)
{
    if (p->config.resolve_ms != 0)
        return p->config.resolve_ms;
    if (r->ttl < 0)
        return CV_PROXY_TTL_UNKNOWN_MS;
    int64_t ms = (int64_t)r->ttl * 1000;
    return ms < CV_PROXY_TTL_LEAST_MS  ? CV_PROXY_TTL_LEAST_MS
           : ms > CV_PROXY_TTL_MOST_MS ? CV_PROXY_TTL_MOST_MS
                                       : ms;
}

static void collect_lookup(struct cv_proxy *p)
{
    struct cv_resolved r;
    struct cv_error err;
    if (p->lookup == NULL)
        return;
    cv_error_clear(&err);
    int rc = cv_lookup_result(p->lookup, &r, p->config.port, &err);
    if (rc == CV_ERR_BUSY) {
        if (cv_now_ms() < p->lookup_deadline)
            return;
        rc = cv_error_set(&err, CV_ERR_TIMEOUT, "resolving %s: no answer in time", p->config.host);
    }
    if (rc == 0 && p->config.allow != NULL) {
        cv_allowlist_filter(p->config.allow, p->config.host, p->config.port, &r);
        if (r.n == 0) {
            p->known.n = 0; /* what it meant before is no longer its address */
            rc =
                cv_error_set(&err, CV_ERR_DENIED,
                             "%s has no address any more that is on the allowlist", p->config.host);
        }
    }
    if (rc != 0) {
        lookup_failed(p, rc, &err);
        return;
    }
    cv_lookup_free(&p->lookup);
    p->known = r;
    p->known_until = cv_now_ms() + good_for(p, &r);
    tell_waiting(p, 0);
}

/* ---- the loop ---- */

static void watch_listener(struct cv_proxy *p, bool on)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &p->listener};
    if (on != p->listening &&
        epoll_ctl(p->epoll, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, p->listener.fd, &ev) == 0)
        p->listening = on;
}

/* True for a connection of an enclave that the proxy is not for. */
static bool stranger(const struct cv_proxy *p, int fd, char who[CV_ADDR_TEXT])
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    struct cv_addr peer;
    who[0] = '\0';
    if (p->config.cid_count == 0 || p->listener.addr.kind != CV_ADDR_VSOCK)
        return false;
    if (getpeername(fd, (struct sockaddr *)&ss, &len) != 0 ||
        cv_addr_from_sockaddr(&peer, &ss, len) != 0 || peer.kind != CV_ADDR_VSOCK)
        return true;
    for (size_t i = 0; i < p->config.cid_count; i++)
        if (peer.cid == p->config.cids[i])
            return false;
    cv_addr_format(who, &peer);
    return true;
}

static void take(struct cv_proxy *p, int fd)
{
    char who[CV_ADDR_TEXT];
    if (stranger(p, fd, who)) {
        p->n.refused++;
        close(fd);
        cv_proxy_warn(p, "a connection was refused: it comes from another enclave", who);
        return;
    }
    cv_proxy_conn_accept(p, fd);
}

static void accept_some(struct cv_proxy *p)
{
    for (int i = 0; i < BATCH; i++) {
        int fd;
        int rc = cv_accept_fd(&fd, &p->listener, 0, NULL);
        if (rc == 0) {
            take(p, fd);
            continue;
        }
        if (rc != CV_ERR_TIMEOUT) {
            /* Out of descriptors: look again at the next tick. */
            cv_proxy_warn(p, "accepting a connection", strerror(errno));
            watch_listener(p, false);
        }
        return;
    }
}

static void tick(struct cv_proxy *p, int64_t now)
{
    struct conn *next;
    for (struct conn *c = p->conns; c != NULL; c = next) {
        next = c->next;
        cv_proxy_conn_tick(c, now);
    }
    watch_listener(p, true);
    collect_lookup(p);
    if (now >= p->known_until)
        start_lookup(p);
}

static void bury(struct cv_proxy *p)
{
    while (p->dead != NULL) {
        struct conn *c = p->dead;
        p->dead = c->next;
        cv_proxy_conn_free(c);
    }
}

static void drain(int fd)
{
    uint64_t n;
    (void)!read(fd, &n, sizeof n);
}

static void *loop(void *arg)
{
    struct cv_proxy *p = arg;
    struct epoll_event events[BATCH];
    int64_t next_tick = 0;
    while (!p->stop) {
        int n = epoll_wait(p->epoll, events, BATCH, p->conns != NULL ? TICK_MS : IDLE_TICK_MS);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &p->wake) {
                drain(p->wake);
                collect_lookup(p);
            } else if (events[i].data.ptr == &p->listener) {
                accept_some(p);
            } else {
                cv_proxy_conn_event(events[i].data.ptr, events[i].events);
            }
        }
        bury(p);
        int64_t now = cv_now_ms();
        if (now >= next_tick) {
            tick(p, now);
            bury(p);
            next_tick = now + TICK_MS;
        }
    }
    return NULL;
}

/* ---- start and stop ---- */

static int set_up(struct cv_proxy *p, struct cv_error *err)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &p->wake};
    struct cv_addr at = p->config.listen;
    int rc =
        at.kind == CV_ADDR_VSOCK_UDS ? cv_vsock_uds_listen_addr(&at, &p->config.listen, err) : 0;
    if (rc == 0)
        rc = cv_listen(&p->listener, &at, err);
    if (rc != 0)
        return rc;
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->epoll < 0 || p->wake < 0 || epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->wake, &ev) != 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "setting up the loop");
    watch_listener(p, true);
    if (cv_host_is_ip(p->config.host)) {
        rc = cv_resolve(&p->known, p->config.host, p->config.port, p->config.family, 0, err);
        if (rc != 0)
            return rc;
        p->known_until = CV_NO_DEADLINE;
    }
    return 0;
}

static void tear_down(struct cv_proxy *p)
{
    while (p->conns != NULL)
        cv_proxy_conn_kill(p->conns);
    bury(p);
    cv_lookup_free(&p->lookup);
    cv_listener_close(&p->listener);
    if (p->epoll >= 0)
        close(p->epoll);
    if (p->wake >= 0)
        close(p->wake);
    free(p);
}

/* The thread takes no signals: they are the program's. */
static int start_thread(struct cv_proxy *p)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&p->thread, NULL, loop, p);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

int cv_proxy_start(struct cv_proxy **out, const struct cv_proxy_config *config,
                   struct cv_error *err)
{
    struct cv_proxy *p = calloc(1, sizeof *p);
    *out = NULL;
    if (p == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a proxy");
    p->config = *config;
    if (p->config.connect_ms == 0)
        p->config.connect_ms = 10000;
    if (p->config.idle_ms == 0)
        p->config.idle_ms = 300000;
    p->listener = (struct cv_listener)CV_LISTENER_INIT;
    p->epoll = p->wake = -1;
    int rc = 0;
    if ((!cv_host_is_ip(config->host) && !cv_host_is_name(config->host)) || config->port == 0)
        rc = cv_error_set(err, CV_ERR_INVALID,
                          "the target must be a host name or IP address and a port");
    if (rc == 0)
        rc = set_up(p, err);
    if (rc == 0 && start_thread(p) != 0)
        rc = cv_error_set(err, CV_ERR_NOMEM, "no thread for the proxy");
    if (rc != 0) {
        cv_error_wrap(err, "starting the proxy to %s:%u", config->host, config->port);
        tear_down(p);
        return rc;
    }
    *out = p;
    return 0;
}

const struct cv_addr *cv_proxy_address(const struct cv_proxy *p)
{
    return &p->listener.addr;
}

void cv_proxy_stats(struct cv_proxy *p, struct cv_proxy_stats *out)
{
    out->accepted = p->n.accepted;
    out->refused = p->n.refused;
    out->failed = p->n.failed;
    out->timed_out = p->n.timed_out;
    out->active = p->n.active;
    out->bytes_up = p->n.bytes_up;
    out->bytes_down = p->n.bytes_down;
    out->resolve_errors = p->n.resolve_errors;
}

void cv_proxy_stop(struct cv_proxy **p)
{
    if (p == NULL || *p == NULL)
        return;
    (*p)->stop = true;
    (void)!write((*p)->wake, &(uint64_t){1}, sizeof(uint64_t));
    pthread_join((*p)->thread, NULL);
    tear_down(*p);
    *p = NULL;
}
