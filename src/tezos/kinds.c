/* SPDX-License-Identifier: Apache-2.0 */
#include "tezos/kinds.h"

#include <assert.h>

static_assert(CV_OP_KIND_COUNT + CV_VOTE_COUNT <= 64, "a set of operations is 64 bits");

const char *const cv_request_names[] = {
    [CV_REQUEST_ATTESTATION] = "attestation",
    [CV_REQUEST_ATTESTATION_WITH_DAL] = "attestation_with_dal",
    [CV_REQUEST_BLOCK] = "block",
    [CV_REQUEST_GENERIC] = "generic",
    [CV_REQUEST_PACK] = "pack",
    [CV_REQUEST_PREATTESTATION] = "preattestation",
    [CV_REQUEST_KIND_COUNT] = NULL,
};

const char *const cv_operation_names[] = {
    [CV_OP_ACTIVATE_ACCOUNT] = "activate_account",
    [CV_OP_ATTESTATIONS_AGGREGATE] = "attestations_aggregate",
    [CV_OP_BALLOT] = "ballot",
    [CV_OP_DAL_ENTRAPMENT_EVIDENCE] = "dal_entrapment_evidence",
    [CV_OP_DAL_PUBLISH_COMMITMENT] = "dal_publish_commitment",
    [CV_OP_DELEGATION] = "delegation",
    [CV_OP_DOUBLE_BAKING_EVIDENCE] = "double_baking_evidence",
    [CV_OP_DOUBLE_CONSENSUS_OPERATION_EVIDENCE] = "double_consensus_operation_evidence",
    [CV_OP_DRAIN_DELEGATE] = "drain_delegate",
    [CV_OP_FAILING_NOOP] = "failing_noop",
    [CV_OP_FINALIZE_UNSTAKE] = "finalize_unstake",
    [CV_OP_INCREASE_PAID_STORAGE] = "increase_paid_storage",
    [CV_OP_ORIGINATION] = "origination",
    [CV_OP_PREATTESTATIONS_AGGREGATE] = "preattestations_aggregate",
    [CV_OP_PROPOSALS] = "proposals",
    [CV_OP_REGISTER_GLOBAL_CONSTANT] = "register_global_constant",
    [CV_OP_REVEAL] = "reveal",
    [CV_OP_SEED_NONCE_REVELATION] = "seed_nonce_revelation",
    [CV_OP_SET_DELEGATE_PARAMETERS] = "set_delegate_parameters",
    [CV_OP_SET_DEPOSITS_LIMIT] = "set_deposits_limit",
    [CV_OP_SIGNATURE_PREFIX] = "signature_prefix",
    [CV_OP_SMART_ROLLUP_ADD_MESSAGES] = "smart_rollup_add_messages",
    [CV_OP_SMART_ROLLUP_CEMENT] = "smart_rollup_cement",
    [CV_OP_SMART_ROLLUP_EXECUTE_OUTBOX_MESSAGE] = "smart_rollup_execute_outbox_message",
    [CV_OP_SMART_ROLLUP_ORIGINATE] = "smart_rollup_originate",
    [CV_OP_SMART_ROLLUP_PUBLISH] = "smart_rollup_publish",
    [CV_OP_SMART_ROLLUP_RECOVER_BOND] = "smart_rollup_recover_bond",
    [CV_OP_SMART_ROLLUP_REFUTE] = "smart_rollup_refute",
    [CV_OP_SMART_ROLLUP_TIMEOUT] = "smart_rollup_timeout",
    [CV_OP_STAKE] = "stake",
    [CV_OP_TRANSACTION] = "transaction",
    [CV_OP_TRANSFER_TICKET] = "transfer_ticket",
    [CV_OP_UNSTAKE] = "unstake",
    [CV_OP_UPDATE_COMPANION_KEY] = "update_companion_key",
    [CV_OP_UPDATE_CONSENSUS_KEY] = "update_consensus_key",
    [CV_OP_VDF_REVELATION] = "vdf_revelation",
    [CV_OP_ZK_ROLLUP_ORIGINATION] = "zk_rollup_origination",
    [CV_OP_ZK_ROLLUP_PUBLISH] = "zk_rollup_publish",
    [CV_OP_ZK_ROLLUP_UPDATE] = "zk_rollup_update",
    [CV_OP_KIND_COUNT] = NULL,
};

const char *const cv_ballot_names[] = {
    [CV_VOTE_NAY] = "ballot:nay",
    [CV_VOTE_PASS] = "ballot:pass",
    [CV_VOTE_YAY] = "ballot:yay",
    [CV_VOTE_COUNT] = NULL,
};
