/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the HTTP servers, shared by server*.c and http_*.c alone. */
#ifndef CV_SIGNER_SERVER_IMPL_H
#define CV_SIGNER_SERVER_IMPL_H

#include <microhttpd.h>

#include "signer/server.h"

struct cv_http;

/* A route: exact path, or a prefix that one path segment follows; a '*' in
 * PATH stands for that segment, when something comes after it. */
struct cv_route {
    const char *method;
    const char *path;
    bool segment; /* PATH ends in '/', and one more segment is the argument */
    /* The whole body is there. Answers, or leaves the request waiting. */
    void (*handle)(struct cv_http *h, const char *argument);
};

/* One libmicrohttpd daemon in the loop. */
struct cv_endpoint {
    struct cv_server *server;
    const struct cv_route *routes;
    size_t route_count;
    size_t body_max;
    struct MHD_Daemon *daemon;
    struct cv_loop_source source;
    struct cv_loop_hook hook;
    struct cv_addr addr;
    bool run; /* something was resumed: libmicrohttpd has work */
};

struct cv_server {
    struct cv_server_options o;
    struct cv_endpoint main, utility;
    bool draining;
    size_t waiting;
    struct cv_http *held; /* signed, but their watermarks are not durable yet */
};

/* One request, from its headers until its answer was sent. */
struct cv_http {
    struct cv_server *server;
    struct cv_endpoint *endpoint;
    struct MHD_Connection *connection;
    const struct cv_route *route; /* NULL: REFUSED says what to answer */
    unsigned refused;
    char argument[128];
    bool too_large;
    bool suspended;
    bool answered; /* STATUS and REPLY are set */
    unsigned status;
    const char *content_type;
    bool retry_later;
    struct cv_buf body;
    struct cv_buf reply;
    int64_t started_us;
    struct cv_attesting attesting;
    /* a signing request */
    struct cv_sign sign;
    struct cv_vault_wait wait;
    struct cv_vault_key *key;
    const struct cv_config_key *policy;
    struct cv_verdict verdict;
    struct cv_request request;
    bool decoded;           /* REQUEST is good */
    uint64_t seq;           /* of the watermark that covers it */
    struct cv_signature held; /* the signature that waits for it */
    struct cv_http *next_held;
    char pkh[CV_PKH_TEXT_SIZE];
};

/* Start and stop of one endpoint. */
int cv_endpoint_start(struct cv_endpoint *e, const char *what, const struct cv_addr *addr,
                      struct cv_error *err) CV_NODISCARD;
void cv_endpoint_quiesce(struct cv_endpoint *e);
void cv_endpoint_stop(struct cv_endpoint *e);

/* ---- answers: each may be called once for a request ---- */

/* What stands in h->reply. */
void cv_http_answer(struct cv_http *h, unsigned status, const char *content_type);
/* {"NAME":"VALUE"} and a newline. */
void cv_http_answer_pair(struct cv_http *h, unsigned status, const char *name, const char *value);
/* [{"id":"failure","kind":"temporary","msg":TEXT}] and a newline. */
void cv_http_fail(struct cv_http *h, unsigned status, const char *text);
/* The same for an error of ours: 503 when it is for lack of room or the
 * program ends, else 500 with PREFIX before the chain. */
void cv_http_fail_error(struct cv_http *h, const char *prefix, int code, const struct cv_error *err);
/* The answer comes later: the connection sleeps until then. */
void cv_http_wait(struct cv_http *h);

/* The public key hash in the path; false when it was answered with 400. */
bool cv_http_take_pkh(struct cv_http *h, const char *text, struct cv_pkh *pkh) CV_NODISCARD;
#define CV_HTTP_NOT_FOUND "this key not found in any vault"
/* GET /keys/{pkh}/attestation?nonce=HEX */
void cv_http_attestation(struct cv_http *h, const char *argument);

extern const struct cv_route cv_main_routes[];
extern const size_t cv_main_route_count;
extern const struct cv_route cv_utility_routes[];
extern const size_t cv_utility_route_count;

#endif
