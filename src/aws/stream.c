/* SPDX-License-Identifier: Apache-2.0 */
/* The enclave's transport: TLS to the endpoint inside a stream to the proxy. */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/transport.h"
#include "common/clock.h"
#include "transport/tls.h"

#define IDLE_MAX 4    /* connections that are kept */
#define IDLE_MS 20000 /* and for how long: AWS closes its side later than that */

struct link {
    struct cv_stream *stream;
    struct cv_http_conn conn;
    char host[CV_ADDR_HOST];
    uint16_t port;
    bool tls;
    int64_t since; /* idle since */
};

struct stream_transport {
    struct cv_aws_transport base;
    struct cv_addr proxy;
    struct cv_tls *tls;
    pthread_mutex_t lock;
    struct link *idle[IDLE_MAX];
};

static void link_close(struct link **l)
{
    if (*l == NULL)
        return;
    cv_http_conn_free(&(*l)->conn);
    cv_stream_close(&(*l)->stream);
    free(*l);
    *l = NULL;
}

static int link_open(struct link **out, struct stream_transport *t, const struct cv_aws_endpoint *e,
                     int64_t deadline, struct cv_error *err)
{
    struct link *l = calloc(1, sizeof *l);
    struct cv_stream *raw;
    *out = NULL;
    if (l == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a connection");
    int rc = cv_connect(&raw, &t->proxy, deadline, err);
    if (rc == 0 && e->tls)
        rc = cv_tls_connect(&l->stream, t->tls, raw, e->host, deadline, err);
    else if (rc == 0)
        l->stream = raw;
    if (rc != 0) {
        free(l);
        return rc;
    }
    cv_http_conn_init(&l->conn, l->stream);
    snprintf(l->host, sizeof l->host, "%s", e->host);
    l->port = e->port;
    l->tls = e->tls;
    *out = l;
    return 0;
}

/* Takes an idle connection to E that seems alive; drops those that are not.
 * Nothing is due on an idle one, so readable means closed (or worse). */
static struct link *link_reuse(struct stream_transport *t, const struct cv_aws_endpoint *e)
{
    struct link *found = NULL, *dead[IDLE_MAX] = {NULL};
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < IDLE_MAX; i++) {
        struct link *l = t->idle[i];
        if (l == NULL)
            continue;
        if (cv_now_ms() - l->since > IDLE_MS ||
            cv_fd_wait(cv_stream_fd(l->stream), POLLIN, 0) != CV_ERR_TIMEOUT) {
            dead[i] = l;
            t->idle[i] = NULL;
        } else if (found == NULL && l->tls == e->tls && l->port == e->port &&
                   strcmp(l->host, e->host) == 0) {
            found = l;
            t->idle[i] = NULL;
        }
    }
    pthread_mutex_unlock(&t->lock);
    for (size_t i = 0; i < IDLE_MAX; i++)
        link_close(&dead[i]);
    return found;
}

static void link_keep(struct stream_transport *t, struct link *l)
{
    l->since = cv_now_ms();
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < IDLE_MAX && l != NULL; i++) {
        if (t->idle[i] == NULL) {
            t->idle[i] = l;
            l = NULL;
        }
    }
    pthread_mutex_unlock(&t->lock);
    if (l != NULL)
        link_close(&l);
}

static int once(struct link *l, const struct cv_http_request *r, struct cv_http_message *m,
                int64_t deadline, struct cv_error *err)
{
    int rc = cv_http_write_request(&l->conn, r, deadline, err);
    return rc != 0 ? rc : cv_http_read_response(&l->conn, m, r->method, deadline, err);
}

static int stream_exchange(struct cv_aws_transport *base, const struct cv_aws_endpoint *e,
                           const struct cv_http_request *r, struct cv_http_message *m,
                           int64_t deadline, struct cv_error *err)
{
    struct stream_transport *t = (struct stream_transport *)base;
    struct link *l = link_reuse(t, e);
    bool reused = l != NULL;
    int rc = 0;
    if (l == NULL)
        rc = link_open(&l, t, e, deadline, err);
    if (rc == 0)
        rc = once(l, r, m, deadline, err);
    if (rc == CV_ERR_CLOSED && reused) {
        /* Closed while it was idle, before one byte of reply. */
        link_close(&l);
        rc = link_open(&l, t, e, deadline, err);
        if (rc == 0)
            rc = once(l, r, m, deadline, err);
    }
    if (rc == 0 && m->keep_alive)
        link_keep(t, l);
    else
        link_close(&l);
    if (rc != 0)
        cv_error_wrap(err, "%s", e->host);
    return rc;
}

static void stream_free(struct cv_aws_transport *base)
{
    struct stream_transport *t = (struct stream_transport *)base;
    for (size_t i = 0; i < IDLE_MAX; i++)
        link_close(&t->idle[i]);
    cv_tls_free(&t->tls);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static const struct cv_aws_transport_ops stream_ops = {stream_exchange, stream_free};

int cv_aws_stream_new(struct cv_aws_transport **out, const struct cv_addr *proxy,
                      const char *ca_file, struct cv_error *err)
{
    struct stream_transport *t = calloc(1, sizeof *t);
    *out = NULL;
    if (t == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for an AWS transport");
    t->base.ops = &stream_ops;
    t->proxy = *proxy;
    pthread_mutex_init(&t->lock, NULL);
    int rc = cv_tls_client_new(&t->tls, ca_file, err);
    if (rc != 0) {
        stream_free(&t->base);
        return rc;
    }
    *out = &t->base;
    return 0;
}
