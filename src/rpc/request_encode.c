/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/emit.h"
#include "rpc/request.h"

static void text_pair(struct cv_rpc_emit *e, const char *key, struct cv_bytes value)
{
    cv_rpc_emit_text(e, cv_bytes_str(key));
    cv_rpc_emit_text(e, value);
}

static void bytes_pair(struct cv_rpc_emit *e, const char *key, struct cv_bytes value)
{
    cv_rpc_emit_text(e, cv_bytes_str(key));
    cv_rpc_emit_bytes(e, value);
}

static void uint_pair(struct cv_rpc_emit *e, const char *key, uint64_t value)
{
    cv_rpc_emit_text(e, cv_bytes_str(key));
    cv_rpc_emit_head(e, CV_CBOR_UINT, value);
}

/* In the order of the original's Go client, which leaves out an empty token. */
static void emit_credentials(struct cv_rpc_emit *e, const struct cv_rpc_credentials *c, bool all)
{
    unsigned pairs = all ? 4 : 2;
    pairs += c->session_token.n > 0;
    pairs += all && c->sealed_version != 0;
    cv_rpc_emit_head(e, CV_CBOR_MAP, pairs);
    text_pair(e, "access_key_id", c->access_key_id);
    text_pair(e, "secret_access_key", c->secret_access_key);
    if (c->session_token.n > 0)
        text_pair(e, "session_token", c->session_token);
    if (!all)
        return;
    text_pair(e, "encryption_key_id", c->encryption_key_id);
    text_pair(e, "region", c->region);
    if (c->sealed_version != 0)
        uint_pair(e, "sealed_version", c->sealed_version);
}

static void emit_argument(struct cv_rpc_emit *e, const struct cv_rpc_request *req)
{
    switch (req->op) {
    case CV_RPC_INITIALIZE:
    case CV_RPC_RENEW:
        emit_credentials(e, &req->credentials, req->op == CV_RPC_INITIALIZE);
        break;
    case CV_RPC_IMPORT:
    case CV_RPC_PUBLIC_KEY_FROM:
        cv_rpc_emit_bytes(e, req->blob);
        break;
    case CV_RPC_IMPORT_UNENCRYPTED:
        cv_rpc_emit_head(e, CV_CBOR_MAP, 1);
        bytes_pair(e, cv_scheme_rpc_name(req->scheme), req->private_key);
        break;
    case CV_RPC_GENERATE:
    case CV_RPC_GENERATE_AND_IMPORT:
        cv_rpc_emit_text(e, cv_bytes_str(cv_scheme_rpc_name(req->scheme)));
        break;
    case CV_RPC_SIGN:
    case CV_RPC_SIGN_WITH:
        cv_rpc_emit_head(e, CV_CBOR_MAP, 3);
        if (req->op == CV_RPC_SIGN)
            uint_pair(e, "handle", req->handle);
        else
            bytes_pair(e, "encrypted_private_key", req->blob);
        bytes_pair(e, "message", req->message);
        uint_pair(e, "version", req->version);
        break;
    case CV_RPC_PUBLIC_KEY:
    case CV_RPC_PROVE_POSSESSION:
        cv_rpc_emit_head(e, CV_CBOR_UINT, req->handle);
        break;
    case CV_RPC_RESEAL:
        cv_rpc_emit_head(e, CV_CBOR_MAP, 1u + (req->key_id.n > 0) + (req->sealed_version != 0));
        bytes_pair(e, "encrypted_private_key", req->blob);
        if (req->key_id.n > 0)
            text_pair(e, "key_id", req->key_id);
        if (req->sealed_version != 0)
            uint_pair(e, "sealed_version", req->sealed_version);
        break;
    case CV_RPC_ATTEST:
        cv_rpc_emit_head(e, CV_CBOR_MAP, 1u + (req->nonce.n > 0));
        uint_pair(e, "handle", req->handle);
        if (req->nonce.n > 0)
            bytes_pair(e, "nonce", req->nonce);
        break;
    case CV_RPC_IMPORT_OFFER:
        cv_rpc_emit_head(e, CV_CBOR_MAP, 1);
        bytes_pair(e, "nonce", req->nonce);
        break;
    case CV_RPC_IMPORT_SEALED:
        cv_rpc_emit_head(e, CV_CBOR_MAP, 3);
        bytes_pair(e, "public_key", req->offer);
        bytes_pair(e, "enc", req->enc);
        bytes_pair(e, "ciphertext", req->ciphertext);
        break;
    case CV_RPC_DESCRIBE:
    case CV_RPC_OP_COUNT:
    default:
        cv_rpc_emit_null(e);
        break;
    }
}

int cv_rpc_request_encode(struct cv_buf *out, const struct cv_rpc_request *req)
{
    struct cv_rpc_emit e;
    cv_rpc_emit_begin(&e, out);
    cv_rpc_emit_head(&e, CV_CBOR_MAP, req->has_id ? 2 : 1);
    if (req->has_id)
        uint_pair(&e, "id", req->id);
    cv_rpc_emit_text(&e, cv_bytes_str(cv_rpc_op_name(req->op)));
    emit_argument(&e, req);
    return cv_rpc_emit_end(&e);
}

int cv_rpc_private_key_encode(struct cv_writer *w, enum cv_scheme scheme,
                              const uint8_t key[CV_RPC_PRIVATE_KEY_LEN])
{
    cv_cbor_write_map(w, 1);
    cv_cbor_write_tstr(w, cv_scheme_rpc_name(scheme));
    cv_cbor_write_bstr(w, CV_BYTES(key, CV_RPC_PRIVATE_KEY_LEN));
    return cv_writer_end(w, NULL);
}
