/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an attestation document of the signer says about a key, in user_data:
 * CBOR ["claviger.key.1", scheme, public key, origin, CMK ARN, pinned]
 * (docs/protocol/enclave-rpc.md). The enclave writes it; who verifies a
 * document reads it here. Such a document has no public_key.
 */
#ifndef CV_ATTEST_STATEMENT_H
#define CV_ATTEST_STATEMENT_H

#include "crypto/scheme.h"

#define CV_STATEMENT_KEY "claviger.key.1"

struct cv_key_statement {
    struct cv_public_key public_key; /* a valid point */
    struct cv_bytes origin;          /* "generated", "sealed", "imported" or "plain"; a view */
    struct cv_bytes cmk;             /* ARN; a view, printable ASCII */
    bool pinned;                     /* the image names the CMKs it may use */
};

/* True when USER_DATA begins as a statement about a key. */
bool cv_key_statement_is(struct cv_bytes user_data);
/* CV_ERR_INVALID when it is not one, whole and well-formed. */
int cv_key_statement_read(struct cv_key_statement *out, struct cv_bytes user_data,
                          struct cv_error *err) CV_NODISCARD;

/* What a document says of a key pair that waits for one import (ImportOffer):
 * CBOR ["claviger.import.1", X25519 public key, CMK as the session names it,
 * pinned]. The whole of it is HPKE's info. */
#define CV_STATEMENT_IMPORT "claviger.import.1"
#define CV_OFFER_KEY_LEN 32

struct cv_offer_statement {
    uint8_t public_key[CV_OFFER_KEY_LEN];
    struct cv_bytes cmk; /* a view, printable ASCII */
    bool pinned;
};
/* CV_ERR_INVALID when it is not one, whole and well-formed. */
int cv_offer_statement_read(struct cv_offer_statement *out, struct cv_bytes user_data,
                            struct cv_error *err) CV_NODISCARD;

#endif
