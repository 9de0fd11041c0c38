/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes cv_nsm_reply_read: the first byte says to which request. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "nsm/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    uint8_t data[256];
    struct cv_nsm_reply reply = {.data = data, .cap = sizeof data};
    struct cv_error err;

    if (n == 0)
        return 0;
    cv_error_clear(&err);
    int rc = cv_nsm_reply_read(&reply, (enum cv_nsm_op)(p[0] % 7), CV_BYTES(p + 1, n - 1), &err);
    if (reply.n > sizeof data || (rc != 0 && (reply.n != 0 || err.count == 0)))
        abort();
    return 0;
}
