/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each secret has a mapping of its own:
 *
 *     guard page | … header, bytes, less than 16 of padding | guard page
 *
 * The bytes stand at the end, so that running over them faults; running under
 * them breaks the header, which cv_secret_free() checks. Programs that hold
 * thousands of keys lay them out in one large secret.
 */
#include "common/secret.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/log.h"

#define MAGIC UINT64_C(0x5ec2e7c1a716e25d)

struct header {
    uint64_t magic;
    uint8_t *base; /* of the mapping, first guard page */
    size_t mapped; /* bytes, guard pages included */
    size_t size;   /* bytes of the secret when it was allocated */
};

static _Atomic int lock_policy = CV_LOCK_WARN;

void cv_secret_policy(enum cv_lock_policy policy)
{
    atomic_store(&lock_policy, (int)policy);
}

/* True when the mapping may be used. */
static bool lock_pages(void *p, size_t n)
{
    static atomic_flag warned = ATOMIC_FLAG_INIT;
    if (mlock(p, n) == 0)
        return true;
    int why = errno;
    if (atomic_load(&lock_policy) == CV_LOCK_FATAL)
        return false;
    if (!atomic_flag_test_and_set(&warned))
        cv_log(CV_LOG_WARN,
               "memory for secrets cannot be locked and may reach swap; "
               "raise RLIMIT_MEMLOCK (LimitMEMLOCK= of the service)",
               "cause", strerrordesc_np(why), NULL);
    return true;
}

int cv_secret_alloc(struct cv_secret *s, size_t n)
{
    cv_secret_free(s);
    if (n == 0)
        return 0;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t need;
    if (__builtin_add_overflow(n, sizeof(struct header) + 15 + 3 * page, &need))
        return CV_ERR_NOMEM;
    size_t inner = (need - 2 * page) / page * page;
    uint8_t *base = mmap(NULL, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return CV_ERR_NOMEM;
    uint8_t *pages = base + page;
    if (mprotect(pages, inner, PROT_READ | PROT_WRITE) != 0 ||
        madvise(pages, inner, MADV_DONTDUMP) != 0 || madvise(pages, inner, MADV_DONTFORK) != 0 ||
        !lock_pages(pages, inner)) {
        (void)munmap(base, inner + 2 * page);
        return CV_ERR_NOMEM;
    }
    s->p = pages + inner - (n + 15) / 16 * 16;
    s->n = n;
    struct header h = {MAGIC, base, inner + 2 * page, n};
    memcpy(s->p - sizeof(h), &h, sizeof(h));
    return 0;
}

int cv_secret_copy(struct cv_secret *s, const void *p, size_t n)
{
    struct cv_secret fresh = CV_SECRET_INIT;
    int rc = cv_secret_alloc(&fresh, n);
    if (rc != 0)
        return rc;
    if (n > 0)
        memcpy(fresh.p, p, n);
    cv_secret_move(s, &fresh); /* P may lie in *S, which lived until now */
    return 0;
}

void cv_secret_free(struct cv_secret *s)
{
    if (s->p != NULL) {
        struct header h;
        memcpy(&h, s->p - sizeof(h), sizeof(h));
        if (h.magic != MAGIC || s->n > h.size)
            abort(); /* written past a boundary: nothing can be trusted */
        cv_wipe(s->p, h.size);
        if (munmap(h.base, h.mapped) != 0)
            abort();
    }
    *s = (struct cv_secret)CV_SECRET_INIT;
}

void cv_secret_move(struct cv_secret *to, struct cv_secret *from)
{
    if (to == from)
        return;
    cv_secret_free(to);
    *to = *from;
    *from = (struct cv_secret)CV_SECRET_INIT;
}

void cv_secret_shrink(struct cv_secret *s, size_t n)
{
    if (n > s->n)
        abort();
    if (n == 0) {
        cv_secret_free(s);
        return;
    }
    cv_wipe(s->p + n, s->n - n);
    s->n = n;
}

bool cv_secret_equal(const struct cv_secret *a, const struct cv_secret *b)
{
    return a->n == b->n && cv_equal_ct(a->p, b->p, a->n);
}

struct cv_bytes cv_secret_view(const struct cv_secret *s)
{
    return (struct cv_bytes){s->p, s->n};
}

void cv_random(void *p, size_t n)
{
    uint8_t *out = p;
    while (n > 0) {
        ssize_t got = getrandom(out, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort();
        out += got;
        n -= (size_t)got;
    }
}
