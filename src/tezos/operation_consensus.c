/* SPDX-License-Identifier: Apache-2.0 */
/* Consensus: block headers, (pre)attestations, their aggregates, and evidence
 * that somebody signed two of them. */
#include "tezos/operation.h"

#define SIGNATURE 64
#define BLS_SIGNATURE 96

int cv_fitness_parse(struct cv_bytes fitness, int32_t *level, int32_t *round)
{
    struct cv_reader r;
    cv_reader_init(&r, fitness);
    struct cv_bytes version = cv_read_bytes(&r, cv_read_be32(&r));
    bool ok = version.n == 1 && version.p[0] == 2;
    ok &= cv_read_be32(&r) == 4;
    *level = cv_read_be_i32(&r);
    uint32_t locked = cv_read_be32(&r); /* nothing, or a round */
    ok &= locked == 0 || locked == 4;
    cv_read_skip(&r, locked);
    ok &= cv_read_be32(&r) == 4;
    cv_read_skip(&r, 4); /* the predecessor's round */
    ok &= cv_read_be32(&r) == 4;
    *round = cv_read_be_i32(&r);
    int rc = cv_reader_end(&r);
    return rc == 0 && !ok ? CV_ERR_INVALID : rc;
}

void cv_block_header(struct cv_fields *f, int32_t *level, int32_t *round)
{
    int32_t fitness_level = 0;
    *level = cv_read_be_i32(&f->r);
    cv_field_skip(f, 1 + 32 + 8 + 1 + 32); /* proto … operations hash */
    struct cv_bytes fitness = cv_field_dyn(f);
    if (cv_fields_ok(f) && cv_fitness_parse(fitness, &fitness_level, round) != 0)
        cv_fields_fail(f, CV_ERR_INVALID, "the fitness of the block is not Tenderbake's");
    if (fitness_level != *level)
        cv_fields_fail(f, CV_ERR_INVALID, "the fitness of the block is of another level");
    cv_field_skip(f, 32 + 32 + 4 + 8); /* context … proof of work */
    if (cv_field_bool(f))
        cv_field_skip(f, 32); /* seed nonce hash */
    if ((cv_read_u8(&f->r) & 0xf0) != 0)
        cv_fields_fail(f, CV_ERR_INVALID, "the votes of the block hold unknown bits");
}

void cv_consensus_body(struct cv_fields *f, uint8_t tag, int32_t *level, int32_t *round)
{
    if (tag < 40)
        cv_field_skip(f, 2); /* slot; tz4 forms have none */
    *level = cv_read_be_i32(&f->r);
    *round = cv_read_be_i32(&f->r);
    cv_field_skip(f, 32); /* payload hash */
    if (tag == 23)
        cv_field_z(f, CV_NUMBER_MAX); /* DAL slots */
}

/* level, round, payload hash; then the list of those who signed. */
static void aggregate_head(struct cv_fields *f)
{
    cv_field_skip(f, 4 + 4 + 32);
}

void cv_op_preattestations_aggregate(struct cv_fields *f, struct cv_operation *op)
{
    (void)op;
    aggregate_head(f);
    cv_field_dyn_units(f, 2);
}

void cv_op_attestations_aggregate(struct cv_fields *f, struct cv_operation *op)
{
    (void)op;
    aggregate_head(f);
    size_t outer = cv_field_enter(f);
    while (cv_fields_left(f) > 0) {
        cv_field_skip(f, 2);
        if (cv_field_bool(f))
            cv_field_z(f, CV_NUMBER_MAX);
    }
    cv_field_leave(f, outer);
}

/* A signature that fills what is left of the window. */
static void rest_is_signature(struct cv_fields *f)
{
    size_t n = cv_fields_left(f);
    if (n != SIGNATURE && n != BLS_SIGNATURE)
        cv_fields_fail(f, CV_ERR_INVALID, "a signature has neither 64 nor 96 bytes");
    cv_field_skip(f, n);
}

/* dyn(branch, consensus operation, signature) */
static void inlined(struct cv_fields *f)
{
    int32_t level, round;
    size_t outer = cv_field_enter(f);
    cv_field_skip(f, 32);
    uint8_t tag = cv_read_u8(&f->r);
    switch (tag) {
    case 20:
    case 21:
    case 23:
        cv_consensus_body(f, tag, &level, &round);
        break;
    case 30:
        cv_op_preattestations_aggregate(f, NULL);
        break;
    case 31:
        cv_op_attestations_aggregate(f, NULL);
        break;
    default:
        cv_fields_unknown_tag(f, tag);
    }
    rest_is_signature(f);
    cv_field_leave(f, outer);
}

void cv_op_evidence(struct cv_fields *f, struct cv_operation *op)
{
    (void)op;
    cv_field_skip(f, 2); /* slot */
    inlined(f);
    inlined(f);
}

void cv_op_double_baking(struct cv_fields *f, struct cv_operation *op)
{
    (void)op;
    for (int i = 0; i < 2; i++) {
        int32_t level, round = 0;
        size_t outer = cv_field_enter(f);
        cv_block_header(f, &level, &round);
        rest_is_signature(f);
        cv_field_leave(f, outer);
    }
}

void cv_op_entrapment(struct cv_fields *f, struct cv_operation *op)
{
    (void)op;
    inlined(f);
    cv_field_skip(f, 2 + 1 + 4); /* consensus slot, slot index, shard number */
    cv_field_dyn(f);             /* shard */
    cv_field_skip(f, 48);        /* proof */
}
