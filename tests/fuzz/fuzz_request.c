/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to sign, and the policy over what was parsed. */
#include <stdlib.h>

#include "tezos/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct cv_pkh signer = {CV_SCHEME_ED25519, {0}};
    static const struct cv_key_rules rules = {.requests = UINT32_MAX,
                                              .operations = UINT64_MAX / 3,
                                              .allow_other_source = true,
                                              .has_max_fee = true,
                                              .max_fee = 1000,
                                              .has_max_amount = true,
                                              .max_amount = 1000,
                                              .destinations_given = true};
    struct cv_request request;
    struct cv_refusal why;
    struct cv_operations it;
    struct cv_operation op;
    size_t count = 0;
    if (cv_request_parse(&request, CV_BYTES(data, size), NULL) != 0)
        return 0;
    cv_operations_start(&it, &request);
    for (; cv_operations_next(&it, &op); count++) {
        if (cv_operation_name(&op) == NULL)
            abort();
    }
    if (count != request.operation_count)
        abort();
    (void)!cv_policy_check_request(&rules, &request, &signer, NULL, &why);
    return 0;
}
