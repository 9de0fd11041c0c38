/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What requests and replies have in common: their names, limits and values.
 * docs/protocol/enclave-rpc.md is the contract.
 */
#ifndef CV_RPC_MESSAGE_H
#define CV_RPC_MESSAGE_H

#include "cbor/cbor.h"
#include "common/bytes.h"
#include "crypto/scheme.h"

#define CV_RPC_PROTOCOL 1 /* of our extensions; Describe tells it */
#define CV_RPC_SESSIONS_MAX 8
#define CV_RPC_IN_FLIGHT_MAX 1024    /* requests of one session; then reading stops */
#define CV_RPC_BLOB_MAX 6144         /* a sealed key; the limit of a KMS blob */
#define CV_RPC_NONCE_MAX 512         /* Attest */
#define CV_RPC_OFFER_KEY_LEN 32      /* X25519, of ImportOffer */
#define CV_RPC_SEALED_IMPORT_MAX 512 /* ciphertext of ImportSealed */
#define CV_RPC_DIGEST_LEN 32         /* echoed with a signature: BLAKE2b-256(message) */

enum cv_rpc_op {
    CV_RPC_INITIALIZE,
    CV_RPC_IMPORT,
    CV_RPC_IMPORT_UNENCRYPTED,
    CV_RPC_GENERATE,
    CV_RPC_GENERATE_AND_IMPORT,
    CV_RPC_SIGN,
    CV_RPC_SIGN_WITH,
    CV_RPC_PUBLIC_KEY,
    CV_RPC_PUBLIC_KEY_FROM,
    CV_RPC_PROVE_POSSESSION,
    /* ours */
    CV_RPC_DESCRIBE,
    CV_RPC_RENEW,
    CV_RPC_RESEAL,
    CV_RPC_ATTEST,
    CV_RPC_IMPORT_OFFER,
    CV_RPC_IMPORT_SEALED,
    CV_RPC_OP_COUNT
};

/* "Initialize", "Import" … */
const char *cv_rpc_op_name(enum cv_rpc_op op);
/* False for the ten requests of the original. */
bool cv_rpc_op_is_extension(enum cv_rpc_op op);
/* Needs KMS (or may need it): Import, Generate, SignWith … */
bool cv_rpc_op_uses_kms(enum cv_rpc_op op);

/* Signing versions on the wire; they matter for BLS alone. */
#define CV_RPC_VERSION_0 0
#define CV_RPC_VERSION_1 1
#define CV_RPC_VERSION_2 2
#define CV_RPC_VERSION_LATEST 255

#endif
