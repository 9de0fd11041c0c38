/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS 1.2 and 1.3 over any stream (library cv_transport_tls).
 *
 * A client trusts what one PEM file holds and nothing else: no system store,
 * no environment variable. The peer's certificate must name the host that the
 * caller asked for (RFC 6125, subjectAltName only; IP addresses as iPAddress
 * entries). Sentences say which step failed: expired, unknown issuer, other
 * name, protocol version, closed by the peer.
 */
#ifndef CV_TRANSPORT_TLS_H
#define CV_TRANSPORT_TLS_H

#include "transport/stream.h"

/* Where Debian and its relatives keep Mozilla's roots in one file. */
#define CV_TLS_DEFAULT_CA_FILE "/etc/ssl/certs/ca-certificates.crt"

/* Shared by any number of connections and threads. */
struct cv_tls;

/* CA_FILE: PEM certificates; NULL = CV_TLS_DEFAULT_CA_FILE. CV_ERR_CONFIG when
 * it cannot be read or holds no certificate. */
int cv_tls_client_new(struct cv_tls **out, const char *ca_file, struct cv_error *err) CV_NODISCARD;
/* The same from PEM text in memory. */
int cv_tls_client_new_pem(struct cv_tls **out, struct cv_bytes ca_pem,
                          struct cv_error *err) CV_NODISCARD;
/* A server with its chain and key (PEM files). CLIENT_CA_FILE, when not NULL,
 * asks clients for a certificate under that CA and refuses those without. */
int cv_tls_server_new(struct cv_tls **out, const char *chain_file, const char *key_file,
                      const char *client_ca_file, struct cv_error *err) CV_NODISCARD;
/* The same from PEM text in memory, without client certificates. */
int cv_tls_server_new_pem(struct cv_tls **out, struct cv_bytes chain_pem, struct cv_bytes key_pem,
                          struct cv_error *err) CV_NODISCARD;
/* Adds a client certificate to a client. */
int cv_tls_client_certificate(struct cv_tls *tls, const char *chain_file, const char *key_file,
                              struct cv_error *err) CV_NODISCARD;
/* Harmless on NULL; sets it to NULL. Open connections stay good. */
void cv_tls_free(struct cv_tls **tls);

/* Handshakes as a client of HOST (a DNS name or an IP address, no port, no
 * brackets) and gives the stream of clear bytes. INNER is owned by it from now
 * on, and closed when this fails. CV_ERR_DENIED: the peer's certificate is not
 * good; CV_ERR_PROTOCOL: no TLS, or no common version; CV_ERR_TIMEOUT … */
int cv_tls_connect(struct cv_stream **out, struct cv_tls *tls, struct cv_stream *inner,
                   const char *host, int64_t deadline, struct cv_error *err) CV_NODISCARD;
/* The server's half. */
int cv_tls_accept(struct cv_stream **out, struct cv_tls *tls, struct cv_stream *inner,
                  int64_t deadline, struct cv_error *err) CV_NODISCARD;

/* A read gives 0 only after the peer's close_notify; an end without it is
 * CV_ERR_CLOSED, so that a cut reply is never taken for a whole one. */

#endif
