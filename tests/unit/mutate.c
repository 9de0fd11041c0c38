/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/mutate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct area {
    uint8_t *base;
    size_t size; /* without the guard page */
};

static struct area area_new(size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct area a = {.size = (n + page) / page * page};
    a.base = mmap(NULL, a.size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (a.base == MAP_FAILED || mprotect(a.base + a.size, page, PROT_NONE) != 0)
        abort();
    return a;
}

static void area_free(const struct area *a)
{
    (void)munmap(a->base, a->size + (size_t)sysconf(_SC_PAGESIZE));
}

/* A copy whose end is the end of the area. */
static uint8_t *place(const struct area *a, const void *p, size_t n)
{
    uint8_t *to = a->base + a->size - n;
    if (n > 0)
        memcpy(to, p, n);
    return to;
}

void mutate_truncations(const void *p, size_t n, mutate_fn *fn, void *ctx)
{
    struct area area = area_new(n);
    char what[64];
    for (size_t len = 0; len < n; len++) {
        (void)snprintf(what, sizeof(what), "truncated to %zu", len);
        fn(ctx, place(&area, p, len), len, what);
    }
    area_free(&area);
}

void mutate_bit_flips(const void *p, size_t n, mutate_fn *fn, void *ctx)
{
    struct area area = area_new(n);
    char what[64];
    for (size_t i = 0; i < n; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            uint8_t *variant = place(&area, p, n);
            variant[i] ^= (uint8_t)(1u << bit);
            (void)snprintf(what, sizeof(what), "bit %u of byte %zu", bit, i);
            fn(ctx, variant, n, what);
        }
    }
    area_free(&area);
}

void mutate_all(const void *p, size_t n, mutate_fn *fn, void *ctx)
{
    mutate_truncations(p, n, fn, ctx);
    mutate_bit_flips(p, n, fn, ctx);
}
