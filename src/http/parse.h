/* SPDX-License-Identifier: Apache-2.0 */
/* The pure half of reading: a whole head in memory. Not for other modules. */
#ifndef CV_HTTP_PARSE_H
#define CV_HTTP_PARSE_H

#include "http/message.h"

/* A character of a token (RFC 9110 section 5.6.2): names, methods. */
bool cv_http_is_token(const char *s, size_t n);
/* No control character but TAB (RFC 9110 section 5.5). */
bool cv_http_is_value(const char *s, size_t n);

/* m->head holds start line and header lines with the empty line. Fills method
 * and target or status and reason, minor, headers. Texts are cut out of
 * m->head by NULs. */
int cv_http_parse_request_head(struct cv_http_message *m, struct cv_error *err) CV_NODISCARD;
int cv_http_parse_response_head(struct cv_http_message *m, struct cv_error *err) CV_NODISCARD;

enum cv_http_framing { CV_HTTP_NO_BODY, CV_HTTP_LENGTH, CV_HTTP_CHUNKED, CV_HTTP_UNTIL_CLOSE };

/* How the body is delimited (RFC 9112 section 6.3), and m->keep_alive. */
int cv_http_framing(enum cv_http_framing *framing, uint64_t *length, struct cv_http_message *m,
                    const char *method, struct cv_error *err) CV_NODISCARD;

#endif
