/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replies, in both directions.
 *
 * What the enclave writes to an original client is byte for byte what the
 * original signer writes: {"Ok": value} or {"Err": {message, source}}, an
 * Ed25519 signature as an array of 64 integers (but a byte string where there is
 * an id). A reply to a request with an
 * id carries it first: {"id": 7, "Ok": …}; where a handle was named, and for
 * Sign the digest of the message, they are echoed between the two.
 */
#ifndef CV_RPC_REPLY_H
#define CV_RPC_REPLY_H

#include "rpc/message.h"

/* ---- what stands before Ok or Err ---- */
struct cv_rpc_echo {
    bool has_id;
    uint64_t id;
    bool has_handle;
    uint64_t handle;
    bool has_digest;
    uint8_t digest[CV_RPC_DIGEST_LEN]; /* BLAKE2b-256 of the message */
};

/* Ok of Import, Generate, GenerateAndImport, ImportUnencrypted, ImportSealed,
 * Reseal. */
struct cv_rpc_key_result {
    struct cv_bytes blob; /* empty: not in the reply (Import) */
    struct cv_public_key public_key;
    bool has_handle;
    uint64_t handle;
};

/* Ok of Describe. */
#define CV_RPC_CMKS_MAX 16
struct cv_rpc_description {
    unsigned protocol;       /* CV_RPC_PROTOCOL */
    struct cv_bytes version; /* of the program */
    struct cv_bytes build;   /* "release" or "development" */
    bool debug;              /* PCR0 is zero: nothing is protected */
    bool pinned;             /* cmks is the whole list that is served */
    unsigned cmk_count;
    struct cv_bytes cmks[CV_RPC_CMKS_MAX];
    struct cv_bytes region; /* empty: not pinned */
    bool plain_import;      /* ImportUnencrypted is served */
    bool sealed_import;     /* ImportOffer and ImportSealed are */
    bool seal_v1;           /* sealed_version 1 may be asked for */
    bool self_check;
    struct cv_bytes pcr0; /* 48 bytes */
    uint64_t max_frame, max_in_flight, max_sessions, max_keys;
};

/* ---- the enclave's side: each appends one whole frame to OUT ---- */
/* ECHO may be NULL: a reply to an original request. */
int cv_rpc_reply_ok_null(struct cv_buf *out, const struct cv_rpc_echo *echo) CV_NODISCARD;
int cv_rpc_reply_ok_key(struct cv_buf *out, const struct cv_rpc_echo *echo,
                        const struct cv_rpc_key_result *key) CV_NODISCARD;
int cv_rpc_reply_ok_signature(struct cv_buf *out, const struct cv_rpc_echo *echo,
                              const struct cv_signature *sig) CV_NODISCARD;
int cv_rpc_reply_ok_public_key(struct cv_buf *out, const struct cv_rpc_echo *echo,
                               const struct cv_public_key *key) CV_NODISCARD;
/* A proof of possession: {"Bls": h'…'}. */
int cv_rpc_reply_ok_proof(struct cv_buf *out, const struct cv_rpc_echo *echo,
                          const struct cv_signature *proof) CV_NODISCARD;
int cv_rpc_reply_ok_bytes(struct cv_buf *out, const struct cv_rpc_echo *echo,
                          struct cv_bytes value) CV_NODISCARD; /* Attest, ImportOffer */
int cv_rpc_reply_ok_description(struct cv_buf *out, const struct cv_rpc_echo *echo,
                                const struct cv_rpc_description *d) CV_NODISCARD;
/* The chain of ERR, outermost text first: message → source → … → null. */
int cv_rpc_reply_err(struct cv_buf *out, const struct cv_rpc_echo *echo,
                     const struct cv_error *err) CV_NODISCARD;
/* One text without a source. */
int cv_rpc_reply_err_text(struct cv_buf *out, const struct cv_rpc_echo *echo,
                          const char *text) CV_NODISCARD;

/* ---- the daemon's side ---- */
struct cv_rpc_reply {
    struct cv_rpc_echo echo;
    bool ok;
    struct cv_bytes value; /* the encoded value of Ok or Err */
};

/* Takes the body of a frame apart; the views point into it. Unknown keys are
 * ignored, bytes after the item are refused. CV_ERR_PROTOCOL. */
int cv_rpc_reply_open(struct cv_rpc_reply *reply, struct cv_bytes body,
                      struct cv_error *err) CV_NODISCARD;
/* Each reads the Ok value of one kind. When the reply is an Err: CV_ERR_REMOTE
 * with its chain in ERR. When it is neither: CV_ERR_PROTOCOL. */
int cv_rpc_reply_read_null(const struct cv_rpc_reply *reply, struct cv_error *err) CV_NODISCARD;
/* The blob may be absent (Import), the handle too (Generate). */
int cv_rpc_reply_read_key(struct cv_rpc_key_result *key, const struct cv_rpc_reply *reply,
                          struct cv_error *err) CV_NODISCARD;
/* Public keys are taken by their length alone: whether the bytes are a point of
 * the curve is for cv_public_key_parse().
 * An Ed25519 signature is accepted as array and as byte string. */
int cv_rpc_reply_read_signature(struct cv_signature *sig, const struct cv_rpc_reply *reply,
                                struct cv_error *err) CV_NODISCARD;
int cv_rpc_reply_read_public_key(struct cv_public_key *key, const struct cv_rpc_reply *reply,
                                 struct cv_error *err) CV_NODISCARD;
int cv_rpc_reply_read_proof(struct cv_signature *proof, const struct cv_rpc_reply *reply,
                            struct cv_error *err) CV_NODISCARD;
int cv_rpc_reply_read_bytes(struct cv_bytes *value, const struct cv_rpc_reply *reply,
                            struct cv_error *err) CV_NODISCARD;
/* CV_ERR_UNSUPPORTED when the Err is an original's "unknown variant": drive
 * that peer in order, without ids. */
int cv_rpc_reply_read_description(struct cv_rpc_description *d, const struct cv_rpc_reply *reply,
                                  struct cv_error *err) CV_NODISCARD;

#endif
