/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes cv_attest_verify on whole documents. The fingerprint of the root is
 * taken from the input, so that the chain and its rules are reached too. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "claviger/attest.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct cv_attest_document doc;
    struct cv_attest_policy policy;
    struct cv_attest_error err;
    struct cv_attest_certificate cert;
    unsigned len = 32;

    cv_attest_policy_init(&policy);
    policy.allow_debug = true;
    if (cv_attest_parse_unverified(&doc, p, n, false, &err) != CV_ATTEST_OK)
        return 0;
    if (cv_attest_certificate_read(&cert, doc.certificate.p, doc.certificate.n, &err) != err.code)
        abort();
    if (EVP_Digest(doc.cabundle[0].p, doc.cabundle[0].n, policy.root_sha256, &len, EVP_sha256(),
                   NULL) != 1)
        abort();
    enum cv_attest_code code = cv_attest_verify(&doc, p, n, &policy, &err);
    if (code != err.code ||
        (code != CV_ATTEST_OK && (doc.payload.p != NULL || err.message[0] == '\0')))
        abort();
    return 0;
}
