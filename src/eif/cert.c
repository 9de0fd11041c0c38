/* SPDX-License-Identifier: Apache-2.0 */
#include "eif/cert.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "common/file.h"

const char *cv_eif_openssl_error(char out[160])
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    snprintf(out, 160, "%s", reason != NULL ? reason : "unknown reason");
    ERR_clear_error();
    return out;
}

int cv_eif_cert_parse(X509 **cert, struct cv_bytes text, bool pem_only, struct cv_error *err)
{
    *cert = NULL;
    if (text.n == 0 || text.n > INT_MAX) {
        return cv_error_set(err, CV_ERR_INVALID, "no certificate");
    }
    BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
    if (bio == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
    }
    /* An empty passphrase: OpenSSL would otherwise ask on the terminal. */
    static char none[] = "";
    *cert = PEM_read_bio_X509(bio, NULL, NULL, none);
    BIO_free(bio);
    if (*cert == NULL && !pem_only) {
        const uint8_t *p = text.p;
        *cert = d2i_X509(NULL, &p, (long)text.n);
        if (*cert != NULL && p != text.p + text.n) {
            X509_free(*cert);
            *cert = NULL;
        }
    }
    if (*cert == NULL) {
        char why[160];
        return cv_error_set(err, CV_ERR_INVALID, "not a certificate in %s: %s",
                            pem_only ? "PEM" : "PEM or DER", cv_eif_openssl_error(why));
    }
    ERR_clear_error();
    return 0;
}

int cv_eif_cert_load(X509 **cert, struct cv_buf *text, const char *path, bool pem_only,
                     struct cv_error *err)
{
    *cert = NULL;
    int rc = cv_file_read(text, path, err);
    if (rc == 0) {
        rc = cv_eif_cert_parse(cert, cv_buf_view(text), pem_only, err);
        if (rc != 0) {
            cv_error_wrap(err, "%s", path);
        }
    }
    return rc;
}

int cv_eif_key_load(EVP_PKEY **key, const char *path, struct cv_error *err)
{
    *key = NULL;
    CV_SECRET_AUTO struct cv_secret text = CV_SECRET_INIT;
    int rc = cv_file_read_secret(&text, path, CV_EIF_MAX_CERT_FILE, err);
    if (rc != 0) {
        return rc;
    }
    BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
    if (bio == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
    }
    static char none[] = "";
    *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, none);
    BIO_free(bio);
    if (*key == NULL) {
        char why[160];
        return cv_error_set(err, CV_ERR_INVALID,
                            "%s: not a private key in PEM without a "
                            "passphrase: %s",
                            path, cv_eif_openssl_error(why));
    }
    ERR_clear_error();
    return 0;
}
