/* SPDX-License-Identifier: Apache-2.0 */
/* Requests: what is accepted, is accepted again with the same meaning after it
 * was encoded by us; what is refused has a text. */
#include <stdlib.h>
#include <string.h>

#include "crypto/init.h"
#include "rpc/frame.h"
#include "rpc/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(const struct cv_rpc_request *a, const struct cv_rpc_request *b)
{
    if (a->op != b->op || a->has_id != b->has_id || a->id != b->id || a->handle != b->handle ||
        a->version != b->version || !cv_bytes_equal(a->message, b->message) ||
        !cv_bytes_equal(a->blob, b->blob) || !cv_bytes_equal(a->private_key, b->private_key) ||
        !cv_bytes_equal(a->nonce, b->nonce) || !cv_bytes_equal(a->offer, b->offer) ||
        !cv_bytes_equal(a->enc, b->enc) || !cv_bytes_equal(a->ciphertext, b->ciphertext) ||
        !cv_bytes_equal(a->key_id, b->key_id) || a->sealed_version != b->sealed_version)
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cv_rpc_fault fault;
    if (cv_crypto_init() != 0) /* private keys are checked against their curves */
        abort();
    struct cv_rpc_request req, again;
    if (size < 1 || size > CV_RPC_FRAME_MAX_EARLY)
        return 0;
    bool extended = data[0] & 1;
    size_t n = size - 1;
    uint8_t *body = malloc(n > 0 ? n : 1); /* its own, so that overruns show */
    if (body == NULL)
        return 0;
    memcpy(body, data + 1, n);
    if (cv_rpc_request_decode(&req, body, n, extended, &fault) != 0) {
        if (fault.text[0] == '\0' || strlen(fault.text) >= sizeof fault.text)
            __builtin_trap();
    } else {
        struct cv_buf out;
        cv_buf_init(&out, CV_RPC_FRAME_MAX + CV_RPC_FRAME_HEAD);
        if (cv_rpc_request_encode(&out, &req) != 0 ||
            cv_rpc_request_decode(&again, out.p + CV_RPC_FRAME_HEAD, out.n - CV_RPC_FRAME_HEAD,
                                  true, &fault) != 0)
            __builtin_trap();
        same(&req, &again);
        cv_buf_free(&out);
    }
    free(body);
    return 0;
}
