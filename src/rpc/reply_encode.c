/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/emit.h"
#include "rpc/reply.h"

static void key(struct cv_rpc_emit *e, const char *name)
{
    cv_rpc_emit_text(e, cv_bytes_str(name));
}

static void text_pair(struct cv_rpc_emit *e, const char *name, struct cv_bytes value)
{
    key(e, name);
    cv_rpc_emit_text(e, value);
}

static void uint_pair(struct cv_rpc_emit *e, const char *name, uint64_t value)
{
    key(e, name);
    cv_rpc_emit_head(e, CV_CBOR_UINT, value);
}

static void bool_pair(struct cv_rpc_emit *e, const char *name, bool value)
{
    key(e, name);
    cv_rpc_emit_bool(e, value);
}

/* What stands before the value: the echo, and "Ok" or "Err". */
static void begin(struct cv_rpc_emit *e, struct cv_buf *out, const struct cv_rpc_echo *echo,
                  const char *result)
{
    static const struct cv_rpc_echo nothing;
    if (echo == NULL || !echo->has_id)
        echo = &nothing;
    cv_rpc_emit_begin(e, out);
    cv_rpc_emit_head(e, CV_CBOR_MAP, 1u + echo->has_id + echo->has_handle + echo->has_digest);
    if (echo->has_id)
        uint_pair(e, "id", echo->id);
    if (echo->has_handle)
        uint_pair(e, "handle", echo->handle);
    if (echo->has_digest) {
        key(e, "digest");
        cv_rpc_emit_bytes(e, CV_BYTES(echo->digest, CV_RPC_DIGEST_LEN));
    }
    key(e, result);
}

static void emit_public_key(struct cv_rpc_emit *e, const struct cv_public_key *k)
{
    cv_rpc_emit_head(e, CV_CBOR_MAP, 1);
    key(e, cv_scheme_rpc_name(k->scheme));
    cv_rpc_emit_bytes(e, CV_BYTES(k->p, k->n));
}

int cv_rpc_reply_ok_null(struct cv_buf *out, const struct cv_rpc_echo *echo)
{
    struct cv_rpc_emit e;
    begin(&e, out, echo, "Ok");
    cv_rpc_emit_null(&e);
    return cv_rpc_emit_end(&e);
}

int cv_rpc_reply_ok_key(struct cv_buf *out, const struct cv_rpc_echo *echo,
                        const struct cv_rpc_key_result *k)
{
    struct cv_rpc_emit e;
    begin(&e, out, echo, "Ok");
    cv_rpc_emit_head(&e, CV_CBOR_MAP, 1u + (k->blob.n > 0) + k->has_handle);
    if (k->blob.n > 0) {
        key(&e, "encrypted_private_key");
        cv_rpc_emit_bytes(&e, k->blob);
    }
    key(&e, "public_key");
    emit_public_key(&e, &k->public_key);
    if (k->has_handle)
        uint_pair(&e, "handle", k->handle);
    return cv_rpc_emit_end(&e);
}

int cv_rpc_reply_ok_signature(struct cv_buf *out, const struct cv_rpc_echo *echo,
                              const struct cv_signature *sig)
{
    struct cv_rpc_emit e;
    begin(&e, out, echo, "Ok");
    cv_rpc_emit_head(&e, CV_CBOR_MAP, 1);
    key(&e, cv_scheme_rpc_name(sig->scheme));
    if (sig->scheme == CV_SCHEME_ED25519 && (echo == NULL || !echo->has_id)) {
        /* The original's Ed25519 type is a tuple: an array of integers. A client
         * that sends ids is none of its, and spared the 64 heads. */
        cv_rpc_emit_head(&e, CV_CBOR_ARRAY, sig->n);
        for (size_t i = 0; i < sig->n; i++)
            cv_rpc_emit_head(&e, CV_CBOR_UINT, sig->p[i]);
    } else {
        cv_rpc_emit_bytes(&e, CV_BYTES(sig->p, sig->n));
    }
    return cv_rpc_emit_end(&e);
}

int cv_rpc_reply_ok_public_key(struct cv_buf *out, const struct cv_rpc_echo *echo,
                               const struct cv_public_key *k)
{
    struct cv_rpc_emit e;
    begin(&e, out, echo, "Ok");
    emit_public_key(&e, k);
    return cv_rpc_emit_end(&e);
}

int cv_rpc_reply_ok_proof(struct cv_buf *out, const struct cv_rpc_echo *echo,
                          const struct cv_signature *proof)
{
    struct cv_rpc_emit e;
    begin(&e, out, echo, "Ok");
    cv_rpc_emit_head(&e, CV_CBOR_MAP, 1);
    key(&e, cv_scheme_rpc_name(proof->scheme));
    cv_rpc_emit_bytes(&e, CV_BYTES(proof->p, proof->n));
    return cv_rpc_emit_end(&e);
}

int cv_rpc_reply_ok_bytes(struct cv_buf *out, const struct cv_rpc_echo *echo, struct cv_bytes value)
{
    struct cv_rpc_emit e;
    begin(&e, out, echo, "Ok");
    cv_rpc_emit_bytes(&e, value);
    return cv_rpc_emit_end(&e);
}

int cv_rpc_reply_ok_description(struct cv_buf *out, const struct cv_rpc_echo *echo,
                                const struct cv_rpc_description *d)
{
    struct cv_rpc_emit e;
    begin(&e, out, echo, "Ok");
    cv_rpc_emit_head(&e, CV_CBOR_MAP, 12u + (d->region.n > 0));
    uint_pair(&e, "protocol", d->protocol);
    text_pair(&e, "version", d->version);
    text_pair(&e, "build", d->build);
    bool_pair(&e, "debug", d->debug);
    bool_pair(&e, "pinned", d->pinned);
    key(&e, "cmks");
    cv_rpc_emit_head(&e, CV_CBOR_ARRAY, d->cmk_count);
    for (unsigned i = 0; i < d->cmk_count; i++)
        cv_rpc_emit_text(&e, d->cmks[i]);
    if (d->region.n > 0)
        text_pair(&e, "region", d->region);
    bool_pair(&e, "plain_import", d->plain_import);
    bool_pair(&e, "sealed_import", d->sealed_import);
    bool_pair(&e, "seal_v1", d->seal_v1);
    bool_pair(&e, "self_check", d->self_check);
    key(&e, "pcr0");
    cv_rpc_emit_bytes(&e, d->pcr0);
    key(&e, "limits");
    cv_rpc_emit_head(&e, CV_CBOR_MAP, 4);
    uint_pair(&e, "frame", d->max_frame);
    uint_pair(&e, "in_flight", d->max_in_flight);
    uint_pair(&e, "sessions", d->max_sessions);
    uint_pair(&e, "keys", d->max_keys);
    return cv_rpc_emit_end(&e);
}

static void emit_error(struct cv_rpc_emit *e, const char *text)
{
    cv_rpc_emit_head(e, CV_CBOR_MAP, 2);
    text_pair(e, "message", cv_bytes_str(text));
    key(e, "source");
}

int cv_rpc_reply_err(struct cv_buf *out, const struct cv_rpc_echo *echo, const struct cv_error *err)
{
    struct cv_rpc_emit e;
    begin(&e, out, echo, "Err");
    if (err->count == 0)
        emit_error(&e, cv_strerror(err->code != 0 ? err->code : CV_ERR_INTERNAL));
    for (unsigned i = err->count; i > 0; i--)
        emit_error(&e, cv_error_text(err, i - 1));
    cv_rpc_emit_null(&e);
    return cv_rpc_emit_end(&e);
}

int cv_rpc_reply_err_text(struct cv_buf *out, const struct cv_rpc_echo *echo, const char *text)
{
    struct cv_rpc_emit e;
    begin(&e, out, echo, "Err");
    emit_error(&e, text);
    cv_rpc_emit_null(&e);
    return cv_rpc_emit_end(&e);
}
