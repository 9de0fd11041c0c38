/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/proxy_metrics.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "http/message.h"
#include "transport/listen.h"

#define REPLY_MAX (1u << 20)
#define CLIENT_MS 2000 /* for one scrape: nobody else is served meanwhile */
#define WAIT_MS 200    /* how soon the thread notices that it shall end */

struct cv_proxy_metrics {
    struct cv_listener listener;
    const struct cv_proxy_config *configs;
    struct cv_proxy **proxies;
    size_t count;
    pthread_t thread;
    atomic_bool stop;
};

static const struct {
    const char *name, *type, *help;
    size_t offset;
} families[] = {
#define ROW(name, type, member, help)                             \
    {                                                             \
        name, type, help, offsetof(struct cv_proxy_stats, member) \
    }
    ROW("claviger_proxy_connections_total", "counter", accepted, "Connections taken."),
    ROW("claviger_proxy_refused_total", "counter", refused,
        "Connections closed at once: the cap was reached."),
    ROW("claviger_proxy_failed_total", "counter", failed,
        "Connections whose target did not answer."),
    ROW("claviger_proxy_idle_timeouts_total", "counter", timed_out,
        "Connections that were idle for too long."),
    ROW("claviger_proxy_connections", "gauge", active, "Connections open now."),
    ROW("claviger_proxy_sent_bytes_total", "counter", bytes_up, "Bytes to the target."),
    ROW("claviger_proxy_received_bytes_total", "counter", bytes_down, "Bytes from the target."),
    ROW("claviger_proxy_resolve_errors_total", "counter", resolve_errors,
        "Look-ups of the target's name that failed."),
#undef ROW
};

static int render(const struct cv_proxy_metrics *m, struct cv_buf *out)
{
    int rc = 0;
    for (size_t f = 0; f < sizeof(families) / sizeof(families[0]) && rc == 0; f++) {
        rc = cv_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", families[f].name, families[f].help,
                           families[f].name, families[f].type);
        for (size_t i = 0; i < m->count && rc == 0; i++) {
            struct cv_proxy_stats s;
            uint64_t value;
            char listen[CV_ADDR_TEXT];
            cv_proxy_stats(m->proxies[i], &s);
            memcpy(&value, (const char *)&s + families[f].offset, sizeof(value));
            rc = cv_buf_printf(out, "%s{listen=\"%s\",target=\"%s:%u\"} %llu\n", families[f].name,
                               cv_addr_format(listen, cv_proxy_address(m->proxies[i])),
                               m->configs[i].host, m->configs[i].port, (unsigned long long)value);
        }
    }
    return rc;
}

static void answer(const struct cv_proxy_metrics *m, struct cv_stream *s)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf body;
    struct cv_http_header type = {"Content-Type", "text/plain; version=0.0.4; charset=utf-8"};
    struct cv_http_response r = {.status = 200, .headers = &type, .nheaders = 1, .close = true};
    struct cv_http_conn c;
    struct cv_http_message q;
    int64_t deadline = cv_deadline(CLIENT_MS);
    cv_buf_init(&body, REPLY_MAX);
    cv_http_conn_init(&c, s);
    cv_http_message_init(&q, 0);
    if (cv_http_read_request(&c, &q, deadline, NULL) == 0) {
        if (strcmp(q.method, "GET") != 0 && strcmp(q.method, "HEAD") != 0)
            r.status = 405;
        else if (strcmp(q.target, "/metrics") != 0)
            r.status = 404;
        else if (render(m, &body) != 0)
            r.status = 500;
        r.body = cv_buf_view(&body);
        r.no_body = strcmp(q.method, "HEAD") == 0;
        (void)!cv_http_write_response(&c, &r, deadline, NULL);
    }
    cv_http_message_free(&q);
    cv_http_conn_free(&c);
}

static void *loop(void *arg)
{
    struct cv_proxy_metrics *m = arg;
    while (!m->stop) {
        struct cv_stream *s = NULL;
        int rc = cv_accept(&s, &m->listener, cv_deadline(WAIT_MS), NULL);
        if (rc == 0)
            answer(m, s);
        else if (rc != CV_ERR_TIMEOUT)
            cv_sleep_ms(WAIT_MS);
        cv_stream_close(&s);
    }
    return NULL;
}

int cv_proxy_metrics_start(struct cv_proxy_metrics **out, const char *address,
                           const struct cv_proxy_config *configs, struct cv_proxy **proxies,
                           size_t count, struct cv_error *err)
{
    struct cv_addr a;
    char text[CV_ADDR_TEXT];
    *out = NULL;
    int rc = cv_addr_parse(&a, address, err);
    if (rc != 0)
        return rc;
    struct cv_proxy_metrics *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory");
    m->configs = configs;
    m->proxies = proxies;
    m->count = count;
    rc = cv_listen(&m->listener, &a, err);
    if (rc == 0 && pthread_create(&m->thread, NULL, loop, m) != 0) {
        cv_listener_close(&m->listener);
        rc = cv_error_set(err, CV_ERR_NOMEM, "no thread for it");
    }
    if (rc != 0) {
        free(m);
        return rc;
    }
    cv_log(CV_LOG_INFO, "metrics listening", "address", cv_addr_format(text, &m->listener.addr),
           NULL);
    *out = m;
    return 0;
}

void cv_proxy_metrics_stop(struct cv_proxy_metrics **m)
{
    if (m == NULL || *m == NULL)
        return;
    (*m)->stop = true;
    pthread_join((*m)->thread, NULL);
    cv_listener_close(&(*m)->listener);
    free(*m);
    *m = NULL;
}
