/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vault: the keys of one enclave, with the session that signs with them and
 * the store where their sealed blobs rest.
 *
 * It connects, initialises the enclave with credentials, and imports every
 * stored blob; it keeps doing so: after a lost connection with backoff, and
 * when the store has new keys (the command line adds them). A blob that does
 * not open, or is another key than the one it is stored as, leaves that key
 * alone unusable, and says why.
 *
 * Belongs to the loop thread.
 */
#ifndef CV_SIGNER_VAULT_H
#define CV_SIGNER_VAULT_H

#include "keystore/keystore.h"
#include "signer/config.h"
#include "signer/session.h"

#define CV_VAULT_TITLE "NitroEnclave" /* as Signatory calls it in lists and metrics */
#define CV_VAULT_KMS_MS 60000         /* for a request that needs KMS */

struct cv_vault;

struct cv_vault_key {
    struct cv_vault *vault;
    struct cv_pkh pkh;
    char pkh_text[CV_PKH_TEXT_SIZE];
    bool known;  /* public_key is: it was imported once */
    bool active; /* imported in the present session: HANDLE is good */
    bool is_new; /* the store says that it never signed */
    bool proven; /* a signature of it was verified in the present session */
    struct cv_public_key public_key;
    char public_key_text[CV_PK_TEXT_SIZE];
    uint64_t handle;
    struct cv_buf blob;
    char fault[1024]; /* why it is not active; "" */
    /* the vault's */
    struct cv_call call;
    bool importing;
    int64_t retry_at;
    unsigned failures;
    struct cv_vault_key *next_in_ring; /* of struct cv_keyring */
};

/* Every key of every vault, by hash. */
struct cv_keyring {
    struct cv_vault_key **bucket;
    size_t buckets; /* a power of two */
    size_t count;
};
void cv_keyring_free(struct cv_keyring *ring);
int cv_keyring_add(struct cv_keyring *ring, struct cv_vault_key *key) CV_NODISCARD;
/* The key of that hash, an active one before others; NULL. */
struct cv_vault_key *cv_keyring_find(const struct cv_keyring *ring, const struct cv_pkh *pkh);

enum cv_vault_state {
    CV_VAULT_DOWN,    /* not connected; `why` says why */
    CV_VAULT_OPENING, /* connecting, initialising, importing */
    CV_VAULT_UP,      /* every key was tried at least once in this session */
};

/* What a caller hears of; each may be NULL. */
struct cv_vault_events {
    void (*state)(void *ctx, struct cv_vault *vault); /* it changed */
    /* a new one is active */
    void (*key)(void *ctx, struct cv_vault *vault, struct cv_vault_key *key);
    void *ctx;
    /* A request is over for which the enclave may have asked KMS. May be NULL. */
    void (*kms)(void *ctx, const struct cv_vault *vault, const char *request, bool good);
    /* For daemons: a key store of AWS's that does not answer is no reason to
     * fail, the vault is DOWN until it does. Else cv_vault_new() asks it. */
    bool patient;
};

/* CONFIG outlives the vault. Opens the store, but connects only with
 * cv_vault_start(). RING may be NULL. */
int cv_vault_new(struct cv_vault **out, struct cv_loop *loop, const struct cv_config_vault *config,
                 struct cv_keyring *ring, const struct cv_vault_events *events,
                 struct cv_error *err) CV_NODISCARD;
void cv_vault_free(struct cv_vault **vault);
void cv_vault_start(struct cv_vault *vault);
/* For commands: runs the loop until the enclave is initialised and, with KEYS,
 * every stored key was tried; or until connecting failed, once; or DEADLINE. */
int cv_vault_open_now(struct cv_vault *vault, bool keys, int64_t deadline,
                      struct cv_error *err) CV_NODISCARD;

/* False until its store was read for the first time. */
bool cv_vault_listed(const struct cv_vault *vault);
const char *cv_vault_name(const struct cv_vault *vault);
const struct cv_config_vault *cv_vault_config(const struct cv_vault *vault);
struct cv_keystore *cv_vault_store(struct cv_vault *vault);
enum cv_vault_state cv_vault_state(const struct cv_vault *vault);
/* Why it is down; an empty chain when it is not. */
const struct cv_error *cv_vault_why(const struct cv_vault *vault);
/* How often it was tried in vain since it was last up. */
unsigned cv_vault_attempts(const struct cv_vault *vault);
/* Keys in the order of the store. */
size_t cv_vault_key_count(const struct cv_vault *vault);
struct cv_vault_key *cv_vault_key_at(const struct cv_vault *vault, size_t i);
/* What the enclave said it is, as one sentence; "" for an original enclave. */
const char *cv_vault_description(const struct cv_vault *vault);
struct cv_session *cv_vault_session(struct cv_vault *vault);

/* ---- waiting for a key ---- */

/* Embedded by the caller, alive until READY. */
struct cv_vault_wait {
    /* The key is active now, or will not be soon (its fault, or the vault's
     * state, says why): look again, once. */
    void (*ready)(struct cv_vault_wait *wait);
    struct cv_vault_key *key;
    int64_t deadline;
    struct cv_vault_wait *prev, *next;
};
/* True: KEY is being imported, or its vault is connecting, or has lost its
 * enclave a moment ago, and READY will be called. False: there is nothing to wait for. */
bool cv_vault_wait(struct cv_vault_key *key, struct cv_vault_wait *wait, int64_t deadline);
/* For a request whose connection was lost before its answer came (CV_ERR_CLOSED
 * in DONE): READY will be called once KEY is active in the next session, or
 * when that takes longer than the vault's grace. */
void cv_vault_wait_anew(struct cv_vault_key *key, struct cv_vault_wait *wait, int64_t deadline);

/* ---- signing ---- */

/* 0 when KEY can be used now; CV_ERR_STATE with the reason. */
int cv_vault_key_usable(const struct cv_vault_key *key, struct cv_error *err) CV_NODISCARD;

/* Embedded by the caller, alive until DONE. */
struct cv_sign {
    /* CODE 0 and SIG, or a code as cv_call's with the reason in ERR. */
    void (*done)(struct cv_sign *sign, int code, const struct cv_signature *sig,
                 const struct cv_error *err);
    struct cv_bytes message; /* alive until DONE */
    uint8_t digest[32];      /* BLAKE2b-256 of it */
    uint8_t version;         /* 0, 1, 2 */
    /* the vault's */
    struct cv_vault_key *key;
    struct cv_call call;
};
/* A signature that reaches DONE is KEY's over MESSAGE: the enclave's echo says
 * so, or, from a peer without ids, it was verified here. DONE is not called
 * when this fails: CV_ERR_STATE (not active), CV_ERR_BUSY, CV_ERR_LIMIT. */
int cv_vault_sign(struct cv_vault_key *key, struct cv_sign *sign, int64_t deadline,
                  struct cv_error *err) CV_NODISCARD;
/* Proof of possession of a tz4 key; MESSAGE, digest and version are not used. */
int cv_vault_prove(struct cv_vault_key *key, struct cv_sign *sign, int64_t deadline,
                   struct cv_error *err) CV_NODISCARD;

/* ---- attestation ---- */

#define CV_VAULT_NONCE_MAX CV_RPC_NONCE_MAX

/* Embedded by the caller, alive until DONE. */
struct cv_attesting {
    /* CODE 0 and the document (a view, good until DONE returns): it was looked
     * at, not verified, and speaks of this key with this nonce. Or a code as
     * cv_call's with the reason in ERR. */
    void (*done)(struct cv_attesting *a, int code, struct cv_bytes document,
                 const struct cv_error *err);
    struct cv_bytes nonce; /* alive until DONE; empty = none */
    /* the vault's */
    struct cv_vault_key *key;
    struct cv_call call;
};
/* Asks the enclave for a document about KEY. CV_ERR_STATE (not active),
 * CV_ERR_UNSUPPORTED (an original enclave), CV_ERR_LIMIT (nonce): DONE is not
 * called then. */
int cv_vault_attest(struct cv_vault_key *key, struct cv_attesting *a, int64_t deadline,
                    struct cv_error *err) CV_NODISCARD;
/* For commands: runs the loop until it is done; the document goes into OUT. */
int cv_vault_attest_now(struct cv_vault_key *key, struct cv_bytes nonce, struct cv_buf *out,
                        int64_t deadline, struct cv_error *err) CV_NODISCARD;

/* ---- new keys, for commands: each runs the loop until it is done ---- */

#define CV_VAULT_GENERATE_MAX 64 /* keys of one call */
/* Generates COUNT keys inside the enclave. *MADE of them are in KEYS, and in
 * the store, durably; on an error too, which is that of the first that was not
 * made. They belong to the vault. */
int cv_vault_generate(struct cv_vault *vault, enum cv_scheme scheme, size_t count,
                      struct cv_vault_key **keys, size_t *made, int64_t deadline,
                      struct cv_error *err) CV_NODISCARD;
/* Hands in a private key (32 bytes, crypto/scheme.h). A key that is stored
 * already is not stored again, and is no error. */
int cv_vault_import(struct cv_vault *vault, enum cv_scheme scheme, const struct cv_secret *key,
                    struct cv_vault_key **out, int64_t deadline, struct cv_error *err) CV_NODISCARD;

struct cv_attest_policy;
/* What the configuration expects of the enclave, without nonce and times; NULL
 * when nothing. The vault's. Each session was verified by it already. */
const struct cv_attest_policy *cv_vault_expected(const struct cv_vault *vault);
/* True when the enclave offers to take keys that were sealed to it. */
bool cv_vault_takes_sealed(const struct cv_vault *vault);
/* The same import, sealed to a key pair that the enclave makes for it and
 * attests, so that nothing between here and there sees the private key. The
 * document has to satisfy POLICY (whose nonce and times are set here), and the
 * enclave to seal under the vault's CMK: CV_ERR_DENIED before anything is sent.
 * With POLICY NULL nothing is verified. CV_ERR_UNSUPPORTED when the enclave
 * does not offer it. */
int cv_vault_import_sealed(struct cv_vault *vault, enum cv_scheme scheme,
                           const struct cv_secret *key, const struct cv_attest_policy *policy,
                           struct cv_vault_key **out, int64_t deadline,
                           struct cv_error *err) CV_NODISCARD;

/* ---- sealing anew, for commands: each runs the loop until it is done ---- */

/* One sealed key. BLOB lives as long; SEALED is initialised and freed by the
 * caller. */
struct cv_reseal {
    struct cv_bytes blob;
    /* What comes of it: CODE 0, the new blob and its public key; or the reason. */
    int code;
    struct cv_buf sealed;
    struct cv_public_key public_key;
    struct cv_error err;
    /* the vault's */
    struct cv_call call;
    size_t *waiting;
};
/* Asks for all N (at most CV_SESSION_IN_FLIGHT) at once: under the session's
 * CMK or, when it is not NULL, the one that CMK names, in VERSION 1 or 2.
 * Nothing is stored. */
void cv_vault_reseal(struct cv_vault *vault, struct cv_reseal *items, size_t n, const char *cmk,
                     unsigned version, int64_t deadline);
/* The public key of a blob, which the enclave opens for it. */
int cv_vault_public_key_of(struct cv_vault *vault, struct cv_bytes blob, struct cv_public_key *out,
                           int64_t deadline, struct cv_error *err) CV_NODISCARD;

#endif
