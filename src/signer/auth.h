/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients that sign their requests, as octez-client does: over 04 01, the tag
 * and hash of the key that is to sign, and the request's bytes.
 */
#ifndef CV_SIGNER_AUTH_H
#define CV_SIGNER_AUTH_H

#include "signer/base58_fault.h"
#include "signer/config.h"

struct cv_auth_verdict {
    unsigned status;            /* 0 = the client is known; 400, 401, 403 */
    char text[CV_BASE58_FAULT]; /* of the refusal */
    struct cv_pkh client;
};

/* AUTHENTICATION: the parameter of that name, NULL when absent. Tries KEYS in
 * order. MESSAGE is the request, empty for a proof of possession. */
void cv_auth_client(struct cv_auth_verdict *out, const struct cv_config_keys *keys,
                    const struct cv_pkh *pkh, struct cv_bytes message, const char *authentication);

#endif
