/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the loop and the connections of the proxy. */
#ifndef CV_PROXY_INTERNAL_H
#define CV_PROXY_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "proxy/proxy.h"
#include "proxy/relay.h"
#include "transport/listen.h"

struct conn;

/* One end of a connection, as epoll knows it. */
struct end {
    struct conn *conn;
    struct cv_relay_end *socket; /* of the connection's relay */
};

enum conn_state { CONN_RESOLVING, CONN_CONNECTING, CONN_OPEN, CONN_DEAD };

struct conn {
    struct cv_proxy *p;
    struct conn *prev, *next;
    enum conn_state state;
    struct end client, target;
    struct cv_relay relay;        /* near = client, far = target */
    struct cv_resolved addresses; /* to try */
    size_t at;                    /* the one that is tried */
    int64_t connect_deadline;     /* of all addresses */
    int64_t try_deadline;         /* of this one */
};

struct counters {
    _Atomic uint64_t accepted, refused, failed, timed_out, active, bytes_up, bytes_down,
        resolve_errors;
};

struct cv_proxy {
    struct cv_proxy_config config;
    struct cv_listener listener;
    bool listening; /* epoll has the listener */
    int epoll;
    int wake; /* eventfd: stop, or a look-up is done */
    pthread_t thread;
    atomic_bool stop;
    struct conn *conns; /* all but the dead */
    struct conn *dead;  /* freed after the batch of events */
    struct cv_resolved known;
    int64_t known_until; /* then it is resolved again */
    struct cv_lookup *lookup;
    int64_t lookup_deadline;
    int64_t retry_lookup_at; /* not before, after a failure */
    int64_t last_warning;    /* of a failed connection */
    struct counters n;
};

/* Takes FD, a new client; closes it when the cap is reached. */
void cv_proxy_conn_accept(struct cv_proxy *p, int fd);
/* Something happened at E. */
void cv_proxy_conn_event(struct end *e, uint32_t events);
/* The target's addresses are known, or CODE says that they never will be. */
void cv_proxy_conn_resolved(struct conn *c, int code);
/* Time passed: gives up on what takes too long. */
void cv_proxy_conn_tick(struct conn *c, int64_t now);
void cv_proxy_conn_kill(struct conn *c);
void cv_proxy_conn_free(struct conn *c);

/* Addresses to try, when known; otherwise starts a look-up. */
bool cv_proxy_addresses(struct cv_proxy *p, struct cv_resolved *out);
/* No address answered: the name may mean others by now. */
void cv_proxy_distrust_addresses(struct cv_proxy *p);
/* Says once in a while why connections fail. */
void cv_proxy_warn(struct cv_proxy *p, const char *what, const char *why);

#endif
