/* SPDX-License-Identifier: Apache-2.0 */
/* A reply of the policy hook: whatever it is, without the right signature it
 * never lets a request pass. */
#include <stdlib.h>
#include <string.h>

#include "crypto/init.h"
#include "signer/hook.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cv_public_key key;
    static bool ready;
    if (!ready) {
        if (cv_crypto_init() != 0 ||
            cv_public_key_from_text(
                &key, cv_bytes_str("edpkvGfYw3LyB1UcCahKQk4rF2tvbMUk8GFiTuMjL75uGXrpvKXhjn")) !=
                0) {
            abort();
        }
        ready = true;
    }
    const struct cv_config_keys keys = {.key = &key, .count = 1, .given = true};
    struct cv_hook_call call;
    memset(&call, 0, sizeof(call));
    memset(call.nonce, 7, sizeof(call.nonce));
    cv_hook_judge(&call, &keys, 200, "OK", CV_BYTES(data, size));
    if (call.status == 0 || call.text[0] == 0) {
        abort(); /* nobody here has the private key */
    }
    return 0;
}
