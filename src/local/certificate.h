/* SPDX-License-Identifier: Apache-2.0 */
/* Making one P-384 certificate, ecdsa-with-SHA384, from a description. */
#ifndef CV_LOCAL_CERTIFICATE_H
#define CV_LOCAL_CERTIFICATE_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "common/bytes.h"

struct cv_local_name_part {
    int nid;
    const char *value;
};
#define CV_LOCAL_NAME_PARTS 8

enum cv_local_profile {
    CV_LOCAL_ROOT,     /* CA, no path length; SKI; signs anything */
    CV_LOCAL_REGIONAL, /* CA, path length 2; AKI, SKI, CRL */
    CV_LOCAL_ZONAL,    /* CA, path length 1; AKI, SKI, CRL */
    CV_LOCAL_INSTANCE, /* CA, path length 0; keyCertSign alone; SKI, AKI */
    CV_LOCAL_LEAF,     /* not a CA; digitalSignature and nonRepudiation, not critical */
};

struct cv_local_certificate_spec {
    enum cv_local_profile profile;
    struct cv_local_name_part subject[CV_LOCAL_NAME_PARTS]; /* ended by nid 0 */
    int64_t not_before_ms;
    int64_t not_after_ms;
    EVP_PKEY *key;      /* of the subject */
    const X509 *issuer; /* NULL = self-signed */
    EVP_PKEY *issuer_key;
    const char *crl_url; /* NULL = none */
};

EVP_PKEY *cv_local_key_new(void); /* P-384; NULL when OpenSSL fails */
/* NULL when OpenSSL fails. */
X509 *cv_local_certificate_new(const struct cv_local_certificate_spec *spec);
/* DER of CERT into OUT. */
int cv_local_certificate_der(struct cv_buf *out, const X509 *cert) CV_NODISCARD;

#endif
