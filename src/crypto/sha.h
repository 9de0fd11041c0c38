/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-2 (FIPS 180-4) and HMAC (RFC 2104). Nothing is allocated. */
#ifndef CV_CRYPTO_SHA_H
#define CV_CRYPTO_SHA_H

#include "common/bytes.h"

#define CV_SHA256_LEN 32
#define CV_SHA384_LEN 48
#define CV_SHA512_LEN 64

void cv_sha256(uint8_t out[CV_SHA256_LEN], struct cv_bytes in);
void cv_sha384(uint8_t out[CV_SHA384_LEN], struct cv_bytes in);
void cv_sha512(uint8_t out[CV_SHA512_LEN], struct cv_bytes in);

/* In pieces: init, any number of updates, final (which wipes the state). */
struct cv_sha256_ctx {
    uint64_t opaque[16];
};
void cv_sha256_init(struct cv_sha256_ctx *ctx);
void cv_sha256_update(struct cv_sha256_ctx *ctx, struct cv_bytes in);
void cv_sha256_final(struct cv_sha256_ctx *ctx, uint8_t out[CV_SHA256_LEN]);

struct cv_sha384_ctx {
    uint64_t opaque[28];
};
void cv_sha384_init(struct cv_sha384_ctx *ctx);
void cv_sha384_update(struct cv_sha384_ctx *ctx, struct cv_bytes in);
void cv_sha384_final(struct cv_sha384_ctx *ctx, uint8_t out[CV_SHA384_LEN]);

/* HMAC-SHA-256, at once or in pieces; final wipes the state. */
void cv_hmac_sha256(uint8_t out[CV_SHA256_LEN], struct cv_bytes key, struct cv_bytes in);
struct cv_hmac_sha256_ctx {
    struct cv_sha256_ctx inner, outer;
};
void cv_hmac_sha256_init(struct cv_hmac_sha256_ctx *ctx, struct cv_bytes key);
void cv_hmac_sha256_update(struct cv_hmac_sha256_ctx *ctx, struct cv_bytes in);
void cv_hmac_sha256_final(struct cv_hmac_sha256_ctx *ctx, uint8_t out[CV_SHA256_LEN]);

#endif
