/* SPDX-License-Identifier: Apache-2.0 */
/* Transfers: transactions and what is written as one, originations, tickets. */
#include "tezos/operation.h"

#define ENTRYPOINT_MAX 31

enum entrypoint {
    ENTRYPOINT_STAKE = 6,
    ENTRYPOINT_UNSTAKE = 7,
    ENTRYPOINT_FINALIZE_UNSTAKE = 8,
    ENTRYPOINT_SET_DELEGATE_PARAMETERS = 9,
    ENTRYPOINT_NAMED = 255,
};

static uint8_t entrypoint(struct cv_fields *f)
{
    uint8_t tag = cv_read_u8(&f->r);
    if (tag == ENTRYPOINT_NAMED) {
        uint8_t n = cv_read_u8(&f->r);
        if (n > ENTRYPOINT_MAX)
            cv_fields_fail(f, CV_ERR_INVALID, "the name of an entrypoint is too long");
        cv_field_skip(f, n);
    } else if (tag > ENTRYPOINT_SET_DELEGATE_PARAMETERS) {
        cv_fields_unknown_tag(f, tag);
    }
    return tag;
}

/* Staking is written as a transaction of an account to itself with a reserved
 * entrypoint; it has a name of its own. To anybody else it is a transaction. */
static enum cv_op_kind transaction_kind(uint8_t entry, const struct cv_operation *op)
{
    if (op->destination.kind != CV_ADDRESS_IMPLICIT ||
        !cv_pkh_equal(&op->destination.pkh, &op->source))
        return CV_OP_TRANSACTION;
    switch (entry) {
    case ENTRYPOINT_STAKE:
        return CV_OP_STAKE;
    case ENTRYPOINT_UNSTAKE:
        return CV_OP_UNSTAKE;
    case ENTRYPOINT_FINALIZE_UNSTAKE:
        return CV_OP_FINALIZE_UNSTAKE;
    case ENTRYPOINT_SET_DELEGATE_PARAMETERS:
        return CV_OP_SET_DELEGATE_PARAMETERS;
    default:
        return CV_OP_TRANSACTION;
    }
}

void cv_op_transaction(struct cv_fields *f, struct cv_operation *op)
{
    op->has_amount = true;
    op->amount = cv_field_n(f);
    cv_field_contract(f, &op->destination);
    if (cv_field_bool(f)) {
        op->kind = transaction_kind(entrypoint(f), op);
        cv_field_dyn_michelson(f);
    }
    op->has_destination = op->kind == CV_OP_TRANSACTION;
}

void cv_op_origination(struct cv_fields *f, struct cv_operation *op)
{
    struct cv_pkh delegate;
    op->has_amount = true;
    op->amount = cv_field_n(f);
    if (cv_field_bool(f))
        cv_field_pkh(f, &delegate);
    cv_field_dyn_michelson(f); /* code */
    cv_field_dyn_michelson(f); /* storage */
}

void cv_op_transfer_ticket(struct cv_fields *f, struct cv_operation *op)
{
    struct cv_address ticketer;
    cv_field_dyn_michelson(f); /* contents */
    cv_field_dyn_michelson(f); /* type */
    cv_field_contract(f, &ticketer);
    cv_field_n(f); /* a number of tickets, not mutez */
    cv_field_contract(f, &op->destination);
    op->has_destination = true;
    cv_field_dyn(f); /* entrypoint */
}
