/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration from any bytes, in both strictnesses. */
#include <stdio.h>
#include <stdlib.h>

#include "signer/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cv_config_report report;
    for (int lenient = 0; lenient < 2; lenient++) {
        struct cv_config_options options = {.lenient = lenient != 0};
        struct cv_config *config = NULL;
        int rc = cv_config_parse(&config, CV_BYTES(data, size), "fuzz", &options, &report);
        /* Either a configuration, or an error that is told. */
        if ((rc == 0) != (config != NULL) || (rc != 0 && report.errors.count == 0) ||
            (rc == 0 && report.errors.count != 0)) {
            abort();
        }
        cv_config_free(&config);
    }
    return 0;
}
