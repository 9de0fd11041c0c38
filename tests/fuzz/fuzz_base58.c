/* SPDX-License-Identifier: Apache-2.0 */
/* Base58check both ways: what decodes encodes to the same text, and any
 * payload comes back. */
#include <stdlib.h>
#include <string.h>

#include "tezos/keytext.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t payload[CV_BASE58_PAYLOAD_MAX], out[CV_TEXT_PAYLOAD_MAX];
    char text[CV_BASE58_TEXT_MAX];
    enum cv_text_kind kind;
    struct cv_public_key key;
    size_t n;
    if (cv_base58check_decode(payload, sizeof(payload), &n, CV_BYTES(data, size)) == 0) {
        if (cv_base58check_encode(text, sizeof(text), CV_BYTES(payload, n)) != 0 ||
            strlen(text) != size || memcmp(text, data, size) != 0)
            abort();
    }
    (void)!cv_text_parse(&kind, out, &n, CV_BYTES(data, size));
    (void)!cv_public_key_from_text(&key, CV_BYTES(data, size));
    if (size > CV_BASE58_PAYLOAD_MAX)
        return 0;
    if (cv_base58check_encode(text, sizeof(text), CV_BYTES(data, size)) != 0 ||
        cv_base58check_decode(payload, sizeof(payload), &n, cv_bytes_str(text)) != 0 || n != size ||
        (n > 0 && memcmp(payload, data, n) != 0))
        abort();
    return 0;
}
