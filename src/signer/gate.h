/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's gate: may this request be signed? It stands between the HTTP
 * server, which knows clients, and the vault, which signs anything.
 */
#ifndef CV_SIGNER_GATE_H
#define CV_SIGNER_GATE_H

#include "signer/config.h"

struct cv_gate;

/* What the gate found, for the log, the metrics and the answer. */
struct cv_verdict {
    unsigned status;         /* HTTP status of the refusal; 0 = may be signed */
    char text[256];          /* the refusal, as clients know it */
    const char *kind;        /* request kind, NULL when it was not decoded */
};

/* CONFIG outlives the gate. */
int cv_gate_new(struct cv_gate **out, const struct cv_config *config, struct cv_error *err) CV_NODISCARD;
void cv_gate_free(struct cv_gate **gate);
/* The policy of PKH; NULL when it is not listed under `tezos`. By
 * bisection. */
const struct cv_config_key *cv_gate_policy(const struct cv_gate *gate, const struct cv_pkh *pkh);
/* Says in the log what is not enforced. */
void cv_gate_announce(const struct cv_gate *gate);

/* Step 9 of the order of checks: what is MESSAGE? */
void cv_gate_decode(struct cv_gate *gate, struct cv_bytes message, struct cv_verdict *verdict);

#endif
