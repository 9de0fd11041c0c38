/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May this key sign this request? A pure function: the rules of one key, the
 * parsed request, who asks. The checks come in Signatory's order and speak its
 * words, and ours come after them: chain, client, kind of the request, kind of
 * each operation; then source and limits of each operation.
 */
#ifndef CV_TEZOS_POLICY_H
#define CV_TEZOS_POLICY_H

#include "tezos/request.h"

/* Rules of one key. Arrays are borrowed. */
struct cv_key_rules {
    uint32_t requests;   /* CV_REQUEST_BIT */
    uint64_t operations; /* CV_OP_BIT, CV_VOTE_BIT: for generic requests */

    /* allowed_chains, for block and (pre)attestation requests */
    bool chains_given;
    const uint8_t (*chains)[4];
    size_t chain_count;

    /* authorized_keys of the key */
    bool clients_given;
    const struct cv_pkh *clients;
    size_t client_count;

    bool allow_other_source; /* manager operations of other accounts */
    bool has_max_fee, has_max_amount;
    uint64_t max_fee, max_amount; /* mutez, for each operation */
    bool destinations_given;
    const struct cv_address *destinations;
    size_t destination_count;
};

enum cv_refusal_reason {
    CV_REFUSED_CHAIN,
    CV_REFUSED_NO_CLIENT,
    CV_REFUSED_CLIENT,
    CV_REFUSED_REQUEST,
    CV_REFUSED_OPERATION,
    CV_REFUSED_SOURCE,
    CV_REFUSED_FEE,
    CV_REFUSED_AMOUNT,
    CV_REFUSED_DESTINATION,
};

struct cv_refusal {
    enum cv_refusal_reason reason;
    const char *kind; /* the refused request or operation kind, static; else NULL */
    char text[256];   /* "operation `transaction' is not allowed" */
};

/* 0, or CV_ERR_DENIED with WHY filled. SIGNER is the key that would sign;
 * CLIENT the key that authenticated the request, NULL for none. */
int cv_policy_check_request(const struct cv_key_rules *rules, const struct cv_request *request,
                            const struct cv_pkh *signer, const struct cv_pkh *client,
                            struct cv_refusal *why) CV_NODISCARD;

#endif
