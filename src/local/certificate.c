/* SPDX-License-Identifier: Apache-2.0 */
#include "local/certificate.h"

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>

#define CN_MAX 64 /* X.520's bound on a common name, which OpenSSL enforces */

EVP_PKEY *cv_local_key_new(void)
{
    return EVP_EC_gen("P-384");
}

static bool set_serial(X509 *cert)
{
    uint8_t bytes[16];
    bool ok = false;

    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return false;
    bytes[0] = (uint8_t)((bytes[0] & 0x7F) | 0x01); /* positive, and of full length */
    BIGNUM *bn = BN_bin2bn(bytes, sizeof bytes, NULL);
    if (bn != NULL)
        ok = BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert)) != NULL;
    BN_free(bn);
    return ok;
}

static bool set_subject(X509 *cert, const struct cv_local_name_part *parts)
{
    X509_NAME *name = X509_get_subject_name(cert);

    for (size_t i = 0; i < CV_LOCAL_NAME_PARTS && parts[i].nid != 0; i++) {
        size_t n = strlen(parts[i].value);
        if (parts[i].nid == NID_commonName && n > CN_MAX)
            n = CN_MAX;
        /* countryName is a PrintableString by its definition; the rest is UTF-8. */
        int type = parts[i].nid == NID_countryName ? V_ASN1_PRINTABLESTRING : V_ASN1_UTF8STRING;
        if (X509_NAME_add_entry_by_NID(name, parts[i].nid, type,
                                       (const unsigned char *)parts[i].value, (int)n, -1, 0) != 1)
            return false;
    }
    return true;
}

static bool set_times(X509 *cert, const struct cv_local_certificate_spec *spec)
{
    time_t from = (time_t)(spec->not_before_ms / 1000);
    time_t to = (time_t)(spec->not_after_ms / 1000);

    return ASN1_TIME_adj(X509_getm_notBefore(cert), from, 0, 0) != NULL &&
           ASN1_TIME_adj(X509_getm_notAfter(cert), to, 0, 0) != NULL;
}

static bool extend(X509 *cert, X509V3_CTX *ctx, int nid, const char *value)
{
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
    bool ok = ext != NULL && X509_add_ext(cert, ext, -1) == 1;

    X509_EXTENSION_free(ext);
    return ok;
}

/* The extensions in the order in which AWS's certificates have them. */
static bool set_extensions(X509 *cert, X509 *issuer, const struct cv_local_certificate_spec *spec)
{
    static const char *const constraints[] = {
        [CV_LOCAL_ROOT] = "critical,CA:TRUE",
        [CV_LOCAL_REGIONAL] = "critical,CA:TRUE,pathlen:2",
        [CV_LOCAL_ZONAL] = "critical,CA:TRUE,pathlen:1",
        [CV_LOCAL_INSTANCE] = "critical,CA:TRUE,pathlen:0",
        [CV_LOCAL_LEAF] = "critical,CA:FALSE",
    };
    static const char ca_usage[] = "critical,digitalSignature,keyCertSign,cRLSign";
    X509V3_CTX ctx;

    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    if (!extend(cert, &ctx, NID_basic_constraints, constraints[spec->profile]))
        return false;
    switch (spec->profile) {
    case CV_LOCAL_ROOT:
        return extend(cert, &ctx, NID_subject_key_identifier, "hash") &&
               extend(cert, &ctx, NID_key_usage, ca_usage);
    case CV_LOCAL_REGIONAL:
    case CV_LOCAL_ZONAL:
        return extend(cert, &ctx, NID_authority_key_identifier, "keyid:always") &&
               extend(cert, &ctx, NID_subject_key_identifier, "hash") &&
               extend(cert, &ctx, NID_key_usage, ca_usage) &&
               (spec->crl_url == NULL ||
                extend(cert, &ctx, NID_crl_distribution_points, spec->crl_url));
    case CV_LOCAL_INSTANCE:
        return extend(cert, &ctx, NID_key_usage, "critical,keyCertSign") &&
               extend(cert, &ctx, NID_subject_key_identifier, "hash") &&
               extend(cert, &ctx, NID_authority_key_identifier, "keyid:always");
    case CV_LOCAL_LEAF:
        return extend(cert, &ctx, NID_key_usage, "digitalSignature,nonRepudiation");
    }
    return false;
}

X509 *cv_local_certificate_new(const struct cv_local_certificate_spec *spec)
{
    X509 *cert = X509_new();
    X509 *issuer = spec->issuer != NULL ? X509_dup(spec->issuer) : NULL;

    if (cert == NULL || (spec->issuer != NULL && issuer == NULL))
        goto fail;
    if (X509_set_version(cert, X509_VERSION_3) != 1 || !set_serial(cert) ||
        !set_subject(cert, spec->subject) || !set_times(cert, spec) ||
        X509_set_pubkey(cert, spec->key) != 1 ||
        X509_set_issuer_name(cert, X509_get_subject_name(issuer != NULL ? issuer : cert)) != 1 ||
        !set_extensions(cert, issuer != NULL ? issuer : cert, spec) ||
        X509_sign(cert, issuer != NULL ? spec->issuer_key : spec->key, EVP_sha384()) <= 0)
        goto fail;
    X509_free(issuer);
    return cert;
fail:
    X509_free(issuer);
    X509_free(cert);
    return NULL;
}

int cv_local_certificate_der(struct cv_buf *out, const X509 *cert)
{
    unsigned char *der = NULL;
    int n = i2d_X509(cert, &der);

    if (n <= 0)
        return CV_ERR_NOMEM;
    int rc = cv_buf_append(out, der, (size_t)n);
    OPENSSL_free(der);
    return rc;
}
