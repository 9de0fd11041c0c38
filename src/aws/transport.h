/* SPDX-License-Identifier: Apache-2.0 */
/* How a signed request travels: one exchange, no retry, no knowledge of AWS. */
#ifndef CV_AWS_TRANSPORT_H
#define CV_AWS_TRANSPORT_H

#include "aws/endpoint.h"
#include "http/message.h"

struct cv_aws_transport;

struct cv_aws_transport_ops {
    /* Sends R to E and reads the reply into M (initialised by the caller, with
     * its limit). Callable from several threads at once. CV_ERR_TIMEOUT,
     * CV_ERR_CLOSED, CV_ERR_IO, CV_ERR_TRUNCATED, CV_ERR_PROTOCOL, CV_ERR_DENIED
     * (certificate), CV_ERR_LIMIT, CV_ERR_NOT_FOUND (name). */
    int (*exchange)(struct cv_aws_transport *t, const struct cv_aws_endpoint *e,
                    const struct cv_http_request *r, struct cv_http_message *m, int64_t deadline,
                    struct cv_error *err);
    void (*free)(struct cv_aws_transport *t);
};

struct cv_aws_transport {
    const struct cv_aws_transport_ops *ops;
};

/* Harmless on NULL. */
void cv_aws_transport_free(struct cv_aws_transport **t);

/* Library cv_aws_stream: every connection goes to the proxy at PROXY whatever
 * the endpoint's host is; TLS with that host's name inside, trusting CA_FILE
 * (NULL = the usual file of Mozilla's roots). A few idle connections are kept;
 * one that the peer closed meanwhile is replaced without anybody noticing. */
int cv_aws_stream_new(struct cv_aws_transport **out, const struct cv_addr *proxy,
                      const char *ca_file, struct cv_error *err) CV_NODISCARD;

/* The same with more to say. */
struct cv_aws_stream_config {
    const struct cv_addr *proxy;
    const char *ca_file;    /* NULL: see above; not read when ca_pem is given */
    struct cv_bytes ca_pem; /* certificates that were read already; p NULL = none */
    /* The proxy serves several hosts: each connection begins with the line
     * "CONNECT host:port", which it answers with "OK" (docs/protocol/parent.md). */
    bool connect_line;
};
int cv_aws_stream_create(struct cv_aws_transport **out, const struct cv_aws_stream_config *config,
                         struct cv_error *err) CV_NODISCARD;

/* The line of docs/protocol/parent.md on a new connection, and its answer; a
 * refusal is CV_ERR_REMOTE with the parent's text. */
int cv_aws_stream_connect_line(struct cv_stream *s, const char *host, uint16_t port,
                               int64_t deadline, struct cv_error *err) CV_NODISCARD;

/* Library cv_aws_curl, for the parent: resolves and connects by itself,
 * respects HTTPS_PROXY and NO_PROXY. CA_FILE as above. */
int cv_aws_curl_new(struct cv_aws_transport **out, const char *ca_file,
                    struct cv_error *err) CV_NODISCARD;
/* The same past every proxy: for the metadata endpoints of this machine. */
int cv_aws_curl_new_direct(struct cv_aws_transport **out, const char *ca_file,
                           struct cv_error *err) CV_NODISCARD;

#endif
