/* SPDX-License-Identifier: Apache-2.0 */
/* The parent's transport: libcurl moves bytes; signing and retrying are ours. */
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "aws/transport.h"
#include "common/clock.h"
#include "http/parse.h"
#include "transport/tls.h"

#define IDLE_MAX 8 /* handles that are kept, each with its connection */

struct curl_transport {
    struct cv_aws_transport base;
    char *ca_file;
    bool direct;
    pthread_mutex_t lock;
    CURL *idle[IDLE_MAX];
};

/* One exchange, as the callbacks see it. */
struct transfer {
    struct cv_http_message *m;
    bool body_begun;
    bool too_large;
};

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static CURLcode global_rc;

static void global_init(void)
{
    global_rc = curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* A header line, from the status line to the empty one; of several heads
 * (interim responses) the last one stays. */
static size_t on_header(char *p, size_t size, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    size_t n = size * count;
    if (t->body_begun)
        return n; /* a trailer */
    if (n >= 5 && memcmp(p, "HTTP/", 5) == 0)
        cv_buf_reset(&t->m->head);
    if (t->m->head.n + n > CV_HTTP_MAX_HEAD || cv_buf_append(&t->m->head, p, n) != 0) {
        t->too_large = true;
        return 0;
    }
    return n;
}

static size_t on_body(char *p, size_t size, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    size_t n = size * count;
    t->body_begun = true;
    if (cv_buf_append(&t->m->body, p, n) != 0) {
        t->too_large = true;
        return 0;
    }
    return n;
}

static int code_of(CURLcode rc)
{
    switch (rc) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return CV_ERR_NOT_FOUND;
    case CURLE_OPERATION_TIMEDOUT:
        return CV_ERR_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION:
        return CV_ERR_DENIED;
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
        return CV_ERR_CONFIG;
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
        return CV_ERR_CLOSED;
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
        return CV_ERR_TRUNCATED;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_HTTP2:
        return CV_ERR_PROTOCOL;
    case CURLE_OUT_OF_MEMORY:
        return CV_ERR_NOMEM;
    default:
        return CV_ERR_IO;
    }
}

/* Every header of ours and none of libcurl's. NULL without memory, or for a
 * header that cannot be sent. */
static struct curl_slist *header_list(const struct cv_http_request *r)
{
    struct curl_slist *list = NULL, *next;
    bool type = false;
    for (size_t i = 0; i < r->nheaders; i++) {
        const struct cv_http_header *h = &r->headers[i];
        size_t n = strlen(h->name) + strlen(h->value) + 3;
        char *line = malloc(n);
        bool ok = line != NULL && cv_http_is_token(h->name, strlen(h->name)) &&
                  cv_http_is_value(h->value, strlen(h->value));
        if (ok && *h->value == '\0')
            snprintf(line, n, "%s;", h->name); /* libcurl's way of an empty value */
        else if (ok)
            snprintf(line, n, "%s: %s", h->name, h->value);
        next = ok ? curl_slist_append(list, line) : NULL;
        if (line != NULL)
            cv_wipe(line, n);
        free(line);
        if (next == NULL) {
            curl_slist_free_all(list);
            return NULL;
        }
        list = next;
        type = type || strcasecmp(h->name, "content-type") == 0;
    }
    static const char *const removed[] = {"Expect:", "Accept:", "Content-Type:"};
    for (size_t i = 0; i < (type ? 2u : 3u); i++) {
        next = curl_slist_append(list, removed[i]);
        if (next == NULL) {
            curl_slist_free_all(list);
            return NULL;
        }
        list = next;
    }
    return list;
}

static void free_headers(struct curl_slist *list)
{
    for (struct curl_slist *l = list; l != NULL; l = l->next)
        cv_wipe(l->data, strlen(l->data));
    curl_slist_free_all(list);
}

static CURL *take(struct curl_transport *t)
{
    CURL *h = NULL;
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < IDLE_MAX && h == NULL; i++) {
        h = t->idle[i];
        t->idle[i] = NULL;
    }
    pthread_mutex_unlock(&t->lock);
    return h != NULL ? h : curl_easy_init();
}

static void give(struct curl_transport *t, CURL *h)
{
    /* Forgets options, keeps the connection. */
    curl_easy_reset(h);
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < IDLE_MAX && h != NULL; i++) {
        if (t->idle[i] == NULL) {
            t->idle[i] = h;
            h = NULL;
        }
    }
    pthread_mutex_unlock(&t->lock);
    if (h != NULL)
        curl_easy_cleanup(h);
}

static void set_method(CURL *h, const struct cv_http_request *r)
{
    if (strcmp(r->method, "HEAD") == 0) {
        curl_easy_setopt(h, CURLOPT_NOBODY, 1L);
    } else if (r->body.n > 0 || strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0) {
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, r->body.n > 0 ? (const char *)r->body.p : "");
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.n);
        curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, r->method);
    } else {
        curl_easy_setopt(h, CURLOPT_HTTPGET, 1L);
        curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, r->method);
    }
}

static void set_options(const struct curl_transport *t, CURL *h, const char *url,
                        const struct cv_http_request *r, struct transfer *x, char *reason,
                        int64_t deadline)
{
    int64_t left = deadline == CV_NO_DEADLINE ? 3600000 : deadline - cv_now_ms();
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(h, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(h, CURLOPT_CAINFO, t->ca_file);
    curl_easy_setopt(h, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)(left > 1 ? left : 1));
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)(left > 1 ? left : 1));
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, reason);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, x);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(h, CURLOPT_HTTP_TRANSFER_DECODING, 1L);
    if (t->direct)
        curl_easy_setopt(h, CURLOPT_PROXY, "");
    set_method(h, r);
}

static int failed(const struct cv_aws_endpoint *e, CURLcode rc, const struct transfer *x,
                  const char *reason, struct cv_error *err)
{
    char quoted[200];
    if (x->too_large)
        return cv_error_set(err, CV_ERR_LIMIT, "%s: the reply is larger than we accept", e->host);
    if (*reason == '\0')
        reason = curl_easy_strerror(rc);
    return cv_error_set(err, code_of(rc), "%s: %s", e->host,
                        cv_error_quote(quoted, sizeof quoted, reason, strlen(reason)));
}

static int curl_exchange(struct cv_aws_transport *base, const struct cv_aws_endpoint *e,
                         const struct cv_http_request *r, struct cv_http_message *m,
                         int64_t deadline, struct cv_error *err)
{
    struct curl_transport *t = (struct curl_transport *)base;
    CV_CLEANUP(cv_buf_free) struct cv_buf url;
    struct transfer x = {.m = m};
    char host[CV_AWS_HOST_MAX], reason[CURL_ERROR_SIZE] = "";
    cv_buf_init(&url, 65536);
    if (cv_buf_printf(&url, "%s://%s%s", e->tls ? "https" : "http", cv_aws_endpoint_host(host, e),
                      r->target) != 0)
        return cv_error_set(err, CV_ERR_LIMIT, "the request's target is too long");
    struct curl_slist *headers = header_list(r);
    CURL *h = headers != NULL ? take(t) : NULL;
    if (h == NULL) {
        free_headers(headers);
        return cv_error_set(err, CV_ERR_INVALID, "an HTTP request that cannot be sent");
    }
    set_options(t, h, (const char *)url.p, r, &x, reason, deadline);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    CURLcode rc = curl_easy_perform(h);
    int code = 0;
    if (rc != CURLE_OK)
        code = failed(e, rc, &x, reason, err);
    else if (cv_http_parse_response_head(m, err) != 0)
        code = CV_ERR_PROTOCOL;
    give(t, h);
    free_headers(headers);
    return code;
}

static void curl_free_transport(struct cv_aws_transport *base)
{
    struct curl_transport *t = (struct curl_transport *)base;
    for (size_t i = 0; i < IDLE_MAX; i++)
        if (t->idle[i] != NULL)
            curl_easy_cleanup(t->idle[i]);
    pthread_mutex_destroy(&t->lock);
    free(t->ca_file);
    free(t);
}

static const struct cv_aws_transport_ops curl_ops = {curl_exchange, curl_free_transport};

static int make(struct cv_aws_transport **out, const char *ca_file, bool direct,
                struct cv_error *err)
{
    *out = NULL;
    pthread_once(&global_once, global_init);
    if (global_rc != CURLE_OK)
        return cv_error_set(err, CV_ERR_INTERNAL, "libcurl: %s", curl_easy_strerror(global_rc));
    struct curl_transport *t = calloc(1, sizeof *t);
    if (t == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for an AWS transport");
    pthread_mutex_init(&t->lock, NULL);
    t->base.ops = &curl_ops;
    t->direct = direct;
    t->ca_file = strdup(ca_file != NULL ? ca_file : CV_TLS_DEFAULT_CA_FILE);
    if (t->ca_file == NULL) {
        curl_free_transport(&t->base);
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for an AWS transport");
    }
    *out = &t->base;
    return 0;
}

int cv_aws_curl_new(struct cv_aws_transport **out, const char *ca_file, struct cv_error *err)
{
    return make(out, ca_file, false, err);
}

int cv_aws_curl_new_direct(struct cv_aws_transport **out, const char *ca_file, struct cv_error *err)
{
    return make(out, ca_file, true, err);
}
