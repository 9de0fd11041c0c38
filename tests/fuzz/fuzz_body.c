/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a signing request. */
#include <stdlib.h>
#include <string.h>

#include "signer/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char fault[CV_BODY_FAULT];
    size_t n;
    uint8_t *copy = malloc(size + 1);
    if (copy == NULL) {
        return 0;
    }
    if (size > 0) {
        memcpy(copy, data, size);
    }
    int rc = cv_body_decode(copy, size, &n, fault);
    if ((rc != 0 && fault[0] == 0) || n > size) {
        abort();
    }
    free(copy);
    return 0;
}
