/* SPDX-License-Identifier: Apache-2.0 */
/* COSE_Sign1 (RFC 9052 section 4.2), as attestation documents have it. */
#include "attest/internal.h"
#include "cbor/cbor.h"

#define ALG_ES384 (-35)
#define LABEL_ALG 1
#define LABEL_CRIT 2
#define PROTECTED_MAX 64
#define MAX_DEPTH 8

static enum cv_attest_code read_protected(struct cv_bytes in, struct cv_attest_error *err)
{
    struct cv_reader r;
    struct cv_cbor_iter it;
    unsigned algs = 0;
    int64_t alg = 0;

    cv_reader_init(&r, in);
    cv_cbor_enter_map(&r, &it);
    while (cv_cbor_next(&r, &it)) {
        struct cv_cbor_head head;
        int64_t label = 0;
        if (cv_cbor_peek(&r, &head) == 0 &&
            (head.major == CV_CBOR_UINT || head.major == CV_CBOR_NINT))
            cv_cbor_read_int(&r, &label);
        else
            cv_cbor_skip(&r, MAX_DEPTH, NULL);
        if (label == LABEL_CRIT)
            return cv_attest_fail(
                err, CV_ATTEST_ERR_COSE, "protected",
                "names critical header parameters, which attestation documents have not");
        if (label != LABEL_ALG) {
            cv_cbor_skip(&r, MAX_DEPTH, NULL);
            continue;
        }
        algs++;
        if (cv_cbor_read_int(&r, &alg) != 0)
            return cv_attest_fail(err, CV_ATTEST_ERR_ALGORITHM, "protected",
                                  "the algorithm is not the number of ES384");
    }
    if (cv_reader_end(&r) != 0 || algs > 1)
        return cv_attest_fail(err, CV_ATTEST_ERR_COSE, "protected",
                              "is not a well-formed CBOR map");
    if (algs == 0 || alg != ALG_ES384)
        return cv_attest_fail(err, CV_ATTEST_ERR_ALGORITHM, "protected",
                              "the algorithm is not ES384 (-35), the only one that the NSM uses");
    return CV_ATTEST_OK;
}

enum cv_attest_code cv_attest_read_cose(struct cv_attest_document *doc, struct cv_bytes in,
                                        struct cv_attest_error *err)
{
    struct cv_reader r;
    struct cv_bytes protected_header, payload, signature;

    if (in.n == 0 || in.n > CV_ATTEST_MAX_DOCUMENT)
        return cv_attest_fail(err, CV_ATTEST_ERR_SIZE, "",
                              "a document has 1 to %d bytes, and this has %zu",
                              CV_ATTEST_MAX_DOCUMENT, in.n);
    cv_reader_init(&r, in);
    if (cv_peek_u8(&r) == 0xD2) { /* tag 18 */
        doc->tagged = true;
        cv_read_skip(&r, 1);
    }
    if (cv_read_u8(&r) != 0x84)
        return cv_attest_fail(err, CV_ATTEST_ERR_COSE, "",
                              "not an attestation document: it does not start as an array of four");
    if (cv_cbor_read_bstr(&r, &protected_header) != 0 || protected_header.n > PROTECTED_MAX)
        return cv_attest_fail(err, CV_ATTEST_ERR_COSE, "protected", "is not a short byte string");
    enum cv_attest_code code = read_protected(protected_header, err);
    if (code != CV_ATTEST_OK)
        return code;
    /* What stands here is not signed, so nothing may stand here. */
    if (cv_read_u8(&r) != 0xA0)
        return cv_attest_fail(err, CV_ATTEST_ERR_COSE, "unprotected", "is not an empty map");
    if (cv_cbor_read_bstr(&r, &payload) != 0)
        return cv_attest_fail(err, CV_ATTEST_ERR_COSE, "payload", "is not a whole byte string");
    if (payload.n == 0 || payload.n > CV_ATTEST_MAX_PAYLOAD)
        return cv_attest_fail(err, CV_ATTEST_ERR_SIZE, "payload",
                              "has %zu bytes; 1 to %d are allowed", payload.n,
                              CV_ATTEST_MAX_PAYLOAD);
    if (cv_cbor_read_bstr(&r, &signature) != 0)
        return cv_attest_fail(err, CV_ATTEST_ERR_COSE, "signature", "is not a whole byte string");
    if (signature.n != 96)
        return cv_attest_fail(err, CV_ATTEST_ERR_COSE, "signature", "has %zu bytes, not 96",
                              signature.n);
    if (cv_reader_end(&r) != 0)
        return cv_attest_fail(err, CV_ATTEST_ERR_COSE, "", "%zu bytes follow the document",
                              cv_reader_left(&r));
    doc->protected_header = cv_attest_span(protected_header);
    doc->payload = cv_attest_span(payload);
    doc->signature = cv_attest_span(signature);
    return CV_ATTEST_OK;
}
