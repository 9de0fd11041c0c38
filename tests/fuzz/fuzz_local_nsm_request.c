/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes the requests that the NSM stand-in reads. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "local/nsm_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct cv_local_nsm_request req;

    if (cv_local_nsm_request_read(&req, CV_BYTES(p, n)) == 0 &&
        (req.data.n > n || req.user_data.n > n || req.nonce.n > n || req.public_key.n > n))
        abort();
    return 0;
}
