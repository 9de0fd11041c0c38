/* SPDX-License-Identifier: Apache-2.0 */
#include "eif/input_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

const char *cv_input_packed_with(const uint8_t *p, size_t n)
{
    static const struct {
        const char *name;
        uint8_t magic[4], bits; /* of the first byte that are no part of it */
        size_t n;
    } known[] = {
        {"gzip", {0x1f, 0x8b}, 0, 2},
        {"zstd", {0x28, 0xb5, 0x2f, 0xfd}, 0, 4},
        {"zstd", {0x50, 0x2a, 0x4d, 0x18}, 15, 4}, /* a skippable frame first */
        {"xz", {0xfd, '7', 'z', 'X'}, 0, 4},
        {"bzip2", {'B', 'Z', 'h'}, 0, 3},
        {"lz4", {0x04, 0x22, 0x4d, 0x18}, 0, 4},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (n >= known[i].n && (p[0] & ~known[i].bits) == known[i].magic[0] &&
            memcmp(p + 1, known[i].magic + 1, known[i].n - 1) == 0) {
            return known[i].name;
        }
    }
    return NULL;
}

static enum cv_packing packing_of(int fd, uint64_t offset, uint64_t size)
{
    uint8_t magic[4];
    ssize_t n = pread(fd, magic, size < sizeof magic ? (size_t)size : sizeof magic, (off_t)offset);
    const char *name = n > 0 ? cv_input_packed_with(magic, (size_t)n) : NULL;
    return name == NULL                ? CV_PACKING_NONE
           : strcmp(name, "gzip") == 0 ? CV_PACKING_GZIP
           : strcmp(name, "zstd") == 0 ? CV_PACKING_ZSTD
                                       : CV_PACKING_NONE;
}

static const struct cv_unpacker *unpacker(const struct cv_input *in)
{
    return in->packing == CV_PACKING_GZIP   ? &cv_input_gzip
           : in->packing == CV_PACKING_ZSTD ? &cv_input_zstd
                                            : NULL;
}

int cv_input_open(struct cv_input *in, int fd, uint64_t offset, uint64_t size, bool hash_raw,
                  bool hash_out, struct cv_error *err)
{
    *in = (struct cv_input){.fd = fd, .at = offset, .ample = CV_INPUT_BOMB_FROM};
    if (__builtin_add_overflow(offset, size, &in->end) || in->end > INT64_MAX) {
        return cv_error_set(err, CV_ERR_INVALID, "a size beyond any file");
    }
    in->packing = packing_of(fd, offset, size);
    in->inside = in->packing != CV_PACKING_NONE;
    const struct cv_unpacker *u = unpacker(in);
    if (u != NULL && !u->open(in)) {
        in->packing = CV_PACKING_NONE;
        return no_memory(err);
    }
    in->raw = u != NULL ? malloc(CV_INPUT_PIECE) : NULL;
    in->raw_hash = hash_raw ? new_hash() : NULL;
    in->out_hash = hash_out ? new_hash() : NULL;
    if ((hash_raw && in->raw_hash == NULL) || (hash_out && in->out_hash == NULL) ||
        (u != NULL && in->raw == NULL)) {
        cv_input_close(in);
        return no_memory(err);
    }
    return 0;
}

void cv_input_close(struct cv_input *in)
{
    const struct cv_unpacker *u = unpacker(in);
    if (u != NULL) {
        u->close(in);
    }
    free(in->raw);
    EVP_MD_CTX_free(in->raw_hash);
    EVP_MD_CTX_free(in->out_hash);
    memset(in, 0, sizeof *in);
}

int cv_input_refill(struct cv_input *in, struct cv_error *err)
{
    if (in->raw_at < in->raw_n) {
        return 0;
    }
    in->raw_at = in->raw_n = 0;
    return read_raw(in, in->raw, CV_INPUT_PIECE, &in->raw_n, err);
}

int cv_input_read(struct cv_input *in, void *p, size_t n, size_t *got, struct cv_error *err)
{
    *got = 0;
    if (n > (1u << 20)) {
        n = 1u << 20;
    }
    const struct cv_unpacker *u = unpacker(in);
    int rc = u != NULL ? u->read(in, p, n, got, err) : read_raw(in, p, n, got, err);
    if (rc != 0) {
        return rc;
    }
    in->out_total += *got;
    if (u != NULL && in->out_total > in->ample &&
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
    if (in->packing == CV_PACKING_NONE && in->raw_hash == NULL && in->out_hash == NULL) {
        if (n > in->end - in->at) {
            return cv_error_set(err, CV_ERR_TRUNCATED, "the data end too early");
        }
        in->at += n;
        in->out_total += n;
        return 0;
    }
    uint8_t piece[CV_INPUT_PIECE];
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
    return in->packing == CV_PACKING_NONE;
}

int cv_input_finish(struct cv_input *in, uint8_t raw_sha256[32], uint8_t out_sha256[32],
                    struct cv_error *err)
{
    uint8_t piece[CV_INPUT_PIECE];
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
