/* SPDX-License-Identifier: Apache-2.0 */
/* From libmicrohttpd's callbacks to routes and answers. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "json/json.h"
#include "signer/server_impl.h"

#define CONTENT_JSON "application/json; charset=utf-8"
#define CONTENT_TEXT "text/plain; charset=utf-8"
#define REPLY_MAX (64u * 1024 * 1024)
#define DISCARD_MAX (16u * 1024 * 1024) /* read of a body that is too large */
#define URL_LOGGED 200                  /* bytes */
#define SPARE_MAX 128                   /* requests that are kept for the next ones */
#define SPARE_BUFFER 4096               /* a larger buffer goes back to the heap */

/* ---- answers ---- */

/* True when H was still to be suspended. */
static bool unlist(struct cv_http *h)
{
    for (struct cv_http **at = &h->endpoint->to_suspend; *at != NULL;
         at = &(*at)->next_to_suspend) {
        if (*at == h) {
            *at = h->next_to_suspend;
            return true;
        }
    }
    return false;
}

/* The line of a request that has none of its own: a signature's and a refusal's
 * say more. Monitoring asks all the time, and is told of at the level debug. */
static void log_answer(struct cv_http *h)
{
    enum cv_log_level level = h->endpoint == &h->server->main ? CV_LOG_INFO : CV_LOG_DEBUG;
    char ip[INET6_ADDRSTRLEN], path[URL_LOGGED + 1];
    if (h->logged || !cv_log_enabled(level)) {
        return;
    }
    (void)snprintf(path, sizeof(path), "%s", h->url);
    cv_log(level, "answered", "request", cv_logf("%llu", (unsigned long long)h->id), "method",
           h->method, "path", path, "from", cv_http_client_ip(h, ip, sizeof(ip)), "status",
           cv_logf("%u", h->status), "us",
           cv_logf("%lld", (long long)(cv_now_us() - h->started_us)), NULL);
}

void cv_http_answer(struct cv_http *h, unsigned status, const char *content_type)
{
    h->answered = true;
    h->status = status;
    h->content_type = content_type;
    log_answer(h);
    if (h->on_answer != NULL) {
        h->on_answer(h);
    }
    if (h->suspended) {
        h->suspended = false;
        h->server->waiting--;
        h->endpoint->run = true;
        if (!unlist(h)) {
            MHD_resume_connection(h->connection);
        }
    }
}

static void no_memory(struct cv_http *h)
{
    cv_buf_reset(&h->reply);
    cv_http_answer(h, 500, CONTENT_TEXT);
}

void cv_http_answer_pair(struct cv_http *h, unsigned status, const char *name, const char *value)
{
    cv_buf_reset(&h->reply);
    if (cv_buf_append_u8(&h->reply, '{') != 0 ||
        cv_json_append_str(&h->reply, cv_bytes_str(name)) != 0 ||
        cv_buf_append_u8(&h->reply, ':') != 0 ||
        cv_json_append_str(&h->reply, cv_bytes_str(value)) != 0 ||
        cv_buf_append_str(&h->reply, "}\n") != 0) {
        no_memory(h);
        return;
    }
    cv_http_answer(h, status, CONTENT_JSON);
}

void cv_http_fail(struct cv_http *h, unsigned status, const char *text)
{
    cv_buf_reset(&h->reply);
    if (cv_buf_append_str(&h->reply, "[{\"id\":\"failure\",\"kind\":\"temporary\",\"msg\":") != 0 ||
        cv_json_append_str(&h->reply, cv_bytes_str(text)) != 0 ||
        cv_buf_append_str(&h->reply, "}]\n") != 0) {
        no_memory(h);
        return;
    }
    cv_http_answer(h, status, CONTENT_JSON);
}

void cv_http_fail_error(struct cv_http *h, const char *prefix, int code, const struct cv_error *err)
{
    char chain[CV_ERROR_SENTENCE];
    char text[sizeof(chain) + 64];
    (void)snprintf(text, sizeof(text), "%s%s", prefix, cv_error_format(chain, sizeof(chain), err));
    h->retry_later = code == CV_ERR_BUSY || code == CV_ERR_CANCELLED;
    cv_http_fail(h, h->retry_later ? 503 : 500, text);
}

void cv_http_wait(struct cv_http *h)
{
    h->suspended = true;
    h->server->waiting++;
    h->next_to_suspend = h->endpoint->to_suspend;
    h->endpoint->to_suspend = h;
}

/* Not from within the callback: libmicrohttpd (0.9.75) would remember that it
 * was reading, read on when the answer is there, and drop the connection of a
 * client that has closed its half. */
void cv_http_suspend(struct cv_endpoint *e)
{
    while (e->to_suspend != NULL) {
        struct cv_http *h = e->to_suspend;
        e->to_suspend = h->next_to_suspend;
        MHD_suspend_connection(h->connection);
    }
}

/* For the header: libmicrohttpd would make it anew for each answer. */
static const char *date(struct cv_server *s)
{
    int64_t second = cv_unix_ms() / 1000;
    if (second != s->date_second) {
        s->date_second = second;
        cv_http_date_format(s->date, second * 1000);
    }
    return s->date;
}

/* The body is H's own, which lives until the answer was sent. */
static enum MHD_Result send_answer(struct cv_http *h)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(h->reply.n, h->reply.p, MHD_RESPMEM_PERSISTENT);
    if (r == NULL) {
        return MHD_NO;
    }
    enum MHD_Result ok = MHD_add_response_header(r, MHD_HTTP_HEADER_DATE, date(h->server));
    if (ok == MHD_YES && h->content_type != NULL) {
        ok = MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, h->content_type);
    }
    if (ok == MHD_YES && h->retry_later) {
        ok = MHD_add_response_header(r, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    }
    if (ok == MHD_YES && (h->last || h->server->draining)) {
        ok = MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
    }
    if (ok == MHD_YES) {
        ok = MHD_queue_response(h->connection, h->status, r);
    }
    MHD_destroy_response(r);
    return ok;
}

/* ---- requests ---- */

/* True when URL is one of ROUTE's; ARGUMENT gets the segment. What is longer
 * than any argument can lawfully be is cut, and refused as such. */
static bool fits(const struct cv_route *route, const char *url, char *argument, size_t size)
{
    const char *star = strchr(route->path, '*');
    size_t n = star != NULL ? (size_t)(star - route->path) : strlen(route->path);
    argument[0] = 0;
    if (!route->segment) {
        return strcmp(url, route->path) == 0;
    }
    if (strncmp(url, route->path, n) != 0) {
        return false;
    }
    size_t segment = strcspn(url + n, "/");
    if (segment == 0 || strcmp(url + n + segment, star != NULL ? star + 1 : "") != 0) {
        return false;
    }
    segment = segment < size ? segment : size - 1;
    memcpy(argument, url + n, segment);
    argument[segment] = 0;
    return true;
}

/* The route of METHOD and URL; NULL with 404 or 405 in h->refused. */
static void find_route(struct cv_http *h, const char *method, const char *url)
{
    const struct cv_endpoint *e = h->endpoint;
    h->refused = 404;
    for (size_t i = 0; i < e->route_count; i++) {
        const struct cv_route *r = &e->routes[i];
        if (!fits(r, url, h->argument, sizeof(h->argument))) {
            continue;
        }
        if (strcmp(method, r->method) != 0) {
            h->refused = 405;
            continue;
        }
        h->route = r;
        h->refused = 0;
        return;
    }
}

/* A request of before, with its buffers, or a new one: a dozen calls of the
 * heap for each request would cost as much as reading it. */
static struct cv_http *take_spare(struct cv_server *s)
{
    struct cv_http *h = s->spare;
    if (h == NULL) {
        return calloc(1, sizeof(*h));
    }
    s->spare = h->next_held;
    s->spares--;
    struct cv_buf body = h->body, reply = h->reply;
    memset(h, 0, sizeof(*h));
    h->body = body;
    h->reply = reply;
    return h;
}

static void keep_spare(struct cv_server *s, struct cv_http *h)
{
    if (h->body.cap > SPARE_BUFFER) {
        cv_buf_free(&h->body);
    }
    if (h->reply.cap > SPARE_BUFFER) {
        cv_buf_free(&h->reply);
    }
    cv_buf_reset(&h->body);
    cv_buf_reset(&h->reply);
    h->next_held = s->spare;
    s->spare = h;
    s->spares++;
}

static void request_free(struct cv_http *h)
{
    cv_buf_free(&h->body);
    cv_buf_free(&h->reply);
    free(h);
}

void cv_http_drop_spares(struct cv_server *server)
{
    while (server->spare != NULL) {
        struct cv_http *h = server->spare;
        server->spare = h->next_held;
        request_free(h);
    }
    server->spares = 0;
}

static struct cv_http *request_new(struct cv_endpoint *e, struct MHD_Connection *connection,
                                   const char *method, const char *url)
{
    struct cv_http *h = take_spare(e->server);
    if (h == NULL) {
        return NULL;
    }
    h->server = e->server;
    h->endpoint = e;
    h->connection = connection;
    h->method = method;
    h->url = url;
    h->started_us = cv_now_us();
    h->id = ++e->server->next_id;
    memcpy(h->pkh, "unknown", sizeof("unknown"));
    h->body.limit = e->body_max;
    h->reply.limit = REPLY_MAX;
    h->conn = cv_conn_of(connection);
    cv_conn_request(h->conn);
    find_route(h, method, cv_http_path(url));
    unsigned long long length;
    h->ambiguous = !cv_http_body_length(connection, &length);
    h->too_large = length > e->body_max;
    return h;
}

static void fail_too_large(struct cv_http *h)
{
    char text[80];
    (void)snprintf(text, sizeof(text), "the body of the request is larger than %zu bytes",
                   h->endpoint->body_max);
    cv_http_fail(h, 413, text);
}

/* The body is complete, or will not be read. */
static void dispatch(struct cv_http *h)
{
    cv_conn_complete(h->conn);
    if (!cv_conn_take_token(h->endpoint, h->conn)) {
        h->retry_later = true;
        cv_http_fail(h, 429, "too many requests from this address");
    } else if (h->endpoint->tls != NULL &&
               !cv_conn_check_peer(h->endpoint, h->conn, h->connection)) {
        h->last = true; /* another certificate wants another connection */
        cv_http_fail(h, 401, "a client certificate is required");
    } else if (h->too_large) {
        fail_too_large(h);
    } else if (h->route == NULL && h->refused == 404) {
        if (cv_buf_append_str(&h->reply, "404 page not found\n") != 0) {
            no_memory(h);
        } else {
            cv_http_answer(h, 404, CONTENT_TEXT);
        }
    } else if (h->route == NULL) {
        cv_http_answer(h, 405, NULL);
    } else if (!h->route->token || cv_http_check_token(h)) {
        h->route->handle(h, h->argument);
    }
}

enum MHD_Result cv_http_on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *upload_data,
                                   size_t *upload_data_size, void **con_cls)
{
    struct cv_endpoint *e = cls;
    struct cv_http *h = *con_cls;
    (void)version;
    if (h == NULL) {
        *con_cls = h = request_new(e, connection, method, url);
        if (h == NULL) {
            return MHD_NO;
        }
        if (h->ambiguous || h->too_large) {
            /* Before the body: libmicrohttpd closes the connection then. */
            if (h->ambiguous) {
                cv_http_fail(h, 400, "the request has two lengths");
            } else {
                fail_too_large(h);
            }
            return send_answer(h);
        }
        return MHD_YES;
    }
    if (h->answered) {
        return send_answer(h);
    }
    if (*upload_data_size > 0) {
        if (!h->too_large && cv_buf_append(&h->body, upload_data, *upload_data_size) != 0) {
            if (h->endpoint->body_max - h->body.n >= *upload_data_size) {
                return MHD_NO; /* no memory */
            }
            h->too_large = true;
            cv_buf_reset(&h->body);
        }
        h->discarded += h->too_large ? *upload_data_size : 0;
        if (h->discarded > DISCARD_MAX) {
            return MHD_NO; /* it does not end, and 413 could not be said before */
        }
        *upload_data_size = 0;
        return MHD_YES;
    }
    if (h->suspended) {
        return MHD_YES;
    }
    dispatch(h);
    return h->answered ? send_answer(h) : MHD_YES;
}

void cv_http_on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                          enum MHD_RequestTerminationCode code)
{
    struct cv_http *h = *con_cls;
    (void)cls;
    (void)connection;
    (void)code;
    if (h != NULL) {
        if (h->suspended) {
            (void)unlist(h);
            h->server->waiting--;
        }
        cv_conn_answered(h->conn);
        cv_gate_release(&h->ticket);
        if (h->server->spares < SPARE_MAX) {
            keep_spare(h->server, h);
        } else {
            request_free(h);
        }
        *con_cls = NULL;
    }
}
