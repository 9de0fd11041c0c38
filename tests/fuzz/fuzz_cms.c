/* SPDX-License-Identifier: Apache-2.0 */
/* CMS envelopes, under one RSA key made at start. */
#include <stdlib.h>

#include "crypto/init.h"
#include "crypto/rsa.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cv_rsa *rsa; /* lives as long as the process */
    CV_SECRET_AUTO struct cv_secret out = CV_SECRET_INIT;
    if (rsa == NULL && (cv_crypto_init() != 0 || cv_rsa_generate(&rsa) != 0))
        abort();
    int rc = cv_cms_unwrap(&out, rsa, CV_BYTES(data, size), NULL);
    if ((rc == 0) != (out.p != NULL))
        abort();
    return 0;
}
