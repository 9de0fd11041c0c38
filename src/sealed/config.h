/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An encrypted configuration: an S3 Encryption Client object with a version in
 * its encryption context and, optionally, a publisher's signature. It lies in
 * S3 (metadata and body apart) or in one container file:
 *
 *   "CLAVSEC1"  u32 length  JSON object of the metadata  body
 *
 * docs/protocol/encrypted-configuration.md
 */
#ifndef CV_SEALED_CONFIG_H
#define CV_SEALED_CONFIG_H

#include "sealed/s3ec.h"

#define CV_CONFIG_MAGIC "CLAVSEC1"
#define CV_CONFIG_MAX_JSON 65536u
#define CV_CONFIG_VERSION "claviger:version"     /* in the encryption context: decimal */
#define CV_CONFIG_SIGNATURE "claviger-signature" /* in the metadata: base64 */

/* ---- container file ---- */

/* Metadata and body of a container; PAIRS is filled, BODY a view into FILE. */
int cv_config_unpack(struct cv_s3ec_pairs *pairs, struct cv_bytes *body, struct cv_bytes file,
                     struct cv_error *err) CV_NODISCARD;
int cv_config_pack(struct cv_buf *out, const struct cv_s3ec_pairs *pairs, struct cv_bytes body,
                   struct cv_error *err) CV_NODISCARD;

/* ---- what must be true of it before its data key is asked for ---- */

struct cv_config_expect {
    const char *const *context; /* "key=value", as measured; all of these and no others */
    size_t context_count;
    uint64_t minimum_version;  /* 0: none, and no version is needed */
    uint64_t minimum_format;   /* 3: with key commitment; less: any that is read */
    const char *publisher_key; /* base64 of a SubjectPublicKeyInfo, or NULL */
    bool any_context;          /* for operators who look at what is there */
    bool allow_legacy;         /* version 2 with "kms" wrapping: never inside */
};
/* Signature first, then format, version, context. *VERSION may be NULL.
 * CV_ERR_DENIED or CV_ERR_CRYPTO with the reason. */
int cv_config_check(const struct cv_s3ec_meta *m, const struct cv_s3ec_pairs *pairs,
                    struct cv_bytes body, const struct cv_config_expect *expect, uint64_t *version,
                    struct cv_error *err) CV_NODISCARD;
/* The version in M's context, 0 when there is none; CV_ERR_INVALID. */
int cv_config_version(const struct cv_s3ec_meta *m, uint64_t *version,
                      struct cv_error *err) CV_NODISCARD;

/* ---- publisher's signature (sealed/publisher.c) ---- */

/* What is signed: CBOR ["claviger.config.1", {metadata name: value, sorted},
 * SHA-256 of the body]. Only the format's own names count. */
int cv_config_signed_text(struct cv_buf *out, const struct cv_s3ec_pairs *pairs,
                          struct cv_bytes body, struct cv_error *err) CV_NODISCARD;
/* Signs with a private key in PEM (Ed25519 or P-256) and puts the signature
 * among PAIRS. */
int cv_config_sign(struct cv_s3ec_pairs *pairs, struct cv_bytes body, struct cv_bytes key_pem,
                   struct cv_error *err) CV_NODISCARD;
/* PUBLIC_KEY is base64 of a SubjectPublicKeyInfo. CV_ERR_CRYPTO. */
int cv_config_verify(const struct cv_s3ec_pairs *pairs, struct cv_bytes body,
                     const char *public_key, struct cv_error *err) CV_NODISCARD;

#endif
