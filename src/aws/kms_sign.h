/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of KMS that sign (library cv_aws_kms_sign, programs of the parent only):
 * KMS API Reference, GetPublicKey and Sign.
 */
#ifndef CV_AWS_KMS_SIGN_H
#define CV_AWS_KMS_SIGN_H

#include "aws/client.h"

#define CV_KMS_PUBLIC_KEY_MAX 8192 /* API Reference: PublicKey */
#define CV_KMS_SIGNATURE_MAX 6144  /* API Reference: Signature */

/* SubjectPublicKeyInfo (DER) of the key ARN, into OUT. CV_ERR_CONFIG when the
 * key does not sign. CLIENT is one of "kms". */
int cv_kms_public_key(struct cv_aws_client *client, const char *arn, struct cv_buf *out,
                      int64_t deadline, struct cv_error *err) CV_NODISCARD;
/* Signs DIGEST (MessageType DIGEST) with ALGORITHM, such as "ECDSA_SHA_384":
 * the signature as KMS gives it (DER for ECDSA), into OUT. The reply must be of
 * that key. */
int cv_kms_sign(struct cv_aws_client *client, const char *arn, const char *algorithm,
                struct cv_bytes digest, struct cv_buf *out, int64_t deadline,
                struct cv_error *err) CV_NODISCARD;

#endif
