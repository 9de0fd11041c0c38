/* SPDX-License-Identifier: Apache-2.0 */
/* What the whole process has: made at start, only read afterwards. */
#ifndef CV_ENCLAVE_ENCLAVE_H
#define CV_ENCLAVE_ENCLAVE_H

#include "aws/transport.h"
#include "crypto/rsa.h"
#include "crypto/scheme.h"
#include "nsm/nsm.h"
#include "settings/settings.h"

#define CV_PCR_LEN 48

struct cv_enclave {
    struct cv_settings settings;
    struct cv_nsm *nsm; /* may be used by several threads */
    struct cv_rsa *rsa; /* KMS wraps for it; one for the process */
    struct cv_aws_transport *transport;
    struct cv_aws_endpoint endpoint; /* when has_endpoint; else by region */
    bool has_endpoint;
    struct cv_addr listen;
    uint8_t pcr0[CV_PCR_LEN];
    char pcr0_hex[2 * CV_PCR_LEN + 1];
    bool debug;                     /* PCR0 is zero */
    struct cv_random_source random; /* the NSM */
};

/* Opens the NSM, seeds the kernel's generator from it, reads PCR0, makes the
 * RSA key from what was seeded, reads the roots of TLS. E->settings is filled
 * in before. Any failure is for the process to end. */
int cv_enclave_start(struct cv_enclave *e, struct cv_error *err) CV_NODISCARD;
void cv_enclave_stop(struct cv_enclave *e);

#endif
