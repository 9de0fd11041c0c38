/* SPDX-License-Identifier: Apache-2.0 */
/* What pki.c and identity.c share. */
#ifndef CV_LOCAL_PKI_INTERNAL_H
#define CV_LOCAL_PKI_INTERNAL_H

#include "local/certificate.h"
#include "local/pki.h"

#define CV_LOCAL_ZONE "claviger-local.nitro-enclaves"
#define CV_LOCAL_ORGANIZATION "Claviger local stand-in"
#define CV_LOCAL_CERT_MAX 1024 /* bytes of a certificate in a document */

struct cv_local_pki {
    EVP_PKEY *key;
    X509 *cert;
    struct cv_buf der;
};

#endif
