/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's gate: may this request be signed? It stands between the HTTP
 * server, which knows clients, and the vault, which signs anything. It holds
 * the policy of each key, the watermarks and the audit log.
 *
 * Belongs to the loop thread.
 */
#ifndef CV_SIGNER_GATE_H
#define CV_SIGNER_GATE_H

#include "keystore/keystore.h"
#include "signer/config.h"
#include "signer/gate_remote.h"
#include "signer/loop.h"
#include "tezos/policy.h"
#include "watermark/store.h"

#define CV_GATE_AUDIT_NAME "audit.log" /* under base_dir */

struct cv_gate;

#define CV_VERDICT_TEXT 1536 /* a denial of KMS is told whole */

/* What the gate found, for the log, the metrics and the answer. */
struct cv_verdict {
    unsigned status;            /* HTTP status of the refusal; 0 = may be signed */
    char text[CV_VERDICT_TEXT]; /* the refusal, as clients know it */
    const char *kind;           /* request kind, NULL when it was not decoded */
};

struct cv_gate_options {
    struct cv_loop *loop;
    const struct cv_config *config; /* outlives the gate */
    /* A flush has ended: some answers may leave, or (after a failed one) never
     * will. See cv_gate_settled(). */
    void (*on_durable)(void *ctx);
    void *ctx;
};

/* Opens the watermark store and the audit log. A shared table is opened later,
 * when AWS answers (gate_remote.h). */
int cv_gate_new(struct cv_gate **out, const struct cv_gate_options *options,
                struct cv_error *err) CV_NODISCARD;
/* Takes the keys and policies of another configuration, all or (on failure)
 * none. The watermark driver stays what it is. */
int cv_gate_reload(struct cv_gate *gate, const struct cv_config *config,
                   struct cv_error *err) CV_NODISCARD;
/* Makes durable what waits, then closes. Harmless on NULL. */
void cv_gate_free(struct cv_gate **gate);
/* The policy of PKH; NULL when it is not listed under `tezos`. By
 * bisection. */
const struct cv_config_key *cv_gate_policy(const struct cv_gate *gate, const struct cv_pkh *pkh);
/* Says in the log what is not enforced. */
void cv_gate_announce(const struct cv_gate *gate);

/* Step 9 of the order of checks: what is MESSAGE? */
void cv_gate_decode(struct cv_gate *gate, struct cv_request *request, struct cv_bytes message,
                    struct cv_verdict *verdict);
/* Step 11: the key's policy. CLIENT: the key that authenticated the request,
 * or NULL. WHY (may be NULL) tells the metrics what was violated. */
void cv_gate_allow(struct cv_gate *gate, const struct cv_config_key *key,
                   const struct cv_request *request, const struct cv_pkh *client,
                   struct cv_refusal *why, struct cv_verdict *verdict);
/* What a signature waits for before it may leave. */
struct cv_gate_ticket {
    uint64_t seq;                /* a record of the log on disk; 0 = nothing */
    struct cv_gate_write *write; /* a write to a shared table; NULL = none */
};

/* Step 13: the watermark. Reserved in memory, or its write is started; TICKET
 * says when the answer may leave, and is given back by cv_gate_release(). DIGEST is
 * BLAKE2b-256 of the request. */
void cv_gate_reserve(struct cv_gate *gate, const struct cv_pkh *pkh,
                     const struct cv_request *request, const uint8_t digest[CV_MARK_HASH_LEN],
                     struct cv_gate_ticket *ticket, struct cv_verdict *verdict);
void cv_gate_release(struct cv_gate_ticket *ticket);

enum cv_gate_state {
    CV_GATE_WAIT,    /* not durable yet */
    CV_GATE_DURABLE, /* the signature may leave */
    CV_GATE_FAILED,  /* it never may: wipe it; VERDICT says why */
};
enum cv_gate_state cv_gate_settled(const struct cv_gate *gate, const struct cv_pkh *pkh,
                                   const struct cv_gate_ticket *ticket, struct cv_verdict *verdict);
/* Runs the loop until a shared table was opened or that has failed once, at
 * most until DEADLINE: a daemon whose table is there starts with it. */
void cv_gate_await(struct cv_gate *gate, int64_t deadline);
/* False while nothing that needs a watermark is signed: the store failed, or a
 * shared table is not open. WHY (may be NULL) says which. */
bool cv_gate_ready(const struct cv_gate *gate, struct cv_error *why);
/* What the store did so far; all zero for the driver mem. */
void cv_gate_stats(const struct cv_gate *gate, struct cv_wm_stats *out);
/* Waits until all that was reserved is settled: at the end, when nothing more
 * will be. */
void cv_gate_sync(struct cv_gate *gate);

/* At the end, before the key stores are closed: makes the records of new keys
 * durable and says so there; lets writes to a shared table end, and takes no
 * more of them. */
void cv_gate_settle_new_keys(struct cv_gate *gate);
/* A key that a vault has picked up: a new one gets its first record. */
void cv_gate_key(struct cv_gate *gate, struct cv_keystore *store, const struct cv_pkh *pkh,
                 bool is_new);

/* One line of the audit log. That of a refusal (VERDICT has a status) is
 * written at once, that of a signature by cv_gate_write_audit(), which whoever
 * sends answers calls first: no answer leaves before its line is in the file. */
void cv_gate_write_audit(struct cv_gate *gate);
void cv_gate_audit(struct cv_gate *gate, const char *decision, const char *pkh,
                   const struct cv_request *request, const struct cv_verdict *verdict,
                   const uint8_t digest[CV_MARK_HASH_LEN], const char *client);

#endif
