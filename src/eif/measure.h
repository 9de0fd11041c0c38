/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an enclave image measures: PCR0, PCR1, PCR2, and PCR8 when signed.
 *
 *   PCR = SHA-384(48 zero bytes || SHA-384(content))
 *   PCR0 kernel, cmdline, all ramdisks   PCR1 kernel, cmdline, first ramdisk
 *   PCR2 the other ramdisks              PCR8 the signing certificate, as DER
 *
 * Contents in file order. Header, metadata and signature are not measured.
 */
#ifndef CV_EIF_MEASURE_H
#define CV_EIF_MEASURE_H

#include "eif/read.h"

#define CV_EIF_PCR_LEN 48u

struct cv_eif_pcrs {
    uint8_t pcr0[CV_EIF_PCR_LEN];
    uint8_t pcr1[CV_EIF_PCR_LEN];
    uint8_t pcr2[CV_EIF_PCR_LEN];
    bool has_pcr8; /* the image has a signature section */
    uint8_t pcr8[CV_EIF_PCR_LEN];
};

/* One pass over the sections in 64 KiB pieces. PCR8 is that of the certificate
 * in the signature section; the signature itself is not verified here (see
 * signature.h). */
int cv_eif_measure(const struct cv_eif *eif, struct cv_eif_pcrs *pcrs,
                   struct cv_error *err) CV_NODISCARD;
/* Opens PATH, checks structure and CRC, verifies the signature when there is
 * one (at the current time; an expired certificate is an error), measures. The
 * one call for who wants the PCRs of an image that would run. */
int cv_eif_measure_path(const char *path, struct cv_eif_pcrs *pcrs,
                        struct cv_error *err) CV_NODISCARD;

/* PCR = SHA-384(zeros || DIGEST): one extension of an empty register. */
int cv_eif_pcr_of_digest(uint8_t pcr[CV_EIF_PCR_LEN], const uint8_t digest[CV_EIF_PCR_LEN],
                         struct cv_error *err) CV_NODISCARD;
/* The register that holds SHA-384(content), for content in memory. */
int cv_eif_pcr_of_bytes(uint8_t pcr[CV_EIF_PCR_LEN], struct cv_bytes content,
                        struct cv_error *err) CV_NODISCARD;
/* PCR3 and PCR4: SHA-384(zeros || TEXT), of the instance role's ARN or the
 * instance id: the text itself, not its digest. */
int cv_eif_pcr_of_text(uint8_t pcr[CV_EIF_PCR_LEN], const char *text,
                       struct cv_error *err) CV_NODISCARD;
/* "nitro-cli pcr --input": the register of a file's content. */
int cv_eif_pcr_of_file(uint8_t pcr[CV_EIF_PCR_LEN], const char *path,
                       struct cv_error *err) CV_NODISCARD;
/* PCR8 of a certificate file, PEM (the first certificate) or DER. */
int cv_eif_pcr_of_certificate(uint8_t pcr[CV_EIF_PCR_LEN], const char *path,
                              struct cv_error *err) CV_NODISCARD;

#endif
