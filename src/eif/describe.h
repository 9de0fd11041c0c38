/* SPDX-License-Identifier: Apache-2.0 */
/* An image as JSON with the field names of nitro-cli describe-eif. */
#ifndef CV_EIF_DESCRIBE_H
#define CV_EIF_DESCRIBE_H

#include <jansson.h>

#include "eif/measure.h"

/* {"HashAlgorithm":"Sha384 { ... }","PCR0":…,"PCR1":…,"PCR2":…[,"PCR8":…]}.
 * A new reference, NULL without memory. */
json_t *cv_eif_measurements_json(const struct cv_eif_pcrs *pcrs);

/* Everything that describe-eif prints: EifVersion, Measurements, IsSigned,
 * SigningCertificate, CheckCRC, SignatureCheck, ImageName, ImageVersion,
 * Metadata. AT is the time (Unix ms) for the certificate's validity. A bad CRC
 * or signature is a value, not an error; *GOOD is false then. */
int cv_eif_describe(const struct cv_eif *eif, int64_t at, json_t **out, bool *good,
                    struct cv_error *err) CV_NODISCARD;

#endif
