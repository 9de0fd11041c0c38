/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signature schemes behind one table.
 *
 * A private key is 32 bytes everywhere: the Ed25519 seed (RFC 8032), or a
 * big-endian scalar from 1 to the group order minus 1 (secp256k1, P-256,
 * BLS12-381). What is signed: BLAKE2b-256 of the message for the first three,
 * the message itself for BLS. All signatures are deterministic: the same key,
 * message and version always give the same bytes.
 *
 *   scheme     public key               signature
 *   Ed25519    32                       64  R || S (RFC 8032)
 *   secp256k1  33, compressed           64  r || s, RFC 6979, s in the lower half
 *   P-256      33, compressed           64  r || s, RFC 6979, s as it comes
 *   BLS        48, G1 compressed        96  G2 compressed (min-pk)
 */
#ifndef CV_CRYPTO_SCHEME_H
#define CV_CRYPTO_SCHEME_H

#include "common/bytes.h"

enum cv_scheme {
    CV_SCHEME_ED25519,   /* tz1 */
    CV_SCHEME_SECP256K1, /* tz2 */
    CV_SCHEME_P256,      /* tz3 */
    CV_SCHEME_BLS,       /* tz4 */
    /* A fifth comes here; Tezos reserves tz5 for ML-DSA-44. */
};
#define CV_SCHEME_COUNT 4

#define CV_PRIVATE_KEY_LEN 32
#define CV_PUBLIC_KEY_MAX 48
#define CV_SIGNATURE_MAX 96

/* Which BLS ciphersuite signs; the other schemes take any of them and ignore
 * it. The values are those of the enclave protocol. */
enum cv_sign_version {
    CV_SIGN_VERSION_0 = 0,        /* not for BLS */
    CV_SIGN_VERSION_1 = 1,        /* …_AUG_: the public key goes before the message */
    CV_SIGN_VERSION_2 = 2,        /* …_POP_ (sign), the message alone */
    CV_SIGN_VERSION_LATEST = 255, /* the same as 2 */
};

struct cv_public_key {
    enum cv_scheme scheme;
    size_t n; /* cv_public_key_len(scheme) */
    uint8_t p[CV_PUBLIC_KEY_MAX];
};

struct cv_signature {
    enum cv_scheme scheme;
    size_t n; /* cv_signature_len(scheme) */
    uint8_t p[CV_SIGNATURE_MAX];
};

size_t cv_public_key_len(enum cv_scheme scheme);
size_t cv_signature_len(enum cv_scheme scheme);

/* "Ed25519" "Secp256k1" "NistP256" "Bls": the names of the enclave protocol. */
const char *cv_scheme_rpc_name(enum cv_scheme scheme);
/* Of such a name, exactly. CV_ERR_NOT_FOUND. */
int cv_scheme_from_rpc_name(enum cv_scheme *scheme, struct cv_bytes name) CV_NODISCARD;
/* "tz1" "tz2" "tz3" "tz4". */
const char *cv_scheme_tz_name(enum cv_scheme scheme);
/* "ed25519" "secp256k1" "p256" "bls". */
const char *cv_scheme_name(enum cv_scheme scheme);
/* Of what an operator types, in either case: tz1..tz4 or a name above.
 * CV_ERR_NOT_FOUND. */
int cv_scheme_parse(enum cv_scheme *scheme, const char *name) CV_NODISCARD;

/* Fills OUT with N random bytes; 0 or a negative code. In the enclave these
 * come from the NSM; elsewhere cv_random() will do. */
struct cv_random_source {
    int (*fill)(void *ctx, void *out, size_t n);
    void *ctx;
};

/* A new private key: 32 bytes as they come (Ed25519), a uniform scalar by
 * rejection (secp256k1, P-256), KeyGen of the IETF BLS draft over 32 bytes
 * (HKDF, salt "BLS-SIG-KEYGEN-SALT-", empty key_info). SOURCE NULL means
 * getrandom(2). Errors: what the source returned. */
int cv_private_key_generate(enum cv_scheme scheme, uint8_t out[CV_PRIVATE_KEY_LEN],
                            const struct cv_random_source *source) CV_NODISCARD;
/* CV_ERR_INVALID when it is no private key of the scheme (zero, or not below
 * the group order). Any 32 bytes are an Ed25519 seed. Constant time. */
int cv_private_key_check(enum cv_scheme scheme, const uint8_t key[CV_PRIVATE_KEY_LEN]) CV_NODISCARD;

/* Takes N bytes as a public key: the right length, a canonical encoding, a
 * point of the curve, not of small order (Ed25519), in the prime-order
 * subgroup and not infinity (BLS). CV_ERR_INVALID. */
int cv_public_key_parse(struct cv_public_key *out, enum cv_scheme scheme,
                        struct cv_bytes in) CV_NODISCARD;
bool cv_public_key_equal(const struct cv_public_key *a, const struct cv_public_key *b);

/*
 * A private key made ready to sign many times: what can be computed once is
 * (the Ed25519 public half, OpenSSL's objects). For one thread at a time: each
 * worker keeps its own. It holds the secret, so it belongs in secret memory or
 * in a short-lived local; cv_signing_key_free() wipes it.
 */
struct cv_p256_key; /* OpenSSL's objects, on its wiping heap */
struct cv_signing_key {
    struct cv_public_key public_key; /* derived from the secret, never taken from outside */
    union {
        uint8_t ed25519[64]; /* seed || public key */
        uint8_t secp256k1[32];
        struct cv_p256_key *p256;
        uint8_t bls[32]; /* as blst holds a scalar */
    } u;
    bool ready;
};

/* CV_ERR_INVALID as cv_private_key_check(), CV_ERR_NOMEM. On error KEY is
 * empty, and may be freed. */
int cv_signing_key_init(struct cv_signing_key *key, enum cv_scheme scheme,
                        const uint8_t private_key[CV_PRIVATE_KEY_LEN]) CV_NODISCARD;
/* Harmless on an empty one (all zero), and twice. */
void cv_signing_key_free(struct cv_signing_key *key);
#define CV_SIGNING_KEY_AUTO __attribute__((cleanup(cv_signing_key_free)))

/* Signs MESSAGE, hashing it first where the scheme wants it. Nothing is
 * allocated but OpenSSL's numbers for P-256. CV_ERR_UNSUPPORTED for BLS with
 * version 0 or an unknown one; CV_ERR_CRYPTO when the library fails. */
int cv_sign(const struct cv_signing_key *key, enum cv_sign_version version, struct cv_bytes message,
            struct cv_signature *out) CV_NODISCARD;
/* The same for a caller that has BLAKE2b-256(MESSAGE) already. */
int cv_sign_digest(const struct cv_signing_key *key, enum cv_sign_version version,
                   struct cv_bytes message, const uint8_t digest[32],
                   struct cv_signature *out) CV_NODISCARD;

/* 0, or CV_ERR_CRYPTO when SIG is not KEY's signature of MESSAGE. A high s is
 * accepted for P-256 and refused for secp256k1. */
int cv_verify(const struct cv_public_key *key, enum cv_sign_version version,
              struct cv_bytes message, const struct cv_signature *sig) CV_NODISCARD;

/* Proof of possession: the public key signed under the ciphersuite
 * BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_. CV_ERR_UNSUPPORTED for a key
 * that is not BLS. */
int cv_prove_possession(const struct cv_signing_key *key, struct cv_signature *out) CV_NODISCARD;
int cv_verify_possession(const struct cv_public_key *key,
                         const struct cv_signature *proof) CV_NODISCARD;

#endif
