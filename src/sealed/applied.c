/* SPDX-License-Identifier: Apache-2.0 */
#include "sealed/applied.h"

#include <stdlib.h>
#include <string.h>

#include "cbor/cbor.h"

#define TAG "claviger.applied.1"

int cv_applied_take(struct cv_applied_config *out, uint64_t version,
                    const struct cv_s3ec_pairs *pairs, struct cv_bytes body, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, 4 * CV_CONFIG_MAX_JSON);
    int rc = cv_config_signed_text(&text, pairs, body, err);
    if (rc == 0) {
        out->version = version;
        cv_sha384(out->digest, cv_buf_view(&text));
    }
    return rc;
}

/* A head, and the bytes that it announces, where it announces some. */
static void put(struct cv_sha384_ctx *ctx, enum cv_cbor_major major, uint64_t value,
                struct cv_bytes bytes)
{
    uint8_t head[16];
    struct cv_writer w;
    size_t n = 0;
    cv_writer_init(&w, head, sizeof head);
    cv_cbor_write_head(&w, major, value);
    if (cv_writer_end(&w, &n) == 0) { /* a head has nine bytes at most */
        cv_sha384_update(ctx, CV_BYTES(head, n));
    }
    cv_sha384_update(ctx, bytes);
}

static void put_bytes(struct cv_sha384_ctx *ctx, enum cv_cbor_major major, struct cv_bytes bytes)
{
    put(ctx, major, bytes.n, bytes);
}

static const struct cv_bytes nothing = {NULL, 0};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct cv_applied_variable *)a)->name,
                  ((const struct cv_applied_variable *)b)->name);
}

void cv_applied_digest(uint8_t out[CV_SHA384_LEN], const struct cv_applied_config *config, size_t n,
                       struct cv_applied_variable *env, size_t variables)
{
    struct cv_sha384_ctx ctx;
    cv_sha384_init(&ctx);
    put(&ctx, CV_CBOR_ARRAY, 3, nothing);
    put_bytes(&ctx, CV_CBOR_TSTR, cv_bytes_str(TAG));
    put(&ctx, CV_CBOR_ARRAY, n, nothing);
    for (size_t i = 0; i < n; i++) {
        put(&ctx, CV_CBOR_ARRAY, 2, nothing);
        put(&ctx, CV_CBOR_UINT, config[i].version, nothing);
        put_bytes(&ctx, CV_CBOR_BSTR, CV_BYTES(config[i].digest, CV_SHA384_LEN));
    }
    if (variables != 0) {
        qsort(env, variables, sizeof *env, by_name);
    }
    put(&ctx, CV_CBOR_ARRAY, variables, nothing);
    for (size_t i = 0; i < variables; i++) {
        put(&ctx, CV_CBOR_ARRAY, 2, nothing);
        put_bytes(&ctx, CV_CBOR_TSTR, cv_bytes_str(env[i].name));
        put_bytes(&ctx, CV_CBOR_TSTR, env[i].value);
    }
    cv_sha384_final(&ctx, out);
}

void cv_applied_register(uint8_t out[CV_SHA384_LEN], const uint8_t digest[CV_SHA384_LEN])
{
    static const uint8_t zeros[CV_SHA384_LEN];
    struct cv_sha384_ctx ctx;
    cv_sha384_init(&ctx);
    cv_sha384_update(&ctx, CV_BYTES(zeros, sizeof zeros));
    cv_sha384_update(&ctx, CV_BYTES(digest, CV_SHA384_LEN));
    cv_sha384_final(&ctx, out);
}
