/* SPDX-License-Identifier: Apache-2.0 */
/* Replies, read as every kind there is. */
#include "rpc/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cv_rpc_reply r;
    struct cv_rpc_key_result key;
    struct cv_rpc_description d;
    struct cv_public_key pub;
    struct cv_signature sig;
    struct cv_bytes bytes;
    struct cv_error err;
    if (cv_rpc_reply_open(&r, CV_BYTES(data, size), &err) != 0)
        return 0;
    if (cv_rpc_reply_read_null(&r, &err) == CV_ERR_REMOTE && err.count == 0)
        __builtin_trap();
    if (cv_rpc_reply_read_key(&key, &r, &err) == 0 && key.blob.n > size)
        __builtin_trap();
    if (cv_rpc_reply_read_public_key(&pub, &r, &err) == 0 && pub.n != cv_public_key_len(pub.scheme))
        __builtin_trap();
    if (cv_rpc_reply_read_signature(&sig, &r, &err) == 0 && sig.n != cv_signature_len(sig.scheme))
        __builtin_trap();
    if (cv_rpc_reply_read_proof(&sig, &r, &err) == 0 && sig.scheme != CV_SCHEME_BLS)
        __builtin_trap();
    if (cv_rpc_reply_read_bytes(&bytes, &r, &err) == 0 && bytes.n > size)
        __builtin_trap();
    if (cv_rpc_reply_read_description(&d, &r, &err) == 0 && d.cmk_count > CV_RPC_CMKS_MAX)
        __builtin_trap();
    return 0;
}
