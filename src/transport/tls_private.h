/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the two halves of TLS, contexts and streams; not for others. */
#ifndef CV_TRANSPORT_TLS_PRIVATE_H
#define CV_TRANSPORT_TLS_PRIVATE_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "transport/tls.h"

struct cv_tls {
    SSL_CTX *ctx;
    bool server;
};

/* The verify callback of every context. */
int cv_tls_on_verify(int ok, X509_STORE_CTX *ctx);

/* CODE and "WHAT: reason" of the oldest entry of OpenSSL's error queue, which
 * is emptied. */
int cv_tls_openssl_error(struct cv_error *err, int code, const char *what);

#endif
