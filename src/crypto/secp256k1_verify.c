/* SPDX-License-Identifier: Apache-2.0 */
/* Apart from signing: verification alone needs the library's large table
 * (no_verify_table.c). */
#include <secp256k1.h>

#include "crypto/table.h"

int cv_secp256k1_verify(const uint8_t *public_key, enum cv_sign_version version, struct cv_bytes in,
                        const uint8_t *sig)
{
    const secp256k1_context *context = secp256k1_context_static;
    (void)version;
    secp256k1_pubkey point;
    secp256k1_ecdsa_signature parsed;
    if (in.n != 32 || secp256k1_ec_pubkey_parse(context, &point, public_key, 33) != 1 ||
        secp256k1_ecdsa_signature_parse_compact(context, &parsed, sig) != 1)
        return CV_ERR_CRYPTO;
    return secp256k1_ecdsa_verify(context, &parsed, in.p, &point) == 1 ? 0 : CV_ERR_CRYPTO;
}
