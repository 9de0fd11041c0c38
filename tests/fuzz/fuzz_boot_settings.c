/* SPDX-License-Identifier: Apache-2.0 */
/* What is accepted is written again byte for byte. */
#include <stdlib.h>
#include <string.h>

#include "settings/boot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cv_boot_settings s, again;
    if (cv_boot_decode(&s, CV_BYTES(data, size), NULL) == 0) {
        struct cv_buf one, two;
        cv_buf_init(&one, 8 * CV_BOOT_MAX_TEXT);
        cv_buf_init(&two, 8 * CV_BOOT_MAX_TEXT);
        if (cv_boot_encode(&one, &s, NULL) != 0) {
            abort();
        }
        if (one.n <= CV_BOOT_MAX_TEXT) {
            if (cv_boot_decode(&again, cv_buf_view(&one), NULL) != 0 ||
                cv_boot_encode(&two, &again, NULL) != 0 || one.n != two.n ||
                memcmp(one.p, two.p, one.n) != 0) {
                abort();
            }
            cv_boot_free(&again);
        }
        for (size_t i = 0; i < s.source_count; i++) {
            (void)cv_boot_allows_env(&s, &s.source[i], s.source[i].location);
            (void)cv_boot_allows_path(&s, &s.source[i], s.source[i].location);
        }
        cv_buf_free(&one);
        cv_buf_free(&two);
    }
    cv_boot_free(&s);
    return 0;
}
