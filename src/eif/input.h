/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stretch of a file read as a stream, gzip (RFC 1952) and zstd (RFC 8878)
 * unpacked on the fly, with the SHA-256 of what lies in the file and of what
 * comes out.
 */
#ifndef CV_EIF_INPUT_H
#define CV_EIF_INPUT_H

#include <openssl/evp.h>
#include <zlib.h>

#include "common/bytes.h"

/* Deflate makes at most 1:1032, zstd 1:32768. Real layers stay below 1:50; what
 * goes beyond this ratio after `ample` bytes is no layer, but an attack on our
 * time. */
#define CV_INPUT_BOMB_RATIO 300u
#define CV_INPUT_BOMB_FROM ((uint64_t)1 << 30)

/* Bytes that zstd may look back: what "zstd --ultra -22" and "--long" use. It
 * bounds the memory of a stream. */
#define CV_INPUT_ZSTD_WINDOW_LOG 27

enum cv_packing {
    CV_PACKING_NONE,
    CV_PACKING_GZIP,
    CV_PACKING_ZSTD,
};

struct cv_input {
    int fd;             /* borrowed */
    uint64_t at, end;   /* raw bytes not read yet */
    uint64_t raw_total; /* raw bytes read */
    uint64_t out_total; /* bytes given out */
    uint64_t ample;     /* bytes that are given out whatever they were packed into:
        CV_INPUT_BOMB_FROM, unless the caller, who bounds them himself, sets another */
    enum cv_packing packing;
    bool inside; /* a gzip member or a zstd frame that is not at its end */
    uint8_t *raw;
    size_t raw_at, raw_n; /* raw bytes read and not unpacked yet */
    z_stream z;
    struct ZSTD_DCtx_s *zstd;
    EVP_MD_CTX *raw_hash, *out_hash; /* NULL when not wanted */
};

/* SIZE bytes of FD from OFFSET. HASH_RAW, HASH_OUT: compute these digests,
 * which takes reading everything instead of seeking. */
int cv_input_open(struct cv_input *in, int fd, uint64_t offset, uint64_t size, bool hash_raw,
                  bool hash_out, struct cv_error *err) CV_NODISCARD;
void cv_input_close(struct cv_input *in);
/* Up to N bytes (N > 0); *GOT is 0 at the end only. */
int cv_input_read(struct cv_input *in, void *p, size_t n, size_t *got,
                  struct cv_error *err) CV_NODISCARD;
/* Exactly N bytes, CV_ERR_TRUNCATED when there are fewer. */
int cv_input_exact(struct cv_input *in, void *p, size_t n, struct cv_error *err) CV_NODISCARD;
int cv_input_skip(struct cv_input *in, uint64_t n, struct cv_error *err) CV_NODISCARD;
/* True and the file's offset of the next byte, when data lie there as they are. */
bool cv_input_position(const struct cv_input *in, uint64_t *offset);
/* Reads to the end, then gives the digests (either may be NULL). */
int cv_input_finish(struct cv_input *in, uint8_t raw_sha256[32], uint8_t out_sha256[32],
                    struct cv_error *err) CV_NODISCARD;

/* How data that begin with the N bytes at P are packed, as far as we know it:
 * "gzip", "zstd", "xz", "bzip2", "lz4", or NULL. */
const char *cv_input_packed_with(const uint8_t *p, size_t n);

#endif
