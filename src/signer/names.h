/* SPDX-License-Identifier: Apache-2.0 */
/* The names of request kinds and operation kinds that a policy may list: those
 * of the parser (tezos/kinds.h), whose numbers are the bits of a policy. */
#ifndef CV_SIGNER_NAMES_H
#define CV_SIGNER_NAMES_H

#include "tezos/kinds.h"

#define CV_REQUEST_NAME_COUNT CV_REQUEST_KIND_COUNT
#define CV_BALLOT_NAME_COUNT CV_VOTE_COUNT
/* Bits of the ballots' votes in a set follow those of cv_operation_names. */
static inline size_t cv_operation_name_count(void)
{
    return CV_OP_KIND_COUNT;
}

#endif
