/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HPKE (RFC 9180) in base mode, one message a context:
 * DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305.
 *
 * What is sealed can be opened by whoever has the private key, and says
 * nothing about who sealed it.
 */
#ifndef CV_CRYPTO_HPKE_H
#define CV_CRYPTO_HPKE_H

#include "crypto/scheme.h"

#define CV_HPKE_KEY_LEN 32 /* private and public key, and the encapsulated one */
#define CV_HPKE_TAG_LEN 16
#define CV_HPKE_MESSAGE_MAX 65536

/* A new key pair from 32 random bytes of SOURCE (NULL: getrandom). Errors:
 * what the source returned. */
int cv_hpke_keypair(uint8_t private_key[CV_HPKE_KEY_LEN], uint8_t public_key[CV_HPKE_KEY_LEN],
                    const struct cv_random_source *source) CV_NODISCARD;

/* Encrypts IN to PUBLIC_KEY: ENC gets the encapsulated key, OUT in.n +
 * CV_HPKE_TAG_LEN bytes. CV_ERR_INVALID for a public key of small order,
 * CV_ERR_LIMIT above CV_HPKE_MESSAGE_MAX. */
int cv_hpke_seal(uint8_t enc[CV_HPKE_KEY_LEN], uint8_t *out,
                 const uint8_t public_key[CV_HPKE_KEY_LEN], struct cv_bytes info,
                 struct cv_bytes aad, struct cv_bytes in,
                 const struct cv_random_source *source) CV_NODISCARD;
/* Decrypts; OUT gets in.n - CV_HPKE_TAG_LEN bytes and is wiped on failure.
 * CV_ERR_TRUNCATED, CV_ERR_LIMIT, CV_ERR_CRYPTO for anything else. */
int cv_hpke_open(uint8_t *out, const uint8_t private_key[CV_HPKE_KEY_LEN],
                 const uint8_t enc[CV_HPKE_KEY_LEN], struct cv_bytes info, struct cv_bytes aad,
                 struct cv_bytes in) CV_NODISCARD;

#endif
