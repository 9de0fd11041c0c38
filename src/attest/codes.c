/* SPDX-License-Identifier: Apache-2.0 */
/* Names and sentences of the codes, and the filling of an error. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "attest/internal.h"

#ifndef CV_VERSION
#define CV_VERSION "unknown"
#endif

static const struct {
    enum cv_attest_code code;
    const char *name;
    const char *text;
} codes[] = {
    {CV_ATTEST_OK, "ok", "the document is genuine and as expected"},
    {CV_ATTEST_ERR_ARGUMENT, "argument", "the caller's arguments make no sense"},
    {CV_ATTEST_ERR_INTERNAL, "internal", "out of memory, or the crypto library failed"},
    {CV_ATTEST_ERR_SIZE, "size", "empty, or larger than an attestation document can be"},
    {CV_ATTEST_ERR_COSE, "cose", "not a COSE_Sign1 structure"},
    {CV_ATTEST_ERR_ALGORITHM, "algorithm", "signed with another algorithm than ES384"},
    {CV_ATTEST_ERR_PAYLOAD, "payload", "the payload is not a well-formed CBOR map"},
    {CV_ATTEST_ERR_MISSING, "missing_field", "a mandatory field is missing"},
    {CV_ATTEST_ERR_DUPLICATE, "duplicate_field", "a field occurs twice"},
    {CV_ATTEST_ERR_UNKNOWN, "unknown_field", "a field is not known"},
    {CV_ATTEST_ERR_FIELD, "bad_field", "a field has a wrong type, size or value"},
    {CV_ATTEST_ERR_CERTIFICATE, "bad_certificate", "a certificate cannot be read"},
    {CV_ATTEST_ERR_ROOT, "untrusted_root", "the chain does not start at the trusted root"},
    {CV_ATTEST_ERR_CHAIN, "broken_chain", "the certificates do not follow on each other"},
    {CV_ATTEST_ERR_CONSTRAINT, "certificate_constraint",
     "a certificate may not do what the chain asks of it"},
    {CV_ATTEST_ERR_NOT_YET_VALID, "not_yet_valid", "a certificate is not valid yet"},
    {CV_ATTEST_ERR_EXPIRED, "expired", "a certificate has expired"},
    {CV_ATTEST_ERR_TOO_OLD, "too_old", "the document is too old"},
    {CV_ATTEST_ERR_FUTURE, "from_future", "the document's time lies in the future"},
    {CV_ATTEST_ERR_SIGNATURE, "bad_signature", "the signature does not verify"},
    {CV_ATTEST_ERR_DEBUG, "debug_mode", "the enclave runs in debug mode"},
    {CV_ATTEST_ERR_PCR, "pcr_mismatch", "a register has another value than expected"},
    {CV_ATTEST_ERR_NONCE, "nonce_mismatch", "the nonce is another than expected"},
    {CV_ATTEST_ERR_USER_DATA, "user_data_mismatch", "user_data is other than expected"},
    {CV_ATTEST_ERR_PUBLIC_KEY, "public_key_mismatch", "the public key is another than expected"},
    {CV_ATTEST_ERR_MODULE_ID, "module_id_mismatch", "the module id is another than expected"},
};
#define CODES (sizeof codes / sizeof codes[0])

const char *cv_attest_code_name(enum cv_attest_code code)
{
    for (size_t i = 0; i < CODES; i++) {
        if (codes[i].code == code)
            return codes[i].name;
    }
    return "unknown";
}

const char *cv_attest_strerror(enum cv_attest_code code)
{
    for (size_t i = 0; i < CODES; i++) {
        if (codes[i].code == code)
            return codes[i].text;
    }
    return "unknown error";
}

const char *cv_attest_version(void)
{
    return CV_VERSION;
}

enum cv_attest_code cv_attest_fail(struct cv_attest_error *err, enum cv_attest_code code,
                                   const char *field, const char *fmt, ...)
{
    va_list args;

    if (err == NULL)
        return code;
    memset(err, 0, sizeof *err);
    err->code = code;
    snprintf(err->field, sizeof err->field, "%s", field);
    int n = field[0] != '\0' ? snprintf(err->message, sizeof err->message, "%s: ", field) : 0;
    va_start(args, fmt);
    vsnprintf(err->message + n, sizeof err->message - (size_t)n, fmt, args);
    va_end(args);
    return code;
}
