/* SPDX-License-Identifier: Apache-2.0 */
#include "eif/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE 65536u

static int no_memory(struct cv_error *err)
{
    return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
}

static int hash(EVP_MD_CTX *h, const void *p, size_t n, struct cv_error *err)
{
    return h == NULL || EVP_DigestUpdate(h, p, n) == 1
               ? 0
               : cv_error_set(err, CV_ERR_NOMEM, "SHA-256 failed");
}

/* Raw bytes; *GOT 0 at the end. */
static int read_raw(struct cv_input *in, void *p, size_t n, size_t *got, struct cv_error *err)
{
    if (in->end - in->at < n) {
        n = (size_t)(in->end - in->at);
    }
    *got = 0;
    if (n == 0) {
        return 0;
    }
    ssize_t r;
    do {
        r = pread(in->fd, p, n, (off_t)in->at);
    } while (r < 0 && errno == EINTR);
    if (r < 0) {
        return cv_error_errno(err, CV_ERR_IO, errno, "reading");
    }
    if (r == 0) {
        return cv_error_set(err, CV_ERR_TRUNCATED, "the file ends too early");
    }
    in->at += (uint64_t)r;
    in->raw_total += (uint64_t)r;
    *got = (size_t)r;
    return hash(in->raw_hash, p, (size_t)r, err);
}

static EVP_MD_CTX *new_hash(void)
{
    EVP_MD_CTX *h = EVP_MD_CTX_new();
    if (h != NULL && EVP_DigestInit_ex(h, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(h);
        h = NULL;
    }
    return h;
}

int cv_input_open(struct cv_input *in, int fd, uint64_t offset, uint64_t size, bool hash_raw,
                  bool hash_out, struct cv_error *err)
{
    memset(in, 0, sizeof *in);
    in->fd = fd;
    in->at = offset;
    if (__builtin_add_overflow(offset, size, &in->end) || in->end > INT64_MAX) {
        return cv_error_set(err, CV_ERR_INVALID, "a size beyond any file");
    }
    uint8_t magic[2] = {0, 0};
    ssize_t n = size >= 2 ? pread(fd, magic, 2, (off_t)offset) : 0;
    in->gzip = n == 2 && magic[0] == 0x1f && magic[1] == 0x8b;
    in->raw_hash = hash_raw ? new_hash() : NULL;
    in->out_hash = hash_out ? new_hash() : NULL;
    in->raw = in->gzip ? malloc(PIECE) : NULL;
    /* 16: a gzip header and trailer, nothing else. */
    if ((hash_raw && in->raw_hash == NULL) || (hash_out && in->out_hash == NULL) ||
        (in->gzip && (in->raw == NULL || inflateInit2(&in->z, 15 + 16) != Z_OK))) {
        cv_input_close(in);
        return no_memory(err);
    }
    in->inflating = in->gzip;
    return 0;
}

void cv_input_close(struct cv_input *in)
{
    if (in->gzip) {
        inflateEnd(&in->z);
    }
    free(in->raw);
    EVP_MD_CTX_free(in->raw_hash);
    EVP_MD_CTX_free(in->out_hash);
    memset(in, 0, sizeof *in);
}

static int refill(struct cv_input *in, struct cv_error *err)
{
    size_t got = 0;
    int rc = in->z.avail_in == 0 ? read_raw(in, in->raw, PIECE, &got, err) : 0;
    if (got != 0) {
        in->z.next_in = in->raw;
        in->z.avail_in = (uInt)got;
    }
    return rc;
}

/* After a member: zeros up to the end (as tapes have them), or another member. */
static int next_member(struct cv_input *in, struct cv_error *err)
{
    for (;;) {
        int rc = refill(in, err);
        if (rc != 0 || in->z.avail_in == 0) {
            return rc;
        }
        if (in->z.next_in[0] != 0) {
            break;
        }
        in->z.next_in++;
        in->z.avail_in--;
    }
    if (in->z.next_in[0] != 0x1f || inflateReset(&in->z) != Z_OK) {
        return cv_error_set(err, CV_ERR_TRAILING,
                            "something other than gzip stands after the "
                            "compressed data");
    }
    in->inflating = true;
    return 0;
}

static int read_gzip(struct cv_input *in, void *p, size_t n, size_t *got, struct cv_error *err)
{
    in->z.next_out = p;
    in->z.avail_out = (uInt)n;
    while (in->inflating && in->z.avail_out == n) {
        int rc = refill(in, err);
        if (rc != 0) {
            return rc;
        }
        if (in->z.avail_in == 0) {
            return cv_error_set(err, CV_ERR_TRUNCATED, "the compressed data end too early");
        }
        int z = inflate(&in->z, Z_NO_FLUSH);
        if (z == Z_STREAM_END) {
            in->inflating = false;
            rc = next_member(in, err);
        } else if (z == Z_MEM_ERROR) {
            rc = no_memory(err);
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

int cv_input_read(struct cv_input *in, void *p, size_t n, size_t *got, struct cv_error *err)
{
    *got = 0;
    if (n > (1u << 20)) {
        n = 1u << 20;
    }
    int rc = in->gzip ? read_gzip(in, p, n, got, err) : read_raw(in, p, n, got, err);
    if (rc != 0) {
        return rc;
    }
    in->out_total += *got;
    if (in->gzip && in->out_total > CV_INPUT_BOMB_FROM &&
        in->out_total / CV_INPUT_BOMB_RATIO > in->raw_total) {
        return cv_error_set(err, CV_ERR_LIMIT,
                            "the compressed data grow more than %u times: a "
                            "decompression bomb",
                            CV_INPUT_BOMB_RATIO);
    }
    return hash(in->out_hash, p, *got, err);
}

int cv_input_exact(struct cv_input *in, void *p, size_t n, struct cv_error *err)
{
    uint8_t *at = p;
    while (n != 0) {
        size_t got;
        int rc = cv_input_read(in, at, n, &got, err);
        if (rc != 0) {
            return rc;
        }
        if (got == 0) {
            return cv_error_set(err, CV_ERR_TRUNCATED, "the data end too early");
        }
        at += got;
        n -= got;
    }
    return 0;
}

int cv_input_skip(struct cv_input *in, uint64_t n, struct cv_error *err)
{
    if (!in->gzip && in->raw_hash == NULL && in->out_hash == NULL) {
        if (n > in->end - in->at) {
            return cv_error_set(err, CV_ERR_TRUNCATED, "the data end too early");
        }
        in->at += n;
        in->out_total += n;
        return 0;
    }
    uint8_t piece[PIECE];
    while (n != 0) {
        size_t part = n < sizeof piece ? (size_t)n : sizeof piece;
        int rc = cv_input_exact(in, piece, part, err);
        if (rc != 0) {
            return rc;
        }
        n -= part;
    }
    return 0;
}

bool cv_input_position(const struct cv_input *in, uint64_t *offset)
{
    *offset = in->at;
    return !in->gzip;
}

int cv_input_finish(struct cv_input *in, uint8_t raw_sha256[32], uint8_t out_sha256[32],
                    struct cv_error *err)
{
    uint8_t piece[PIECE];
    size_t got = 1;
    while (got != 0) {
        int rc = cv_input_read(in, piece, sizeof piece, &got, err);
        if (rc != 0) {
            return rc;
        }
    }
    if ((raw_sha256 != NULL && EVP_DigestFinal_ex(in->raw_hash, raw_sha256, NULL) != 1) ||
        (out_sha256 != NULL && EVP_DigestFinal_ex(in->out_hash, out_sha256, NULL) != 1)) {
        return cv_error_set(err, CV_ERR_NOMEM, "SHA-256 failed");
    }
    return 0;
}
