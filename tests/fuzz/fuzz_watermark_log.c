/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of the watermark log, on any bytes. The checksum of each block is
 * put right first, so that what lies behind it is reached too. */
#include <stdlib.h>
#include <string.h>

#include "crypto/blake2b.h"
#include "watermark/log.h"
#include "watermark/witness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cv_wm_witness witness;
    int r = cv_wm_witness_parse(&witness, CV_BYTES(data, size), NULL);
    if (size > 64 * CV_WM_BLOCK_LEN) {
        return 0;
    }
    uint8_t *file = malloc(size + 1);
    struct cv_marks *marks;
    if (file == NULL || cv_marks_new(&marks) != CV_OK) {
        abort();
    }
    memcpy(file, data, size);
    for (size_t i = 0; i + CV_WM_BLOCK_LEN <= size; i += CV_WM_BLOCK_LEN) {
        size_t sum = CV_WM_BLOCK_LEN - CV_BLAKE2B_256_LEN;
        if (file[i] != 0) {
            cv_blake2b_256(file + i + sum, CV_BYTES(file + i, sum));
        }
    }
    struct cv_wm_info info;
    r = cv_wm_log_parse(&info, marks, CV_BYTES(file, size), NULL);
    (void)r;
    cv_marks_free(marks);
    free(file);
    return 0;
}
