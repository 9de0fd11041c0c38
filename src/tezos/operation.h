/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of a batch: one reader a tag. */
#ifndef CV_TEZOS_OPERATION_H
#define CV_TEZOS_OPERATION_H

#include "tezos/fields.h"

/* Reads one operation, its tag first. Faults stay in F. */
void cv_operation_read(struct cv_fields *f, struct cv_operation *op);

/* The body of a consensus operation behind its tag (20, 21, 23, 40, 41), in a
 * request or as evidence. */
void cv_consensus_body(struct cv_fields *f, uint8_t tag, int32_t *level, int32_t *round);
/* An unsigned block header behind its chain. */
void cv_block_header(struct cv_fields *f, int32_t *level, int32_t *round);

/* Bodies behind the tag; the manager ones behind fee and limits too. */
void cv_op_evidence(struct cv_fields *f, struct cv_operation *op);
void cv_op_double_baking(struct cv_fields *f, struct cv_operation *op);
void cv_op_entrapment(struct cv_fields *f, struct cv_operation *op);
void cv_op_preattestations_aggregate(struct cv_fields *f, struct cv_operation *op);
void cv_op_attestations_aggregate(struct cv_fields *f, struct cv_operation *op);
void cv_op_transaction(struct cv_fields *f, struct cv_operation *op);
void cv_op_origination(struct cv_fields *f, struct cv_operation *op);
void cv_op_transfer_ticket(struct cv_fields *f, struct cv_operation *op);
void cv_op_rollup_originate(struct cv_fields *f, struct cv_operation *op);
void cv_op_rollup_add_messages(struct cv_fields *f, struct cv_operation *op);
void cv_op_rollup_publish(struct cv_fields *f, struct cv_operation *op);
void cv_op_rollup_refute(struct cv_fields *f, struct cv_operation *op);
void cv_op_rollup_timeout(struct cv_fields *f, struct cv_operation *op);
void cv_op_rollup_outbox(struct cv_fields *f, struct cv_operation *op);
void cv_op_rollup_recover_bond(struct cv_fields *f, struct cv_operation *op);
void cv_op_zk_origination(struct cv_fields *f, struct cv_operation *op);
void cv_op_zk_publish(struct cv_fields *f, struct cv_operation *op);
void cv_op_zk_update(struct cv_fields *f, struct cv_operation *op);

#endif
