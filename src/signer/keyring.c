/* SPDX-License-Identifier: Apache-2.0 */
/* Every key of every vault, by public key hash. */
#include <stdlib.h>
#include <string.h>

#include "signer/vault.h"

/* A public key hash is uniform already: its bytes are the hash. */
static size_t bucket_of(const struct cv_keyring *ring, const struct cv_pkh *pkh)
{
    uint64_t h;
    memcpy(&h, pkh->p, sizeof(h));
    return (size_t)h & (ring->buckets - 1);
}

static int grow(struct cv_keyring *ring)
{
    size_t n = ring->buckets == 0 ? 64 : ring->buckets * 2;
    struct cv_vault_key **bucket = calloc(n, sizeof(struct cv_vault_key *));
    if (bucket == NULL) {
        return CV_ERR_NOMEM;
    }
    struct cv_keyring larger = {bucket, n, ring->count};
    for (size_t i = 0; i < ring->buckets; i++) {
        /* From the end, so that keys of one hash keep their order. */
        struct cv_vault_key *reversed = NULL;
        while (ring->bucket[i] != NULL) {
            struct cv_vault_key *k = ring->bucket[i];
            ring->bucket[i] = k->next_in_ring;
            k->next_in_ring = reversed;
            reversed = k;
        }
        while (reversed != NULL) {
            struct cv_vault_key *k = reversed;
            reversed = k->next_in_ring;
            size_t b = bucket_of(&larger, &k->pkh);
            k->next_in_ring = bucket[b];
            bucket[b] = k;
        }
    }
    free(ring->bucket);
    *ring = larger;
    return 0;
}

int cv_keyring_add(struct cv_keyring *ring, struct cv_vault_key *key)
{
    if (ring->count >= ring->buckets && grow(ring) != 0) {
        return CV_ERR_NOMEM;
    }
    struct cv_vault_key **at = &ring->bucket[bucket_of(ring, &key->pkh)];
    while (*at != NULL) {
        at = &(*at)->next_in_ring;
    }
    key->next_in_ring = NULL;
    *at = key;
    ring->count++;
    return 0;
}

struct cv_vault_key *cv_keyring_find(const struct cv_keyring *ring, const struct cv_pkh *pkh)
{
    struct cv_vault_key *found = NULL;
    if (ring->buckets == 0) {
        return NULL;
    }
    for (struct cv_vault_key *k = ring->bucket[bucket_of(ring, pkh)]; k != NULL;
         k = k->next_in_ring) {
        if (!cv_pkh_equal(&k->pkh, pkh)) {
            continue;
        }
        if (k->active) {
            return k;
        }
        if (found == NULL || (k->known && !found->known)) {
            found = k;
        }
    }
    return found;
}

void cv_keyring_free(struct cv_keyring *ring)
{
    free(ring->bucket);
    memset(ring, 0, sizeof(*ring));
}
