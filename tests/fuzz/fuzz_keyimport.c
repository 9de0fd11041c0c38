/* SPDX-License-Identifier: Apache-2.0 */
/* Private key files: PEM, DER, base58. What is imported is a valid key. */
#include <stdlib.h>

#include "crypto/init.h"
#include "tezos/keyimport.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CV_SECRET_AUTO struct cv_secret out = CV_SECRET_INIT;
    enum cv_scheme scheme;
    struct cv_bytes in = CV_BYTES(data, size);
    if (cv_crypto_init() != 0)
        abort();
    /* Encrypted ones cost as many rounds as their author likes. */
    if (cv_key_is_encrypted(in))
        return 0;
    if (cv_key_import(&out, &scheme, in, CV_BYTES(NULL, 0), NULL) != 0)
        return 0;
    if (out.n != CV_PRIVATE_KEY_LEN || cv_private_key_check(scheme, out.p) != 0)
        abort();
    return 0;
}
