/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RSA key that KMS wraps for, and the opening of what it wrapped.
 *
 * With a Recipient, KMS answers CiphertextForRecipient: a CMS EnvelopedData
 * (RFC 5652) for the public key in the attestation document: one key transport
 * recipient named by subjectKeyIdentifier, RSAES-OAEP with SHA-256 (RFC 8017),
 * content AES-256-CBC, in BER with definite or indefinite lengths. The
 * identifier's value is not compared: what is not for this key does not open.
 */
#ifndef CV_CRYPTO_RSA_H
#define CV_CRYPTO_RSA_H

#include "common/secret.h"

struct cv_rsa; /* opaque; may be used by several threads at a time */

/* A new 2048-bit key, exponent 65537, and its SubjectPublicKeyInfo. */
int cv_rsa_generate(struct cv_rsa **out) CV_NODISCARD;
/* From a PKCS#8 DER private key of 2048 bits (tests, stand-ins). CV_ERR_INVALID. */
int cv_rsa_from_pkcs8(struct cv_rsa **out, struct cv_bytes der) CV_NODISCARD;
void cv_rsa_free(struct cv_rsa *rsa);
/* SubjectPublicKeyInfo, DER: the attestation document's public_key. A view
 * into the key, good until it is freed. */
struct cv_bytes cv_rsa_spki(const struct cv_rsa *rsa);

/* Largest CMS that is looked at; KMS wraps at most 4096 bytes. */
#define CV_CMS_MAX 16384

/*
 * Opens IN, a CMS EnvelopedData for RSA. Everything but the ciphertexts is checked
 * first (types, versions, one recipient, algorithms and their parameters,
 * nothing after the end): CV_ERR_PROTOCOL with a text
 * that names what is wrong. Then one error for every failure of OAEP, key
 * length or padding: CV_ERR_CRYPTO. CMS has no integrity of its own: the
 * caller checks what it got (length, and a key or tag that must match).
 */
int cv_cms_unwrap(struct cv_secret *out, const struct cv_rsa *rsa, struct cv_bytes in,
                  struct cv_error *err) CV_NODISCARD;

#endif
