/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secret memory: locked, left out of core dumps and forks, wiped when freed.
 *
 * struct cv_secret owns bytes of one secret. It is never printed, never
 * compared with memcmp, and its memory comes from pages of its own kind
 * (guard pages, MADV_DONTDUMP, MADV_DONTFORK, mlock).
 */
#ifndef CV_COMMON_SECRET_H
#define CV_COMMON_SECRET_H

#include "common/bytes.h"

struct cv_secret {
    uint8_t *p;
    size_t n;
};

#define CV_SECRET_INIT \
    {                  \
        NULL, 0        \
    }

/* What happens when memory cannot be locked (RLIMIT_MEMLOCK). */
enum cv_lock_policy {
    CV_LOCK_WARN,  /* say so once, loudly, and go on (parent, CLI) */
    CV_LOCK_FATAL, /* fail the allocation (enclave) */
};
/* Once at start, before the first secret; CV_LOCK_WARN without it. */
void cv_secret_policy(enum cv_lock_policy policy);

/* N zero bytes of secret memory in *S, which is empty or is freed first.
 * CV_ERR_NOMEM. */
int cv_secret_alloc(struct cv_secret *s, size_t n) CV_NODISCARD;
/* A copy of N bytes at P; the caller still wipes the original. */
int cv_secret_copy(struct cv_secret *s, const void *p, size_t n) CV_NODISCARD;
/* Wipes and frees; harmless on an empty one, and twice. */
void cv_secret_free(struct cv_secret *s);
/* Gives FROM's bytes to TO (freed first) and leaves FROM empty. */
void cv_secret_move(struct cv_secret *to, struct cv_secret *from);
/* Shortens it to N bytes, wiping the rest; N <= s->n. */
void cv_secret_shrink(struct cv_secret *s, size_t n);
/* Constant time in the content, not in the length. */
bool cv_secret_equal(const struct cv_secret *a, const struct cv_secret *b);
struct cv_bytes cv_secret_view(const struct cv_secret *s);

#define CV_SECRET_AUTO __attribute__((cleanup(cv_secret_free)))

/* Fills P with N bytes from getrandom(2); ends the process when the kernel
 * has none to give, since nothing could go on safely. */
void cv_random(void *p, size_t n);

/* At the start of every program that will hold a secret: no core dumps, not
 * dumpable (so not to be ptraced by others), no new privileges. */
void cv_process_harden(void);
/* The same but for new privileges, which children would be without as well:
 * for a process that starts other people's programs. */
void cv_process_no_dumps(void);

#endif
