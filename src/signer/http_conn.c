/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of clients: one that dribbles its request is ended, one address
 * that asks too often is told so. libmicrohttpd itself ends idle ones, but a
 * byte now and then keeps it from that. When as many are open as may be,
 * each new one ends the one that has been idle for longest: idle clients never
 * keep others out.
 */
#include <malloc.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "signer/server_impl.h"

#define SWEEP_MS 1000
#define CROWD 512     /* connections; more are worth giving memory back for */
#define BUCKETS 16384 /* addresses remembered; a power of two */

struct cv_conn {
    struct cv_endpoint *endpoint;
    struct cv_conn *prev, *next;
    int fd;
    int64_t deadline; /* by when the next step must be taken; none while we work */
    bool ended;       /* shut down, and not yet gone */
    bool look;        /* answered since the last sweep */
    uint8_t ip[16];
    struct cv_server_credentials *credentials;
    unsigned peer_checked; /* under which generation of authorities; 0 = never */
    bool peer_good;
    char fingerprint[65];
};

/* A share of requests that fills up again with time. Addresses that fall into
 * one slot share it one after the other: the table never grows. */
struct bucket {
    uint8_t ip[16];
    double tokens;
    int64_t at;
};
struct cv_buckets {
    struct bucket slot[BUCKETS];
};

static int64_t seconds(uint64_t n)
{
    return (int64_t)n * 1000;
}

static const struct cv_config_caps *caps_of(const struct cv_endpoint *e)
{
    return &e->server->o.config->caps;
}

/* libmicrohttpd sees its end, and closes it. */
static void end(struct cv_endpoint *e, struct cv_conn *c)
{
    if (!c->ended) {
        c->ended = true;
        e->conn_count--;
        (void)shutdown(c->fd, SHUT_RDWR);
    }
}

/* When the client's end came together with its request, libmicrohttpd read
 * the one and is not told of the other: it would wait for the next request of
 * a client that sends none, and that client for the end of the connection. */
static bool left(struct cv_conn *c)
{
    uint8_t byte;
    bool idle = c->look && c->deadline != CV_NO_DEADLINE;
    c->look = c->look && !idle;
    return idle && recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void on_sweep(struct cv_loop_timer *timer)
{
    struct cv_endpoint *e =
        (struct cv_endpoint *)(void *)((char *)timer - offsetof(struct cv_endpoint, sweep));
    int64_t now = cv_now_ms();
    for (struct cv_conn *c = e->conns; c != NULL; c = c->next) {
        if (c->deadline <= now || left(c)) {
            end(e, c);
        }
    }
    if (e->tls != NULL) {
        cv_server_tls_tidy(e->tls);
    }
    if (e->conn_peak > CROWD && e->conn_count < e->conn_peak / 4) {
        /* A crowd has left: its buffers lie scattered, and would stay ours. */
        e->conn_peak = e->conn_count;
        (void)malloc_trim(0);
    }
    cv_loop_timer_set(timer, now + SWEEP_MS);
}

void cv_conn_start(struct cv_endpoint *e)
{
    cv_loop_timer_init(e->server->o.loop, &e->sweep, on_sweep);
    cv_loop_timer_set(&e->sweep, cv_deadline(SWEEP_MS));
}

void cv_conn_stop(struct cv_endpoint *e)
{
    cv_loop_timer_off(&e->sweep);
    free(e->buckets);
    e->buckets = NULL;
}

/* IPv4 as IPv4-mapped IPv6, so that one address is one. */
static void take_address(struct cv_conn *c, const struct sockaddr *sa)
{
    if (sa != NULL && sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof(in));
        c->ip[10] = c->ip[11] = 0xff;
        memcpy(c->ip + 12, &in.sin_addr, 4);
    } else if (sa != NULL && sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof(in6));
        memcpy(c->ip, &in6.sin6_addr, 16);
    }
}

/* The list has the one that was used last first. */
static void list_add(struct cv_endpoint *e, struct cv_conn *c)
{
    c->prev = NULL;
    c->next = e->conns;
    if (e->conns != NULL) {
        e->conns->prev = c;
    } else {
        e->conns_last = c;
    }
    e->conns = c;
}

static void list_remove(struct cv_endpoint *e, struct cv_conn *c)
{
    if (c->prev != NULL) {
        c->prev->next = c->next;
    } else {
        e->conns = c->next;
    }
    if (c->next != NULL) {
        c->next->prev = c->prev;
    } else {
        e->conns_last = c->prev;
    }
}

/* Ends the one that has waited for longest, when there are too many. Those
 * whose request is in work are few, and stay. */
static void make_room(struct cv_endpoint *e)
{
    size_t most = caps_of(e)->connections < e->conn_max ? caps_of(e)->connections : e->conn_max;
    if (e->conn_count < most) {
        return;
    }
    for (struct cv_conn *c = e->conns_last; c != NULL; c = c->prev) {
        if (!c->ended && c->deadline != CV_NO_DEADLINE) {
            end(e, c);
            return;
        }
    }
}

static void opened(struct cv_endpoint *e, struct MHD_Connection *connection, void **socket_context)
{
    const union MHD_ConnectionInfo *fd =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *addr =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct cv_conn *c = calloc(1, sizeof(*c));
    *socket_context = c;
    if (c == NULL || fd == NULL) {
        free(c);
        *socket_context = NULL;
        return; /* without its time limit, then */
    }
    c->endpoint = e;
    c->fd = fd->connect_fd;
    c->deadline = cv_server_deadline(e->server, seconds(caps_of(e)->request_seconds));
    take_address(c, addr != NULL ? addr->client_addr : NULL);
    if (e->tls != NULL) {
        const union MHD_ConnectionInfo *tls =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        c->credentials = tls != NULL ? cv_server_tls_open(e->tls, tls->tls_session) : NULL;
    }
    make_room(e);
    list_add(e, c);
    e->conn_count++;
    e->conn_peak = e->conn_count > e->conn_peak ? e->conn_count : e->conn_peak;
}

void cv_conn_notify(void *cls, struct MHD_Connection *connection, void **socket_context,
                    enum MHD_ConnectionNotificationCode code)
{
    struct cv_endpoint *e = cls;
    struct cv_conn *c = *socket_context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        opened(e, connection, socket_context);
    } else if (c != NULL) {
        list_remove(e, c);
        e->conn_count -= c->ended ? 0 : 1;
        cv_server_tls_close(c->credentials);
        free(c);
        *socket_context = NULL;
    }
}

struct cv_conn *cv_conn_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

void cv_conn_request(struct cv_conn *c)
{
    if (c != NULL) {
        const struct cv_endpoint *e = c->endpoint;
        c->deadline = cv_server_deadline(e->server, seconds(caps_of(e)->request_seconds));
    }
}

void cv_conn_complete(struct cv_conn *c)
{
    if (c != NULL) {
        c->deadline = CV_NO_DEADLINE;
    }
}

void cv_conn_answered(struct cv_conn *c)
{
    if (c != NULL) {
        const struct cv_config_caps *caps = caps_of(c->endpoint);
        c->look = true;
        c->deadline = cv_server_deadline(c->endpoint->server,
                                         seconds(caps->idle_seconds + caps->request_seconds));
        list_remove(c->endpoint, c);
        list_add(c->endpoint, c);
    }
}

bool cv_conn_take_token(struct cv_endpoint *e, struct cv_conn *c)
{
    const struct cv_config_caps *caps = caps_of(e);
    if (caps->requests_per_second == 0 || c == NULL) {
        return true;
    }
    if (e->buckets == NULL && (e->buckets = calloc(1, sizeof(*e->buckets))) == NULL) {
        return true;
    }
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < sizeof(c->ip); i++) {
        h = (h ^ c->ip[i]) * 16777619u;
    }
    struct bucket *b = &e->buckets->slot[h & (BUCKETS - 1)];
    int64_t now = cv_now_ms();
    double burst = (double)caps->burst;
    if (b->at == 0 || memcmp(b->ip, c->ip, sizeof(b->ip)) != 0) {
        memcpy(b->ip, c->ip, sizeof(b->ip));
        b->tokens = burst;
    } else {
        b->tokens += (double)(now - b->at) * (double)caps->requests_per_second / 1000.0;
        b->tokens = b->tokens < burst ? b->tokens : burst;
    }
    b->at = now;
    if (b->tokens < 1.0) {
        return false;
    }
    b->tokens -= 1.0;
    return true;
}

bool cv_conn_check_peer(struct cv_endpoint *e, struct cv_conn *c, struct MHD_Connection *connection)
{
    if (!cv_server_tls_wants_clients(e->tls)) {
        return true;
    }
    if (c == NULL) {
        return false;
    }
    if (c->peer_checked != cv_server_tls_generation(e->tls)) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        c->peer_checked = cv_server_tls_generation(e->tls);
        c->peer_good =
            info != NULL && cv_server_tls_peer(e->tls, info->tls_session, c->fingerprint);
    }
    return c->peer_good;
}

const char *cv_conn_fingerprint(const struct cv_conn *c)
{
    return c != NULL ? c->fingerprint : "";
}
