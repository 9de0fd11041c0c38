/* SPDX-License-Identifier: Apache-2.0 */
/* One certificate, for display. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "attest/internal.h"
#include "common/hex.h"

/* RFC 2253, with everything outside printable ASCII escaped. */
static bool name_text(char *out, size_t size, const X509_NAME *name)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *p = NULL;
    bool ok = bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0;

    if (ok) {
        long n = BIO_get_mem_data(bio, &p);
        cv_error_quote(out, size, p, n > 0 ? (size_t)n : 0);
    }
    BIO_free(bio);
    return ok;
}

static bool serial_text(char out[65], const X509 *cert)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    int n = ASN1_STRING_length(serial);

    if (n < 0 || n > 32)
        return false;
    cv_hex_encode(out, ASN1_STRING_get0_data(serial), (size_t)n);
    return true;
}

static bool fill(struct cv_attest_certificate *out, X509 *cert)
{
    unsigned len = sizeof out->sha256;

    out->ca = (X509_get_extension_flags(cert) & EXFLAG_CA) != 0;
    out->path_len = (int)X509_get_pathlen(cert);
    return name_text(out->subject, sizeof out->subject, X509_get_subject_name(cert)) &&
           name_text(out->issuer, sizeof out->issuer, X509_get_issuer_name(cert)) &&
           serial_text(out->serial, cert) &&
           cv_attest_asn1_time(&out->not_before_ms, X509_get0_notBefore(cert)) &&
           cv_attest_asn1_time(&out->not_after_ms, X509_get0_notAfter(cert)) &&
           X509_digest(cert, EVP_sha256(), out->sha256, &len) == 1;
}

enum cv_attest_code cv_attest_certificate_read(struct cv_attest_certificate *out, const void *der,
                                               size_t n, struct cv_attest_error *err)
{
    X509 *cert = NULL;
    bool ok = false;

    if (err != NULL)
        memset(err, 0, sizeof *err);
    if (out == NULL || der == NULL)
        return cv_attest_fail(err, CV_ATTEST_ERR_ARGUMENT, "", "a pointer is NULL");
    memset(out, 0, sizeof *out);
    ERR_set_mark();
    if (n > 0 && n <= CV_ATTEST_MAX_CERTIFICATE)
        cert = cv_attest_x509_read(der, n);
    if (cert != NULL)
        ok = fill(out, cert);
    X509_free(cert);
    ERR_pop_to_mark();
    if (ok)
        return CV_ATTEST_OK;
    memset(out, 0, sizeof *out);
    return cv_attest_fail(err, CV_ATTEST_ERR_CERTIFICATE, "", "not a certificate that can be read");
}
