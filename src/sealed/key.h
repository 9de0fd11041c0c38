/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealed keys: how a private key rests outside the enclave
 * (docs/protocol/sealed-key.md).
 *
 * Version 1 is what the original signer writes: the KMS ciphertext of the
 * CBOR private key, opaque to us. Version 2 starts with a magic of its own and
 * holds the key under a data key that KMS wrapped. These functions are pure:
 * no KMS here. The caller unwraps the data key, and seals only under a data
 * key that its own session got from GenerateDataKey with Recipient.
 */
#ifndef CV_SEALED_KEY_H
#define CV_SEALED_KEY_H

#include "common/secret.h"
#include "crypto/scheme.h"

#define CV_SEALED_DATA_KEY_LEN 32
#define CV_SEALED_SALT_LEN 32
#define CV_SEALED_PRIVATE_LEN 32
#define CV_SEALED_PUBLIC_MAX 48
#define CV_SEALED_ARN_MAX 256
#define CV_SEALED_WRAPPED_MAX 1024 /* a wrapped 32-byte data key is about 190 */
#define CV_SEALED_BLOB_MAX 2048    /* a whole version 2 blob */

/* The KMS encryption context of the wrapped data key: these two pairs. */
#define CV_SEALED_CONTEXT_PURPOSE_KEY "purpose"
#define CV_SEALED_CONTEXT_PURPOSE "claviger-sealed-key"
#define CV_SEALED_CONTEXT_FORMAT_KEY "format"
#define CV_SEALED_CONTEXT_FORMAT "2"

/* The header, in clear and authenticated. Views into the blob. */
struct cv_sealed_header {
    enum cv_scheme scheme;
    struct cv_bytes public_key;
    struct cv_bytes cmk;     /* ARN, as KMS returned it */
    struct cv_bytes wrapped; /* CiphertextBlob of the data key */
    struct cv_bytes salt;    /* CV_SEALED_SALT_LEN bytes */
};

/* 2 when BLOB starts with our magic, else 1: a KMS blob never does. */
int cv_sealed_key_version(struct cv_bytes blob);

/* Takes a version 2 blob apart: every length checked, nothing left over,
 * nothing decrypted. CV_ERR_INVALID and its siblings. */
int cv_sealed_key_parse(struct cv_sealed_header *h, struct cv_bytes blob,
                        struct cv_error *err) CV_NODISCARD;

/* Appends a version 2 blob to OUT. The salt is drawn here. */
int cv_sealed_key_seal(struct cv_buf *out, const struct cv_sealed_header *h,
                       const uint8_t private_key[CV_SEALED_PRIVATE_LEN],
                       const uint8_t data_key[CV_SEALED_DATA_KEY_LEN],
                       struct cv_error *err) CV_NODISCARD;
/* The same with the salt of the header: for test vectors only. */
int cv_sealed_key_seal_with_salt(struct cv_buf *out, const struct cv_sealed_header *h,
                                 const uint8_t private_key[CV_SEALED_PRIVATE_LEN],
                                 const uint8_t data_key[CV_SEALED_DATA_KEY_LEN],
                                 struct cv_error *err) CV_NODISCARD;

/* Opens BLOB with the unwrapped data key: the commitment is compared first,
 * then the tag. CV_ERR_CRYPTO when either does not fit; PRIVATE_KEY is all
 * zeros then. That the public key in the header belongs to the private key is
 * for the caller to check before the key first signs. */
int cv_sealed_key_open(uint8_t private_key[CV_SEALED_PRIVATE_LEN], struct cv_bytes blob,
                       const uint8_t data_key[CV_SEALED_DATA_KEY_LEN],
                       struct cv_error *err) CV_NODISCARD;

#endif
