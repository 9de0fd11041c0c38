/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of requests and of operations, as policies name them. Both lists
 * are in alphabetical order; a set of kinds is a bit mask over the numbers.
 */
#ifndef CV_TEZOS_KINDS_H
#define CV_TEZOS_KINDS_H

#include <stddef.h>
#include <stdint.h>

enum cv_request_kind {
    CV_REQUEST_ATTESTATION,
    CV_REQUEST_ATTESTATION_WITH_DAL,
    CV_REQUEST_BLOCK,
    CV_REQUEST_GENERIC,
    CV_REQUEST_PACK,
    CV_REQUEST_PREATTESTATION,
    CV_REQUEST_KIND_COUNT
};

/* Operations of a generic request, pseudo-operations included. */
enum cv_op_kind {
    CV_OP_ACTIVATE_ACCOUNT,
    CV_OP_ATTESTATIONS_AGGREGATE,
    CV_OP_BALLOT,
    CV_OP_DAL_ENTRAPMENT_EVIDENCE,
    CV_OP_DAL_PUBLISH_COMMITMENT,
    CV_OP_DELEGATION,
    CV_OP_DOUBLE_BAKING_EVIDENCE,
    CV_OP_DOUBLE_CONSENSUS_OPERATION_EVIDENCE,
    CV_OP_DRAIN_DELEGATE,
    CV_OP_FAILING_NOOP,
    CV_OP_FINALIZE_UNSTAKE,
    CV_OP_INCREASE_PAID_STORAGE,
    CV_OP_ORIGINATION,
    CV_OP_PREATTESTATIONS_AGGREGATE,
    CV_OP_PROPOSALS,
    CV_OP_REGISTER_GLOBAL_CONSTANT,
    CV_OP_REVEAL,
    CV_OP_SEED_NONCE_REVELATION,
    CV_OP_SET_DELEGATE_PARAMETERS,
    CV_OP_SET_DEPOSITS_LIMIT,
    CV_OP_SIGNATURE_PREFIX,
    CV_OP_SMART_ROLLUP_ADD_MESSAGES,
    CV_OP_SMART_ROLLUP_CEMENT,
    CV_OP_SMART_ROLLUP_EXECUTE_OUTBOX_MESSAGE,
    CV_OP_SMART_ROLLUP_ORIGINATE,
    CV_OP_SMART_ROLLUP_PUBLISH,
    CV_OP_SMART_ROLLUP_RECOVER_BOND,
    CV_OP_SMART_ROLLUP_REFUTE,
    CV_OP_SMART_ROLLUP_TIMEOUT,
    CV_OP_STAKE,
    CV_OP_TRANSACTION,
    CV_OP_TRANSFER_TICKET,
    CV_OP_UNSTAKE,
    CV_OP_UPDATE_COMPANION_KEY,
    CV_OP_UPDATE_CONSENSUS_KEY,
    CV_OP_VDF_REVELATION,
    CV_OP_ZK_ROLLUP_ORIGINATION,
    CV_OP_ZK_ROLLUP_PUBLISH,
    CV_OP_ZK_ROLLUP_UPDATE,
    CV_OP_KIND_COUNT
};

/* The vote of a ballot, in the order of the names below. */
enum cv_vote { CV_VOTE_NAY, CV_VOTE_PASS, CV_VOTE_YAY };
#define CV_VOTE_COUNT 3

/* Each ends with NULL. */
extern const char *const cv_request_names[];   /* "attestation" … */
extern const char *const cv_operation_names[]; /* "activate_account" … */
extern const char *const cv_ballot_names[];    /* "ballot:nay" "ballot:pass" "ballot:yay" */

/* Bits of a set of operations: one a kind, and behind them one a vote, which
 * is narrower than CV_OP_BALLOT. */
#define CV_OP_BIT(kind) (UINT64_C(1) << (kind))
#define CV_VOTE_BIT(vote) (UINT64_C(1) << (CV_OP_KIND_COUNT + (vote)))
#define CV_REQUEST_BIT(kind) (UINT32_C(1) << (kind))

#endif
