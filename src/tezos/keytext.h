/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys, hashes and signatures as Tezos writes them: base58check of a prefix
 * that fixes the first letters, and a payload of fixed length. Parsing is
 * strict: a known prefix, its exact length, the checksum, nothing around it.
 */
#ifndef CV_TEZOS_KEYTEXT_H
#define CV_TEZOS_KEYTEXT_H

#include "common/secret.h"
#include "crypto/base58.h"
#include "crypto/scheme.h"

/* Every kind of text we know. */
enum cv_text_kind {
    CV_TEXT_PKH_ED25519,              /* tz1 */
    CV_TEXT_PKH_SECP256K1,            /* tz2 */
    CV_TEXT_PKH_P256,                 /* tz3 */
    CV_TEXT_PKH_BLS,                  /* tz4 */
    CV_TEXT_PK_ED25519,               /* edpk */
    CV_TEXT_PK_SECP256K1,             /* sppk */
    CV_TEXT_PK_P256,                  /* p2pk */
    CV_TEXT_PK_BLS,                   /* BLpk */
    CV_TEXT_SK_ED25519_SEED,          /* edsk, 54 characters */
    CV_TEXT_SK_SECP256K1,             /* spsk */
    CV_TEXT_SK_P256,                  /* p2sk */
    CV_TEXT_SK_BLS,                   /* BLsk: the scalar, little-endian */
    CV_TEXT_SK_ED25519,               /* edsk, 98 characters: seed || public key */
    CV_TEXT_ESK_ED25519,              /* edesk: salt || secretbox of the payload */
    CV_TEXT_ESK_SECP256K1,            /* spesk */
    CV_TEXT_ESK_P256,                 /* p2esk */
    CV_TEXT_ESK_BLS,                  /* BLesk */
    CV_TEXT_SIG_ED25519,              /* edsig */
    CV_TEXT_SIG_SECP256K1,            /* spsig1 */
    CV_TEXT_SIG_P256,                 /* p2sig */
    CV_TEXT_SIG_BLS,                  /* BLsig */
    CV_TEXT_SIG_GENERIC,              /* sig: 64 bytes of one of the first three */
    CV_TEXT_CONTRACT,                 /* KT1 */
    CV_TEXT_SMART_ROLLUP,             /* sr1 */
    CV_TEXT_ZK_ROLLUP,                /* epx */
    CV_TEXT_CHAIN_ID,                 /* Net */
    CV_TEXT_BLOCK_HASH,               /* B */
    CV_TEXT_OPERATION_HASH,           /* o */
    CV_TEXT_PAYLOAD_HASH,             /* vh: also how a watermark's digest is shown */
    CV_TEXT_PROTOCOL_HASH,            /* P */
    CV_TEXT_OPERATION_LIST_HASH,      /* Lo */
    CV_TEXT_OPERATION_LIST_LIST_HASH, /* LLo */
    CV_TEXT_CONTEXT_HASH,             /* Co */
    CV_TEXT_SR_STATE_HASH,            /* srs1 */
    CV_TEXT_SR_COMMITMENT_HASH,       /* src1 */
    CV_TEXT_SCRIPT_EXPR_HASH,         /* expr */
    CV_TEXT_NONCE_HASH,               /* nce */
    CV_TEXT_DAL_COMMITMENT,           /* sh */
    CV_TEXT_KIND_COUNT
};

/* Longest payload after the prefix. */
#define CV_TEXT_PAYLOAD_MAX 96

/* Bytes of the payload after the prefix. */
size_t cv_text_payload_len(enum cv_text_kind kind);
/* Writes PAYLOAD (of the kind's length) as text with a NUL; OUT has SIZE
 * bytes, CV_BASE58_TEXT_MAX is always enough. CV_ERR_LIMIT, CV_ERR_INVALID
 * (wrong payload length). */
int cv_text_format(char *out, size_t size, enum cv_text_kind kind,
                   struct cv_bytes payload) CV_NODISCARD;
/* Finds out what TEXT is: its kind, and its payload into OUT (*N bytes).
 * CV_ERR_INVALID: not base58, or no kind we know (prefix or length);
 * CV_ERR_CRYPTO: wrong checksum. */
int cv_text_parse(enum cv_text_kind *kind, uint8_t out[CV_TEXT_PAYLOAD_MAX], size_t *n,
                  struct cv_bytes text) CV_NODISCARD;

/* A public key hash: BLAKE2b-160 of the public key. */
#define CV_PKH_LEN 20
#define CV_PKH_TEXT_SIZE 37 /* 36 characters and a NUL */
struct cv_pkh {
    enum cv_scheme scheme;
    uint8_t p[CV_PKH_LEN];
};

void cv_pkh_of(struct cv_pkh *out, const struct cv_public_key *key);
bool cv_pkh_equal(const struct cv_pkh *a, const struct cv_pkh *b);
void cv_pkh_format(char out[CV_PKH_TEXT_SIZE], const struct cv_pkh *pkh);
/* "tz1…" to "tz4…". CV_ERR_INVALID, CV_ERR_CRYPTO (checksum). */
int cv_pkh_parse(struct cv_pkh *out, struct cv_bytes text) CV_NODISCARD;

#define CV_PK_TEXT_SIZE 80 /* longest: BLpk, 76 characters */
void cv_public_key_format(char out[CV_PK_TEXT_SIZE], const struct cv_public_key *key);
/* "edpk…" "sppk…" "p2pk…" "BLpk…"; the point is checked too. */
int cv_public_key_from_text(struct cv_public_key *out, struct cv_bytes text) CV_NODISCARD;

#define CV_SIG_TEXT_SIZE 144 /* longest: BLsig, 142 characters */
/* "edsig…" "spsig1…" "p2sig…" "BLsig…"; with GENERIC "sig…" for all but BLS. */
void cv_signature_format(char out[CV_SIG_TEXT_SIZE], const struct cv_signature *sig, bool generic);
/* One of the five. For "sig…" the scheme is EXPECTED's, which must not be
 * BLS; for the others it must be EXPECTED. CV_ERR_INVALID, CV_ERR_CRYPTO. */
int cv_signature_from_text(struct cv_signature *out, enum cv_scheme expected,
                           struct cv_bytes text) CV_NODISCARD;

/* Plain secret keys: edsk (both forms), spsk, p2sk, BLsk. OUT gets the 32
 * bytes of crypto/scheme.h. The public half of the long edsk must be the
 * seed's. CV_ERR_INVALID (also for a scalar out of range), CV_ERR_CRYPTO
 * (checksum), CV_ERR_UNSUPPORTED for an encrypted key (see keyimport.h). */
int cv_secret_key_from_text(struct cv_secret *out, enum cv_scheme *scheme,
                            struct cv_bytes text) CV_NODISCARD;
/* The text, without a NUL, in its shorter form. CV_ERR_INVALID, CV_ERR_NOMEM. */
int cv_secret_key_to_text(struct cv_secret *out, enum cv_scheme scheme,
                          const uint8_t key[CV_PRIVATE_KEY_LEN]) CV_NODISCARD;

#endif
