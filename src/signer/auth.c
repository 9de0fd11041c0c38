/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void refuse(struct cv_auth_verdict *out, unsigned status, const char *text)
{
    out->status = status;
    (void)snprintf(out->text, sizeof(out->text), "%s", text);
}

/* True for the text of a signature, of whatever scheme. */
static bool is_signature(const char *text)
{
    enum cv_text_kind kind;
    uint8_t payload[CV_TEXT_PAYLOAD_MAX];
    size_t n;
    return cv_text_parse(&kind, payload, &n, cv_bytes_str(text)) == 0 &&
           kind >= CV_TEXT_SIG_ED25519 && kind <= CV_TEXT_SIG_GENERIC;
}

static bool verifies(const struct cv_public_key *key, struct cv_bytes signed_bytes,
                     const char *text)
{
    struct cv_signature sig;
    return cv_signature_from_text(&sig, key->scheme, cv_bytes_str(text)) == 0 &&
           cv_verify(key, CV_SIGN_VERSION_2, signed_bytes, &sig) == 0;
}

void cv_auth_client(struct cv_auth_verdict *out, const struct cv_config_keys *keys,
                    const struct cv_pkh *pkh, struct cv_bytes message, const char *authentication)
{
    memset(out, 0, sizeof(*out));
    if (authentication == NULL || authentication[0] == 0) {
        refuse(out, 401, "missing authentication signature field");
        return;
    }
    if (!is_signature(authentication)) {
        out->status = 400;
        cv_base58_fault(out->text, authentication, "gotez: unknown signature type");
        return;
    }
    size_t n = 3 + CV_PKH_LEN + message.n;
    uint8_t *bytes = malloc(n);
    if (bytes == NULL) {
        refuse(out, 500, "no memory for the client's authentication");
        return;
    }
    bytes[0] = 0x04;
    bytes[1] = 0x01;
    bytes[2] = (uint8_t)pkh->scheme; /* the tags of Tezos are in the order of our schemes */
    memcpy(bytes + 3, pkh->p, CV_PKH_LEN);
    if (message.n > 0) {
        memcpy(bytes + 3 + CV_PKH_LEN, message.p, message.n);
    }
    refuse(out, 403, "invalid authentication signature");
    for (size_t i = 0; i < keys->count; i++) {
        if (verifies(&keys->key[i], CV_BYTES(bytes, n), authentication)) {
            cv_pkh_of(&out->client, &keys->key[i]);
            out->status = 0;
            out->text[0] = 0;
            break;
        }
    }
    free(bytes);
}
