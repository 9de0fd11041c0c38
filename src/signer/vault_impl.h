/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a vault, shared by vault_*.c alone. */
#ifndef CV_SIGNER_VAULT_IMPL_H
#define CV_SIGNER_VAULT_IMPL_H

#include "aws/config.h"
#include "signer/pool.h"
#include "signer/vault.h"

/* One look for credentials, in the pool's thread. */
struct cv_vault_fetch {
    struct cv_job job;
    struct cv_vault *vault;
    bool running;
    bool wanted; /* again, once this one has ended */
    int code;
    struct cv_error err;
    struct cv_aws_credentials found;
    char region[CV_AWS_REGION_MAX + 1];
};

/* One reading of the store, in the pool's thread. */
struct cv_vault_listing {
    struct cv_job job;
    struct cv_vault *vault;
    bool running;
    int code;
    struct cv_error err;
    struct cv_keystore_list list;
};

/* One look for the enclave's CID, in the pool's thread. */
struct cv_vault_looking {
    struct cv_job job;
    struct cv_vault *vault;
    bool running;
    int code;
    uint32_t cid;
    struct cv_error err;
};

struct cv_vault {
    struct cv_loop *loop;
    const struct cv_config_vault *config;
    struct cv_keyring *ring;
    struct cv_vault_events events;
    struct cv_keystore *store;
    struct cv_session *session;
    enum cv_vault_state state;
    bool started;
    bool watching;     /* notice new keys and try failed ones again (not for commands) */
    bool without_keys; /* a command that makes keys needs no other */
    char description[256];
    bool sealed_import;                       /* the enclave offers it */
    struct cv_vault_expectation *expectation; /* NULL: any enclave will do */
    struct cv_error why;
    struct cv_vault_key **keys;
    size_t key_count, key_room;
    struct cv_aws_config *aws;
    struct cv_pool *pool;
    struct cv_vault_fetch fetch;
    struct cv_vault_listing listing;
    struct cv_vault_looking looking;
    bool listed;                    /* the store was read once */
    struct cv_aws_credentials sent; /* what the enclave has */
    bool initialized;               /* in the present session */
    unsigned stale;                 /* not 0: an original enclave has older credentials */
    struct cv_loop_timer renew_due;
    struct cv_call initialize, renew;
    size_t importing;   /* in flight */
    size_t next_import; /* index of the next key to look at */
    size_t round_ok, round_failed;
    bool scanning;                  /* a round of imports is under way */
    unsigned attempts;              /* of connecting, since it was last up */
    bool absent;                    /* those failed for want of an enclave */
    uint32_t unverified;            /* signatures that are believed until one is verified again */
    struct cv_error sign_error;     /* of the present signature: too large for every stack */
    struct cv_vault_beside *beside; /* a second connection that is to take over */
    bool beside_failed;             /* the last one did */
    int64_t beside_retry_at;
    struct cv_vault_wait *waiting;
    int64_t grace_until; /* requests wait until then for an enclave that was lost */
    struct cv_loop_timer reconnect;
    struct cv_loop_timer watch;
};

/* Credentials: their sources opened and closed; fetched and sent to the
 * enclave, now and as long as they keep changing. */
int cv_vault_credentials_open(struct cv_vault *v, struct cv_error *err) CV_NODISCARD;
void cv_vault_credentials_close(struct cv_vault *v);
void cv_vault_fetch_credentials(struct cv_vault *v);
/* The enclave has its credentials: is it the right one? */
void cv_vault_initialized(struct cv_vault *v);
/* It is, or nothing is expected of it: keys come next. */
void cv_vault_verified(struct cv_vault *v);
/* What the configuration expects of the enclave; CV_ERR_CONFIG for what cannot be. */
int cv_vault_expect_open(struct cv_vault *v, struct cv_error *err) CV_NODISCARD;
void cv_vault_expect_close(struct cv_vault *v);
/* Asks the enclave; cv_vault_verified(), or the session is dropped. */
void cv_vault_expect_check(struct cv_vault *v);
/* Sends a request that makes a key, stores what comes of it, and waits. */
int cv_vault_make(struct cv_vault *v, struct cv_rpc_request *request, struct cv_vault_key **out,
                  int64_t deadline, struct cv_error *err) CV_NODISCARD;
/* Sends a request whose Ok is bytes, and waits for them. */
int cv_vault_ask_bytes(struct cv_vault *v, struct cv_rpc_request *request, struct cv_buf *out,
                       int64_t deadline, struct cv_error *err) CV_NODISCARD;
/* Adds a key that the store names; NULL without memory. */
struct cv_vault_key *cv_vault_key_add(struct cv_vault *v, const struct cv_pkh *pkh,
                                      struct cv_bytes blob, bool is_new);
struct cv_vault_key *cv_vault_key_find(const struct cv_vault *v, const struct cv_pkh *pkh);
/* Takes what the enclave said about KEY after an import. */
void cv_vault_key_activate(struct cv_vault *v, struct cv_vault_key *key,
                           const struct cv_public_key *public_key, uint64_t handle);
/* A public key from the wire, its point checked. */
int cv_vault_public_key(struct cv_public_key *out, const struct cv_public_key *value,
                        struct cv_error *err) CV_NODISCARD;
/* Reads the store: its keys are known by name, whether the enclave is there or
 * not. */
int cv_vault_list(struct cv_vault *v, struct cv_error *err) CV_NODISCARD;
/* Reads it, and starts to import what is not active. */
void cv_vault_scan(struct cv_vault *v);
/* True in the first moments after a session that served was lost: an enclave
 * that starts again is mostly back before clients had to be told. */
bool cv_vault_in_grace(const struct cv_vault *vault);
/* Tells those who wait for KEY; with NULL, those for any key that is there, or
 * (ALL) everybody. */
void cv_vault_wake(struct cv_vault *v, const struct cv_vault_key *key, bool all);
/* Sends Initialize with the newest credentials on SESSION, which may be another
 * than the vault's. */
int cv_vault_send_initialize(struct cv_vault *v, struct cv_session *session, struct cv_call *call,
                             struct cv_error *err) CV_NODISCARD;
/* The vault hears of its session's events. */
void cv_vault_take_events(struct cv_vault *v);
/* vault_beside.c: started when an original enclave has older credentials;
 * looked at now and then; no longer wanted; freed. */
void cv_vault_beside_start(struct cv_vault *v);
void cv_vault_beside_tick(struct cv_vault *v);
void cv_vault_beside_cancel(struct cv_vault *v);
void cv_vault_beside_end(struct cv_vault *v);
void cv_vault_set_state(struct cv_vault *v, enum cv_vault_state state);

#endif
