/* SPDX-License-Identifier: Apache-2.0 */
/* Frame after frame, skippable ones as well: zstd:chunked layers are made of
 * them. */
#include <zstd.h>
#include <zstd_errors.h>

#include "eif/input_private.h"

static bool zstd_open(struct cv_input *in)
{
    in->zstd = ZSTD_createDCtx();
    if (in->zstd != NULL && ZSTD_isError(ZSTD_DCtx_setParameter(in->zstd, ZSTD_d_windowLogMax,
                                                                CV_INPUT_ZSTD_WINDOW_LOG))) {
        ZSTD_freeDCtx(in->zstd);
        in->zstd = NULL;
    }
    return in->zstd != NULL;
}

static void zstd_close(struct cv_input *in)
{
    ZSTD_freeDCtx(in->zstd);
}

static int failed(size_t code, struct cv_error *err)
{
    switch (ZSTD_getErrorCode(code)) {
    case ZSTD_error_memory_allocation:
        return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
    case ZSTD_error_frameParameter_windowTooLarge:
        return cv_error_set(err, CV_ERR_LIMIT,
                            "the zstd data look back further than %u MiB: pack them without "
                            "--long, or with --long=27 at most",
                            1u << (CV_INPUT_ZSTD_WINDOW_LOG - 20));
    case ZSTD_error_dictionary_wrong:
        return cv_error_set(err, CV_ERR_UNSUPPORTED,
                            "the zstd data were packed with a dictionary that is not here");
    case ZSTD_error_prefix_unknown:
        return cv_error_set(err, CV_ERR_TRAILING,
                            "something other than zstd stands after the compressed data");
    default:
        return cv_error_set(err, CV_ERR_INVALID, "the compressed data are damaged");
    }
}

/* Between frames: zeros are padding, as archives in a ramdisk have it. */
static int skip_zeros(struct cv_input *in, struct cv_error *err)
{
    int rc = cv_input_refill(in, err);
    while (rc == 0 && in->raw_at < in->raw_n && in->raw[in->raw_at] == 0) {
        in->raw_at++;
        rc = cv_input_refill(in, err);
    }
    return rc;
}

static int zstd_read(struct cv_input *in, void *p, size_t n, size_t *got, struct cv_error *err)
{
    ZSTD_outBuffer out = {.dst = p, .size = n};
    while (out.pos == 0) {
        int rc = in->inside ? cv_input_refill(in, err) : skip_zeros(in, err);
        if (rc != 0) {
            return rc;
        }
        /* What the decoder still holds comes out without further input. */
        ZSTD_inBuffer from = {in->raw, in->raw_n, in->raw_at};
        bool end = from.pos == from.size;
        if (end && !in->inside) {
            break;
        }
        size_t left = ZSTD_decompressStream(in->zstd, &out, &from);
        in->raw_at = from.pos;
        if (ZSTD_isError(left)) {
            return failed(left, err);
        }
        in->inside = left != 0;
        if (end && out.pos == 0 && in->inside) {
            return cv_error_set(err, CV_ERR_TRUNCATED, "the compressed data end too early");
        }
    }
    *got = out.pos;
    return 0;
}

const struct cv_unpacker cv_input_zstd = {zstd_open, zstd_read, zstd_close};
