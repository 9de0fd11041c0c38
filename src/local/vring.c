/* SPDX-License-Identifier: Apache-2.0 */
#include "local/vring.h"

#include <endian.h>
#include <stdatomic.h>
#include <string.h>

#define DESC_SIZE 16u
#define F_NEXT 1u
#define F_WRITE 2u
#define F_INDIRECT 4u
#define AVAIL_NO_INTERRUPT 1u

struct desc {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
};

static uint8_t *at(const struct cv_guest_memory *m, uint64_t address, uint64_t n, bool user)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct cv_guest_region *g = &m->region[i];
        uint64_t start = user ? g->user : g->guest;
        if (g->base != NULL && address >= start && address - start <= g->size &&
            n <= g->size - (address - start))
            return g->base + (address - start);
    }
    return NULL;
}

uint8_t *cv_guest_at(const struct cv_guest_memory *m, uint64_t address, uint64_t n)
{
    return at(m, address, n, false);
}

uint8_t *cv_guest_at_user(const struct cv_guest_memory *m, uint64_t address, uint64_t n)
{
    return at(m, address, n, true);
}

/* The driver may write these at any time: loaded once, whole. */
static uint16_t load16(const uint8_t *p)
{
    const _Atomic uint16_t *a = (const _Atomic uint16_t *)(const void *)p;
    return le16toh(atomic_load_explicit(a, memory_order_acquire));
}

static void store16(uint8_t *p, uint16_t v)
{
    atomic_store_explicit((_Atomic uint16_t *)(void *)p, htole16(v), memory_order_release);
}

static void store32(uint8_t *p, uint32_t v)
{
    atomic_store_explicit((_Atomic uint32_t *)(void *)p, htole32(v), memory_order_relaxed);
}

int cv_vring_map(struct cv_vring *r, const struct cv_guest_memory *memory, struct cv_error *err)
{
    r->desc = r->avail = r->used = NULL;
    if (r->num == 0 || r->num > CV_VRING_MAX || (r->num & (r->num - 1)) != 0)
        return cv_error_set(err, CV_ERR_INVALID, "a queue of %u descriptors", r->num);
    /* virtio 1.2, 2.7: alignment 16, 2 and 4. Front-end and guest agree on page
     * offsets, so that the mapped address is aligned when the front-end's is. */
    uint8_t *desc = cv_guest_at_user(memory, r->desc_at, (uint64_t)r->num * DESC_SIZE);
    uint8_t *avail = cv_guest_at_user(memory, r->avail_at, 6u + (uint64_t)r->num * 2);
    uint8_t *used = cv_guest_at_user(memory, r->used_at, 6u + (uint64_t)r->num * 8);
    if (desc == NULL || avail == NULL || used == NULL)
        return cv_error_set(err, CV_ERR_INVALID, "a queue that is not in the guest's memory");
    if ((uintptr_t)desc % 16 != 0 || (uintptr_t)avail % 2 != 0 || (uintptr_t)used % 4 != 0)
        return cv_error_set(err, CV_ERR_INVALID, "a queue that is not aligned");
    r->desc = desc;
    r->avail = avail;
    r->used = used;
    r->next_used = load16(used + 2);
    return 0;
}

/* Descriptor INDEX, copied out of shared memory. */
static bool get_desc(const struct cv_vring *r, uint16_t index, struct desc *d)
{
    if (index >= r->num)
        return false;
    uint8_t raw[DESC_SIZE];
    memcpy(raw, r->desc + (size_t)index * DESC_SIZE, sizeof raw);
    memcpy(&d->address, raw, 8);
    memcpy(&d->length, raw + 8, 4);
    memcpy(&d->flags, raw + 12, 2);
    memcpy(&d->next, raw + 14, 2);
    d->address = le64toh(d->address);
    d->length = le32toh(d->length);
    d->flags = le16toh(d->flags);
    d->next = le16toh(d->next);
    return true;
}

/* Walks a chain; STEP gets each descriptor with its memory and may end the
 * walk. A chain has at most as many descriptors as the ring (a loop has more). */
static int walk(const struct cv_vring *r, const struct cv_guest_memory *memory, uint16_t head,
                bool (*step)(void *ctx, const struct desc *d, uint8_t *p), void *ctx,
                struct cv_error *err)
{
    uint16_t index = head;
    bool writing = false;
    for (uint32_t i = 0; i < r->num; i++) {
        struct desc d;
        if (!get_desc(r, index, &d))
            return cv_error_set(err, CV_ERR_INVALID, "descriptor %u of %u", index, r->num);
        if (d.flags & F_INDIRECT)
            return cv_error_set(err, CV_ERR_INVALID,
                                "an indirect descriptor, which was not offered");
        if (writing && !(d.flags & F_WRITE))
            return cv_error_set(err, CV_ERR_INVALID, "a readable descriptor after a writable one");
        writing = d.flags & F_WRITE;
        uint8_t *p = cv_guest_at(memory, d.address, d.length);
        if (p == NULL)
            return cv_error_set(err, CV_ERR_INVALID, "a buffer that is not in the guest's memory");
        if (!step(ctx, &d, p) || !(d.flags & F_NEXT))
            return 0;
        index = d.next;
    }
    return cv_error_set(err, CV_ERR_INVALID, "a chain of descriptors without an end");
}

static bool add_up(void *ctx, const struct desc *d, uint8_t *p)
{
    struct cv_vring_chain *c = ctx;
    (void)p;
    /* At most 1024 of 32 bits each: no overflow. */
    if (d->flags & F_WRITE)
        c->writable += d->length;
    else
        c->readable += d->length;
    return true;
}

int cv_vring_peek(const struct cv_vring *r, const struct cv_guest_memory *memory, uint16_t nth,
                  struct cv_vring_chain *chain, struct cv_error *err)
{
    uint16_t ready = (uint16_t)(load16(r->avail + 2) - r->next_avail);
    if (ready > r->num)
        return cv_error_set(err, CV_ERR_INVALID, "%u chains available in a queue of %u", ready,
                            r->num);
    if (nth >= ready)
        return CV_ERR_NOT_FOUND;
    uint16_t slot = (uint16_t)((uint16_t)(r->next_avail + nth) & (r->num - 1));
    *chain = (struct cv_vring_chain){.head = load16(r->avail + 4 + (size_t)slot * 2)};
    return walk(r, memory, chain->head, add_up, chain, err);
}

struct copy {
    uint8_t *to;
    const uint8_t *from;
    size_t left, done;
};

static bool copy_out(void *ctx, const struct desc *d, uint8_t *p)
{
    struct copy *c = ctx;
    if (d->flags & F_WRITE)
        return false;
    size_t n = d->length < c->left ? d->length : c->left;
    memcpy(c->to + c->done, p, n);
    c->done += n;
    c->left -= n;
    return c->left > 0;
}

int cv_vring_read(const struct cv_vring *r, const struct cv_guest_memory *memory, uint16_t head,
                  void *p, size_t n, size_t *got, struct cv_error *err)
{
    struct copy c = {.to = p, .left = n};
    *got = 0;
    int rc = walk(r, memory, head, copy_out, &c, err);
    if (rc == 0)
        *got = c.done;
    return rc;
}

static bool copy_in(void *ctx, const struct desc *d, uint8_t *p)
{
    struct copy *c = ctx;
    if (!(d->flags & F_WRITE))
        return true;
    size_t n = d->length < c->left ? d->length : c->left;
    memcpy(p, c->from + c->done, n);
    c->done += n;
    c->left -= n;
    return c->left > 0;
}

int cv_vring_write(const struct cv_vring *r, const struct cv_guest_memory *memory, uint16_t head,
                   const void *p, size_t n, struct cv_error *err)
{
    struct copy c = {.from = p, .left = n};
    int rc = walk(r, memory, head, copy_in, &c, err);
    if (rc == 0 && c.left > 0)
        return cv_error_set(err, CV_ERR_LIMIT, "%zu bytes do not fit the driver's buffer", n);
    return rc;
}

void cv_vring_done(struct cv_vring *r, uint16_t head, uint32_t n)
{
    uint8_t *slot = r->used + 4 + (size_t)(r->next_used & (r->num - 1)) * 8;
    store32(slot, head);
    store32(slot + 4, n);
    r->next_avail++;
    r->next_used++;
    store16(r->used + 2, r->next_used);
}

bool cv_vring_wants_call(const struct cv_vring *r)
{
    atomic_thread_fence(memory_order_seq_cst);
    return !(load16(r->avail) & AVAIL_NO_INTERRUPT);
}
