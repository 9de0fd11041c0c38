/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The condition keys of one KMS request: what KMS puts into the request
 * context from the caller, the key, the parameters and the attestation
 * document. One place, so that `policy explain` sees what the local KMS sees.
 */
#ifndef CV_POLICY_CONTEXT_H
#define CV_POLICY_CONTEXT_H

#include "policy/policy.h"

#define CV_POLICY_CONTEXT_MAX 256 /* entries */

struct cv_policy_context {
    struct cv_policy_attr attrs[CV_POLICY_CONTEXT_MAX];
    size_t n;
    char *owned[2 * CV_POLICY_CONTEXT_MAX];
    size_t n_owned;
};

void cv_policy_context_init(struct cv_policy_context *c);
void cv_policy_context_free(struct cv_policy_context *c);
/* Copies both. CV_ERR_LIMIT, CV_ERR_NOMEM. */
int cv_policy_context_add(struct cv_policy_context *c, const char *key,
                          const char *value) CV_NODISCARD;
/* kms:CallerAccount, aws:PrincipalArn (of the role for a session),
 * aws:PrincipalAccount, aws:PrincipalType, aws:username of a user,
 * aws:PrincipalIsAWSService. ROLE_ARN NULL for a user or root. */
int cv_policy_context_add_caller(struct cv_policy_context *c, const char *principal_arn,
                                 const char *role_arn) CV_NODISCARD;
/* What every direct request over TLS at NOW_MS (Unix) has: aws:SecureTransport,
 * aws:ViaAWSService, aws:CurrentTime, aws:EpochTime. */
int cv_policy_context_add_request(struct cv_policy_context *c, int64_t now_ms) CV_NODISCARD;
/* kms:KeySpec, kms:KeyUsage, kms:KeyOrigin, kms:MultiRegion of a key made in
 * KMS; and for actions that encrypt or decrypt with a symmetric one
 * kms:EncryptionAlgorithm. */
int cv_policy_context_add_key(struct cv_policy_context *c, const char *action, const char *spec,
                              const char *usage) CV_NODISCARD;
/* kms:RecipientAttestation:PCR<index> in lower-case hex, and for register 0
 * kms:RecipientAttestation:ImageSha384 as well. N = 32, 48 or 64. */
int cv_policy_context_add_pcr(struct cv_policy_context *c, unsigned index, const void *value,
                              size_t n) CV_NODISCARD;
/* kms:EncryptionContext:<key> and one more value of kms:EncryptionContextKeys. */
int cv_policy_context_add_encryption(struct cv_policy_context *c, const char *key,
                                     const char *value) CV_NODISCARD;

#endif
