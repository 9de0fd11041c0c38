/* SPDX-License-Identifier: Apache-2.0 */
/* The table of operations, and the short ones themselves. */
#include "tezos/operation.h"

#include <string.h>

#define BLS_SIGNATURE 96

static void seed_nonce(struct cv_fields *f, struct cv_operation *op)
{
    (void)op;
    cv_field_skip(f, 4 + 32); /* level, nonce */
}

static void activate_account(struct cv_fields *f, struct cv_operation *op)
{
    (void)op;
    cv_field_skip(f, 20 + 20); /* Ed25519 hash without a tag, secret */
}

static void source_of(struct cv_fields *f, struct cv_operation *op)
{
    cv_field_pkh(f, &op->source);
    op->has_source = true;
}

static void proposals(struct cv_fields *f, struct cv_operation *op)
{
    source_of(f, op);
    cv_field_skip(f, 4); /* period */
    cv_field_dyn_units(f, 32);
}

static void ballot(struct cv_fields *f, struct cv_operation *op)
{
    static const enum cv_vote votes[] = {CV_VOTE_YAY, CV_VOTE_NAY, CV_VOTE_PASS};
    source_of(f, op);
    cv_field_skip(f, 4 + 32); /* period, protocol */
    uint8_t vote = cv_read_u8(&f->r);
    if (vote >= sizeof(votes) / sizeof(votes[0]))
        cv_fields_unknown_tag(f, vote);
    else
        op->vote = votes[vote];
}

static void vdf_revelation(struct cv_fields *f, struct cv_operation *op)
{
    (void)op;
    cv_field_skip(f, 100 + 100);
}

static void drain_delegate(struct cv_fields *f, struct cv_operation *op)
{
    struct cv_pkh delegate;
    source_of(f, op); /* the consensus key, which signs */
    cv_field_pkh(f, &delegate);
    op->destination.kind = CV_ADDRESS_IMPLICIT;
    cv_field_pkh(f, &op->destination.pkh);
    op->has_destination = true;
    op->has_amount = true;
    op->amount = UINT64_MAX;
}

static void failing_noop(struct cv_fields *f, struct cv_operation *op)
{
    (void)op;
    cv_field_dyn(f);
}

/* dyn(BLS signature), or nothing. */
static void proof(struct cv_fields *f)
{
    if (cv_field_bool(f) && cv_field_dyn(f).n != BLS_SIGNATURE)
        cv_fields_fail(f, CV_ERR_INVALID, "a proof of possession has not 96 bytes");
}

/* reveal, update_consensus_key: these are older than their proof, and tools
 * still write them without it as the last operation, where nothing else can be
 * meant. */
static void key_and_late_proof(struct cv_fields *f, struct cv_operation *op)
{
    (void)op;
    cv_field_pk(f);
    if (cv_fields_left(f) > 0)
        proof(f);
}

static void key_and_proof(struct cv_fields *f, struct cv_operation *op)
{
    (void)op;
    cv_field_pk(f);
    proof(f);
}

static void delegation(struct cv_fields *f, struct cv_operation *op)
{
    struct cv_pkh delegate;
    (void)op;
    if (cv_field_bool(f))
        cv_field_pkh(f, &delegate);
}

static void global_constant(struct cv_fields *f, struct cv_operation *op)
{
    (void)op;
    cv_field_dyn_michelson(f);
}

static void deposits_limit(struct cv_fields *f, struct cv_operation *op)
{
    (void)op;
    if (cv_field_bool(f))
        cv_field_n(f);
}

static void paid_storage(struct cv_fields *f, struct cv_operation *op)
{
    (void)op;
    cv_field_z(f, CV_NUMBER_MAX); /* bytes of storage, not mutez */
    cv_field_originated(f);
}

static void rollup_cement(struct cv_fields *f, struct cv_operation *op)
{
    (void)op;
    cv_field_skip(f, 20);
}

static void dal_publish(struct cv_fields *f, struct cv_operation *op)
{
    (void)op;
    cv_field_skip(f, 1 + 48 + 96); /* slot, commitment, proof */
}

static void signature_prefix(struct cv_fields *f, struct cv_operation *op)
{
    (void)op;
    uint8_t tag = cv_read_u8(&f->r);
    if (tag != 3)
        cv_fields_unknown_tag(f, tag);
    cv_field_skip(f, 32);
}

struct entry {
    uint8_t tag;
    uint8_t kind; /* enum cv_op_kind */
    bool manager;
    void (*body)(struct cv_fields *f, struct cv_operation *op);
};

static const struct entry table[] = {
    {1, CV_OP_SEED_NONCE_REVELATION, false, seed_nonce},
    {2, CV_OP_DOUBLE_CONSENSUS_OPERATION_EVIDENCE, false, cv_op_evidence},
    {3, CV_OP_DOUBLE_BAKING_EVIDENCE, false, cv_op_double_baking},
    {4, CV_OP_ACTIVATE_ACCOUNT, false, activate_account},
    {5, CV_OP_PROPOSALS, false, proposals},
    {6, CV_OP_BALLOT, false, ballot},
    {8, CV_OP_VDF_REVELATION, false, vdf_revelation},
    {9, CV_OP_DRAIN_DELEGATE, false, drain_delegate},
    {17, CV_OP_FAILING_NOOP, false, failing_noop},
    {24, CV_OP_DAL_ENTRAPMENT_EVIDENCE, false, cv_op_entrapment},
    {30, CV_OP_PREATTESTATIONS_AGGREGATE, false, cv_op_preattestations_aggregate},
    {31, CV_OP_ATTESTATIONS_AGGREGATE, false, cv_op_attestations_aggregate},
    {107, CV_OP_REVEAL, true, key_and_late_proof},
    {108, CV_OP_TRANSACTION, true, cv_op_transaction},
    {109, CV_OP_ORIGINATION, true, cv_op_origination},
    {110, CV_OP_DELEGATION, true, delegation},
    {111, CV_OP_REGISTER_GLOBAL_CONSTANT, true, global_constant},
    {112, CV_OP_SET_DEPOSITS_LIMIT, true, deposits_limit},
    {113, CV_OP_INCREASE_PAID_STORAGE, true, paid_storage},
    {114, CV_OP_UPDATE_CONSENSUS_KEY, true, key_and_late_proof},
    {115, CV_OP_UPDATE_COMPANION_KEY, true, key_and_proof},
    {158, CV_OP_TRANSFER_TICKET, true, cv_op_transfer_ticket},
    {200, CV_OP_SMART_ROLLUP_ORIGINATE, true, cv_op_rollup_originate},
    {201, CV_OP_SMART_ROLLUP_ADD_MESSAGES, true, cv_op_rollup_add_messages},
    {202, CV_OP_SMART_ROLLUP_CEMENT, true, rollup_cement},
    {203, CV_OP_SMART_ROLLUP_PUBLISH, true, cv_op_rollup_publish},
    {204, CV_OP_SMART_ROLLUP_REFUTE, true, cv_op_rollup_refute},
    {205, CV_OP_SMART_ROLLUP_TIMEOUT, true, cv_op_rollup_timeout},
    {206, CV_OP_SMART_ROLLUP_EXECUTE_OUTBOX_MESSAGE, true, cv_op_rollup_outbox},
    {207, CV_OP_SMART_ROLLUP_RECOVER_BOND, true, cv_op_rollup_recover_bond},
    {230, CV_OP_DAL_PUBLISH_COMMITMENT, true, dal_publish},
    {250, CV_OP_ZK_ROLLUP_ORIGINATION, true, cv_op_zk_origination},
    {251, CV_OP_ZK_ROLLUP_PUBLISH, true, cv_op_zk_publish},
    {252, CV_OP_ZK_ROLLUP_UPDATE, true, cv_op_zk_update},
    {255, CV_OP_SIGNATURE_PREFIX, false, signature_prefix},
};

/* source, fee, counter, gas limit, storage limit */
static void manager_prefix(struct cv_fields *f, struct cv_operation *op)
{
    source_of(f, op);
    op->fee = cv_field_n(f);
    for (int i = 0; i < 3; i++)
        cv_field_n(f);
}

void cv_operation_read(struct cv_fields *f, struct cv_operation *op)
{
    memset(op, 0, sizeof(*op));
    op->tag = cv_read_u8(&f->r);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].tag != op->tag)
            continue;
        op->kind = (enum cv_op_kind)table[i].kind;
        op->manager = table[i].manager;
        if (op->manager)
            manager_prefix(f, op);
        table[i].body(f, op);
        return;
    }
    cv_fields_unknown_tag(f, op->tag);
}

const char *cv_operation_name(const struct cv_operation *op)
{
    return op->kind == CV_OP_BALLOT ? cv_ballot_names[op->vote] : cv_operation_names[op->kind];
}
