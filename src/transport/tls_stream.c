/* SPDX-License-Identifier: Apache-2.0 */
/* The stream of clear bytes over TLS over another stream. */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "transport/tls_private.h"

#define RECORD 16384 /* RFC 8446 section 5.1: most bytes of one record */
#define CLOSE_MS 100 /* a close_notify may take this long */

struct tls_stream {
    struct cv_stream base;
    struct cv_stream *inner;
    SSL *ssl;
    bool established;
    bool broken;      /* no further call of OpenSSL makes sense */
    int64_t deadline; /* of the call that is running */
    int io_code;      /* what the inner stream failed with in this call, or 0 */
    struct cv_error io_err;
    char subject[96]; /* of the certificate that was refused, printable */
};

/* ---- OpenSSL's view of the inner stream: a BIO that honours the deadline ---- */

static int bio_read(BIO *bio, char *p, int n)
{
    struct tls_stream *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (n <= 0)
        return 0;
    ssize_t r = cv_stream_read(s->inner, p, (size_t)n, s->deadline, &s->io_err);
    if (r >= 0)
        return (int)r;
    s->io_code = (int)r;
    if (r == CV_ERR_TIMEOUT)
        BIO_set_retry_read(bio);
    return -1;
}

static int bio_write(BIO *bio, const char *p, int n)
{
    struct tls_stream *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (n <= 0)
        return 0;
    int rc = cv_stream_write(s->inner, CV_BYTES(p, (size_t)n), s->deadline, &s->io_err);
    if (rc == 0)
        return n;
    s->io_code = rc;
    return -1;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
    (void)bio, (void)num, (void)ptr;
    return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "claviger stream");
    if (method == NULL)
        return;
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_ctrl(method, bio_ctrl);
    BIO_meth_set_create(method, bio_create);
}

/* ---- errors ---- */

static void begin(struct tls_stream *s, int64_t deadline)
{
    ERR_clear_error();
    s->deadline = deadline;
    s->io_code = 0;
    cv_error_clear(&s->io_err);
}

/* A failure of the inner stream explains everything that OpenSSL says after. */
static int inner_failure(struct tls_stream *s, struct cv_error *err)
{
    if (err != NULL)
        *err = s->io_err;
    ERR_clear_error();
    return s->io_code;
}

static int failure(struct tls_stream *s, int ret, const char *what, struct cv_error *err)
{
    int e = SSL_get_error(s->ssl, ret);
    unsigned long code = ERR_peek_error();
    if (s->io_code != CV_ERR_TIMEOUT || e != SSL_ERROR_WANT_READ)
        s->broken = true;
    if (s->io_code != 0)
        return inner_failure(s, err);
    if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
        ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        ERR_clear_error();
        return cv_error_set(err, CV_ERR_CLOSED,
                            "%s: the peer closed the connection without ending TLS", what);
    }
    if (e == SSL_ERROR_SYSCALL && code == 0)
        return cv_error_set(err, CV_ERR_CLOSED, "%s: the peer closed the connection", what);
    return cv_tls_openssl_error(err, CV_ERR_PROTOCOL, what);
}

/* OpenSSL forgets a certificate that it refuses: its subject is kept here. */
int cv_tls_on_verify(int ok, X509_STORE_CTX *ctx)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_stream *s = ssl != NULL ? SSL_get_app_data(ssl) : NULL;
    X509 *cert = X509_STORE_CTX_get_current_cert(ctx);
    if (!ok && s != NULL && cert != NULL) {
        char line[96] = "";
        X509_NAME_oneline(X509_get_subject_name(cert), line, sizeof line);
        cv_error_quote(s->subject, sizeof s->subject, line, strlen(line));
    }
    return ok;
}

/* One clear sentence for what is wrong with a peer's certificate. */
static int certificate_error(const struct tls_stream *s, const char *host, struct cv_error *err)
{
    const char *h = host != NULL ? host : "the client";
    const char *quoted = s->subject;
    long verify = SSL_get_verify_result(s->ssl);
    ERR_clear_error();
    switch (verify) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return cv_error_set(
            err, CV_ERR_DENIED,
            "TLS with %s: a certificate of its chain has expired (or our clock is wrong)", h);
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return cv_error_set(err, CV_ERR_DENIED,
                            "TLS with %s: its certificate is not valid yet (or our clock is wrong)",
                            h);
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return cv_error_set(err, CV_ERR_DENIED,
                            "TLS with %s: its certificate is for another name (%s)", h, quoted);
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return cv_error_set(
            err, CV_ERR_DENIED,
            "TLS with %s: unknown issuer, its certificate (%s) leads to no certificate "
            "of the CA file",
            h, quoted);
    default:
        return cv_error_set(err, CV_ERR_DENIED, "TLS with %s: its certificate is refused: %s", h,
                            X509_verify_cert_error_string(verify));
    }
}

/* ---- the stream ---- */

static ssize_t tls_read(struct cv_stream *base, void *p, size_t n, int64_t deadline,
                        struct cv_error *err)
{
    struct tls_stream *s = (struct tls_stream *)base;
    size_t got = 0;
    if (s->broken)
        return cv_error_set(err, CV_ERR_CLOSED, "the TLS connection has failed before");
    begin(s, deadline);
    int r = SSL_read_ex(s->ssl, p, n, &got);
    if (r == 1)
        return (ssize_t)got;
    if (SSL_get_error(s->ssl, r) == SSL_ERROR_ZERO_RETURN)
        return 0;
    return failure(s, r, "reading over TLS", err);
}

static int write_record(struct tls_stream *s, const uint8_t *p, size_t n, struct cv_error *err)
{
    while (n > 0) {
        size_t done = 0;
        int r = SSL_write_ex(s->ssl, p, n, &done);
        if (r != 1) {
            s->broken = true;
            return failure(s, r, "writing over TLS", err);
        }
        p += done;
        n -= done;
    }
    return 0;
}

/* Gathers the pieces into records as full as they can be. */
static int tls_writev(struct cv_stream *base, const struct iovec *iov, int count, int64_t deadline,
                      struct cv_error *err)
{
    struct tls_stream *s = (struct tls_stream *)base;
    uint8_t record[RECORD];
    size_t used = 0, top = 0;
    int rc = 0;
    if (s->broken)
        return cv_error_set(err, CV_ERR_CLOSED, "the TLS connection has failed before");
    begin(s, deadline);
    for (int i = 0; i < count && rc == 0; i++) {
        const uint8_t *p = iov[i].iov_base;
        size_t left = iov[i].iov_len;
        while (left > 0 && rc == 0) {
            size_t n = left < RECORD - used ? left : RECORD - used;
            memcpy(record + used, p, n);
            used += n;
            p += n;
            left -= n;
            top = used > top ? used : top;
            if (used == RECORD) {
                rc = write_record(s, record, used, err);
                used = 0;
            }
        }
    }
    if (rc == 0 && used > 0)
        rc = write_record(s, record, used, err);
    cv_wipe(record, top);
    return rc;
}

static int tls_shutdown(struct cv_stream *base, int64_t deadline, struct cv_error *err)
{
    struct tls_stream *s = (struct tls_stream *)base;
    if (s->broken)
        return cv_error_set(err, CV_ERR_CLOSED, "the TLS connection has failed before");
    begin(s, deadline);
    int r = SSL_shutdown(s->ssl);
    return r < 0 ? failure(s, r, "ending TLS", err) : 0;
}

static void tls_close(struct cv_stream *base)
{
    struct tls_stream *s = (struct tls_stream *)base;
    if (s->ssl != NULL && s->established && !s->broken) {
        begin(s, cv_deadline(CLOSE_MS));
        (void)SSL_shutdown(s->ssl);
        ERR_clear_error();
    }
    SSL_free(s->ssl);
    cv_stream_close(&s->inner);
    free(s);
}

static int tls_fd(const struct cv_stream *base)
{
    return cv_stream_fd(((const struct tls_stream *)base)->inner);
}

static const struct cv_stream_ops tls_ops = {
    tls_read, tls_writev, tls_shutdown, tls_close, tls_fd,
};

/* Owns INNER in every case. */
static int new_stream(struct tls_stream **out, struct cv_tls *tls, struct cv_stream *inner,
                      struct cv_error *err)
{
    struct tls_stream *s = calloc(1, sizeof *s);
    BIO *bio = NULL;
    *out = NULL;
    pthread_once(&method_once, make_method);
    if (s == NULL) {
        cv_stream_close(&inner);
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a TLS connection");
    }
    s->base.ops = &tls_ops;
    s->inner = inner;
    if (method != NULL)
        bio = BIO_new(method);
    s->ssl = SSL_new(tls->ctx);
    if (bio == NULL || s->ssl == NULL) {
        BIO_free(bio);
        tls_close(&s->base);
        (void)cv_tls_openssl_error(err, CV_ERR_NOMEM, "starting a TLS connection");
        return CV_ERR_NOMEM;
    }
    BIO_set_data(bio, s);
    SSL_set_bio(s->ssl, bio, bio);
    SSL_set_app_data(s->ssl, s);
    *out = s;
    return 0;
}

/* What the peer's certificate must say. */
static int expect_host(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (cv_host_is_ip(host))
        return X509_VERIFY_PARAM_set1_ip_asc(param, host);
    char name[CV_ADDR_HOST]; /* the macro below knows no const */
    memcpy(name, host, strlen(host) + 1);
    return X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 &&
           SSL_set_tlsext_host_name(ssl, name) == 1;
}

static int handshake(struct tls_stream *s, const char *host, int64_t deadline, struct cv_error *err)
{
    begin(s, deadline);
    int r = SSL_do_handshake(s->ssl);
    if (r == 1) {
        s->established = true;
        return 0;
    }
    s->broken = true;
    unsigned long code = ERR_peek_error();
    if (s->io_code == 0 && ERR_GET_LIB(code) == ERR_LIB_SSL &&
        ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED)
        return certificate_error(s, host, err);
    int rc = failure(s, r, "TLS handshake", err);
    if (host != NULL)
        cv_error_wrap(err, "TLS with %s", host);
    return rc;
}

int cv_tls_connect(struct cv_stream **out, struct cv_tls *tls, struct cv_stream *inner,
                   const char *host, int64_t deadline, struct cv_error *err)
{
    struct tls_stream *s;
    *out = NULL;
    if (!cv_host_is_ip(host) && !cv_host_is_name(host)) {
        cv_stream_close(&inner);
        return cv_error_set(err, CV_ERR_INVALID, "TLS needs the host's name or IP address");
    }
    int rc = new_stream(&s, tls, inner, err);
    if (rc != 0)
        return rc;
    SSL_set_connect_state(s->ssl);
    if (expect_host(s->ssl, host) != 1)
        rc = cv_tls_openssl_error(err, CV_ERR_INTERNAL, "setting the host to check");
    else
        rc = handshake(s, host, deadline, err);
    if (rc != 0) {
        tls_close(&s->base);
        return rc;
    }
    *out = &s->base;
    return 0;
}

int cv_tls_accept(struct cv_stream **out, struct cv_tls *tls, struct cv_stream *inner,
                  int64_t deadline, struct cv_error *err)
{
    struct tls_stream *s;
    *out = NULL;
    int rc = new_stream(&s, tls, inner, err);
    if (rc != 0)
        return rc;
    SSL_set_accept_state(s->ssl);
    rc = handshake(s, NULL, deadline, err);
    if (rc != 0) {
        tls_close(&s->base);
        return rc;
    }
    *out = &s->base;
    return 0;
}
