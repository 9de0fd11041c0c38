/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests, in both directions.
 *
 * The enclave decodes: it accepts everything that the original signer accepts
 * (and the superset that docs/protocol/enclave-rpc.md lists), and refuses the
 * rest with the original's text. The daemon encodes.
 */
#ifndef CV_RPC_REQUEST_H
#define CV_RPC_REQUEST_H

#include "rpc/message.h"

/* Initialize and Renew. Views; on the encoding side an empty session token is
 * left out. */
struct cv_rpc_credentials {
    struct cv_bytes access_key_id;
    struct cv_bytes secret_access_key;
    struct cv_bytes session_token;
    struct cv_bytes encryption_key_id; /* not in Renew */
    struct cv_bytes region;            /* not in Renew */
    unsigned sealed_version;           /* ours: 0 = not said, 1, 2; not in Renew */
};

struct cv_rpc_request {
    enum cv_rpc_op op;
    bool has_id;
    uint64_t id;
    struct cv_rpc_credentials credentials; /* Initialize, Renew */
    struct cv_bytes blob;                  /* Import, SignWith, PublicKeyFrom, Reseal */
    struct cv_bytes message;               /* Sign, SignWith */
    struct cv_bytes nonce;                 /* Attest, ImportOffer */
    struct cv_bytes offer;       /* ImportSealed: the public key that was offered, 32 bytes */
    struct cv_bytes enc;         /* ImportSealed: HPKE's encapsulated key, 32 bytes */
    struct cv_bytes ciphertext;  /* ImportSealed: HPKE over the CBOR of a private key */
    enum cv_scheme scheme;       /* Generate, GenerateAndImport, ImportUnencrypted */
    struct cv_bytes private_key; /* ImportUnencrypted: 32 bytes */
    uint64_t handle;             /* Sign, PublicKey, ProvePossession, Attest */
    uint8_t version;             /* Sign, SignWith: 0, 1, 2, 255 */
    struct cv_bytes key_id;      /* Reseal: the CMK to seal under; empty = the session's */
    unsigned sealed_version;     /* Reseal: 0 = the session's, 1, 2 */
};

/* What the reply to a request that could not be decoded says. */
#define CV_RPC_FAULT_TEXT 6144 /* the original quotes an unknown name of up to 4096 bytes */
struct cv_rpc_fault {
    bool has_id; /* the id was read before the fault was found */
    uint64_t id;
    char text[CV_RPC_FAULT_TEXT];
};

/* Decodes the body of a frame, N bytes at BODY. The body is changed in place
 * (byte strings in pieces or as arrays are put together there), and the views
 * of REQ point into it. With EXTENDED (the peer has sent Describe) the
 * extensions and the key "id" are known; without it only Describe is, and
 * everything else is answered as the original would. Bytes after the item are
 * ignored. Returns 0, or CV_ERR_INVALID with FAULT filled in. The body may
 * hold credentials or a private key: the caller wipes it. */
int cv_rpc_request_decode(struct cv_rpc_request *req, uint8_t *body, size_t n, bool extended,
                          struct cv_rpc_fault *fault) CV_NODISCARD;

/* Appends the request as a whole frame to OUT: one entry, or with has_id the
 * key "id" before it. For an original peer use only its ten requests, no id,
 * sealed_version 0. CV_ERR_LIMIT, CV_ERR_NOMEM; nothing was appended then. */
int cv_rpc_request_encode(struct cv_buf *out, const struct cv_rpc_request *req) CV_NODISCARD;

/* A private key as KMS plaintext of a version 1 blob: {"Ed25519": h'…'}, and
 * as ImportUnencrypted carries it. At most CV_RPC_PRIVATE_KEY_CBOR bytes. */
#define CV_RPC_PRIVATE_KEY_LEN 32
#define CV_RPC_PRIVATE_KEY_CBOR 48
int cv_rpc_private_key_encode(struct cv_writer *w, enum cv_scheme scheme,
                              const uint8_t key[CV_RPC_PRIVATE_KEY_LEN]) CV_NODISCARD;
/* Reads it as the original does (arrays of integers too, bytes after the item
 * ignored). IN is changed in place, *KEY points into it. On failure FAULT
 * (may be NULL) has the original's text. */
int cv_rpc_private_key_decode(enum cv_scheme *scheme, struct cv_bytes *key, uint8_t *in, size_t n,
                              struct cv_rpc_fault *fault) CV_NODISCARD;

#endif
