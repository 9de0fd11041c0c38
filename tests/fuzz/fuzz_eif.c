/* SPDX-License-Identifier: Apache-2.0 */
/* Images, with the CRC made right so that the fuzzer reaches what is behind
 * it; and the signature section alone. */
#include "unit/eif_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cv_eif_pcrs pcrs = {.has_pcr8 = false};
    if (size >= CV_EIF_HEADER_LEN && size < 65536 && (data[size - 1] & 1) == 0) {
        uint8_t *copy = malloc(size);
        if (copy == NULL) {
            return 0;
        }
        memcpy(copy, data, size);
        image_fix_crc(copy, size);
        (void)image_check(copy, size, &pcrs, NULL);
        free(copy);
    } else {
        (void)image_check(data, size, &pcrs, NULL);
    }
    struct cv_eif_signature s;
    if (cv_eif_signature_parse(&s, CV_BYTES(data, size), NULL) == 0) {
        int r = cv_eif_signature_verify(&s, pcrs.pcr0, AT_2024, NULL);
        r = cv_eif_signature_pcr8(&s, pcrs.pcr8, NULL) | r;
        (void)r;
    }
    cv_eif_signature_free(&s);
    return 0;
}
