/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "signer/gate_impl.h"

static int compare_pkh(const struct cv_pkh *a, const struct cv_pkh *b)
{
    if (a->scheme != b->scheme) {
        return a->scheme < b->scheme ? -1 : 1;
    }
    return memcmp(a->p, b->p, sizeof(a->p));
}

static int compare_keys(const void *x, const void *y)
{
    const struct ruled *a = x;
    const struct ruled *b = y;
    return compare_pkh(&a->key->pkh, &b->key->pkh);
}

/* ---- start and end ---- */

static int make_rules(struct cv_gate *g, struct cv_error *err)
{
    const struct cv_config *c = g->o.config;
    g->by_hash = calloc(c->key_count + 1, sizeof(*g->by_hash));
    if (g->by_hash == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the policy");
    }
    for (size_t i = 0; i < c->key_count; i++) {
        g->by_hash[i].key = &c->keys[i];
        int r = cv_rules_make(&g->by_hash[i].rules, &c->keys[i], err);
        if (r != CV_OK) {
            return r;
        }
        g->count++;
    }
    if (g->count > 0) {
        qsort(g->by_hash, g->count, sizeof(*g->by_hash), compare_keys);
    }
    return CV_OK;
}

/* All marks of one turn of the loop go into one flush, all its lines into one
 * write. */
static int64_t before_wait(struct cv_loop_hook *hook)
{
    struct cv_gate *g = (struct cv_gate *)(void *)((char *)hook - offsetof(struct cv_gate, hook));
    if (g->store != NULL) {
        cv_wm_kick(g->store);
    }
    cv_gate_write_audit(g);
    /* Answers that this has set free leave in the next turn, at once. */
    return cv_gate_tell_durable(g) ? 0 : CV_NO_DEADLINE;
}

int cv_gate_new(struct cv_gate **out, const struct cv_gate_options *options, struct cv_error *err)
{
    *out = NULL;
    struct cv_gate *g = calloc(1, sizeof(*g));
    if (g == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the policy");
    }
    g->o = *options;
    g->flushed.fd = -1;
    g->hook.before_wait = before_wait;
    cv_loop_hook_add(g->o.loop, &g->hook);
    int r = make_rules(g, err);
    if (r == CV_OK) {
        r = cv_gate_open_marks(g, err);
    }
    if (r == CV_OK) {
        r = cv_gate_open_audit(g, err);
    }
    if (r != CV_OK) {
        cv_gate_free(&g);
        return r;
    }
    *out = g;
    return CV_OK;
}

static void free_rules(struct ruled *by_hash, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cv_rules_free(&by_hash[i].rules);
    }
    free(by_hash);
}

int cv_gate_reload(struct cv_gate *gate, const struct cv_config *config, struct cv_error *err)
{
    struct cv_gate next = {.o = gate->o};
    next.o.config = config;
    int r = make_rules(&next, err);
    if (r != CV_OK) {
        free_rules(next.by_hash, next.count);
        return r;
    }
    free_rules(gate->by_hash, gate->count);
    gate->by_hash = next.by_hash;
    gate->count = next.count;
    gate->o.config = config;
    return CV_OK;
}

void cv_gate_free(struct cv_gate **gate)
{
    struct cv_gate *g = *gate;
    if (g == NULL) {
        return;
    }
    cv_loop_hook_remove(g->o.loop, &g->hook);
    cv_gate_close_marks(g);
    cv_audit_close(g->audit);
    free_rules(g->by_hash, g->count);
    free(g);
    *gate = NULL;
}

/* ---- decisions ---- */

struct ruled *cv_gate_find(const struct cv_gate *gate, const struct cv_pkh *pkh)
{
    size_t low = 0;
    size_t high = gate->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = compare_pkh(&gate->by_hash[mid].key->pkh, pkh);
        if (c == 0) {
            return &gate->by_hash[mid];
        }
        if (c < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return NULL;
}

const struct cv_config_key *cv_gate_policy(const struct cv_gate *gate, const struct cv_pkh *pkh)
{
    const struct ruled *r = cv_gate_find(gate, pkh);
    return r != NULL ? r->key : NULL;
}

void cv_gate_announce(const struct cv_gate *gate)
{
    if (gate->memory != NULL) {
        cv_log(
            CV_LOG_WARN,
            "watermarks are kept in memory only: after a restart this signer does not know what it signed, and may "
            "sign twice (watermark driver mem)",
            NULL);
    }
}

void cv_gate_refuse(struct cv_verdict *verdict, unsigned status, const char *text)
{
    verdict->status = status;
    (void)snprintf(verdict->text, sizeof(verdict->text), "%s", text);
}

void cv_gate_decode(struct cv_gate *gate, struct cv_request *request, struct cv_bytes message,
                    struct cv_verdict *verdict)
{
    struct cv_error err;
    (void)gate;
    cv_error_clear(&err);
    verdict->status = 0;
    verdict->kind = NULL;
    if (cv_request_parse(request, message, &err) != CV_OK) {
        char text[sizeof verdict->text];
        cv_gate_refuse(verdict, 400, cv_error_format(text, sizeof text, &err));
        return;
    }
    verdict->kind = cv_request_names[request->kind];
}

void cv_gate_allow(struct cv_gate *gate, const struct cv_config_key *key,
                   const struct cv_request *request, const struct cv_pkh *client,
                   struct cv_refusal *why, struct cv_verdict *verdict)
{
    struct cv_refusal mine;
    const struct ruled *r = cv_gate_find(gate, &key->pkh);
    verdict->status = 0;
    if (why == NULL) {
        why = &mine;
    }
    if (cv_policy_check_request(&r->rules, request, &key->pkh, client, why) != CV_OK) {
        cv_gate_refuse(verdict, 403, why->text);
    }
}
