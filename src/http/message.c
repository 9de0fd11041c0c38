/* SPDX-License-Identifier: Apache-2.0 */
#include "http/message.h"

#include <string.h>
#include <strings.h>

#define READ_AHEAD 16384

void cv_http_message_init(struct cv_http_message *m, size_t body_limit)
{
    memset(m, 0, sizeof *m);
    cv_buf_init(&m->head, CV_HTTP_MAX_HEAD + 1);
    cv_buf_init(&m->body, body_limit);
}

void cv_http_message_free(struct cv_http_message *m)
{
    size_t limit = m->body.limit;
    cv_buf_free(&m->head);
    cv_buf_free(&m->body);
    cv_http_message_init(m, limit);
}

const char *cv_http_header(const struct cv_http_message *m, const char *name)
{
    for (size_t i = 0; i < m->nheaders; i++)
        if (strcasecmp(m->headers[i].name, name) == 0)
            return m->headers[i].value;
    return NULL;
}

void cv_http_conn_init(struct cv_http_conn *c, struct cv_stream *stream)
{
    c->stream = stream;
    cv_buf_init(&c->in, CV_HTTP_MAX_HEAD + READ_AHEAD);
}

void cv_http_conn_free(struct cv_http_conn *c)
{
    cv_buf_free(&c->in);
}

const char *cv_http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } table[] = {
        {100, "Continue"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].status == status)
            return table[i].reason;
    return "";
}
