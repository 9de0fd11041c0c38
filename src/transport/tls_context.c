/* SPDX-License-Identifier: Apache-2.0 */
/* TLS contexts: what is trusted, and who we are. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "common/file.h"
#include "transport/tls.h"
#include "transport/tls_private.h"

#define PEM_MAX (4u << 20)

int cv_tls_openssl_error(struct cv_error *err, int code, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    int rc = cv_error_set(err, code, "%s: %s", what, reason != NULL ? reason : "no reason given");
    ERR_clear_error();
    return rc;
}

static BIO *memory_bio(struct cv_bytes b)
{
    return b.n > PEM_MAX ? NULL : BIO_new_mem_buf(b.p, (int)b.n);
}

static int new_context(struct cv_tls **out, bool server, struct cv_error *err)
{
    *out = NULL;
    /* No configuration file: what we accept does not depend on the machine. */
    OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    struct cv_tls *t = calloc(1, sizeof *t);
    if (t == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for TLS");
    t->server = server;
    t->ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (t->ctx == NULL || SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION) != 1) {
        cv_tls_free(&t);
        return cv_tls_openssl_error(err, CV_ERR_INTERNAL, "setting up TLS");
    }
    SSL_CTX_set_options(t->ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(t->ctx, SSL_MODE_AUTO_RETRY | SSL_MODE_RELEASE_BUFFERS |
                                 SSL_MODE_ENABLE_PARTIAL_WRITE |
                                 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
    if (server)
        SSL_CTX_set_num_tickets(t->ctx, 0);
    *out = t;
    return 0;
}

void cv_tls_free(struct cv_tls **tls)
{
    if (tls == NULL || *tls == NULL)
        return;
    SSL_CTX_free((*tls)->ctx);
    free(*tls);
    *tls = NULL;
}

/* Trusts every certificate of the PEM text. */
static int trust_pem(struct cv_tls *t, struct cv_bytes pem, const char *name, struct cv_error *err)
{
    X509_STORE *store = SSL_CTX_get_cert_store(t->ctx);
    BIO *bio = memory_bio(pem);
    unsigned count = 0;
    X509 *cert;
    if (bio == NULL)
        return cv_error_set(err, CV_ERR_CONFIG, "CA file %s: too large", name);
    ERR_clear_error();
    while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        /* Looks at its extensions now: OpenSSL does it once, and takes a certificate
         * for invalid ever after when there was no memory for that. */
        int ok = X509_check_purpose(cert, -1, 0) == 1 ||
                 ERR_GET_REASON(ERR_peek_last_error()) != ERR_R_MALLOC_FAILURE;
        if (ok) {
            ERR_clear_error();
            ok = X509_STORE_add_cert(store, cert);
        }
        X509_free(cert);
        if (!ok)
            break;
        count++;
    }
    BIO_free(bio);
    unsigned long e = ERR_peek_last_error();
    if (ERR_GET_LIB(e) != ERR_LIB_PEM || ERR_GET_REASON(e) != PEM_R_NO_START_LINE) {
        (void)cv_tls_openssl_error(err, CV_ERR_CONFIG, "reading its certificates");
        cv_error_wrap(err, "CA file %s", name);
        return CV_ERR_CONFIG;
    }
    ERR_clear_error();
    if (count == 0)
        return cv_error_set(err, CV_ERR_CONFIG, "CA file %s: holds no PEM certificate", name);
    /* An intermediate or the peer's own certificate may be what is trusted. */
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    return 0;
}

int cv_tls_client_new_pem(struct cv_tls **out, struct cv_bytes pem, struct cv_error *err)
{
    int rc = new_context(out, false, err);
    if (rc != 0)
        return rc;
    SSL_CTX_set_verify((*out)->ctx, SSL_VERIFY_PEER, cv_tls_on_verify);
    rc = trust_pem(*out, pem, "in memory", err);
    if (rc != 0)
        cv_tls_free(out);
    return rc;
}

static int trust_file(struct cv_tls *t, const char *path, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf pem;
    cv_buf_init(&pem, PEM_MAX);
    if (cv_file_read(&pem, path, err) != 0) {
        cv_error_wrap(err, "reading the CA file");
        return CV_ERR_CONFIG;
    }
    return trust_pem(t, cv_buf_view(&pem), path, err);
}

int cv_tls_client_new(struct cv_tls **out, const char *ca_file, struct cv_error *err)
{
    int rc = new_context(out, false, err);
    if (rc != 0)
        return rc;
    SSL_CTX_set_verify((*out)->ctx, SSL_VERIFY_PEER, cv_tls_on_verify);
    rc = trust_file(*out, ca_file != NULL ? ca_file : CV_TLS_DEFAULT_CA_FILE, err);
    if (rc != 0)
        cv_tls_free(out);
    return rc;
}

static int use_chain(SSL_CTX *ctx, BIO *bio)
{
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    if (cert == NULL)
        return 0;
    int ok = SSL_CTX_use_certificate(ctx, cert);
    X509_free(cert);
    while (ok == 1 && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        ok = (int)SSL_CTX_add0_chain_cert(ctx, cert);
        if (ok != 1)
            X509_free(cert);
    }
    ERR_clear_error();
    return ok;
}

/* A key that asks for a passphrase is refused, never prompted for. */
static int no_passphrase(char *buf, int size, int rwflag, void *u)
{
    (void)buf, (void)size, (void)rwflag, (void)u;
    return -1;
}

static int use_identity(struct cv_tls *t, struct cv_bytes chain, struct cv_bytes key,
                        struct cv_error *err)
{
    BIO *cb = memory_bio(chain), *kb = memory_bio(key);
    EVP_PKEY *pkey = NULL;
    int rc = CV_ERR_CONFIG;
    ERR_clear_error();
    if (cb == NULL || kb == NULL) {
        cv_error_set(err, rc, "certificate or key: too large");
    } else if (use_chain(t->ctx, cb) != 1) {
        cv_tls_openssl_error(err, rc, "reading the TLS certificate");
    } else if ((pkey = PEM_read_bio_PrivateKey(kb, NULL, no_passphrase, NULL)) == NULL) {
        cv_tls_openssl_error(err, rc, "reading the TLS private key");
    } else if (SSL_CTX_use_PrivateKey(t->ctx, pkey) != 1 ||
               SSL_CTX_check_private_key(t->ctx) != 1) {
        cv_tls_openssl_error(err, rc, "TLS private key and certificate do not belong together");
    } else {
        rc = 0;
    }
    EVP_PKEY_free(pkey);
    BIO_free(cb);
    BIO_free(kb);
    return rc;
}

static int use_identity_files(struct cv_tls *t, const char *chain_file, const char *key_file,
                              struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf chain;
    CV_SECRET_AUTO struct cv_secret key = CV_SECRET_INIT;
    cv_buf_init(&chain, PEM_MAX);
    if (cv_file_read(&chain, chain_file, err) != 0 ||
        cv_file_read_secret(&key, key_file, 65536, err) != 0) {
        cv_error_wrap(err, "reading the TLS certificate and key");
        return CV_ERR_CONFIG;
    }
    int rc = use_identity(t, cv_buf_view(&chain), cv_secret_view(&key), err);
    if (rc != 0)
        cv_error_wrap(err, "%s, %s", chain_file, key_file);
    return rc;
}

int cv_tls_client_certificate(struct cv_tls *tls, const char *chain_file, const char *key_file,
                              struct cv_error *err)
{
    return use_identity_files(tls, chain_file, key_file, err);
}

int cv_tls_server_new_pem(struct cv_tls **out, struct cv_bytes chain, struct cv_bytes key,
                          struct cv_error *err)
{
    int rc = new_context(out, true, err);
    if (rc == 0)
        rc = use_identity(*out, chain, key, err);
    if (rc != 0)
        cv_tls_free(out);
    return rc;
}

int cv_tls_server_new(struct cv_tls **out, const char *chain_file, const char *key_file,
                      const char *client_ca_file, struct cv_error *err)
{
    int rc = new_context(out, true, err);
    if (rc == 0)
        rc = use_identity_files(*out, chain_file, key_file, err);
    if (rc == 0 && client_ca_file != NULL) {
        SSL_CTX_set_verify((*out)->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                           cv_tls_on_verify);
        rc = trust_file(*out, client_ca_file, err);
    }
    if (rc != 0)
        cv_tls_free(out);
    return rc;
}
