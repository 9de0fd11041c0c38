/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signature section: CBOR array of {signing_certificate: PEM bytes,
 * signature: COSE_Sign1 over {register_index: 0, register_value: PCR0}}. Byte
 * strings are arrays of small integers there (a serde convention); byte
 * strings proper and COSE tag 18 are accepted as well. Only the first element
 * and only PCR0 are verified, as the hypervisor does: no chain, the signature
 * by the certificate's key, and its validity time.
 */
#ifndef CV_EIF_SIGNATURE_H
#define CV_EIF_SIGNATURE_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "eif/measure.h"

struct cv_eif_signature {
    struct cv_buf pem;  /* signing certificate as stored */
    struct cv_buf cose; /* COSE_Sign1 */
    X509 *cert;
    struct cv_bytes protected_header, payload, sig; /* views into COSE */
    int alg;                                        /* COSE: -7 -35 -36 */
    unsigned entries;                               /* elements of the array */
};

/* Parses SECTION. On success the caller frees with cv_eif_signature_free(),
 * which is harmless after an error as well. */
int cv_eif_signature_parse(struct cv_eif_signature *s, struct cv_bytes section,
                           struct cv_error *err) CV_NODISCARD;
/* Reads and parses EIF's signature section; CV_ERR_NOT_FOUND without one. */
int cv_eif_signature_read(struct cv_eif_signature *s, const struct cv_eif *eif,
                          struct cv_error *err) CV_NODISCARD;
void cv_eif_signature_free(struct cv_eif_signature *s);

/* Verifies it: the algorithm is that of the key's curve, the signature is the
 * key's, the payload is exactly {0, PCR0}, and AT (Unix ms) lies within the
 * certificate's validity. CV_ERR_CRYPTO, CV_ERR_DENIED for the validity. */
int cv_eif_signature_verify(const struct cv_eif_signature *s, const uint8_t pcr0[CV_EIF_PCR_LEN],
                            int64_t at, struct cv_error *err) CV_NODISCARD;
/* SHA-384 extension of the certificate's DER. */
int cv_eif_signature_pcr8(const struct cv_eif_signature *s, uint8_t pcr8[CV_EIF_PCR_LEN],
                          struct cv_error *err) CV_NODISCARD;

/* The payload {register_index: 0, register_value: PCR0} into OUT. */
int cv_eif_signature_payload(struct cv_buf *out, const uint8_t pcr0[CV_EIF_PCR_LEN]) CV_NODISCARD;
/* COSE algorithm of an EC key by its curve; CV_ERR_UNSUPPORTED. */
int cv_eif_signature_alg(int *alg, EVP_PKEY *key, struct cv_error *err) CV_NODISCARD;

#endif
