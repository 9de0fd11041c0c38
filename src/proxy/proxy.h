/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proxy: the enclave's only way out. It listens on vsock, unix or tcp, and
 * copies bytes to and from one fixed target; it reads none of them, since TLS
 * runs from end to end inside.
 *
 * One epoll loop in a thread of its own serves every connection, so no client
 * can hold another one up; names are resolved in another thread and again when
 * their time to live is over, every address is tried, and each end may close its half.
 */
#ifndef CV_PROXY_PROXY_H
#define CV_PROXY_PROXY_H

#include "proxy/allowlist.h"
#include "transport/resolve.h"

#define CV_PROXY_CIDS 16

struct cv_proxy_config {
    struct cv_addr listen;
    uint32_t cids[CV_PROXY_CIDS]; /* on vsock: of the enclaves that it serves; others are */
    size_t cid_count;             /* closed at once. 0 = everybody */
    char host[CV_ADDR_HOST];      /* target: a name or an IP address */
    uint16_t port;
    enum cv_resolve_family family;
    unsigned max_connections; /* 0 = 256; past it a connection is closed at once */
    int64_t connect_ms;       /* for all addresses together; 0 = 10 000 */
    int64_t idle_ms;          /* without a byte either way; 0 = 300 000 */
    /* Looked at each time that the name is resolved (cv_allowlist_filter());
     * outlives the proxy; NULL = any address of the name. */
    const struct cv_allowlist *allow;
    int64_t resolve_ms; /* a resolved name is good for this long; 0 = as its TTL says */
};

/* The TTL of a name counts within these; one that no name server tells (from
 * /etc/hosts) is taken for the last. */
#define CV_PROXY_TTL_LEAST_MS 1000
#define CV_PROXY_TTL_MOST_MS 300000
#define CV_PROXY_TTL_UNKNOWN_MS 60000

struct cv_proxy_stats {
    uint64_t accepted;   /* connections taken */
    uint64_t refused;    /* closed at once: the cap was reached, or another enclave's */
    uint64_t failed;     /* no address of the target answered */
    uint64_t timed_out;  /* idle for too long */
    uint64_t active;     /* open now */
    uint64_t bytes_up;   /* to the target */
    uint64_t bytes_down; /* from the target */
    uint64_t resolve_errors;
};

struct cv_proxy;

/* Listens and starts the thread. The listening address is ready when this
 * returns; the target's name is resolved in the background, and a failure is
 * logged and tried again, never fatal. */
int cv_proxy_start(struct cv_proxy **out, const struct cv_proxy_config *config,
                   struct cv_error *err) CV_NODISCARD;
/* The address bound (with the port chosen for 0). */
const struct cv_addr *cv_proxy_address(const struct cv_proxy *p);
void cv_proxy_stats(struct cv_proxy *p, struct cv_proxy_stats *out);
/* Closes everything and waits for the threads. Harmless on NULL. */
void cv_proxy_stop(struct cv_proxy **p);

#endif
