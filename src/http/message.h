/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 messages over a stream, bounded, both sides (RFC 9110, RFC 9112).
 *
 * What is ambiguous is refused, never guessed: both Content-Length and
 * Transfer-Encoding, two lengths that differ, a coding other than chunked,
 * white space before a colon, folded lines, bare CR or NUL, a request without
 * exactly one Host.
 */
#ifndef CV_HTTP_MESSAGE_H
#define CV_HTTP_MESSAGE_H

#include "transport/stream.h"

#define CV_HTTP_MAX_HEAD 32768  /* bytes of start line and header lines */
#define CV_HTTP_MAX_HEADERS 100 /* lines */

struct cv_http_header {
    const char *name;
    const char *value;
};

/* A message that was read. The texts live in head. */
struct cv_http_message {
    struct cv_buf head;
    int status;         /* of a response, 200..999 */
    const char *reason; /* of a response, may be "" */
    const char *method; /* of a request */
    const char *target; /* of a request, as sent */
    int minor;          /* HTTP/1.minor */
    size_t nheaders;
    struct cv_http_header headers[CV_HTTP_MAX_HEADERS];
    bool keep_alive;    /* another message may follow on this connection */
    struct cv_buf body; /* wiped when freed */
};

/* BODY_LIMIT: most bytes of a body that will be read (CV_ERR_LIMIT past it). */
void cv_http_message_init(struct cv_http_message *m, size_t body_limit);
/* Wipes and frees; can be read into again. */
void cv_http_message_free(struct cv_http_message *m);
/* The value of the first header of that name, in any case; NULL without one. */
const char *cv_http_header(const struct cv_http_message *m, const char *name);

/* A connection: a stream (borrowed) and what was read ahead from it. */
struct cv_http_conn {
    struct cv_stream *stream;
    struct cv_buf in;
};
void cv_http_conn_init(struct cv_http_conn *c, struct cv_stream *stream);
void cv_http_conn_free(struct cv_http_conn *c);

/* Reads the response to a request of METHOD ("HEAD" has no body). Responses
 * 1xx before it are skipped (at most 8). CV_ERR_CLOSED: the peer closed before
 * the first byte; CV_ERR_TRUNCATED: in the middle; CV_ERR_PROTOCOL: it is not
 * HTTP/1.x as we accept it; CV_ERR_LIMIT; CV_ERR_TIMEOUT; CV_ERR_IO. */
int cv_http_read_response(struct cv_http_conn *c, struct cv_http_message *m, const char *method,
                          int64_t deadline, struct cv_error *err) CV_NODISCARD;
/* Reads a request with its body; answers "Expect: 100-continue" by itself.
 * The same codes. */
int cv_http_read_request(struct cv_http_conn *c, struct cv_http_message *m, int64_t deadline,
                         struct cv_error *err) CV_NODISCARD;

/* A request to write. Header names and values are checked (no CR, LF, NUL:
 * CV_ERR_INVALID). Content-Length is written by this module: when BODY is not
 * empty or the method is POST or PUT; Host must be among the headers. */
struct cv_http_request {
    const char *method;
    const char *target; /* "/path?query", encoded */
    const struct cv_http_header *headers;
    size_t nheaders;
    struct cv_bytes body;
};
int cv_http_write_request(struct cv_http_conn *c, const struct cv_http_request *r, int64_t deadline,
                          struct cv_error *err) CV_NODISCARD;

struct cv_http_response {
    int status;
    const struct cv_http_header *headers;
    size_t nheaders;
    struct cv_bytes body;
    bool close;   /* say "Connection: close" */
    bool no_body; /* to a HEAD: the length of body is told, the body not sent */
};
int cv_http_write_response(struct cv_http_conn *c, const struct cv_http_response *r,
                           int64_t deadline, struct cv_error *err) CV_NODISCARD;
/* The standard phrase of a status ("Bad Request"), "" for an unknown one. */
const char *cv_http_reason(int status);

#endif
