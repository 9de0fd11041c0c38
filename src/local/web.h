/* SPDX-License-Identifier: Apache-2.0 */
/* A small HTTP server for stand-ins: a thread for each connection, TLS or not. */
#ifndef CV_LOCAL_WEB_H
#define CV_LOCAL_WEB_H

#include "http/message.h"
#include "transport/tls.h"

#define CV_LOCAL_WEB_HEADERS 40

struct cv_local_web_reply {
    int status;
    /* texts that outlive the call, or of TEXT */
    struct cv_http_header headers[CV_LOCAL_WEB_HEADERS];
    size_t n;
    struct cv_buf body;
    struct cv_buf text; /* room for headers' texts: offsets move, so filled before they are named */
    bool no_body;       /* to a HEAD */
};

struct cv_local_web {
    const char *name; /* "imds", for the log and for errors */
    struct cv_addr listen;
    const char *ca;   /* PEM of the authority that clients trust, made when absent; NULL = no TLS */
    const char *host; /* a further name of the certificate */
    size_t body_max;  /* of a request and of a reply */
    void (*handle)(void *ctx, const struct cv_http_message *request,
                   struct cv_local_web_reply *reply);
    void *ctx;
};

/* Serves until SIGTERM or SIGINT; prints "ready ADDRESS" on standard output. */
int cv_local_web_run(const struct cv_local_web *web, struct cv_error *err) CV_NODISCARD;

#endif
