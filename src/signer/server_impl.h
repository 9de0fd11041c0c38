/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the HTTP servers, shared by server*.c and http_*.c alone. */
#ifndef CV_SIGNER_SERVER_IMPL_H
#define CV_SIGNER_SERVER_IMPL_H

#include <microhttpd.h>

#include "common/clock.h"
#include "signer/server.h"

struct cv_http;

/* A route: exact path, or a prefix that one path segment follows; a '*' in
 * PATH stands for that segment, when something comes after it. */
struct cv_route {
    const char *method;
    const char *path;
    bool segment; /* PATH ends in '/', and one more segment is the argument */
    bool token;   /* a JSON Web Token is wanted where they are configured */
    /* The whole body is there. Answers, or leaves the request waiting. */
    void (*handle)(struct cv_http *h, const char *argument);
};

/* Connections accepted past the cap, while those that make room for them go. */
#define CV_CONN_SPARE 64

struct cv_conn;
struct cv_buckets;
struct cv_server_tls;

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
    bool run;                           /* something was resumed: libmicrohttpd has work */
    struct cv_server_tls *tls;          /* NULL = plain HTTP */
    struct cv_http *to_suspend;         /* whose answers come later */
    struct cv_conn *conns, *conns_last; /* all that are open, the last used first */
    size_t conn_count;                  /* of them, without those that were shut down */
    size_t conn_peak;                   /* the most there were since memory was given back */
    size_t conn_max;                    /* as many as there are descriptors for */
    struct cv_loop_timer sweep;         /* ends those that are too slow */
    struct cv_buckets *buckets;         /* requests by client address; NULL = no limit */
};

/* Texts of key hashes that were read, by the bits of a hash: clients name the
 * same few keys again and again. */
#define CV_SERVER_PKHS 256
struct cv_server_pkh {
    char text[CV_PKH_TEXT_SIZE]; /* "" = free */
    struct cv_pkh pkh;
};

struct cv_server {
    struct cv_server_options o;
    struct cv_endpoint main, utility;
    bool draining;
    size_t waiting;
    uint64_t next_id;
    struct cv_http *held;  /* signed, but their watermarks are not durable yet */
    struct cv_http *spare; /* answered, kept for the next requests */
    size_t spares;
    struct cv_error err; /* of the present callback: too large for every stack */
    struct cv_server_pkh pkhs[CV_SERVER_PKHS];
    int64_t date_second; /* of DATE */
    char date[CV_HTTP_DATE_LEN];
};

/* One request, from its headers until its answer was sent. */
struct cv_http {
    struct cv_server *server;
    struct cv_endpoint *endpoint;
    struct MHD_Connection *connection;
    struct cv_conn *conn;
    const char *method, *url;     /* libmicrohttpd's */
    const struct cv_route *route; /* NULL: REFUSED says what to answer */
    unsigned refused;
    char argument[128];
    bool too_large;
    bool ambiguous;   /* it has two lengths */
    size_t discarded; /* bytes of the body, then */
    bool suspended;   /* waits for its answer */
    struct cv_http *next_to_suspend;
    bool answered; /* STATUS and REPLY are set */
    unsigned status;
    const char *content_type;
    bool retry_later;
    bool last;   /* the connection is closed after it */
    bool logged; /* its line was written */
    struct cv_buf body;
    struct cv_buf reply;
    uint64_t id; /* of the request, for the log */
    int64_t started_us;
    struct cv_attesting attesting;
    /* When the answer is known; NULL. For metrics. */
    void (*on_answer)(struct cv_http *h);
    /* a signing request */
    struct cv_sign sign;
    bool resent; /* it was lost with an enclave, and sent to the next */
    struct cv_vault_wait wait;
    struct cv_hook_call hook;
    char source[48]; /* the client's IP address, for the hook */
    bool proving;    /* possession, not signing */
    struct cv_vault_key *key;
    const struct cv_config_key *policy;
    struct cv_pkh pkh_value;
    char pkh[CV_PKH_TEXT_SIZE]; /* "unknown" until it was read */
    bool has_client;
    struct cv_pkh client;
    char client_text[CV_PKH_TEXT_SIZE];
    const char *user; /* JWT; NULL */
    struct cv_verdict verdict;
    struct cv_request request;
    bool decoded;                 /* REQUEST is good */
    int64_t reserved_us;          /* when watermark and vault got it */
    int64_t sent_us;              /* when the enclave got it (again) */
    struct cv_gate_ticket ticket; /* of the watermark that covers it */
    struct cv_signature held;     /* the signature that waits for it */
    struct cv_http *next_held;
};

/* MS from now, by the clock that the loop has read in this turn. */
static inline int64_t cv_server_deadline(const struct cv_server *server, int64_t ms)
{
    return cv_loop_now(server->o.loop) + ms;
}

/* Start and stop of one endpoint. */
int cv_endpoint_start(struct cv_endpoint *e, const char *what, const struct cv_addr *addr,
                      struct cv_error *err) CV_NODISCARD;
void cv_endpoint_quiesce(struct cv_endpoint *e);
void cv_endpoint_stop(struct cv_endpoint *e);

/* The length that the headers announce (0 without one); false when they name
 * two. */
bool cv_http_body_length(struct MHD_Connection *connection, unsigned long long *length);
/* The path of a request's target. */
const char *cv_http_path(const char *target);

/* ---- libmicrohttpd's callbacks ---- */
enum MHD_Result cv_http_on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *upload_data,
                                   size_t *upload_data_size, void **con_cls);
void cv_http_on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                          enum MHD_RequestTerminationCode code);
/* Frees what cv_http_on_completed has kept. */
void cv_http_drop_spares(struct cv_server *server);

/* ---- connections: how long they may take, how often they may ask ---- */
void cv_conn_start(struct cv_endpoint *e);
void cv_conn_stop(struct cv_endpoint *e);
void cv_conn_notify(void *cls, struct MHD_Connection *connection, void **socket_context,
                    enum MHD_ConnectionNotificationCode code);
struct cv_conn *cv_conn_of(struct MHD_Connection *connection);
/* A request's headers have come; all of it has; its answer was sent. */
void cv_conn_request(struct cv_conn *c);
void cv_conn_complete(struct cv_conn *c);
void cv_conn_answered(struct cv_conn *c);
/* One request of this address: false when it had its share. */
bool cv_conn_take_token(struct cv_endpoint *e, struct cv_conn *c);
/* The client's certificate, where one is wanted. */
bool cv_conn_check_peer(struct cv_endpoint *e, struct cv_conn *c,
                        struct MHD_Connection *connection);
/* Its SHA-256 as 64 hex digits; "" when there is none. */
const char *cv_conn_fingerprint(const struct cv_conn *c);

/* ---- TLS of the main server (GnuTLS, which libmicrohttpd brings) ---- */
int cv_server_tls_new(struct cv_server_tls **out, const struct cv_config_tls *config,
                      struct cv_error *err) CV_NODISCARD;
void cv_server_tls_free(struct cv_server_tls **tls);
/* Reads certificate, key and the clients' authorities anew, for connections
 * from then on; on failure all of the old stays. */
int cv_server_tls_reload(struct cv_server_tls *tls, const struct cv_config_tls *config,
                         struct cv_error *err) CV_NODISCARD;
/* Frees what no connection uses any more. */
void cv_server_tls_tidy(struct cv_server_tls *tls);
void cv_server_tls_options(struct MHD_OptionItem *list, size_t *n);
/* Gives the SESSION of a connection, before its handshake, what is in force;
 * given back when it has closed. NULL: it will have no certificate. */
struct cv_server_credentials;
struct cv_server_credentials *cv_server_tls_open(struct cv_server_tls *tls, void *session);
void cv_server_tls_close(struct cv_server_credentials *credentials);
bool cv_server_tls_wants_clients(const struct cv_server_tls *tls);
/* Another number after each reload: peers are verified anew. */
unsigned cv_server_tls_generation(const struct cv_server_tls *tls);
/* Verifies the peer of SESSION and writes its fingerprint. */
bool cv_server_tls_peer(const struct cv_server_tls *tls, void *session, char fingerprint[65]);

/* ---- answers: each may be called once for a request ---- */

/* What stands in h->reply. */
void cv_http_answer(struct cv_http *h, unsigned status, const char *content_type);
/* {"NAME":"VALUE"} and a newline. */
void cv_http_answer_pair(struct cv_http *h, unsigned status, const char *name, const char *value);
/* [{"id":"failure","kind":"temporary","msg":TEXT}] and a newline. */
void cv_http_fail(struct cv_http *h, unsigned status, const char *text);
/* The same for an error of ours: 503 when it is for lack of room or the
 * program ends, else 500 with PREFIX before the chain. */
void cv_http_fail_error(struct cv_http *h, const char *prefix, int code,
                        const struct cv_error *err);
/* The answer comes later: the connection sleeps until then, from the next
 * cv_http_suspend() on, which each run of libmicrohttpd is followed by. */
void cv_http_wait(struct cv_http *h);
void cv_http_suspend(struct cv_endpoint *e);

/* ---- steps that routes share; each is false when it has answered ---- */

/* The public key hash in the path: 400. */
bool cv_http_take_pkh(struct cv_http *h, const char *text);
/* Octez client authentication over MESSAGE, when it is configured: 400, 401, 403. */
bool cv_http_authenticate(struct cv_http *h, struct cv_bytes message);
/* Listed under `tezos`, and for this JWT user: 403. */
bool cv_http_listed(struct cv_http *h);
/* In a vault: 404. */
bool cv_http_find_key(struct cv_http *h);
/* A token, when JWT is configured: 401. */
bool cv_http_check_token(struct cv_http *h);
/* The answer that is no signature: logged, audited, counted. */
void cv_http_refuse(struct cv_http *h, unsigned status, const char *text);
void cv_http_refuse_error(struct cv_http *h, int code, const struct cv_error *err);
/* A query parameter or header; NULL. */
const char *cv_http_client_query(const struct cv_http *h, const char *name);
const char *cv_http_client_header(const struct cv_http *h, const char *name);
/* The client's IP address as text into OUT; returns OUT. */
char *cv_http_client_ip(const struct cv_http *h, char *out, size_t size);

void cv_http_sign(struct cv_http *h, const char *argument);
/* GET /keys/{pkh}/attestation?nonce=HEX */
void cv_http_attestation(struct cv_http *h, const char *argument);
void cv_http_prove(struct cv_http *h, const char *argument);

extern const struct cv_route cv_main_routes[];
extern const size_t cv_main_route_count;
extern const struct cv_route cv_utility_routes[];
extern const size_t cv_utility_route_count;

#endif
