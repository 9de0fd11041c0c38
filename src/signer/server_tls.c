/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS of the main server. GnuTLS, because libmicrohttpd is built on it; all
 * other TLS is OpenSSL's. Certificate, key and the authorities of clients are
 * one object, which each connection gets when it is accepted: a reload changes
 * all of it at once, for the connections that come after it. Those that are
 * open keep their own until they close, but a client must be under the present
 * authorities with every request.
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

/* What is read from the files, before GnuTLS owns it. */
struct pair {
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned count;
    gnutls_privkey_t key;
};

struct cv_server_credentials {
    gnutls_certificate_credentials_t gnutls;
    bool wants_clients;
    size_t users; /* connections */
    struct cv_server_credentials *next;
};

struct cv_server_tls {
    struct cv_server_credentials *all; /* the present one first; older ones while they are used */
    unsigned generation;
};

static void pair_free(struct pair *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        gnutls_pcert_deinit(&p->chain[i]);
    }
    if (p->key != NULL) {
        gnutls_privkey_deinit(p->key);
    }
}

static void credentials_free(struct cv_server_credentials *c)
{
    if (c != NULL && c->gnutls != NULL) {
        gnutls_certificate_free_credentials(c->gnutls);
    }
    free(c);
}

static int read_chain(struct pair *c, const char *path, struct cv_error *err)
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

static int read_key(struct pair *c, const char *path, struct cv_error *err)
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
static int check_pair(struct pair *c, const char *path, struct cv_error *err)
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

/* Hands certificate and key over to GnuTLS. */
static int take_pair(struct cv_server_credentials *c, const struct cv_config_tls *config,
                     struct cv_error *err)
{
    struct pair pair = {.count = 0};
    int rc = read_chain(&pair, config->certificate, err);
    if (rc == 0) {
        rc = read_key(&pair, config->key, err);
    }
    if (rc == 0) {
        rc = check_pair(&pair, config->certificate, err);
    }
    int r = rc == 0 ? gnutls_certificate_set_key(c->gnutls, NULL, 0, pair.chain, (int)pair.count,
                                                 pair.key)
                    : -1;
    if (r < 0) {
        pair_free(&pair);
    }
    return rc != 0 || r >= 0
               ? rc
               : cv_error_set(err, CV_ERR_CONFIG, "the certificate %.200s cannot be used: %s",
                              config->certificate, gnutls_strerror(r));
}

static int take_authorities(struct cv_server_credentials *c, const char *path, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf pem;
    cv_buf_init(&pem, PEM_MAX);
    int rc = cv_file_read(&pem, path, err);
    if (rc != 0) {
        return rc;
    }
    const gnutls_datum_t datum = {pem.p, (unsigned)pem.n};
    int n = pem.n > 0
                ? gnutls_certificate_set_x509_trust_mem(c->gnutls, &datum, GNUTLS_X509_FMT_PEM)
                : 0;
    /* A file without any would let everybody in, or nobody. */
    if (n <= 0) {
        return cv_error_set(err, CV_ERR_CONFIG, "there is no certificate in %.200s%s%s", path,
                            n < 0 ? ": " : "", n < 0 ? gnutls_strerror(n) : "");
    }
    c->wants_clients = true;
    return 0;
}

int cv_server_tls_reload(struct cv_server_tls *tls, const struct cv_config_tls *config,
                         struct cv_error *err)
{
    struct cv_server_credentials *c = calloc(1, sizeof(*c));
    if (c == NULL || gnutls_certificate_allocate_credentials(&c->gnutls) != 0) {
        free(c);
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a certificate");
    }
    int rc = take_pair(c, config, err);
    if (rc == 0 && config->client_ca != NULL) {
        rc = take_authorities(c, config->client_ca, err);
    }
    if (rc != 0) {
        credentials_free(c);
        (void)cv_error_wrap(err, "server.tls");
        return rc;
    }
    c->next = tls->all;
    tls->all = c;
    tls->generation++;
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
    int rc = cv_server_tls_reload(tls, config, err);
    if (rc != 0) {
        free(tls);
        return rc;
    }
    *out = tls;
    return 0;
}

/* Frees those after FIRST that no connection uses, or all. */
static void drop_old(struct cv_server_credentials *first, bool all)
{
    for (struct cv_server_credentials **at = &first->next; *at != NULL;) {
        struct cv_server_credentials *c = *at;
        if (c->users > 0 && !all) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        credentials_free(c);
    }
}

void cv_server_tls_tidy(struct cv_server_tls *tls)
{
    drop_old(tls->all, false);
}

void cv_server_tls_free(struct cv_server_tls **tls)
{
    if (*tls != NULL) {
        drop_old((*tls)->all, true);
        credentials_free((*tls)->all);
        free(*tls);
        *tls = NULL;
    }
}

/* ---- connections ---- */

/* libmicrohttpd wants it; sessions have credentials of ours, and one that could
 * not get them has no certificate to show. */
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
    (void)pcert;
    (void)pcert_length;
    (void)privkey;
    return -1;
}

void cv_server_tls_options(struct MHD_OptionItem *list, size_t *n)
{
    static char priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
    list[(*n)++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_CERT_CALLBACK, 0,
                                           (void *)(intptr_t)on_certificate};
    list[(*n)++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, priorities};
}

struct cv_server_credentials *cv_server_tls_open(struct cv_server_tls *tls, void *session)
{
    struct cv_server_credentials *c = tls->all;
    if (gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, c->gnutls) != 0) {
        return NULL;
    }
    /* Asked for, not required: the refusal is an answer that says why. */
    gnutls_certificate_server_set_request(session, c->wants_clients ? GNUTLS_CERT_REQUEST
                                                                    : GNUTLS_CERT_IGNORE);
    c->users++;
    return c;
}

void cv_server_tls_close(struct cv_server_credentials *credentials)
{
    if (credentials != NULL) {
        credentials->users--;
    }
}

bool cv_server_tls_wants_clients(const struct cv_server_tls *tls)
{
    return tls->all->wants_clients;
}

unsigned cv_server_tls_generation(const struct cv_server_tls *tls)
{
    return tls->generation;
}

/* Is the chain of a client's certificate one for clients, under the present
 * authorities, today? */
static bool trusted(const struct cv_server_tls *tls, const gnutls_datum_t *chain, unsigned count)
{
    static unsigned char purpose[] = GNUTLS_KP_TLS_WWW_CLIENT;
    gnutls_typed_vdata_st client = {GNUTLS_DT_KEY_PURPOSE_OID, purpose, sizeof(purpose) - 1};
    gnutls_x509_trust_list_t list = NULL;
    gnutls_x509_crt_t certs[CHAIN_MAX];
    unsigned n = 0, status = GNUTLS_CERT_INVALID;
    bool good = count <= CHAIN_MAX;
    for (; good && n < count; n++) {
        if (gnutls_x509_crt_init(&certs[n]) != 0) {
            good = false;
            break;
        }
        if (gnutls_x509_crt_import(certs[n], &chain[n], GNUTLS_X509_FMT_DER) != 0) {
            good = false;
        }
    }
    if (good) {
        gnutls_certificate_get_trust_list(tls->all->gnutls, &list);
        good = list != NULL && gnutls_x509_trust_list_verify_crt2(list, certs, n, &client, 1, 0,
                                                                  &status, NULL) == 0;
    }
    for (unsigned i = 0; i < n; i++) {
        gnutls_x509_crt_deinit(certs[i]);
    }
    return good && status == 0;
}

bool cv_server_tls_peer(const struct cv_server_tls *tls, void *session, char fingerprint[65])
{
    unsigned count = 0;
    uint8_t digest[CV_SHA256_LEN];
    fingerprint[0] = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
    if (chain == NULL || count == 0 || !trusted(tls, chain, count)) {
        return false;
    }
    cv_sha256(digest, CV_BYTES(chain[0].data, chain[0].size));
    cv_hex_encode(fingerprint, digest, sizeof(digest));
    return true;
}
