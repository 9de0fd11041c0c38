/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL's older interface: no allocation and no provider between the caller
 * and the compression function, which the nonces of P-256 are made of. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto/sha.h"

#include <assert.h>
#include <string.h>

#include <openssl/sha.h>

#define SHA256_BLOCK 64

static_assert(sizeof(SHA256_CTX) <= sizeof(struct cv_sha256_ctx), "room for the state");
static_assert(sizeof(SHA512_CTX) <= sizeof(struct cv_sha384_ctx), "room for the state");

static SHA256_CTX *state256(struct cv_sha256_ctx *ctx)
{
    return (SHA256_CTX *)(void *)ctx->opaque;
}

static SHA512_CTX *state384(struct cv_sha384_ctx *ctx)
{
    return (SHA512_CTX *)(void *)ctx->opaque;
}

void cv_sha256_init(struct cv_sha256_ctx *ctx)
{
    SHA256_Init(state256(ctx));
}

void cv_sha256_update(struct cv_sha256_ctx *ctx, struct cv_bytes in)
{
    if (in.n > 0)
        SHA256_Update(state256(ctx), in.p, in.n);
}

void cv_sha256_final(struct cv_sha256_ctx *ctx, uint8_t out[CV_SHA256_LEN])
{
    SHA256_Final(out, state256(ctx));
    cv_wipe(ctx, sizeof(*ctx));
}

void cv_sha384_init(struct cv_sha384_ctx *ctx)
{
    SHA384_Init(state384(ctx));
}

void cv_sha384_update(struct cv_sha384_ctx *ctx, struct cv_bytes in)
{
    if (in.n > 0)
        SHA384_Update(state384(ctx), in.p, in.n);
}

void cv_sha384_final(struct cv_sha384_ctx *ctx, uint8_t out[CV_SHA384_LEN])
{
    SHA384_Final(out, state384(ctx));
    cv_wipe(ctx, sizeof(*ctx));
}

void cv_sha256(uint8_t out[CV_SHA256_LEN], struct cv_bytes in)
{
    struct cv_sha256_ctx ctx;
    cv_sha256_init(&ctx);
    cv_sha256_update(&ctx, in);
    cv_sha256_final(&ctx, out);
}

void cv_sha384(uint8_t out[CV_SHA384_LEN], struct cv_bytes in)
{
    struct cv_sha384_ctx ctx;
    cv_sha384_init(&ctx);
    cv_sha384_update(&ctx, in);
    cv_sha384_final(&ctx, out);
}

void cv_sha512(uint8_t out[CV_SHA512_LEN], struct cv_bytes in)
{
    SHA512_CTX ctx;
    SHA512_Init(&ctx);
    if (in.n > 0)
        SHA512_Update(&ctx, in.p, in.n);
    SHA512_Final(out, &ctx);
    cv_wipe(&ctx, sizeof(ctx));
}

void cv_hmac_sha256_init(struct cv_hmac_sha256_ctx *ctx, struct cv_bytes key)
{
    uint8_t block[SHA256_BLOCK] = {0};
    if (key.n > sizeof(block))
        cv_sha256(block, key);
    else if (key.n > 0)
        memcpy(block, key.p, key.n);
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] ^= 0x36;
    cv_sha256_init(&ctx->inner);
    cv_sha256_update(&ctx->inner, CV_BYTES(block, sizeof(block)));
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] ^= 0x36 ^ 0x5c;
    cv_sha256_init(&ctx->outer);
    cv_sha256_update(&ctx->outer, CV_BYTES(block, sizeof(block)));
    cv_wipe(block, sizeof(block));
}

void cv_hmac_sha256_update(struct cv_hmac_sha256_ctx *ctx, struct cv_bytes in)
{
    cv_sha256_update(&ctx->inner, in);
}

void cv_hmac_sha256_final(struct cv_hmac_sha256_ctx *ctx, uint8_t out[CV_SHA256_LEN])
{
    uint8_t digest[CV_SHA256_LEN];
    cv_sha256_final(&ctx->inner, digest);
    cv_sha256_update(&ctx->outer, CV_BYTES(digest, sizeof(digest)));
    cv_sha256_final(&ctx->outer, out);
    cv_wipe(digest, sizeof(digest));
}

void cv_hmac_sha256(uint8_t out[CV_SHA256_LEN], struct cv_bytes key, struct cv_bytes in)
{
    struct cv_hmac_sha256_ctx ctx;
    cv_hmac_sha256_init(&ctx, key);
    cv_hmac_sha256_update(&ctx, in);
    cv_hmac_sha256_final(&ctx, out);
}
