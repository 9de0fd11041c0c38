/* SPDX-License-Identifier: Apache-2.0 */
/* The checker of one line of the audit log. */
#include "audit/line.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char prev[CV_AUDIT_HEX_LEN + 1] = CV_AUDIT_ZERO;
    const char *reason;
    int r = cv_audit_check_line(CV_BYTES(data, size), 1, prev, &reason);
    /* Again with the hash put right, to come past it. */
    uint8_t copy[CV_AUDIT_LINE_MAX];
    if (size > CV_AUDIT_HASH_TAIL && size <= sizeof copy) {
        char hash[CV_AUDIT_HEX_LEN + 1];
        memcpy(copy, data, size);
        cv_audit_hash(hash, CV_BYTES(copy, size - CV_AUDIT_HASH_TAIL));
        memcpy(copy + size - 2 - CV_AUDIT_HEX_LEN, hash, CV_AUDIT_HEX_LEN);
        memcpy(prev, CV_AUDIT_ZERO, sizeof prev);
        r = cv_audit_check_line(CV_BYTES(copy, size), 1, prev, &reason);
    }
    (void)r;
    return 0;
}
