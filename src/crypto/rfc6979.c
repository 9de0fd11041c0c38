/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/rfc6979.h"

#include <string.h>

#include "crypto/sha.h"

/* K = HMAC_K(V || SEPARATOR || key || digest); V = HMAC_K(V) */
static void update(struct cv_rfc6979 *g, uint8_t separator, const uint8_t *key,
                   const uint8_t *digest)
{
    struct cv_hmac_sha256_ctx h;
    cv_hmac_sha256_init(&h, CV_BYTES(g->k, 32));
    cv_hmac_sha256_update(&h, CV_BYTES(g->v, 32));
    cv_hmac_sha256_update(&h, CV_BYTES(&separator, 1));
    if (key != NULL) {
        cv_hmac_sha256_update(&h, CV_BYTES(key, 32));
        cv_hmac_sha256_update(&h, CV_BYTES(digest, 32));
    }
    cv_hmac_sha256_final(&h, g->k);
    cv_hmac_sha256(g->v, CV_BYTES(g->k, 32), CV_BYTES(g->v, 32));
}

void cv_rfc6979_init(struct cv_rfc6979 *g, const uint8_t key[32], const uint8_t digest[32])
{
    memset(g->v, 0x01, sizeof(g->v));
    memset(g->k, 0x00, sizeof(g->k));
    update(g, 0x00, key, digest);
    update(g, 0x01, key, digest);
}

void cv_rfc6979_next(struct cv_rfc6979 *g, uint8_t nonce[32])
{
    cv_hmac_sha256(g->v, CV_BYTES(g->k, 32), CV_BYTES(g->v, 32));
    memcpy(nonce, g->v, 32);
}

void cv_rfc6979_reject(struct cv_rfc6979 *g)
{
    update(g, 0x00, NULL, NULL);
}

void cv_rfc6979_wipe(struct cv_rfc6979 *g)
{
    cv_wipe(g, sizeof(*g));
}
