/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/gate.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "common/file.h"
#include "common/hex.h"
#include "common/log.h"
#include "signer/marks.h"
#include "signer/newborn.h"
#include "signer/rules.h"
#include "watermark/signatory.h"

struct ruled {
    const struct cv_config_key *key;
    struct cv_key_rules rules;
};

struct cv_gate {
    struct cv_gate_options o;
    struct ruled *by_hash; /* sorted */
    size_t count;
    struct cv_wm_store *store;     /* driver file; NULL otherwise */
    struct cv_marks *memory;       /* driver mem; NULL otherwise */
    struct cv_gate_remote *remote; /* driver aws; NULL otherwise */
    struct cv_newborns *newborns;  /* driver file */
    struct cv_loop_source flushed;
    struct cv_loop_hook hook;
    struct cv_audit *audit;
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

static void on_flushed(struct cv_loop_source *source, uint32_t events)
{
    struct cv_gate *g =
        (struct cv_gate *)(void *)((char *)source - offsetof(struct cv_gate, flushed));
    (void)events;
    cv_wm_collect(g->store);
    if (g->o.on_durable != NULL) {
        g->o.on_durable(g->o.ctx);
    }
}

static void flush_audit(struct cv_gate *g)
{
    struct cv_error err;
    cv_error_clear(&err);
    if (g->audit != NULL && cv_audit_flush(g->audit, &err) != CV_OK) {
        cv_log_error(CV_LOG_ERROR, "the audit log cannot be written; going on without it", &err);
        cv_audit_close(g->audit);
        g->audit = NULL;
    }
}

/* All marks of one turn of the loop go into one flush, all its lines into one
 * write. */
static int64_t before_wait(struct cv_loop_hook *hook)
{
    struct cv_gate *g = (struct cv_gate *)(void *)((char *)hook - offsetof(struct cv_gate, hook));
    if (g->store != NULL) {
        cv_wm_kick(g->store);
    }
    flush_audit(g);
    return CV_NO_DEADLINE;
}

static int open_marks(struct cv_gate *g, struct cv_error *err)
{
    switch (g->o.config->watermark) {
    case CV_CONFIG_WATERMARK_MEM:
        return cv_marks_new(&g->memory) == CV_OK ? CV_OK
                                                 : cv_error_set(err, CV_ERR_NOMEM, "no memory");
    case CV_CONFIG_WATERMARK_FILE:
        break;
    case CV_CONFIG_WATERMARK_AWS:
        if (cv_gate_remote_open(&g->remote, g->o.loop, g->o.config, g->o.on_durable, g->o.ctx,
                                err) != CV_OK) {
            return cv_error_wrap(err, "watermark");
        }
        return CV_OK;
    }
    int r = cv_signer_marks_open(&g->store, g->o.config, CV_MARKS_OPEN, err);
    if (r != CV_OK) {
        cv_error_wrap(err, "opening the watermark store");
        return r;
    }
    r = cv_newborns_new(&g->newborns, g->o.loop, g->store, err);
    if (r != CV_OK) {
        return r;
    }
    g->flushed.fd = cv_wm_fd(g->store);
    g->flushed.ready = on_flushed;
    return cv_loop_add(g->o.loop, &g->flushed, EPOLLIN) == 0
               ? CV_OK
               : cv_error_set(err, CV_ERR_IO, "watching the watermark store");
}

/* A log whose end a power cut damaged is moved aside: the signer must start. */
static int open_audit(struct cv_gate *g, struct cv_error *err)
{
    char path[PATH_MAX];
    char aside[PATH_MAX + 64];
    char when[17];
    if (cv_path_join(path, sizeof path, g->o.config->base_dir, CV_GATE_AUDIT_NAME) != CV_OK) {
        return cv_error_set(err, CV_ERR_LIMIT, "base_dir is too long");
    }
    int r = cv_audit_open(&g->audit, path, err);
    if (r != CV_ERR_INVALID) {
        return r;
    }
    cv_log_error(CV_LOG_ERROR, "the audit log is damaged; a new one is begun", err);
    cv_amz_date(when, cv_unix_ms());
    snprintf(aside, sizeof aside, "%s.damaged-%s", path, when);
    if (rename(path, aside) != 0) {
        return r;
    }
    cv_error_clear(err);
    r = cv_audit_open(&g->audit, path, err);
    return r == CV_OK ? cv_audit_add(g->audit, "begin", "after", aside, NULL) : r;
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
        r = open_marks(g, err);
    }
    if (r == CV_OK) {
        r = open_audit(g, err);
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
    if (g->flushed.fd >= 0) {
        cv_loop_remove(g->o.loop, &g->flushed);
    }
    cv_gate_remote_close(&g->remote);
    cv_newborns_free(&g->newborns);
    cv_wm_close(g->store);
    cv_marks_free(g->memory);
    cv_audit_close(g->audit);
    free_rules(g->by_hash, g->count);
    free(g);
    *gate = NULL;
}

/* ---- decisions ---- */

static const struct ruled *find(const struct cv_gate *gate, const struct cv_pkh *pkh)
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
    const struct ruled *r = find(gate, pkh);
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

static void refuse(struct cv_verdict *verdict, unsigned status, const char *text)
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
        refuse(verdict, 400, cv_error_format(text, sizeof text, &err));
        return;
    }
    verdict->kind = cv_request_names[request->kind];
}

void cv_gate_allow(struct cv_gate *gate, const struct cv_config_key *key,
                   const struct cv_request *request, const struct cv_pkh *client,
                   struct cv_refusal *why, struct cv_verdict *verdict)
{
    struct cv_refusal mine;
    const struct ruled *r = find(gate, &key->pkh);
    verdict->status = 0;
    if (why == NULL) {
        why = &mine;
    }
    if (cv_policy_check_request(&r->rules, request, &key->pkh, client, why) != CV_OK) {
        refuse(verdict, 403, why->text);
    }
}

static enum cv_mark_kind mark_kind(const struct cv_request *request)
{
    switch (request->kind) {
    case CV_REQUEST_BLOCK:
        return CV_MARK_BLOCK;
    case CV_REQUEST_PREATTESTATION:
        return CV_MARK_PREATTESTATION;
    default:
        return CV_MARK_ATTESTATION;
    }
}

static int reserve_in_memory(struct cv_marks *marks, const struct cv_mark *mark)
{
    enum cv_mark_verdict v = cv_marks_check(marks, mark);
    if (v == CV_MARK_REPEAT) {
        return CV_OK;
    }
    if (v == CV_MARK_ADVANCE || v == CV_MARK_UNKNOWN) {
        return cv_marks_put(marks, mark);
    }
    return v == CV_MARK_NEGATIVE ? CV_ERR_INVALID : CV_ERR_DENIED;
}

static void explain(const struct cv_gate *gate, const struct cv_pkh *pkh, int code,
                    struct cv_verdict *verdict)
{
    char text[CV_PKH_TEXT_SIZE];
    char chain[CV_ERROR_DEPTH * CV_ERROR_TEXT];
    struct cv_error err;
    cv_error_clear(&err);
    cv_pkh_format(text, pkh);
    verdict->status = 409;
    switch (code) {
    case CV_ERR_NOT_FOUND:
        (void)snprintf(verdict->text, sizeof verdict->text,
                       "%s has no watermark record, so what it signed before is not known: "
                       "if it never signed, stop the signer and run: claviger watermark init %s",
                       text, text);
        break;
    case CV_ERR_STATE:
        if (gate->remote != NULL) {
            verdict->status = 503;
            (void)cv_gate_remote_ready(gate->remote, &err);
            (void)snprintf(verdict->text, sizeof verdict->text, "%.500s",
                           cv_error_format(chain, sizeof chain, &err));
            break;
        }
        verdict->status = 500;
        (void)cv_wm_poisoned(gate->store, &err);
        (void)snprintf(verdict->text, sizeof verdict->text,
                       "the watermark store failed, nothing is signed until a restart: %.300s",
                       cv_error_format(chain, sizeof chain, &err));
        break;
    case CV_ERR_BUSY:
        refuse(verdict, 503, "too many watermarks wait for the disk");
        break;
    case CV_ERR_LIMIT:
        refuse(verdict, 409,
               "this key has watermarks on too many chains: restrict it with allowed_chains");
        break;
    case CV_ERR_NOMEM:
        refuse(verdict, 500, "no memory for a watermark");
        break;
    default:
        refuse(verdict, 409, "watermark validation failed");
    }
}

void cv_gate_reserve(struct cv_gate *gate, const struct cv_pkh *pkh,
                     const struct cv_request *request, const uint8_t digest[CV_MARK_HASH_LEN],
                     struct cv_gate_ticket *ticket, struct cv_verdict *verdict)
{
    int r;
    *ticket = (struct cv_gate_ticket){0, NULL};
    verdict->status = 0;
    if (!request->consensus) {
        return;
    }
    struct cv_mark mark = {.pkh = *pkh,
                           .kind = mark_kind(request),
                           .level = request->level,
                           .round = request->round,
                           .has_hash = true};
    memcpy(mark.chain, request->chain, sizeof mark.chain);
    memcpy(mark.hash, digest, sizeof mark.hash);
    if (gate->remote != NULL) {
        r = cv_gate_remote_advance(gate->remote, &mark, &ticket->write);
    } else if (gate->store != NULL) {
        r = cv_wm_reserve(gate->store, &mark, &ticket->seq);
    } else if (gate->memory == NULL) {
        refuse(verdict, 503, "the signer is stopping");
        return;
    } else {
        r = reserve_in_memory(gate->memory, &mark);
    }
    if (r != CV_OK) {
        explain(gate, pkh, r, verdict);
    }
}

void cv_gate_release(struct cv_gate_ticket *ticket)
{
    cv_gate_remote_release(&ticket->write);
}

bool cv_gate_ready(const struct cv_gate *gate, struct cv_error *why)
{
    if (gate->remote != NULL) {
        return cv_gate_remote_ready(gate->remote, why);
    }
    if (gate->store == NULL || !cv_wm_poisoned(gate->store, why)) {
        return true;
    }
    (void)cv_error_wrap(why, "the watermark store failed");
    return false;
}

static enum cv_gate_state settled_remotely(const struct cv_gate *gate, const struct cv_pkh *pkh,
                                           const struct cv_gate_write *write,
                                           struct cv_verdict *verdict)
{
    char chain[CV_ERROR_DEPTH * CV_ERROR_TEXT];
    if (!write->done) {
        return CV_GATE_WAIT;
    }
    switch (write->code) {
    case CV_OK:
        return CV_GATE_DURABLE;
    case CV_ERR_DENIED:
    case CV_ERR_NOT_FOUND:
    case CV_ERR_INVALID:
        explain(gate, pkh, write->code, verdict);
        break;
    default: /* AWS failed: that is no verdict on the request */
        verdict->status =
            write->code == CV_ERR_CANCELLED || write->code == CV_ERR_THROTTLED ? 503 : 500;
        (void)snprintf(verdict->text, sizeof verdict->text,
                       "the watermark could not be stored: %.400s",
                       cv_error_format(chain, sizeof chain, &write->err));
    }
    return CV_GATE_FAILED;
}

enum cv_gate_state cv_gate_settled(const struct cv_gate *gate, const struct cv_pkh *pkh,
                                   const struct cv_gate_ticket *ticket, struct cv_verdict *verdict)
{
    if (ticket->write != NULL) {
        return settled_remotely(gate, pkh, ticket->write, verdict);
    }
    if (gate->store == NULL || cv_wm_durable(gate->store) >= ticket->seq) {
        return CV_GATE_DURABLE;
    }
    if (!cv_wm_poisoned(gate->store, NULL)) {
        return CV_GATE_WAIT;
    }
    explain(gate, pkh, CV_ERR_STATE, verdict);
    return CV_GATE_FAILED;
}

void cv_gate_stats(const struct cv_gate *gate, struct cv_wm_stats *out)
{
    memset(out, 0, sizeof(*out));
    if (gate->store != NULL) {
        cv_wm_get_stats(gate->store, out);
    }
}

void cv_gate_sync(struct cv_gate *gate)
{
    struct cv_error err;
    cv_error_clear(&err);
    if (gate->store != NULL && cv_wm_sync(gate->store, &err) != CV_OK) {
        cv_log_error(CV_LOG_ERROR, "watermarks were not made durable", &err);
    }
    if (gate->o.on_durable != NULL) {
        gate->o.on_durable(gate->o.ctx);
    }
}

void cv_gate_key(struct cv_gate *gate, struct cv_keystore *store, const struct cv_pkh *pkh,
                 bool is_new)
{
    if (is_new && gate->remote != NULL && cv_gate_remote_first(gate->remote, store, pkh) != CV_OK) {
        cv_log(CV_LOG_ERROR, "a new key has no watermark record yet: too much is waiting", NULL);
    }
    if (!is_new || gate->newborns == NULL) {
        return;
    }
    cv_newborns_add(gate->newborns, store, pkh);
}

void cv_gate_settle_new_keys(struct cv_gate *gate)
{
    /* Writes under way come to their end, and tell those who wait. */
    cv_gate_remote_close(&gate->remote);
    cv_newborns_free(&gate->newborns);
}

void cv_gate_audit(struct cv_gate *gate, const char *decision, const char *pkh,
                   const struct cv_request *request, const struct cv_verdict *verdict,
                   const uint8_t digest[CV_MARK_HASH_LEN], const char *client)
{
    char chain[CV_CHAIN_TEXT_SIZE];
    char level[16];
    char round[16];
    char hash[2 * CV_MARK_HASH_LEN + 1];
    bool consensus = request != NULL && request->consensus;
    if (gate->audit == NULL) {
        return;
    }
    if (consensus) {
        cv_chain_format(chain, request->chain);
        (void)snprintf(level, sizeof level, "%d", (int)request->level);
        (void)snprintf(round, sizeof round, "%d", (int)request->round);
    }
    if (digest != NULL) {
        cv_hex_encode(hash, digest, CV_MARK_HASH_LEN);
    }
    int r = cv_audit_add(gate->audit, decision, "pkh", pkh, "kind", verdict->kind, "chain",
                         consensus ? chain : NULL, "level", consensus ? level : NULL, "round",
                         consensus ? round : NULL, "digest", digest != NULL ? hash : NULL, "client",
                         client, "reason", verdict->status != 0 ? verdict->text : NULL, NULL);
    if (r == CV_ERR_LIMIT) {
        flush_audit(gate); /* the buffer is full in the middle of a turn */
    }
}
