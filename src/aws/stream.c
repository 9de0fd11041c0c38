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
    bool connect_line;
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

#define ANSWER_MAX 300

int cv_aws_stream_connect_line(struct cv_stream *s, const char *host, uint16_t port,
                               int64_t deadline, struct cv_error *err)
{
    char line[ANSWER_MAX + 1], quoted[ANSWER_MAX];
    size_t n = 0;
    bool six = strchr(host, ':') != NULL;
    int len = snprintf(line, sizeof line, "CONNECT %s%s%s:%u\n", six ? "[" : "", host,
                       six ? "]" : "", (unsigned)port);
    if (len < 0 || (size_t)len >= sizeof line)
        return cv_error_set(err, CV_ERR_LIMIT, "the name %.40s... is too long", host);
    int rc = cv_stream_write(s, CV_BYTES(line, (size_t)len), deadline, err);
    /* Byte by byte: what follows the line belongs to the peer behind it. */
    for (; rc == 0 && n < ANSWER_MAX; n++) {
        rc = cv_stream_read_exact(s, line + n, 1, deadline, err);
        if (rc == 0 && line[n] == '\n')
            break;
    }
    if (rc != 0) {
        cv_error_wrap(err, "asking the parent for %s:%u", host, (unsigned)port);
        return rc;
    }
    if (n == 2 && memcmp(line, "OK", 2) == 0)
        return 0;
    return cv_error_set(err, CV_ERR_REMOTE, "the parent does not connect to %s:%u: %s", host,
                        (unsigned)port, cv_error_quote(quoted, sizeof quoted, line, n));
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
    if (rc == 0 && t->connect_line) {
        rc = cv_aws_stream_connect_line(raw, e->host, e->port, deadline, err);
        if (rc != 0)
            cv_stream_close(&raw);
    }
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

int cv_aws_stream_create(struct cv_aws_transport **out, const struct cv_aws_stream_config *config,
                         struct cv_error *err)
{
    struct stream_transport *t = calloc(1, sizeof *t);
    *out = NULL;
    if (t == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for an AWS transport");
    t->base.ops = &stream_ops;
    t->proxy = *config->proxy;
    t->connect_line = config->connect_line;
    pthread_mutex_init(&t->lock, NULL);
    int rc = config->ca_pem.p != NULL ? cv_tls_client_new_pem(&t->tls, config->ca_pem, err)
                                      : cv_tls_client_new(&t->tls, config->ca_file, err);
    if (rc != 0) {
        stream_free(&t->base);
        return rc;
    }
    *out = &t->base;
    return 0;
}

int cv_aws_stream_new(struct cv_aws_transport **out, const struct cv_addr *proxy,
                      const char *ca_file, struct cv_error *err)
{
    const struct cv_aws_stream_config config = {.proxy = proxy, .ca_file = ca_file};
    return cv_aws_stream_create(out, &config, err);
}
