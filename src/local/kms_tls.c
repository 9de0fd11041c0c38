/* SPDX-License-Identifier: Apache-2.0 */
/* A certificate authority of our own for the stand-in's TLS, kept in ca.pem, and
 * a server certificate for each start. P-256, ecdsa-with-SHA256. */
#include "local/kms.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "common/secret.h"

#define CA_DAYS 3650
#define SERVER_DAYS 365
#define PEM_MAX 16384

struct authority {
    EVP_PKEY *key;
    X509 *cert;
};

static void authority_free(struct authority *a)
{
    EVP_PKEY_free(a->key);
    X509_free(a->cert);
}

static int add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    int ok = ext && X509_add_ext(cert, ext, -1) > 0;
    X509_EXTENSION_free(ext);
    return ok;
}

/* Everything but the extensions. */
static X509 *new_certificate(const char *name, EVP_PKEY *key, const X509 *issuer, int days)
{
    X509 *cert = X509_new();
    uint8_t serial[16];
    BIGNUM *number;
    cv_random(serial, sizeof serial);
    serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x40);
    number = BN_bin2bn(serial, sizeof serial, NULL);
    int ok = cert && number && X509_set_version(cert, X509_VERSION_3) > 0 &&
             BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) &&
             X509_gmtime_adj(X509_getm_notBefore(cert), -86400) &&
             X509_gmtime_adj(X509_getm_notAfter(cert), (long)days * 86400) &&
             X509_set_pubkey(cert, key) > 0 &&
             X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "O", MBSTRING_ASC,
                                        (const unsigned char *)"Claviger local stand-in", -1, -1,
                                        0) > 0 &&
             X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                                        (const unsigned char *)name, -1, -1, 0) > 0 &&
             X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer : cert)) > 0;
    BN_free(number);
    if (!ok) {
        X509_free(cert);
        cert = NULL;
    }
    return cert;
}

static int new_authority(struct authority *a)
{
    a->key = EVP_EC_gen("P-256");
    a->cert = a->key ? new_certificate("Claviger local KMS CA", a->key, NULL, CA_DAYS) : NULL;
    return a->cert &&
           add_extension(a->cert, a->cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           add_extension(a->cert, a->cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           add_extension(a->cert, a->cert, NID_subject_key_identifier, "hash") &&
           X509_sign(a->cert, a->key, EVP_sha256()) > 0;
}

static int take(struct cv_buf *out, BIO *bio)
{
    char *p;
    long n = BIO_get_mem_data(bio, &p);
    return n > 0 && cv_buf_append(out, p, (size_t)n) == 0;
}

static int write_pem(struct cv_buf *cert_pem, struct cv_buf *key_pem, X509 *cert, EVP_PKEY *key)
{
    BIO *c = BIO_new(BIO_s_mem()), *k = BIO_new(BIO_s_secmem());
    int ok = c && k && PEM_write_bio_X509(c, cert) > 0 && take(cert_pem, c) &&
             PEM_write_bio_PKCS8PrivateKey(k, key, NULL, NULL, 0, NULL, NULL) > 0 &&
             take(key_pem, k);
    BIO_free(c);
    BIO_free(k);
    return ok;
}

static int read_authority(struct authority *a, const struct cv_buf *cert_pem,
                          const struct cv_buf *key_pem)
{
    BIO *c = BIO_new_mem_buf(cert_pem->p, (int)cert_pem->n);
    BIO *k = BIO_new_mem_buf(key_pem->p, (int)key_pem->n);
    a->cert = c ? PEM_read_bio_X509(c, NULL, NULL, NULL) : NULL;
    a->key = k ? PEM_read_bio_PrivateKey(k, NULL, NULL, NULL) : NULL;
    BIO_free(c);
    BIO_free(k);
    return a->cert && a->key && X509_check_private_key(a->cert, a->key) > 0;
}

/* The key is written first: a ca.pem without its key would be of no use. */
static int make_authority(struct authority *a, const char *ca_path, const char *key_path,
                          struct cv_error *err)
{
    struct cv_buf CV_CLEANUP(cv_buf_free) cert_pem, key_pem;
    cv_buf_init(&cert_pem, PEM_MAX);
    cv_buf_init(&key_pem, PEM_MAX);
    if (!new_authority(a) || !write_pem(&cert_pem, &key_pem, a->cert, a->key))
        return cv_error_set(err, CV_ERR_CRYPTO, "the local certificate authority cannot be made");
    int rc = cv_file_replace(key_path, cv_buf_view(&key_pem), 0600, err);
    return rc ? rc : cv_file_create(ca_path, cv_buf_view(&cert_pem), 0644, err);
}

static int open_authority(struct authority *a, const char *ca_path, struct cv_error *err)
{
    struct cv_buf CV_CLEANUP(cv_buf_free) cert_pem, key_pem;
    char key_path[4096];
    cv_buf_init(&cert_pem, PEM_MAX);
    cv_buf_init(&key_pem, PEM_MAX);
    if (snprintf(key_path, sizeof key_path, "%s.key", ca_path) >= (int)sizeof key_path)
        return cv_error_set(err, CV_ERR_LIMIT, "the path of the CA file is too long");
    int rc = cv_file_read(&cert_pem, ca_path, err);
    if (rc == CV_ERR_NOT_FOUND)
        return make_authority(a, ca_path, key_path, err);
    if (rc || (rc = cv_file_read(&key_pem, key_path, err)))
        return rc;
    if (!read_authority(a, &cert_pem, &key_pem))
        return cv_error_set(err, CV_ERR_CONFIG,
                            "%s and %s are no certificate with its key; "
                            "remove both to have them made anew",
                            ca_path, key_path);
    return 0;
}

int cv_local_tls_credentials(struct cv_buf *chain_pem, struct cv_buf *key_pem, const char *ca_path,
                             const char *host, struct cv_error *err)
{
    struct authority a = {NULL, NULL};
    char names[512];
    int rc = open_authority(&a, ca_path, err);
    EVP_PKEY *key = rc ? NULL : EVP_EC_gen("P-256");
    X509 *cert = key ? new_certificate("localhost", key, a.cert, SERVER_DAYS) : NULL;
    snprintf(names, sizeof names, "DNS:localhost,IP:127.0.0.1,IP:::1%s%.250s",
             host && *host ? ",DNS:" : "", host ? host : "");
    if (!rc &&
        !(cert && add_extension(cert, a.cert, NID_basic_constraints, "critical,CA:FALSE") &&
          add_extension(cert, a.cert, NID_key_usage, "critical,digitalSignature") &&
          add_extension(cert, a.cert, NID_ext_key_usage, "serverAuth") &&
          add_extension(cert, a.cert, NID_subject_alt_name, names) &&
          add_extension(cert, a.cert, NID_subject_key_identifier, "hash") &&
          add_extension(cert, a.cert, NID_authority_key_identifier, "keyid:always") &&
          X509_sign(cert, a.key, EVP_sha256()) > 0 && write_pem(chain_pem, key_pem, cert, key)))
        rc = cv_error_set(err, CV_ERR_CRYPTO, "the server's certificate cannot be made");
    X509_free(cert);
    EVP_PKEY_free(key);
    authority_free(&a);
    return rc;
}
