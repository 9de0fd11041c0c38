/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed keys: nothing but what was sealed opens. The data key is fixed, so an
 * input that opens is a forgery unless it is one of the seeds. */
#include <string.h>

#include "sealed/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t data_key[CV_SEALED_DATA_KEY_LEN], out[CV_SEALED_PRIVATE_LEN], zero[sizeof out] = {0};
    struct cv_sealed_header h;
    struct cv_error err;
    struct cv_bytes blob = CV_BYTES(data, size);
    memset(data_key, 0x42, sizeof data_key); /* not the seeds' */
    if (cv_sealed_key_parse(&h, blob, &err) != 0 && size > CV_SEALED_BLOB_MAX + 4096)
        return 0;
    if (cv_sealed_key_open(out, blob, data_key, &err) == 0)
        __builtin_trap();
    if (memcmp(out, zero, sizeof out) != 0)
        __builtin_trap();
    return 0;
}
