/* SPDX-License-Identifier: Apache-2.0 */
/* The COSE signature: ECDSA P-384 with SHA-384, r and s as 48 bytes each (RFC
 * 9053 section 2.1). A high s is valid: AWS's NSM makes such signatures. */
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <string.h>

#include "attest/internal.h"
#include "cbor/cbor.h"

#define COORDINATE 48
#define DER_MAX 112

static bool is_p384(EVP_PKEY *key)
{
    char group[32];

    return key != NULL && EVP_PKEY_is_a(key, "EC") == 1 &&
           EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
           strcmp(group, "secp384r1") == 0;
}

/* r‖s as the DER that OpenSSL wants; its length, or 0. */
static int to_der(uint8_t der[DER_MAX], struct cv_attest_span raw)
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw.p, COORDINATE, NULL);
    BIGNUM *s = BN_bin2bn(raw.p + COORDINATE, COORDINATE, NULL);
    int n = 0;

    if (sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s) == 1) {
        uint8_t *p = der;
        r = s = NULL; /* transferred */
        if (i2d_ECDSA_SIG(sig, NULL) <= DER_MAX)
            n = i2d_ECDSA_SIG(sig, &p);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return n > 0 ? n : 0;
}

enum cv_attest_code cv_attest_verify_signature(X509 *leaf, const struct cv_attest_document *doc,
                                               struct cv_attest_error *err)
{
    EVP_PKEY *key = X509_get0_pubkey(leaf);
    uint8_t prefix[128], der[DER_MAX];
    struct cv_writer w;

    if (!is_p384(key))
        return cv_attest_fail(err, CV_ATTEST_ERR_CERTIFICATE, "certificate",
                              "does not hold a P-384 key");
    int n = to_der(der, doc->signature);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    /* Sig_structure, RFC 9052 section 4.4, up to the payload's bytes. */
    cv_writer_init(&w, prefix, sizeof prefix);
    cv_cbor_write_array(&w, 4);
    cv_cbor_write_tstr(&w, "Signature1");
    cv_cbor_write_bstr(&w, cv_attest_bytes(doc->protected_header));
    cv_cbor_write_bstr(&w, (struct cv_bytes){NULL, 0});
    cv_cbor_write_head(&w, CV_CBOR_BSTR, doc->payload.n);
    if (n == 0 || ctx == NULL || cv_writer_end(&w, NULL) != 0 ||
        EVP_DigestVerifyInit(ctx, NULL, EVP_sha384(), NULL, key) != 1 ||
        EVP_DigestVerifyUpdate(ctx, prefix, w.n) != 1 ||
        EVP_DigestVerifyUpdate(ctx, doc->payload.p, doc->payload.n) != 1) {
        EVP_MD_CTX_free(ctx);
        return cv_attest_fail(err, CV_ATTEST_ERR_INTERNAL, "",
                              "OpenSSL could not prepare the signature check");
    }
    int ok = EVP_DigestVerifyFinal(ctx, der, (size_t)n);
    EVP_MD_CTX_free(ctx);
    if (ok != 1)
        return cv_attest_fail(err, CV_ATTEST_ERR_SIGNATURE, "signature",
                              "does not verify under the key of the document's certificate");
    return CV_ATTEST_OK;
}
