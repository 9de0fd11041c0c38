/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/gate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

struct cv_gate {
    const struct cv_config *config;
    const struct cv_config_key **by_hash; /* sorted */
};

static int compare_pkh(const struct cv_pkh *a, const struct cv_pkh *b)
{
    if (a->scheme != b->scheme) {
        return a->scheme < b->scheme ? -1 : 1;
    }
    return memcmp(a->p, b->p, sizeof(a->p));
}

static int compare_keys(const void *x, const void *y)
{
    const struct cv_config_key *a = *(const struct cv_config_key *const *)x;
    const struct cv_config_key *b = *(const struct cv_config_key *const *)y;
    return compare_pkh(&a->pkh, &b->pkh);
}

int cv_gate_new(struct cv_gate **out, const struct cv_config *config, struct cv_error *err)
{
    *out = NULL;
    struct cv_gate *g = calloc(1, sizeof(*g));
    if (g != NULL) {
        g->config = config;
        g->by_hash = calloc(config->key_count + 1, sizeof(*g->by_hash));
    }
    if (g == NULL || g->by_hash == NULL) {
        cv_gate_free(&g);
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the policy");
    }
    for (size_t i = 0; i < config->key_count; i++) {
        g->by_hash[i] = &config->keys[i];
    }
    if (config->key_count > 0) {
        qsort(g->by_hash, config->key_count, sizeof(*g->by_hash), compare_keys);
    }
    *out = g;
    return 0;
}

void cv_gate_free(struct cv_gate **gate)
{
    if (*gate != NULL) {
        free((*gate)->by_hash);
        free(*gate);
        *gate = NULL;
    }
}

const struct cv_config_key *cv_gate_policy(const struct cv_gate *gate, const struct cv_pkh *pkh)
{
    size_t low = 0, high = gate->config->key_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = compare_pkh(&gate->by_hash[mid]->pkh, pkh);
        if (c == 0) {
            return gate->by_hash[mid];
        }
        if (c < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return NULL;
}

void cv_gate_announce(const struct cv_gate *gate)
{
    (void)gate;
    cv_log(CV_LOG_WARN,
           "this version enforces neither the policy (allow, allowed_chains, limits) nor "
           "watermarks: it signs every request with a known magic byte",
           NULL);
}

void cv_gate_decode(struct cv_gate *gate, struct cv_bytes message, struct cv_verdict *verdict)
{
    static const struct {
        uint8_t magic;
        const char *kind;
    } kinds[] = {
        {0x03, "generic"}, {0x05, "pack"}, {0x11, "block"}, {0x12, "preattestation"},
        {0x13, "attestation"},
    };
    (void)gate;
    verdict->status = 400;
    verdict->kind = NULL;
    if (message.n == 0) {
        (void)snprintf(verdict->text, sizeof(verdict->text), "gotez: unexpected end of the request");
        return;
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i].magic == message.p[0]) {
            verdict->status = 0;
            verdict->kind = kinds[i].kind;
            return;
        }
    }
    (void)snprintf(verdict->text, sizeof(verdict->text), "gotez: unknown tag %u", message.p[0]);
}
