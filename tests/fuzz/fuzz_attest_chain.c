/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the certificate chain: the input is certificates, each after its
 * length (u16, big-endian), the enclave's first. A document is made of them
 * whose root is trusted, so that only the chain can be refused.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "cbor/cbor.h"
#include "claviger/attest.h"

#define CHAIN 8

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void write_payload(struct cv_writer *w, const struct cv_bytes *cert, size_t count)
{
    static const uint8_t pcr[48] = {1};

    cv_cbor_write_map(w, 6);
    cv_cbor_write_tstr(w, "module_id");
    cv_cbor_write_tstr(w, "i");
    cv_cbor_write_tstr(w, "digest");
    cv_cbor_write_tstr(w, "SHA384");
    cv_cbor_write_tstr(w, "timestamp");
    cv_cbor_write_uint(w, UINT64_C(1795935420000)); /* when those of the corpus were valid */
    cv_cbor_write_tstr(w, "pcrs");
    cv_cbor_write_map(w, 1);
    cv_cbor_write_uint(w, 0);
    cv_cbor_write_bstr(w, CV_BYTES(pcr, sizeof pcr));
    cv_cbor_write_tstr(w, "certificate");
    cv_cbor_write_bstr(w, cert[0]);
    cv_cbor_write_tstr(w, "cabundle");
    cv_cbor_write_array(w, count - 1);
    for (size_t i = 1; i < count; i++)
        cv_cbor_write_bstr(w, cert[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static uint8_t payload_bytes[CV_ATTEST_MAX_PAYLOAD], doc_bytes[CV_ATTEST_MAX_DOCUMENT];
    static const uint8_t signature[96] = {1};
    struct cv_attest_policy policy;
    struct cv_attest_error err;
    struct cv_bytes cert[CHAIN];
    struct cv_reader r;
    struct cv_writer payload, doc;
    size_t count = 0;
    unsigned len = 32;

    cv_reader_init(&r, CV_BYTES(p, n));
    while (count < CHAIN && cv_reader_left(&r) > 2) {
        cert[count] = cv_read_bytes(&r, cv_read_be16(&r));
        if (r.err != 0 || cert[count].n == 0 || cert[count].n > CV_ATTEST_MAX_CERTIFICATE)
            return 0;
        count++;
    }
    if (count < 2)
        return 0;
    cv_writer_init(&payload, payload_bytes, sizeof payload_bytes);
    write_payload(&payload, cert, count);
    cv_writer_init(&doc, doc_bytes, sizeof doc_bytes);
    cv_write_raw(&doc, "\x84\x44\xA1\x01\x38\x22\xA0", 7);
    cv_cbor_write_bstr(&doc, cv_writer_view(&payload));
    cv_cbor_write_bstr(&doc, CV_BYTES(signature, sizeof signature));
    cv_attest_policy_init(&policy);
    if (cv_writer_end(&payload, NULL) != 0 || cv_writer_end(&doc, NULL) != 0 ||
        EVP_Digest(cert[1].p, cert[1].n, policy.root_sha256, &len, EVP_sha256(), NULL) != 1)
        abort();
    enum cv_attest_code code = cv_attest_verify(NULL, doc.p, doc.n, &policy, &err);
    /* The syntax is good and the signature is not. */
    if (code < CV_ATTEST_ERR_CERTIFICATE || code > CV_ATTEST_ERR_SIGNATURE)
        abort();
    return 0;
}
