/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and keys of image signing, read through OpenSSL. */
#ifndef CV_EIF_CERT_H
#define CV_EIF_CERT_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "common/bytes.h"

#define CV_EIF_MAX_CERT_FILE 16384u /* bytes of a PEM file: it goes into the signature section */

/* For locals: CV_EIF_AUTO(X509) *cert = NULL; */
static inline void cv_eif_free_x509(X509 **p)
{
    X509_free(*p);
}
static inline void cv_eif_free_pkey(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}
static inline void cv_eif_free_mdctx(EVP_MD_CTX **p)
{
    EVP_MD_CTX_free(*p);
}

/* The first PEM certificate in TEXT; when PEM_ONLY is false DER as well.
 * A new reference in *CERT. */
int cv_eif_cert_parse(X509 **cert, struct cv_bytes text, bool pem_only,
                      struct cv_error *err) CV_NODISCARD;
/* Reads PATH into TEXT (limit CV_EIF_MAX_CERT_FILE) and parses it. */
int cv_eif_cert_load(X509 **cert, struct cv_buf *text, const char *path, bool pem_only,
                     struct cv_error *err) CV_NODISCARD;
/* Private EC key in PEM, not encrypted. */
int cv_eif_key_load(EVP_PKEY **key, const char *path, struct cv_error *err) CV_NODISCARD;
/* OpenSSL's last complaint, for a message; empties its queue. */
const char *cv_eif_openssl_error(char out[160]);

#endif
