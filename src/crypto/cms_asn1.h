/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CMS EnvelopedData (RFC 5652 section 6) as OpenSSL templates of our own: the
 * library's CMS type hides the versions and the content encryption algorithm,
 * which must be checked before anything is decrypted. OpenSSL's decoder does
 * the BER (definite or indefinite, one or more chunks).
 */
#ifndef CV_CRYPTO_CMS_ASN1_H
#define CV_CRYPTO_CMS_ASN1_H

#include <openssl/asn1.h>
#include <openssl/safestack.h>
#include <openssl/x509.h>

/* KeyTransRecipientInfo */
typedef struct cv_cms_recipient {
    ASN1_INTEGER *version;
    ASN1_TYPE *rid; /* issuerAndSerialNumber or [0] subjectKeyIdentifier */
    X509_ALGOR *algorithm;
    ASN1_OCTET_STRING *encrypted_key;
} CV_CMS_RECIPIENT;
DEFINE_STACK_OF(CV_CMS_RECIPIENT)

/* EncryptedContentInfo */
typedef struct cv_cms_content {
    ASN1_OBJECT *type;
    X509_ALGOR *algorithm;
    ASN1_OCTET_STRING *encrypted; /* may be absent */
} CV_CMS_CONTENT;

/* EnvelopedData */
typedef struct cv_cms_enveloped {
    ASN1_INTEGER *version;
    STACK_OF(ASN1_TYPE) * originator; /* may be absent, not looked at */
    STACK_OF(CV_CMS_RECIPIENT) * recipients;
    CV_CMS_CONTENT *content;
} CV_CMS_ENVELOPED;

/* ContentInfo */
typedef struct cv_cms {
    ASN1_OBJECT *type;
    CV_CMS_ENVELOPED *enveloped;
} CV_CMS;

/* NULL when IN is not one such value of exactly N bytes. */
CV_CMS *cv_cms_decode(const unsigned char *in, size_t n);
void cv_cms_free(CV_CMS *cms);

#endif
