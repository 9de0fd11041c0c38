/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of the enclave protocol: JSON files of named hexadecimal bodies. */
#ifndef CV_TESTS_UNIT_RPC_VECTORS_H
#define CV_TESTS_UNIT_RPC_VECTORS_H

#include <jansson.h>

#include "common/bytes.h"

/* FILE under the folder in the environment variable DIR; NULL when absent. */
json_t *rpc_vectors_load(const char *dir, const char *file);
/* The "hex" of ENTRY. A body that the file abbreviates ("7878...(4131 bytes)")
 * is a Sign request, whose message is filled up with its last byte. */
void rpc_vectors_bytes(struct cv_buf *out, json_t *entry);
const char *rpc_vectors_text(json_t *entry, const char *key);

#endif
