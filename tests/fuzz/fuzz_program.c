/* SPDX-License-Identifier: Apache-2.0 */
/* Commands as the helper gets them. */
#include <stdint.h>
#include <stdlib.h>

#include "program/run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *argv[CV_PROGRAM_ARGUMENTS + 1];
    if (cv_program_unpack(argv, CV_BYTES(data, size)) == 0) {
        struct cv_buf again;
        cv_buf_init(&again, CV_PROGRAM_ARGV_MAX);
        if (cv_program_pack(&again, argv) != 0 ||
            !cv_bytes_equal(cv_buf_view(&again), CV_BYTES(data, size))) {
            abort();
        }
        cv_buf_free(&again);
    }
    return 0;
}
