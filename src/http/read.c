/* SPDX-License-Identifier: Apache-2.0 */
/* Reading messages from a stream. */
#include <string.h>

#include "http/parse.h"

#define PIECE 8192    /* bytes asked for at a time */
#define MAX_INTERIM 8 /* responses 1xx before the real one */
#define MAX_LINE 1024 /* of a chunk's size with its extensions, and a trailer */
#define MAX_TRAILERS 32

struct reading {
    struct cv_http_conn *c;
    int64_t deadline;
    struct cv_error *err;
    bool begun; /* bytes of this message were seen */
};

static int ended(struct reading *r)
{
    if (!r->begun)
        return cv_error_set(r->err, CV_ERR_CLOSED, "the peer closed the connection");
    return cv_error_set(r->err, CV_ERR_TRUNCATED,
                        "the peer closed the connection in the middle of a message");
}

/* Appends what the peer sends next to BUF. 1..n bytes, 0 at the end, or a code. */
static ssize_t fill(struct reading *r, struct cv_buf *buf, size_t want)
{
    uint8_t *p = cv_buf_reserve(buf, want);
    if (p == NULL)
        return cv_error_set(r->err, CV_ERR_LIMIT, "the message is larger than we accept");
    ssize_t n = cv_stream_read(r->c->stream, p, want, r->deadline, r->err);
    if (n > 0)
        cv_buf_commit(buf, (size_t)n);
    if (n == CV_ERR_CLOSED && (r->begun || buf->n > 0))
        return cv_error_set(r->err, CV_ERR_TRUNCATED,
                            "the peer cut the connection in the middle of a message");
    return n;
}

/* Moves everything up to the empty line into m->head. */
static int take_head(struct reading *r, struct cv_http_message *m)
{
    struct cv_buf *in = &r->c->in;
    size_t seen = 0;
    for (;;) {
        const uint8_t *p = in->n > seen ? memmem(in->p + seen, in->n - seen, "\r\n\r\n", 4) : NULL;
        size_t n = p != NULL ? (size_t)(p - in->p) + 4 : in->n;
        if (n > CV_HTTP_MAX_HEAD)
            return cv_error_set(r->err, CV_ERR_LIMIT, "the HTTP head is larger than %d bytes",
                                CV_HTTP_MAX_HEAD);
        if (p != NULL) {
            cv_buf_reset(&m->head);
            if (cv_buf_append(&m->head, in->p, n) != 0)
                return cv_error_set(r->err, CV_ERR_NOMEM, "no memory for an HTTP message");
            cv_buf_consume(in, n);
            r->begun = true;
            return 0;
        }
        seen = in->n > 3 ? in->n - 3 : 0;
        ssize_t got = fill(r, in, PIECE);
        if (got < 0)
            return (int)got;
        if (got == 0)
            return ended(r);
        r->begun = true;
    }
}

/* N bytes of body, first from what was read ahead. */
static int take_bytes(struct reading *r, struct cv_http_message *m, uint64_t n)
{
    struct cv_buf *in = &r->c->in;
    if (n > m->body.limit - m->body.n)
        return cv_error_set(r->err, CV_ERR_LIMIT, "the HTTP body is larger than %zu bytes",
                            m->body.limit);
    while (n > 0) {
        size_t some = in->n < n ? in->n : (size_t)n;
        if (some > 0) {
            if (cv_buf_append(&m->body, in->p, some) != 0)
                return cv_error_set(r->err, CV_ERR_NOMEM, "no memory for an HTTP message");
            cv_buf_consume(in, some);
        } else {
            ssize_t got = fill(r, &m->body, n < PIECE ? (size_t)n : PIECE);
            if (got <= 0)
                return got < 0 ? (int)got : ended(r);
            some = (size_t)got;
        }
        n -= some;
    }
    return 0;
}

/* A short line ended by CRLF, copied without it. */
static int take_line(struct reading *r, char line[MAX_LINE])
{
    struct cv_buf *in = &r->c->in;
    for (;;) {
        const uint8_t *p = in->n > 0 ? memmem(in->p, in->n, "\r\n", 2) : NULL;
        size_t n = p != NULL ? (size_t)(p - in->p) : in->n;
        if (n >= MAX_LINE)
            return cv_error_set(r->err, CV_ERR_LIMIT, "a line of an HTTP body is too long");
        if (p != NULL) {
            memcpy(line, in->p, n);
            line[n] = '\0';
            cv_buf_consume(in, n + 2);
            if (strlen(line) != n || !cv_http_is_value(line, n))
                return cv_error_set(r->err, CV_ERR_PROTOCOL,
                                    "malformed HTTP: a control character in a chunked body");
            return 0;
        }
        ssize_t got = fill(r, in, PIECE);
        if (got <= 0)
            return got < 0 ? (int)got : ended(r);
    }
}

/* Hexadecimal digits, then nothing or ";extension" (RFC 9112 section 7.1). */
static int chunk_size(uint64_t *size, const char *line)
{
    size_t n = strspn(line, "0123456789abcdefABCDEF");
    uint64_t v = 0;
    if (n == 0 || n > 8)
        return CV_ERR_PROTOCOL;
    for (size_t i = 0; i < n; i++) {
        char c = line[i];
        v = v * 16 + (uint64_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    line += n;
    line += strspn(line, " \t");
    if (*line != '\0' && *line != ';')
        return CV_ERR_PROTOCOL;
    *size = v;
    return 0;
}

static int take_chunks(struct reading *r, struct cv_http_message *m)
{
    char line[MAX_LINE];
    for (;;) {
        uint64_t size;
        int rc = take_line(r, line);
        if (rc != 0)
            return rc;
        if (chunk_size(&size, line) != 0)
            return cv_error_set(r->err, CV_ERR_PROTOCOL, "malformed HTTP: no chunk size");
        if (size == 0)
            break;
        rc = take_bytes(r, m, size);
        if (rc == 0)
            rc = take_line(r, line);
        if (rc != 0)
            return rc;
        if (line[0] != '\0')
            return cv_error_set(r->err, CV_ERR_PROTOCOL, "malformed HTTP: a chunk has no end");
    }
    /* Trailers say nothing that we use. */
    for (int i = 0; i < MAX_TRAILERS; i++) {
        int rc = take_line(r, line);
        if (rc != 0 || line[0] == '\0')
            return rc;
        if (line[0] == ' ' || line[0] == '\t' || strchr(line, ':') == NULL)
            return cv_error_set(r->err, CV_ERR_PROTOCOL, "malformed HTTP: a bad trailer");
    }
    return cv_error_set(r->err, CV_ERR_LIMIT, "too many HTTP trailers");
}

static int take_until_close(struct reading *r, struct cv_http_message *m)
{
    int rc = take_bytes(r, m, r->c->in.n);
    while (rc == 0) {
        size_t room = m->body.limit - m->body.n;
        uint8_t probe;
        ssize_t got;
        if (room > 0)
            got = fill(r, &m->body, room < PIECE ? room : PIECE);
        else
            got = cv_stream_read(r->c->stream, &probe, 1, r->deadline, r->err);
        if (got > 0 && room == 0)
            return cv_error_set(r->err, CV_ERR_LIMIT, "the HTTP body is larger than %zu bytes",
                                m->body.limit);
        if (got <= 0)
            rc = (int)got;
        if (got == 0)
            break;
    }
    return rc;
}

static int take_body(struct reading *r, struct cv_http_message *m, enum cv_http_framing framing,
                     uint64_t length)
{
    switch (framing) {
    case CV_HTTP_LENGTH:
        return take_bytes(r, m, length);
    case CV_HTTP_CHUNKED:
        return take_chunks(r, m);
    case CV_HTTP_UNTIL_CLOSE:
        return take_until_close(r, m);
    case CV_HTTP_NO_BODY:
        break;
    }
    return 0;
}

int cv_http_read_response(struct cv_http_conn *c, struct cv_http_message *m, const char *method,
                          int64_t deadline, struct cv_error *err)
{
    struct reading r = {.c = c, .deadline = deadline, .err = err, .begun = c->in.n > 0};
    enum cv_http_framing framing;
    uint64_t length;
    int rc = 0;
    for (int i = 0; i <= MAX_INTERIM; i++) {
        cv_http_message_free(m);
        if ((rc = take_head(&r, m)) != 0 || (rc = cv_http_parse_response_head(m, err)) != 0)
            return rc;
        if (m->status >= 200)
            break;
        if (m->status == 101)
            return cv_error_set(err, CV_ERR_PROTOCOL, "the peer switched to another protocol");
    }
    if (m->status < 200)
        return cv_error_set(err, CV_ERR_PROTOCOL, "too many interim HTTP responses");
    rc = cv_http_framing(&framing, &length, m, method, err);
    if (rc == 0)
        rc = take_body(&r, m, framing, length);
    /* Bytes that nobody asked for: this connection cannot be trusted with
     * another request. */
    if (c->in.n > 0)
        m->keep_alive = false;
    return rc;
}

static int answer_expectation(struct cv_http_conn *c, const struct cv_http_message *m,
                              int64_t deadline, struct cv_error *err)
{
    const char *expect = cv_http_header(m, "expect");
    if (expect == NULL || m->minor == 0 || c->in.n > 0)
        return 0;
    if (strcmp(expect, "100-continue") != 0)
        return cv_error_set(err, CV_ERR_PROTOCOL, "an unknown expectation");
    return cv_stream_write(c->stream, CV_BYTES_LIT("HTTP/1.1 100 Continue\r\n\r\n"), deadline, err);
}

int cv_http_read_request(struct cv_http_conn *c, struct cv_http_message *m, int64_t deadline,
                         struct cv_error *err)
{
    struct reading r = {.c = c, .deadline = deadline, .err = err, .begun = c->in.n > 0};
    enum cv_http_framing framing;
    uint64_t length;
    cv_http_message_free(m);
    int rc = take_head(&r, m);
    if (rc == 0)
        rc = cv_http_parse_request_head(m, err);
    if (rc == 0)
        rc = cv_http_framing(&framing, &length, m, m->method, err);
    if (rc == 0 && framing == CV_HTTP_LENGTH && length > m->body.limit)
        rc = cv_error_set(err, CV_ERR_LIMIT, "the HTTP body is larger than %zu bytes",
                          m->body.limit);
    if (rc == 0 && framing != CV_HTTP_NO_BODY)
        rc = answer_expectation(c, m, deadline, err);
    return rc != 0 ? rc : take_body(&r, m, framing, length);
}
