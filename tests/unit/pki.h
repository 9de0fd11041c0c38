/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates for tests, made on the spot with P-256 keys. */
#ifndef CV_TEST_PKI_H
#define CV_TEST_PKI_H

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "common/bytes.h"

struct pki_cert {
    X509 *x;
    EVP_PKEY *key;
};

static inline void pki_free(struct pki_cert *c)
{
    X509_free(c->x);
    EVP_PKEY_free(c->key);
}

static inline void pki_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    if (e != NULL)
        X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

/* Valid FROM..TO seconds from now. ISSUER NULL: self-signed CA. SAN as in
 * openssl.cnf ("DNS:localhost,IP:127.0.0.1"), NULL for none. */
static inline struct pki_cert pki_make(const struct pki_cert *issuer, const char *cn,
                                       const char *san, long from, long to)
{
    struct pki_cert c = {X509_new(), EVP_EC_gen("P-256")};
    X509_set_version(c.x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(c.x), (long)(to + from + (long)cn[0]) + 1);
    X509_gmtime_adj(X509_getm_notBefore(c.x), from);
    X509_gmtime_adj(X509_getm_notAfter(c.x), to);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(c.x), "CN", MBSTRING_ASC,
                               (const unsigned char *)cn, -1, -1, 0);
    X509 *iss = issuer != NULL ? issuer->x : c.x;
    X509_set_issuer_name(c.x, X509_get_subject_name(iss));
    X509_set_pubkey(c.x, c.key);
    pki_extension(c.x, iss, NID_basic_constraints,
                  issuer == NULL ? "critical,CA:TRUE" : "CA:FALSE");
    if (san != NULL)
        pki_extension(c.x, iss, NID_subject_alt_name, san);
    X509_sign(c.x, issuer != NULL ? issuer->key : c.key, EVP_sha256());
    return c;
}

static inline void pki_take(struct cv_buf *out, BIO *bio)
{
    char *p;
    long n = BIO_get_mem_data(bio, &p);
    cv_buf_init(out, 65536);
    if (cv_buf_append(out, p, (size_t)n) != 0)
        out->n = 0;
    BIO_free(bio);
}

static inline void pki_cert_pem(struct cv_buf *out, const struct pki_cert *c)
{
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, c->x);
    pki_take(out, bio);
}

static inline void pki_key_pem(struct cv_buf *out, const struct pki_cert *c)
{
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, c->key, NULL, NULL, 0, NULL, NULL);
    pki_take(out, bio);
}

#endif
