/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS of the main server. GnuTLS, because libmicrohttpd is built on it; all
 * other TLS is OpenSSL's. The certificate is handed over for each handshake,
 * so that a reload needs no restart.
 */
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/hex.h"
#include "crypto/sha.h"
#include "signer/server_impl.h"

#define CHAIN_MAX 8
#define PEM_MAX (1024 * 1024)

struct credentials {
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned count;
    gnutls_privkey_t key;
};

struct cv_server_tls {
    struct credentials *now;
    struct cv_buf client_ca; /* PEM, with a NUL; empty = none wanted */
};

/* libmicrohttpd hands its callback no pointer of ours; there is one main
 * server in a process. */
static struct cv_server_tls *served;

static void credentials_free(struct credentials *c)
{
    if (c != NULL) {
        for (unsigned i = 0; i < c->count; i++) {
            gnutls_pcert_deinit(&c->chain[i]);
        }
        if (c->key != NULL) {
            gnutls_privkey_deinit(c->key);
        }
        free(c);
    }
}

static int read_chain(struct credentials *c, const char *path, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf pem;
    cv_buf_init(&pem, PEM_MAX);
    int rc = cv_file_read(&pem, path, err);
    if (rc != 0) {
        return rc;
    }
    const gnutls_datum_t datum = {pem.p, (unsigned)pem.n};
    c->count = CHAIN_MAX;
    int r = gnutls_pcert_list_import_x509_raw(c->chain, &c->count, &datum, GNUTLS_X509_FMT_PEM, 0);
    if (r < 0) {
        c->count = 0;
        return cv_error_set(err, CV_ERR_CONFIG, "the certificate %.200s cannot be read: %s", path,
                            gnutls_strerror(r));
    }
    return 0;
}

static int read_key(struct credentials *c, const char *path, struct cv_error *err)
{
    CV_SECRET_AUTO struct cv_secret pem = CV_SECRET_INIT;
    int rc = cv_file_read_secret(&pem, path, PEM_MAX, err);
    if (rc != 0) {
        return rc;
    }
    const gnutls_datum_t datum = {pem.p, (unsigned)pem.n};
    int r = gnutls_privkey_init(&c->key);
    if (r == 0) {
        r = gnutls_privkey_import_x509_raw(c->key, &datum, GNUTLS_X509_FMT_PEM, NULL, 0);
    }
    return r == 0 ? 0
                  : cv_error_set(err, CV_ERR_CONFIG, "the private key %.200s cannot be read: %s",
                                 path, gnutls_strerror(r));
}

/* The key is that of the first certificate: found out here, not at the first
 * client's handshake. */
static int check_pair(struct credentials *c, const char *path, struct cv_error *err)
{
    gnutls_pubkey_t pub = NULL;
    unsigned char a[32], b[32];
    size_t an = sizeof(a), bn = sizeof(b);
    bool same =
        gnutls_pubkey_init(&pub) == 0 && gnutls_pubkey_import_privkey(pub, c->key, 0, 0) == 0 &&
        gnutls_pubkey_get_key_id(pub, GNUTLS_KEYID_USE_SHA256, a, &an) == 0 &&
        gnutls_pubkey_get_key_id(c->chain[0].pubkey, GNUTLS_KEYID_USE_SHA256, b, &bn) == 0 &&
        an == bn && memcmp(a, b, an) == 0;
    if (pub != NULL) {
        gnutls_pubkey_deinit(pub);
    }
    return same ? 0
                : cv_error_set(err, CV_ERR_CONFIG,
                               "the private key is not that of the certificate %.200s", path);
}

int cv_server_tls_reload(struct cv_server_tls *tls, const struct cv_config_tls *config,
                         struct cv_error *err)
{
    struct credentials *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a certificate");
    }
    int rc = read_chain(c, config->certificate, err);
    if (rc == 0) {
        rc = read_key(c, config->key, err);
    }
    if (rc == 0) {
        rc = check_pair(c, config->certificate, err);
    }
    if (rc != 0) {
        credentials_free(c);
        (void)cv_error_wrap(err, "server.tls");
        return rc;
    }
    /* All handshakes run in this thread, and none of them now. */
    credentials_free(tls->now);
    tls->now = c;
    return 0;
}

int cv_server_tls_new(struct cv_server_tls **out, const struct cv_config_tls *config,
                      struct cv_error *err)
{
    *out = NULL;
    struct cv_server_tls *tls = calloc(1, sizeof(*tls));
    if (tls == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for TLS");
    }
    cv_buf_init(&tls->client_ca, PEM_MAX);
    int rc = config->client_ca != NULL ? cv_file_read(&tls->client_ca, config->client_ca, err) : 0;
    if (rc == 0) {
        rc = cv_server_tls_reload(tls, config, err);
    }
    if (rc != 0) {
        cv_server_tls_free(&tls);
        return rc;
    }
    served = tls;
    *out = tls;
    return 0;
}

void cv_server_tls_free(struct cv_server_tls **tls)
{
    if (*tls != NULL) {
        if (served == *tls) {
            served = NULL;
        }
        credentials_free((*tls)->now);
        cv_buf_free(&(*tls)->client_ca);
        free(*tls);
        *tls = NULL;
    }
}

static int on_certificate(gnutls_session_t session, const gnutls_datum_t *req_ca_dn, int nreqs,
                          const gnutls_pk_algorithm_t *pk_algos, int pk_algos_length,
                          gnutls_pcert_st **pcert, unsigned int *pcert_length,
                          gnutls_privkey_t *privkey)
{
    (void)session;
    (void)req_ca_dn;
    (void)nreqs;
    (void)pk_algos;
    (void)pk_algos_length;
    if (served == NULL || served->now == NULL) {
        return -1;
    }
    *pcert = served->now->chain;
    *pcert_length = served->now->count;
    *privkey = served->now->key;
    return 0;
}

void cv_server_tls_options(struct cv_server_tls *tls, struct MHD_OptionItem *list, size_t *n)
{
    static char priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
    list[(*n)++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_CERT_CALLBACK, 0,
                                           (void *)(intptr_t)on_certificate};
    list[(*n)++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, priorities};
    if (tls->client_ca.n > 0) {
        list[(*n)++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0, tls->client_ca.p};
    }
}

bool cv_server_tls_wants_clients(const struct cv_server_tls *tls)
{
    return tls->client_ca.n > 0;
}

bool cv_server_tls_peer(void *session, char fingerprint[65])
{
    unsigned status = 0, count = 0;
    uint8_t digest[CV_SHA256_LEN];
    fingerprint[0] = 0;
    if (gnutls_certificate_verify_peers2(session, &status) != 0 || status != 0) {
        return false;
    }
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
    if (chain == NULL || count == 0) {
        return false;
    }
    cv_sha256(digest, CV_BYTES(chain[0].data, chain[0].size));
    cv_hex_encode(fingerprint, digest, sizeof(digest));
    return true;
}
