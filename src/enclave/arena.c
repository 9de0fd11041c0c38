/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/arena.h"

#include <pthread.h>
#include <string.h>

#include "common/secret.h"

#define SLAB_BYTES 65536
#define PER_SLAB (SLAB_BYTES / sizeof(struct cv_key))
#define SLABS_MAX (CV_KEYS_MAX / PER_SLAB + 1)

static struct {
    pthread_mutex_t lock;
    struct cv_secret slabs[SLABS_MAX]; /* never given back: they stay for the next keys */
    size_t slab_count;
    struct cv_key *free;
    size_t used;
    uint64_t last_id;
} arena = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool add_slab(void)
{
    if (arena.slab_count == SLABS_MAX)
        return false;
    struct cv_secret *slab = &arena.slabs[arena.slab_count];
    if (cv_secret_alloc(slab, PER_SLAB * sizeof(struct cv_key)) != 0)
        return false;
    arena.slab_count++;
    struct cv_key *keys = (struct cv_key *)(void *)slab->p;
    for (size_t i = PER_SLAB; i > 0; i--) {
        keys[i - 1].next = arena.free;
        arena.free = &keys[i - 1];
    }
    return true;
}

struct cv_key *cv_key_new(uint32_t session)
{
    struct cv_key *key = NULL;
    pthread_mutex_lock(&arena.lock);
    if (arena.used < CV_KEYS_MAX && (arena.free != NULL || add_slab())) {
        key = arena.free;
        arena.free = key->next;
        arena.used++;
        key->next = NULL;
        key->id = ++arena.last_id;
        key->session = session;
    }
    pthread_mutex_unlock(&arena.lock);
    return key;
}

void cv_key_free(struct cv_key *key)
{
    if (key == NULL)
        return;
    cv_wipe(key, sizeof *key);
    pthread_mutex_lock(&arena.lock);
    key->next = arena.free;
    arena.free = key;
    arena.used--;
    pthread_mutex_unlock(&arena.lock);
}

void cv_key_public(struct cv_public_key *out, const struct cv_key *key)
{
    out->scheme = (enum cv_scheme)key->scheme;
    out->n = cv_public_key_len(out->scheme);
    memcpy(out->p, key->public_key, out->n);
}
