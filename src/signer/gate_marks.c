/* SPDX-License-Identifier: Apache-2.0 */
/* The gate's watermarks: which store keeps them, when a signature may leave,
 * and the first record of a new key. */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "signer/gate_impl.h"

static void tell(struct cv_gate *g)
{
    g->told = cv_wm_durable(g->store);
    g->told_of_poison = cv_wm_poisoned(g->store, NULL);
    if (g->o.on_durable != NULL) {
        g->o.on_durable(g->o.ctx);
    }
}

static void on_flushed(struct cv_loop_source *source, uint32_t events)
{
    struct cv_gate *g =
        (struct cv_gate *)(void *)((char *)source - offsetof(struct cv_gate, flushed));
    (void)events;
    cv_wm_collect(g->store);
    tell(g);
}

bool cv_gate_tell_durable(struct cv_gate *g)
{
    if (g->store == NULL || (cv_wm_durable(g->store) == g->told &&
                             cv_wm_poisoned(g->store, NULL) == g->told_of_poison)) {
        return false;
    }
    tell(g);
    return true;
}

int cv_gate_open_marks(struct cv_gate *g, struct cv_error *err)
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
    g->told = cv_wm_durable(g->store);
    g->flushed.fd = cv_wm_fd(g->store);
    g->flushed.ready = on_flushed;
    return cv_loop_add(g->o.loop, &g->flushed, EPOLLIN) == 0
               ? CV_OK
               : cv_error_set(err, CV_ERR_IO, "watching the watermark store");
}

void cv_gate_close_marks(struct cv_gate *g)
{
    if (g->flushed.fd >= 0) {
        cv_loop_remove(g->o.loop, &g->flushed);
    }
    cv_gate_remote_close(&g->remote);
    cv_newborns_free(&g->newborns);
    cv_wm_close(g->store);
    cv_marks_free(g->memory);
}

/* ---- a request ---- */

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
    char chain[CV_ERROR_SENTENCE];
    struct cv_error err;
    cv_error_clear(&err);
    cv_pkh_format(text, pkh);
    verdict->status = 409;
    switch (code) {
    case CV_ERR_NOT_FOUND:
        (void)snprintf(verdict->text, sizeof verdict->text,
                       "%s has no watermark record, so what it signed before is not known: "
                       "if it never signed, stop the signer and run: claviger watermark init %s "
                       "(if it did: claviger watermark import, or raise)",
                       text, text);
        break;
    case CV_ERR_STATE:
        if (gate->remote != NULL) {
            verdict->status = 503;
            (void)cv_gate_remote_ready(gate->remote, &err);
            (void)cv_error_format(verdict->text, sizeof verdict->text, &err);
            break;
        }
        verdict->status = 500;
        (void)cv_wm_poisoned(gate->store, &err);
        (void)snprintf(verdict->text, sizeof verdict->text,
                       "the watermark store failed, nothing is signed until a restart: %s",
                       cv_error_format(chain, sizeof chain, &err));
        break;
    case CV_ERR_BUSY:
        cv_gate_refuse(verdict, 503, "too many watermarks wait for the disk");
        break;
    case CV_ERR_LIMIT:
        cv_gate_refuse(
            verdict, 409,
            "this key has watermarks on too many chains: restrict it with allowed_chains");
        break;
    case CV_ERR_NOMEM:
        cv_gate_refuse(verdict, 500, "no memory for a watermark");
        break;
    default:
        cv_gate_refuse(verdict, 409, "watermark validation failed");
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
        cv_gate_refuse(verdict, 503, "the signer is stopping");
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

void cv_gate_await(struct cv_gate *gate, int64_t deadline)
{
    while (gate->remote != NULL && !cv_gate_remote_tried(gate->remote) && cv_now_ms() < deadline) {
        if (cv_loop_once(gate->o.loop, deadline) != 0) {
            return; /* the daemon's own loop will tell */
        }
    }
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
    char chain[CV_ERROR_SENTENCE];
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
        (void)snprintf(verdict->text, sizeof verdict->text, "the watermark could not be stored: %s",
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

/* The request kinds that a watermark guards. */
#define MARKED                                                                                 \
    (1u << CV_REQUEST_BLOCK | 1u << CV_REQUEST_PREATTESTATION | 1u << CV_REQUEST_ATTESTATION | \
     1u << CV_REQUEST_ATTESTATION_WITH_DAL)

/* Better said when the key is picked up than at its first block. */
static void warn_without_record(struct cv_gate *gate, const struct cv_pkh *pkh)
{
    struct ruled *r = cv_gate_find(gate, pkh);
    char text[CV_PKH_TEXT_SIZE];
    if (r == NULL || r->warned || (r->key->requests & MARKED) == 0 ||
        cv_marks_known(cv_wm_marks(gate->store), pkh)) {
        return;
    }
    r->warned = true;
    cv_pkh_format(text, pkh);
    cv_log(CV_LOG_WARN,
           "a key has no watermark record, so its blocks and attestations are refused: if it never "
           "signed any, stop the signer and run claviger watermark init with it",
           "pkh", text, NULL);
}

void cv_gate_key(struct cv_gate *gate, struct cv_keystore *store, const struct cv_pkh *pkh,
                 bool is_new)
{
    if (is_new && gate->remote != NULL && cv_gate_remote_first(gate->remote, store, pkh) != CV_OK) {
        cv_log(CV_LOG_ERROR, "a new key has no watermark record yet: too much is waiting", NULL);
    }
    if (is_new && gate->newborns != NULL) {
        cv_newborns_add(gate->newborns, store, pkh);
    } else if (!is_new && gate->store != NULL) {
        warn_without_record(gate, pkh);
    }
}

void cv_gate_settle_new_keys(struct cv_gate *gate)
{
    /* Writes under way come to their end, and tell those who wait. */
    cv_gate_remote_close(&gate->remote);
    cv_newborns_free(&gate->newborns);
}
