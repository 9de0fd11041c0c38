/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of a request to the HTTP proxy inside (RFC 9110 section 9.3.6, RFC
 * 9112 section 3.2.2): CONNECT host:port, or a method with an absolute http
 * URL. For programs that take names to a proxy rather than resolve them.
 */
#ifndef CV_INIT_HTTPPROXY_H
#define CV_INIT_HTTPPROXY_H

#include "transport/addr.h"
#include "common/bytes.h"

#define CV_HTTPPROXY_HEAD 16384u /* bytes of the request's head */

struct cv_httpproxy_request {
    char host[CV_ADDR_HOST];
    uint16_t port;
    bool connect;
};

/* Bytes of the head in IN, its empty line included; 0 when it is not whole yet. */
size_t cv_httpproxy_head(struct cv_bytes in);
/* Reads HEAD. For what is no CONNECT, OUT gets the head that goes to the
 * origin server: origin form, without Proxy-* and Connection lines, "Connection:
 * close" added, so that this connection carries one request only.
 * CV_ERR_INVALID. */
int cv_httpproxy_parse(struct cv_httpproxy_request *r, struct cv_buf *out, struct cv_bytes head,
                       struct cv_error *err) CV_NODISCARD;

#endif
