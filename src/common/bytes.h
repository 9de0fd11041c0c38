/* SPDX-License-Identifier: Apache-2.0 */
/* Views of bytes, and a growable buffer with a ceiling. */
#ifndef CV_COMMON_BYTES_H
#define CV_COMMON_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

/* A view: borrowed, never freed through it. p may be NULL when n is 0. */
struct cv_bytes {
    const uint8_t *p;
    size_t n;
};

#define CV_BYTES(ptr, len) ((struct cv_bytes){(const uint8_t *)(ptr), (len)})
#define CV_BYTES_LIT(lit) ((struct cv_bytes){(const uint8_t *)(lit), sizeof(lit) - 1})
/* Of a NUL-terminated string, without the NUL. */
struct cv_bytes cv_bytes_str(const char *s);

/* Equality of public data; secrets are compared with cv_equal_ct(). */
bool cv_bytes_equal(struct cv_bytes a, struct cv_bytes b);
bool cv_bytes_equal_str(struct cv_bytes a, const char *s);

/* Overwrites N bytes so that the compiler cannot leave it out. */
void cv_wipe(void *p, size_t n);

/* True when N bytes are equal; takes the same time whatever they hold. */
bool cv_equal_ct(const void *a, const void *b, size_t n);

/* A growable buffer. It never grows past LIMIT, and wipes memory that it lets
 * go, since it may have held a secret on its way. p[n] is always 0 once
 * anything was appended, so text in it can be used as a string. */
struct cv_buf {
    uint8_t *p;
    size_t n;     /* bytes in use */
    size_t cap;   /* bytes allocated */
    size_t limit; /* ceiling of n */
};

/* LIMIT bytes at most. Allocates nothing yet. */
void cv_buf_init(struct cv_buf *b, size_t limit);
/* Wipes and frees; the buffer can be used again with the same limit. */
void cv_buf_free(struct cv_buf *b);
/* Wipes the content, keeps the memory. */
void cv_buf_reset(struct cv_buf *b);
/* CV_ERR_LIMIT past the ceiling, CV_ERR_NOMEM; on error nothing changed. */
int cv_buf_append(struct cv_buf *b, const void *p, size_t n) CV_NODISCARD;
int cv_buf_append_str(struct cv_buf *b, const char *s) CV_NODISCARD;
int cv_buf_append_u8(struct cv_buf *b, uint8_t v) CV_NODISCARD;
int cv_buf_printf(struct cv_buf *b, const char *fmt, ...) CV_PRINTF(2, 3) CV_NODISCARD;
/* Makes room for N more bytes and gives a pointer to them; n is not changed
 * until cv_buf_commit(). NULL when it cannot. */
uint8_t *cv_buf_reserve(struct cv_buf *b, size_t n);
void cv_buf_commit(struct cv_buf *b, size_t n);
/* Removes the first N bytes (N <= b->n). */
void cv_buf_consume(struct cv_buf *b, size_t n);
struct cv_bytes cv_buf_view(const struct cv_buf *b);

/* For locals: CV_CLEANUP(cv_buf_free) struct cv_buf b; */
#define CV_CLEANUP(fn) __attribute__((cleanup(fn)))

#endif
