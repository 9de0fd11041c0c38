/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's side of one split virtqueue (virtio 1.2, 2.7), over a guest's
 * memory that may hold anything: every address and index that the guest writes
 * is checked before use, chains are bounded, and each field of shared memory
 * is read once. Descriptors are little-endian, indirect ones are not offered.
 */
#ifndef CV_LOCAL_VRING_H
#define CV_LOCAL_VRING_H

#include "common/bytes.h"
#include "common/error.h"

#define CV_GUEST_REGIONS 8 /* VHOST_MEMORY_BASELINE_NREGIONS */
#define CV_VRING_MAX 1024u /* descriptors; the driver may set fewer */

/* One stretch of guest memory, mapped. */
struct cv_guest_region {
    uint64_t guest; /* guest-physical address */
    uint64_t user;  /* address in the front-end's process (ring addresses) */
    uint64_t size;
    uint8_t *base; /* where it is mapped here; NULL = unused */
    void *map;     /* for munmap() */
    size_t map_size;
};

struct cv_guest_memory {
    struct cv_guest_region region[CV_GUEST_REGIONS];
    size_t count;
};

/* N bytes at guest-physical ADDRESS, NULL unless one region holds them all. */
uint8_t *cv_guest_at(const struct cv_guest_memory *m, uint64_t address, uint64_t n);
/* The same for an address of the front-end's process. */
uint8_t *cv_guest_at_user(const struct cv_guest_memory *m, uint64_t address, uint64_t n);

struct cv_vring {
    uint32_t num;                        /* a power of two, 0 = not set up */
    uint64_t desc_at, avail_at, used_at; /* front-end addresses */
    uint8_t *desc, *avail, *used;        /* NULL until cv_vring_map() */
    uint16_t next_avail, next_used;
};

/* What a chain of descriptors offers: device-readable bytes or room to write. */
struct cv_vring_chain {
    uint16_t head;
    uint64_t readable, writable; /* bytes of each kind */
};

/* Finds the three parts in MEMORY. CV_ERR_INVALID unless all of them lie in
 * it, aligned, and NUM is a power of two up to CV_VRING_MAX. Goes on in the
 * used ring where it was left. */
int cv_vring_map(struct cv_vring *r, const struct cv_guest_memory *memory,
                 struct cv_error *err) CV_NODISCARD;
/* Looks at the next available chain without taking it. 0, CV_ERR_NOT_FOUND when
 * there is none, CV_ERR_INVALID for a ring that no driver would write. AT counts
 * from the first chain not yet taken: 0 is the next one. */
int cv_vring_peek(const struct cv_vring *r, const struct cv_guest_memory *memory, uint16_t at,
                  struct cv_vring_chain *chain, struct cv_error *err) CV_NODISCARD;
/* Copies the readable bytes of a chain, at most N. *GOT of them. */
int cv_vring_read(const struct cv_vring *r, const struct cv_guest_memory *memory, uint16_t head,
                  void *p, size_t n, size_t *got, struct cv_error *err) CV_NODISCARD;
/* Copies N bytes into the writable part of a chain; CV_ERR_LIMIT when they do
 * not fit. */
int cv_vring_write(const struct cv_vring *r, const struct cv_guest_memory *memory, uint16_t head,
                   const void *p, size_t n, struct cv_error *err) CV_NODISCARD;
/* Gives a chain back to the driver, N bytes written, and takes it from the
 * available ones. */
void cv_vring_done(struct cv_vring *r, uint16_t head, uint32_t n);
/* True unless the driver asked for no interrupt. */
bool cv_vring_wants_call(const struct cv_vring *r);

#endif
