/* SPDX-License-Identifier: Apache-2.0 */
/* Writing messages to a stream. */
#include <string.h>
#include <strings.h>

#include "http/parse.h"

static int add_headers(struct cv_buf *out, const struct cv_http_header *h, size_t n,
                       struct cv_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (!cv_http_is_token(h[i].name, strlen(h[i].name)) ||
            !cv_http_is_value(h[i].value, strlen(h[i].value)) ||
            strcasecmp(h[i].name, "content-length") == 0 ||
            strcasecmp(h[i].name, "transfer-encoding") == 0)
            return cv_error_set(err, CV_ERR_INVALID, "an HTTP header that cannot be sent");
        if (cv_buf_printf(out, "%s: %s\r\n", h[i].name, h[i].value) != 0)
            return cv_error_set(err, CV_ERR_LIMIT, "the HTTP head is larger than %d bytes",
                                CV_HTTP_MAX_HEAD);
    }
    return 0;
}

static int send_message(struct cv_http_conn *c, struct cv_buf *head, struct cv_bytes body,
                        int64_t deadline, struct cv_error *err)
{
    union {
        const uint8_t *in;
        void *out;
    } u = {.in = body.p};
    struct iovec iov[2] = {{head->p, head->n}, {u.out, body.n}};
    return cv_stream_writev(c->stream, iov, body.n > 0 ? 2 : 1, deadline, err);
}

static bool lawful_target(const char *s)
{
    for (const char *p = s; *p != '\0'; p++)
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f)
            return false;
    return *s != '\0';
}

int cv_http_write_request(struct cv_http_conn *c, const struct cv_http_request *r, int64_t deadline,
                          struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf head;
    unsigned hosts = 0;
    cv_buf_init(&head, CV_HTTP_MAX_HEAD);
    for (size_t i = 0; i < r->nheaders; i++)
        hosts += strcasecmp(r->headers[i].name, "host") == 0;
    if (!cv_http_is_token(r->method, strlen(r->method)) || !lawful_target(r->target) || hosts != 1)
        return cv_error_set(err, CV_ERR_INVALID, "an HTTP request that cannot be sent");
    int rc = cv_buf_printf(&head, "%s %s HTTP/1.1\r\n", r->method, r->target);
    if (rc == 0)
        rc = add_headers(&head, r->headers, r->nheaders, err);
    if (rc == 0 &&
        (r->body.n > 0 || strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0))
        rc = cv_buf_printf(&head, "Content-Length: %zu\r\n", r->body.n);
    if (rc == 0)
        rc = cv_buf_append_str(&head, "\r\n");
    if (rc == CV_ERR_LIMIT)
        return cv_error_set(err, rc, "the HTTP head is larger than %d bytes", CV_HTTP_MAX_HEAD);
    return rc != 0 ? rc : send_message(c, &head, r->body, deadline, err);
}

int cv_http_write_response(struct cv_http_conn *c, const struct cv_http_response *r,
                           int64_t deadline, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf head;
    bool bodiless = r->status < 200 || r->status == 204 || r->status == 304;
    cv_buf_init(&head, CV_HTTP_MAX_HEAD);
    if (r->status < 100 || r->status > 999)
        return cv_error_set(err, CV_ERR_INVALID, "an HTTP status that does not exist");
    int rc = cv_buf_printf(&head, "HTTP/1.1 %d %s\r\n", r->status, cv_http_reason(r->status));
    if (rc == 0)
        rc = add_headers(&head, r->headers, r->nheaders, err);
    if (rc == 0 && !bodiless)
        rc = cv_buf_printf(&head, "Content-Length: %zu\r\n", r->body.n);
    if (rc == 0)
        rc = cv_buf_append_str(&head, r->close ? "Connection: close\r\n\r\n" : "\r\n");
    if (rc == CV_ERR_LIMIT)
        return cv_error_set(err, rc, "the HTTP head is larger than %d bytes", CV_HTTP_MAX_HEAD);
    if (rc != 0)
        return rc;
    struct cv_bytes body = bodiless || r->no_body ? CV_BYTES(NULL, 0) : r->body;
    return send_message(c, &head, body, deadline, err);
}
