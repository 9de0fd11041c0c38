/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/names.h"

#include <assert.h>

const char *const cv_request_names[] = {
    [CV_REQUEST_ATTESTATION] = "attestation",
    [CV_REQUEST_ATTESTATION_WITH_DAL] = "attestation_with_dal",
    [CV_REQUEST_BLOCK] = "block",
    [CV_REQUEST_GENERIC] = "generic",
    [CV_REQUEST_PACK] = "pack",
    [CV_REQUEST_PREATTESTATION] = "preattestation",
    [CV_REQUEST_NAME_COUNT] = NULL,
};

const char *const cv_operation_names[] = {
    "activate_account",
    "attestations_aggregate",
    "ballot",
    "dal_entrapment_evidence",
    "dal_publish_commitment",
    "delegation",
    "double_baking_evidence",
    "double_consensus_operation_evidence",
    "drain_delegate",
    "failing_noop",
    "finalize_unstake",
    "increase_paid_storage",
    "origination",
    "preattestations_aggregate",
    "proposals",
    "register_global_constant",
    "reveal",
    "seed_nonce_revelation",
    "set_delegate_parameters",
    "set_deposits_limit",
    "signature_prefix",
    "smart_rollup_add_messages",
    "smart_rollup_cement",
    "smart_rollup_execute_outbox_message",
    "smart_rollup_originate",
    "smart_rollup_publish",
    "smart_rollup_recover_bond",
    "smart_rollup_refute",
    "smart_rollup_timeout",
    "stake",
    "transaction",
    "transfer_ticket",
    "unstake",
    "update_companion_key",
    "update_consensus_key",
    "vdf_revelation",
    "zk_rollup_origination",
    "zk_rollup_publish",
    "zk_rollup_update",
    NULL,
};

#define OPERATIONS (sizeof(cv_operation_names) / sizeof(cv_operation_names[0]) - 1)
static_assert(OPERATIONS + CV_BALLOT_NAME_COUNT <= 64, "a set of operations is 64 bits");

size_t cv_operation_name_count(void)
{
    return OPERATIONS;
}

const char *const cv_ballot_names[] = {"ballot:nay", "ballot:pass", "ballot:yay", NULL};
