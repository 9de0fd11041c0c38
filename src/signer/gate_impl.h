/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the gate, shared by gate*.c alone. */
#ifndef CV_SIGNER_GATE_IMPL_H
#define CV_SIGNER_GATE_IMPL_H

#include "audit/audit.h"
#include "signer/gate.h"
#include "signer/marks.h"
#include "signer/newborn.h"
#include "signer/rules.h"

/* A key of the configuration, with its policy. */
struct ruled {
    const struct cv_config_key *key;
    struct cv_key_rules rules;
    bool warned; /* that it has no watermark record */
};

struct cv_gate {
    struct cv_gate_options o;
    struct ruled *by_hash; /* sorted */
    size_t count;
    struct cv_wm_store *store;     /* driver file; NULL otherwise */
    struct cv_marks *memory;       /* driver mem; NULL otherwise */
    struct cv_gate_remote *remote; /* driver aws; NULL otherwise */
    struct cv_newborns *newborns;  /* driver file */
    struct cv_loop_source flushed;
    uint64_t told;       /* up to where on_durable has told of durable records */
    bool told_of_poison; /* and of their failure */
    struct cv_loop_hook hook;
    struct cv_audit *audit;
};

/* NULL when PKH is not listed. */
struct ruled *cv_gate_find(const struct cv_gate *gate, const struct cv_pkh *pkh);
/* Says no to a request. */
void cv_gate_refuse(struct cv_verdict *verdict, unsigned status, const char *text);

/* gate_marks.c: the store that the configuration names, and its end. */
int cv_gate_open_marks(struct cv_gate *g, struct cv_error *err) CV_NODISCARD;
void cv_gate_close_marks(struct cv_gate *g);
/* Tells of records that have become durable, or failed, without a flush having
 * been seen to end: whoever waits for the store itself (for the records of new
 * keys) takes that event. True when there were any. */
bool cv_gate_tell_durable(struct cv_gate *g);

/* gate_audit.c */
int cv_gate_open_audit(struct cv_gate *g, struct cv_error *err) CV_NODISCARD;

#endif
