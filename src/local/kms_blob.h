/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CiphertextBlob of the stand-in, opaque to clients as KMS's is:
 *
 *   "CLK\1"  key id (36 characters)  IV (12)  ciphertext  tag (16)
 *
 * AES-256-GCM under the key's material; associated data are the head and the
 * encryption context, its pairs sorted by name and each text preceded by its
 * length, so that order does not matter and nothing can be shifted.
 */
#ifndef CV_LOCAL_KMS_BLOB_H
#define CV_LOCAL_KMS_BLOB_H

#include <jansson.h>

#include "common/secret.h"
#include "local/kms_state.h"

#define CV_LOCAL_BLOB_MAX 6144      /* bytes of a blob (KMS: CiphertextBlob) */
#define CV_LOCAL_PLAINTEXT_MAX 4096 /* bytes that Encrypt takes */
#define CV_LOCAL_CONTEXT_MAX 8192   /* bytes of all names and values */

/* CONTEXT: object of strings, or NULL for none. */
int cv_local_blob_seal(struct cv_buf *out, const struct cv_local_key *key, const json_t *context,
                       struct cv_bytes plaintext) CV_NODISCARD;
/* The id of the key that sealed it; CV_ERR_INVALID when it is no blob of ours. */
int cv_local_blob_key_id(char id[CV_LOCAL_KMS_ID], struct cv_bytes blob) CV_NODISCARD;
/* CV_ERR_CRYPTO: changed, another key, or another context. */
int cv_local_blob_open(struct cv_secret *out, const struct cv_local_key *key, const json_t *context,
                       struct cv_bytes blob) CV_NODISCARD;

#endif
