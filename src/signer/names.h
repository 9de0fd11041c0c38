/* SPDX-License-Identifier: Apache-2.0 */
/* The names of request kinds and operation kinds that a policy may list. */
#ifndef CV_SIGNER_NAMES_H
#define CV_SIGNER_NAMES_H

#include <stddef.h>

enum cv_request_name {
    CV_REQUEST_ATTESTATION,
    CV_REQUEST_ATTESTATION_WITH_DAL,
    CV_REQUEST_BLOCK,
    CV_REQUEST_GENERIC,
    CV_REQUEST_PACK,
    CV_REQUEST_PREATTESTATION,
    CV_REQUEST_NAME_COUNT
};

/* In alphabetical order, NULL at the end: list-requests prints them so. */
extern const char *const cv_request_names[];
/* The operations of a generic request in alphabetical order, NULL at the end;
 * fewer than 61, so that a set of them and of the three ballots fits 64 bits. */
extern const char *const cv_operation_names[];
size_t cv_operation_name_count(void);
/* "ballot:nay" "ballot:pass" "ballot:yay": narrower than "ballot". Their bits
 * in a set follow those of cv_operation_names. */
extern const char *const cv_ballot_names[];
#define CV_BALLOT_NAME_COUNT 3

#endif
