/* SPDX-License-Identifier: Apache-2.0 */
/* Smart rollups and zk rollups. */
#include "tezos/operation.h"

#define ROLLUP 20
#define HASH 32
#define SCALAR 32

void cv_op_rollup_originate(struct cv_fields *f, struct cv_operation *op)
{
    (void)op;
    uint8_t pvm = cv_read_u8(&f->r); /* arith, wasm_2_0_0, riscv */
    if (pvm > 2)
        cv_fields_unknown_tag(f, pvm);
    cv_field_dyn(f); /* kernel */
    cv_field_dyn_michelson(f);
    if (cv_field_bool(f)) { /* who may stake */
        size_t outer = cv_field_enter(f);
        while (cv_fields_left(f) > 0) {
            struct cv_pkh staker;
            cv_field_pkh(f, &staker);
        }
        cv_field_leave(f, outer);
    }
}

void cv_op_rollup_add_messages(struct cv_fields *f, struct cv_operation *op)
{
    (void)op;
    size_t outer = cv_field_enter(f);
    while (cv_fields_left(f) > 0)
        cv_field_dyn(f);
    cv_field_leave(f, outer);
}

void cv_op_rollup_publish(struct cv_fields *f, struct cv_operation *op)
{
    (void)op;
    cv_field_skip(f, ROLLUP + HASH + 4 + HASH + 8); /* state, level, predecessor, ticks */
}

static void reveal_proof(struct cv_fields *f)
{
    uint8_t tag = cv_read_u8(&f->r);
    switch (tag) {
    case 0: /* raw data */
        cv_field_dyn(f);
        break;
    case 1: /* metadata */
    case 3: /* DAL parameters */
        break;
    case 2:                          /* DAL page */
        cv_field_skip(f, 4 + 1 + 2); /* level, slot, page */
        cv_field_dyn(f);
        break;
    default:
        cv_fields_unknown_tag(f, tag);
    }
}

static void input_proof(struct cv_fields *f)
{
    uint8_t tag = cv_read_u8(&f->r);
    switch (tag) {
    case 0: /* inbox */
        cv_field_skip(f, 4);
        cv_field_n(f);
        cv_field_dyn(f);
        break;
    case 1:
        reveal_proof(f);
        break;
    case 2: /* first input */
        break;
    default:
        cv_fields_unknown_tag(f, tag);
    }
}

static void dissection(struct cv_fields *f)
{
    size_t outer = cv_field_enter(f);
    while (cv_fields_left(f) > 0) {
        if (cv_field_bool(f))
            cv_field_skip(f, HASH);
        cv_field_n(f);
    }
    cv_field_leave(f, outer);
}

static void move(struct cv_fields *f)
{
    cv_field_n(f); /* choice */
    uint8_t step = cv_read_u8(&f->r);
    switch (step) {
    case 0:
        dissection(f);
        break;
    case 1: /* proof */
        cv_field_dyn(f);
        if (cv_field_bool(f))
            input_proof(f);
        break;
    default:
        cv_fields_unknown_tag(f, step);
    }
}

void cv_op_rollup_refute(struct cv_fields *f, struct cv_operation *op)
{
    struct cv_pkh opponent;
    (void)op;
    cv_field_skip(f, ROLLUP);
    cv_field_pkh(f, &opponent);
    uint8_t tag = cv_read_u8(&f->r);
    switch (tag) {
    case 0: /* start: both commitments */
        cv_field_skip(f, HASH + HASH);
        break;
    case 1:
        move(f);
        break;
    default:
        cv_fields_unknown_tag(f, tag);
    }
}

void cv_op_rollup_timeout(struct cv_fields *f, struct cv_operation *op)
{
    struct cv_pkh alice, bob;
    (void)op;
    cv_field_skip(f, ROLLUP);
    cv_field_pkh(f, &alice);
    cv_field_pkh(f, &bob);
}

void cv_op_rollup_outbox(struct cv_fields *f, struct cv_operation *op)
{
    (void)op;
    cv_field_skip(f, ROLLUP + HASH);
    cv_field_dyn(f);
}

void cv_op_rollup_recover_bond(struct cv_fields *f, struct cv_operation *op)
{
    struct cv_pkh staker;
    (void)op;
    cv_field_skip(f, ROLLUP);
    cv_field_pkh(f, &staker);
}

void cv_op_zk_origination(struct cv_fields *f, struct cv_operation *op)
{
    (void)op;
    cv_field_dyn(f); /* public parameters */
    size_t outer = cv_field_enter(f);
    while (cv_fields_left(f) > 0) { /* circuits: name, kind */
        cv_field_dyn(f);
        cv_field_skip(f, 1);
    }
    cv_field_leave(f, outer);
    cv_field_dyn_units(f, SCALAR); /* state */
    cv_field_skip(f, 4);           /* number of operations */
}

static void zk_operation(struct cv_fields *f)
{
    struct cv_pkh destination;
    struct cv_address ticketer;
    cv_field_skip(f, 4 + HASH); /* code, price id */
    cv_field_z(f, CV_NUMBER_MAX);
    cv_field_pkh(f, &destination);
    cv_field_skip(f, ROLLUP);
    cv_field_dyn_units(f, SCALAR); /* payload */
    if (cv_field_bool(f)) {        /* ticket */
        cv_field_michelson(f);
        cv_field_michelson(f);
        cv_field_contract(f, &ticketer);
    }
}

void cv_op_zk_publish(struct cv_fields *f, struct cv_operation *op)
{
    (void)op;
    cv_field_skip(f, ROLLUP);
    size_t outer = cv_field_enter(f);
    while (cv_fields_left(f) > 0)
        zk_operation(f);
    cv_field_leave(f, outer);
}

/* Public inputs of proofs: circuit, new state, fee, and for private batches
 * whether the exit is valid. */
static void zk_inputs(struct cv_fields *f, bool with_exit)
{
    size_t outer = cv_field_enter(f);
    while (cv_fields_left(f) > 0) {
        cv_field_dyn(f);
        cv_field_dyn_units(f, SCALAR);
        cv_field_skip(f, SCALAR);
        if (with_exit)
            cv_field_bool(f);
    }
    cv_field_leave(f, outer);
}

void cv_op_zk_update(struct cv_fields *f, struct cv_operation *op)
{
    (void)op;
    cv_field_skip(f, ROLLUP);
    zk_inputs(f, true);
    zk_inputs(f, false);
    cv_field_dyn_units(f, SCALAR); /* state after the fees */
    cv_field_dyn(f);               /* proof */
}
