/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "transport/resolve_ttl.h"
#include "transport/vsock_uds.h"

/* One look-up, shared by who asks and the thread that does it; whoever leaves
 * last frees it, so a resolver that hangs holds up nobody. */
struct cv_lookup {
    pthread_mutex_t lock;
    pthread_cond_t done_cond;
    unsigned refs;
    bool done;
    int notify; /* a duplicate of the caller's eventfd, or -1 */
    int gai;    /* what getaddrinfo returned */
    int errnum;
    char host[CV_ADDR_HOST];
    int family;
    bool want_ttl;
    struct cv_resolved result;
};

static void release(struct cv_lookup *l)
{
    pthread_mutex_lock(&l->lock);
    bool last = --l->refs == 0;
    pthread_mutex_unlock(&l->lock);
    if (!last)
        return;
    if (l->notify >= 0)
        close(l->notify);
    pthread_cond_destroy(&l->done_cond);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static void collect(struct cv_resolved *out, const struct addrinfo *list)
{
    for (const struct addrinfo *a = list; a != NULL && out->n < CV_RESOLVE_MAX; a = a->ai_next) {
        struct sockaddr_storage ss;
        if (a->ai_addrlen > sizeof ss)
            continue;
        memcpy(&ss, a->ai_addr, a->ai_addrlen);
        if (cv_addr_from_sockaddr(&out->addr[out->n], &ss, a->ai_addrlen) == 0)
            out->n++;
    }
}

static void *resolve_thread(void *arg)
{
    struct cv_lookup *l = arg;
    struct addrinfo hints = {.ai_family = l->family, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    struct cv_resolved result = {.n = 0, .ttl = CV_RESOLVE_TTL_UNKNOWN};
    int gai = getaddrinfo(l->host, NULL, &hints, &list);
    int e = errno;
    if (gai == 0) {
        collect(&result, list);
        freeaddrinfo(list);
        if (l->want_ttl)
            result.ttl = cv_resolve_ttl(l->host, &result);
    }
    pthread_mutex_lock(&l->lock);
    l->gai = gai;
    l->errnum = e;
    l->result = result;
    l->done = true;
    pthread_cond_signal(&l->done_cond);
    pthread_mutex_unlock(&l->lock);
    if (l->notify >= 0)
        (void)!write(l->notify, &(uint64_t){1}, sizeof(uint64_t));
    release(l);
    return NULL;
}

static struct cv_lookup *start(const char *host, enum cv_resolve_family family, bool ttl,
                               int notify)
{
    struct cv_lookup *l = calloc(1, sizeof *l);
    pthread_condattr_t ca;
    pthread_attr_t ta;
    pthread_t thread;
    if (l == NULL)
        return NULL;
    l->refs = 2;
    l->want_ttl = ttl;
    l->notify = notify >= 0 ? fcntl(notify, F_DUPFD_CLOEXEC, 3) : -1;
    l->family = family == CV_RESOLVE_IPV4   ? AF_INET
                : family == CV_RESOLVE_IPV6 ? AF_INET6
                                            : AF_UNSPEC;
    snprintf(l->host, sizeof l->host, "%s", host);
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_init(&ca);
    pthread_condattr_setclock(&ca, CLOCK_MONOTONIC);
    pthread_cond_init(&l->done_cond, &ca);
    pthread_condattr_destroy(&ca);
    pthread_attr_init(&ta);
    pthread_attr_setdetachstate(&ta, PTHREAD_CREATE_DETACHED);
    int rc = pthread_create(&thread, &ta, resolve_thread, l);
    pthread_attr_destroy(&ta);
    if (rc != 0 || (notify >= 0 && l->notify < 0)) {
        /* The thread that did start ends by itself. */
        l->refs = rc != 0 ? 1 : l->refs;
        release(l);
        return NULL;
    }
    return l;
}

/* True when it was done in time. */
static bool await(struct cv_lookup *l, int64_t deadline)
{
    struct timespec ts = {.tv_sec = (time_t)(deadline / 1000),
                          .tv_nsec = (long)(deadline % 1000) * 1000000};
    int rc = 0;
    pthread_mutex_lock(&l->lock);
    while (!l->done && rc == 0)
        rc = deadline == CV_NO_DEADLINE ? pthread_cond_wait(&l->done_cond, &l->lock)
                                        : pthread_cond_timedwait(&l->done_cond, &l->lock, &ts);
    bool done = l->done;
    pthread_mutex_unlock(&l->lock);
    return done;
}

static int resolver_error(struct cv_error *err, const struct cv_lookup *l)
{
    int code = l->gai == EAI_NONAME || l->gai == EAI_NODATA ? CV_ERR_NOT_FOUND : CV_ERR_IO;
    if (l->gai == EAI_SYSTEM)
        return cv_error_errno(err, code, l->errnum, "resolving %s", l->host);
    return cv_error_set(err, code, "resolving %s: %s", l->host, gai_strerror(l->gai));
}

int cv_resolve(struct cv_resolved *out, const char *host, uint16_t port,
               enum cv_resolve_family family, int64_t deadline, struct cv_error *err)
{
    out->n = 0;
    if (cv_host_is_ip(host)) {
        bool v6 = strchr(host, ':') != NULL;
        if (family == (v6 ? CV_RESOLVE_IPV4 : CV_RESOLVE_IPV6))
            return cv_error_set(err, CV_ERR_NOT_FOUND, "%s is not an address of the wanted family",
                                host);
        out->addr[0] = (struct cv_addr){.kind = CV_ADDR_TCP, .port = port};
        snprintf(out->addr[0].host, CV_ADDR_HOST, "%s", host);
        out->n = 1;
        out->ttl = CV_RESOLVE_TTL_UNKNOWN;
        return 0;
    }
    if (!cv_host_is_name(host))
        return cv_error_set(err, CV_ERR_INVALID, "this is no host name");
    struct cv_lookup *l = start(host, family, false, -1);
    if (l == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "resolving %s: no thread for it", host);
    int rc = await(l, deadline)
                 ? cv_lookup_result(l, out, port, err)
                 : cv_error_set(err, CV_ERR_TIMEOUT, "resolving %s: no answer in time", host);
    cv_lookup_free(&l);
    return rc;
}

int cv_lookup_start(struct cv_lookup **out, const char *host, enum cv_resolve_family family,
                    bool ttl, int notify, struct cv_error *err)
{
    *out = NULL;
    if (!cv_host_is_ip(host) && !cv_host_is_name(host))
        return cv_error_set(err, CV_ERR_INVALID, "this is no host name");
    *out = start(host, family, ttl, notify);
    return *out != NULL ? 0
                        : cv_error_set(err, CV_ERR_NOMEM, "resolving %s: no thread for it", host);
}

int cv_lookup_result(struct cv_lookup *l, struct cv_resolved *out, uint16_t port,
                     struct cv_error *err)
{
    int rc = 0;
    out->n = 0;
    pthread_mutex_lock(&l->lock);
    if (!l->done)
        rc = CV_ERR_BUSY;
    else if (l->gai != 0)
        rc = resolver_error(err, l);
    else if (l->result.n == 0)
        rc = cv_error_set(err, CV_ERR_NOT_FOUND, "resolving %s: it has no address", l->host);
    else
        *out = l->result;
    pthread_mutex_unlock(&l->lock);
    for (size_t i = 0; i < out->n; i++)
        out->addr[i].port = port;
    return rc;
}

void cv_lookup_free(struct cv_lookup **l)
{
    if (l == NULL || *l == NULL)
        return;
    release(*l);
    *l = NULL;
}

int cv_resolve_connect(struct cv_stream **out, const struct cv_addr *addr, int64_t deadline,
                       struct cv_error *err)
{
    struct cv_resolved r;
    *out = NULL;
    if (addr->kind == CV_ADDR_VSOCK_UDS)
        return cv_vsock_uds_connect(out, addr, deadline, err);
    if (addr->kind != CV_ADDR_TCP || cv_host_is_ip(addr->host))
        return cv_connect(out, addr, deadline, err);
    int rc = cv_resolve(&r, addr->host, (uint16_t)addr->port, CV_RESOLVE_ANY, deadline, err);
    for (size_t i = 0; rc == 0 && i < r.n; i++) {
        int64_t now = cv_now_ms();
        int64_t share = deadline;
        if (deadline != CV_NO_DEADLINE && deadline > now)
            share = now + (deadline - now) / (int64_t)(r.n - i);
        if (cv_connect(out, &r.addr[i], share, err) == 0)
            return 0;
        if (i + 1 == r.n) {
            rc = err != NULL ? err->code : CV_ERR_IO;
            cv_error_wrap(err, "connecting to %s (%zu addresses tried)", addr->host, r.n);
        }
    }
    return rc;
}
