/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CiphertextForRecipient: a CMS EnvelopedData (RFC 5652) in BER, byte for byte
 * of the shape that KMS sends: indefinite lengths, version 2, one recipient
 * named by subjectKeyIdentifier = SHA-256 of its SubjectPublicKeyInfo,
 * RSAES-OAEP with SHA-256, AES-256-CBC, content in a constructed [0].
 */
#ifndef CV_LOCAL_KMS_CMS_H
#define CV_LOCAL_KMS_CMS_H

#include "common/bytes.h"

/* AWS's own shape, other lawful ones, and ones that a client must refuse. */
enum cv_local_cms_shape {
    CV_LOCAL_CMS_AWS,          /* as KMS sends it */
    CV_LOCAL_CMS_CHUNKS,       /* the content in several OCTET STRINGs */
    CV_LOCAL_CMS_PRIMITIVE,    /* indefinite outside, primitive [0] content */
    CV_LOCAL_CMS_DEFINITE,     /* DER all through */
    CV_LOCAL_CMS_OTHER_KEY,    /* wrapped for a key that is not the recipient's */
    CV_LOCAL_CMS_OTHER_KEY_ID, /* names another recipient */
    CV_LOCAL_CMS_BAD_PADDING,  /* the content's padding is wrong */
    CV_LOCAL_CMS_SHA1,         /* OAEP parameters say SHA-1 */
    CV_LOCAL_CMS_TRUNCATED,    /* the last third is missing */
    CV_LOCAL_CMS_TRAILING,     /* bytes after the end */
    CV_LOCAL_CMS_GARBAGE,      /* random bytes */
};

/* SPKI: DER of the recipient's RSA public key. Appends to OUT. CV_ERR_INVALID
 * when SPKI is no RSA key of 2048 to 4096 bits. */
int cv_local_cms_wrap(struct cv_buf *out, struct cv_bytes spki, struct cv_bytes plaintext,
                      enum cv_local_cms_shape shape) CV_NODISCARD;
/* 0 when SPKI is such a key and nothing follows it. */
int cv_local_cms_check_key(struct cv_bytes spki) CV_NODISCARD;

#endif
