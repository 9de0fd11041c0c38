/* SPDX-License-Identifier: Apache-2.0 */
/* Asymmetric keys of the KMS stand-in: ECC keys that sign (KMS Developer Guide,
 * "Key spec reference"). */
#ifndef CV_LOCAL_KMS_PAIR_H
#define CV_LOCAL_KMS_PAIR_H

#include <openssl/evp.h>

#include "common/bytes.h"

struct cv_local_key_spec {
    const char *name;      /* "ECC_NIST_P384" */
    const char *curve;     /* as OpenSSL calls it */
    const char *algorithm; /* its only one: "ECDSA_SHA_384" */
    const char *digest;    /* of that, as OpenSSL calls it */
    size_t digest_len;
};

/* NULL for none of ours, SYMMETRIC_DEFAULT included. */
const struct cv_local_key_spec *cv_local_key_spec(const char *name);
/* A new pair. */
int cv_local_pair_make(EVP_PKEY **out, const struct cv_local_key_spec *spec) CV_NODISCARD;
/* From and to PKCS #8; the key's curve must be that of SPEC. */
int cv_local_pair_read(EVP_PKEY **out, const struct cv_local_key_spec *spec,
                       struct cv_bytes der) CV_NODISCARD;
int cv_local_pair_write(struct cv_buf *out, EVP_PKEY *pair) CV_NODISCARD;
/* SubjectPublicKeyInfo. */
int cv_local_pair_public(struct cv_buf *out, EVP_PKEY *pair) CV_NODISCARD;
/* DER of an ECDSA signature over a digest. */
int cv_local_pair_sign(struct cv_buf *out, EVP_PKEY *pair, struct cv_bytes digest) CV_NODISCARD;
bool cv_local_pair_verify(EVP_PKEY *pair, struct cv_bytes digest, struct cv_bytes signature);

#endif
