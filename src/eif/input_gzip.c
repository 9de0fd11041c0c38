/* SPDX-License-Identifier: Apache-2.0 */
#include "eif/input_private.h"

static bool gzip_open(struct cv_input *in)
{
    /* 16: a gzip header and trailer, nothing else. */
    return inflateInit2(&in->z, 15 + 16) == Z_OK;
}

static void gzip_close(struct cv_input *in)
{
    inflateEnd(&in->z);
}

/* After a member: zeros up to the end (as tapes have them), or another member. */
static int next_member(struct cv_input *in, struct cv_error *err)
{
    for (;;) {
        int rc = cv_input_refill(in, err);
        if (rc != 0 || in->raw_at == in->raw_n) {
            return rc;
        }
        if (in->raw[in->raw_at] != 0) {
            break;
        }
        in->raw_at++;
    }
    if (in->raw[in->raw_at] != 0x1f || inflateReset(&in->z) != Z_OK) {
        return cv_error_set(err, CV_ERR_TRAILING,
                            "something other than gzip stands after the compressed data");
    }
    in->inside = true;
    return 0;
}

static int gzip_read(struct cv_input *in, void *p, size_t n, size_t *got, struct cv_error *err)
{
    in->z.next_out = p;
    in->z.avail_out = (uInt)n;
    while (in->inside && in->z.avail_out == n) {
        int rc = cv_input_refill(in, err);
        if (rc != 0) {
            return rc;
        }
        if (in->raw_at == in->raw_n) {
            return cv_error_set(err, CV_ERR_TRUNCATED, "the compressed data end too early");
        }
        in->z.next_in = in->raw + in->raw_at;
        in->z.avail_in = (uInt)(in->raw_n - in->raw_at);
        int z = inflate(&in->z, Z_NO_FLUSH);
        in->raw_at = in->raw_n - in->z.avail_in;
        if (z == Z_STREAM_END) {
            in->inside = false;
            rc = next_member(in, err);
        } else if (z == Z_MEM_ERROR) {
            rc = cv_error_set(err, CV_ERR_NOMEM, "out of memory");
        } else if (z != Z_OK && z != Z_BUF_ERROR) {
            rc = cv_error_set(err, CV_ERR_INVALID, "the compressed data are damaged");
        }
        if (rc != 0) {
            return rc;
        }
    }
    *got = n - in->z.avail_out;
    return 0;
}

const struct cv_unpacker cv_input_gzip = {gzip_open, gzip_read, gzip_close};
