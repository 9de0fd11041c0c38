/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signing an image: with a local EC key, with one that lives elsewhere and is
 * asked, or in two steps: cv_eif_sign_tbs() gives the bytes to sign, their
 * signature is attached later. An existing signature is replaced, and offsets, sizes and CRC with it.
 */
#ifndef CV_EIF_SIGN_H
#define CV_EIF_SIGN_H

#include "eif/signature.h"

/* Certificate (PEM file, kept as given) and private key (PEM, P-256, P-384 or
 * P-521; no passphrase is asked for). CV_ERR_CRYPTO when they do not belong
 * together. SECTION gets the signature section for PCR0. */
int cv_eif_sign_section(struct cv_buf *section, const uint8_t pcr0[CV_EIF_PCR_LEN],
                        const char *cert_path, const char *key_path,
                        struct cv_error *err) CV_NODISCARD;

/* A key that signs elsewhere, as in KMS. */
struct cv_eif_remote_key {
    const char *name; /* for people */
    /* Its SubjectPublicKeyInfo. */
    int (*public_key)(void *ctx, struct cv_buf *spki, struct cv_error *err);
    /* ECDSA over DIGEST, which is SHA-256, SHA-384 or SHA-512 by the curve, in DER. */
    int (*sign)(void *ctx, struct cv_bytes digest, struct cv_buf *der, struct cv_error *err);
    void *ctx;
};
/* CV_ERR_CRYPTO unless KEY is that of the certificate. */
int cv_eif_sign_check_remote(const char *cert_path, const struct cv_eif_remote_key *key,
                             struct cv_error *err) CV_NODISCARD;
/* cv_eif_sign_section() with such a key; checks it first, and the signature
 * that comes back. */
int cv_eif_sign_remote(struct cv_buf *section, const uint8_t pcr0[CV_EIF_PCR_LEN],
                       const char *cert_path, const struct cv_eif_remote_key *key,
                       struct cv_error *err) CV_NODISCARD;

/* The COSE Sig_structure over PCR0 for the certificate's algorithm: what a KMS
 * or an HSM signs with ECDSA over the digest that fits the curve. */
int cv_eif_sign_tbs(struct cv_buf *out, const uint8_t pcr0[CV_EIF_PCR_LEN], const char *cert_path,
                    struct cv_error *err) CV_NODISCARD;
/* A section from a signature made elsewhere: SIG is DER (ECDSA-Sig-Value) or
 * raw r||s, over cv_eif_sign_tbs(); or a whole COSE_Sign1; or a whole signature
 * section, for which CERT_PATH is not used and may be NULL. It is verified
 * against the certificate before it is accepted. */
int cv_eif_sign_attach(struct cv_buf *section, const uint8_t pcr0[CV_EIF_PCR_LEN],
                       const char *cert_path, struct cv_bytes sig,
                       struct cv_error *err) CV_NODISCARD;

/* Writes IN with SECTION as its signature section (the last one) to OUT_PATH,
 * durably and at once; OUT_PATH may be the file that IN was opened from. */
int cv_eif_write_signed(const struct cv_eif *in, struct cv_bytes section, const char *out_path,
                        struct cv_error *err) CV_NODISCARD;

#endif
