/* SPDX-License-Identifier: Apache-2.0 */
/* POST /keys/{pkh} and GET /bls_prove_possession/{pkh}. */
#include <stdio.h>
#include <string.h>

#include "common/hex.h"
#include "common/log.h"
#include "crypto/blake2b.h"
#include "signer/body.h"
#include "signer/server_impl.h"
#include "watermark/signatory.h"

#define PAYLOAD_LOGGED 2048 /* bytes of it */
#define HTTP_OF(member_ptr, member) \
    ((struct cv_http *)(void *)((char *)(member_ptr)-offsetof(struct cv_http, member)))

static const char *client_of(const struct cv_http *h)
{
    return h->has_client ? h->client_text : h->user;
}

static void log_signed(struct cv_http *h)
{
    h->logged = true;
    bool c = h->request.consensus;
    cv_gate_audit(h->server->o.gate, "sign", h->pkh, &h->request, &h->verdict, h->sign.digest,
                  client_of(h));
    if (cv_log_enabled(CV_LOG_INFO)) {
        char chain[CV_CHAIN_TEXT_SIZE];
        if (c) {
            cv_chain_format(chain, h->request.chain);
        }
        cv_log(CV_LOG_INFO, "signed", "request", cv_logf("%llu", (unsigned long long)h->id), "pkh",
               h->pkh, "kind", h->verdict.kind, "chain", c ? chain : NULL, "level",
               c ? cv_logf("%d", (int)h->request.level) : NULL, "round",
               c ? cv_logf("%d", (int)h->request.round) : NULL, "client", client_of(h), "vault",
               cv_vault_name(h->key->vault), "us",
               cv_logf("%lld", (long long)(cv_now_us() - h->started_us)), NULL);
    }
}

/* ---- the answer ---- */

static void answer_signature(struct cv_http *h, const struct cv_signature *sig)
{
    struct cv_instruments *in = h->server->o.instruments;
    char text[CV_SIG_TEXT_SIZE];
    int64_t us = cv_now_us() - h->reserved_us;
    cv_signature_format(text, sig, false);
    log_signed(h);
    cv_instruments_watermark(in, h->pkh, &h->request, true, "", us);
    cv_instruments_signed(in, h->pkh, &h->request, us);
    cv_http_answer_pair(h, 200, "signature", text);
}

/* Watermark or vault said no, after the policy had said yes. */
static void refuse_late(struct cv_http *h, int code, const struct cv_error *err)
{
    cv_http_refuse_error(h, code, err);
    cv_instruments_vault_error(h->server->o.instruments, h->verdict.status, &h->request);
}

static void refuse_watermark(struct cv_http *h)
{
    struct cv_instruments *in = h->server->o.instruments;
    unsigned status = h->verdict.status;
    if (status >= 500) {
        cv_instruments_flush_failed(in);
    }
    cv_instruments_watermark(in, h->pkh, &h->request, false, status == 409 ? "watermark" : "store",
                             cv_now_us() - h->reserved_us);
    cv_instruments_vault_error(in, status, &h->request);
    cv_http_refuse(h, status, h->verdict.text);
}

/* A signature leaves only when the watermark that covers it is durable. */
static void settle(struct cv_http *h, const struct cv_signature *sig)
{
    struct cv_server *s = h->server;
    switch (cv_gate_settled(s->o.gate, &h->pkh_value, &h->ticket, &h->verdict)) {
    case CV_GATE_DURABLE:
        answer_signature(h, sig);
        return;
    case CV_GATE_WAIT:
        if (sig != &h->held) {
            h->held = *sig;
        }
        h->next_held = s->held;
        s->held = h;
        return;
    case CV_GATE_FAILED:
        cv_wipe(&h->held, sizeof(h->held));
        refuse_watermark(h);
    }
}

void cv_server_release(struct cv_server *server)
{
    struct cv_http *h = server->held;
    server->held = NULL;
    while (h != NULL) {
        struct cv_http *next = h->next_held;
        settle(h, &h->held);
        h = next;
    }
}

static void on_key_back(struct cv_vault_wait *wait);

static void on_signed(struct cv_sign *sign, int code, const struct cv_signature *sig,
                      const struct cv_error *err)
{
    struct cv_http *h = HTTP_OF(sign, sign);
    cv_instruments_round_trip(h->server->o.instruments, cv_now_us() - h->sent_us);
    /* The enclave was lost with this request in it. Whether it signed does not
     * matter: the same bytes are signed again by the next one, under the
     * watermark that was reserved for them. Once, or a request that an enclave
     * dies of would be the end of each. */
    if (code == CV_ERR_CLOSED && !h->resent && !h->server->draining) {
        h->resent = true;
        h->wait.ready = on_key_back;
        cv_vault_wait_anew(h->key, &h->wait, cv_server_deadline(h->server, CV_SERVER_SIGN_MS));
    } else if (code != 0) {
        refuse_late(h, code, err);
    } else {
        settle(h, sig);
    }
}

/* ---- the request ---- */

static uint8_t version_of(const struct cv_http *h)
{
    const char *v = cv_http_client_query(h, "version");
    return v != NULL && (strcmp(v, "0") == 0 || strcmp(v, "1") == 0) ? (uint8_t)(v[0] - '0') : 2;
}

/* Not inlined where it is called, nor its like below: a buffer on the stack is
 * cleared, which the requests that do not need it would pay for. */
CV_NOINLINE static void log_bytes(const struct cv_http *h, enum cv_log_level level)
{
    char hex[2 * PAYLOAD_LOGGED + 1];
    size_t n = h->sign.message.n < PAYLOAD_LOGGED ? h->sign.message.n : PAYLOAD_LOGGED;
    cv_hex_encode(hex, h->sign.message.p, n);
    cv_log(level, "payload", "request", cv_logf("%llu", (unsigned long long)h->id), "pkh", h->pkh,
           "bytes", cv_logf("%zu", h->sign.message.n), "hex", hex, NULL);
}

static void log_payload(const struct cv_http *h)
{
    enum cv_log_level level = h->policy->log_payloads ? CV_LOG_INFO : CV_LOG_DEBUG;
    if (cv_log_enabled(level)) {
        log_bytes(h, level);
    }
}

/* False when it was answered at once. */
static bool hand_over(struct cv_http *h)
{
    struct cv_error *err = &h->server->err;
    cv_error_clear(err);
    h->sign.done = on_signed;
    int rc = cv_vault_sign(h->key, &h->sign, cv_server_deadline(h->server, CV_SERVER_SIGN_MS), err);
    if (rc != 0) {
        refuse_late(h, rc, err);
    }
    return rc == 0;
}

static void on_key_back(struct cv_vault_wait *wait)
{
    struct cv_http *h = HTTP_OF(wait, wait);
    h->sent_us = cv_now_us();
    (void)hand_over(h);
}

/* Watermark, then vault; what becomes of it comes by on_signed. False when it
 * was answered at once. */
static bool submit(struct cv_http *h)
{
    struct cv_error *err = &h->server->err;
    cv_error_clear(err);
    /* A level that cannot be signed now is not used up: the baker may come back
     * with another block. */
    int rc = cv_vault_key_usable(h->key, err);
    if (rc != 0) {
        refuse_late(h, rc, err);
        return false;
    }
    h->reserved_us = h->sent_us = cv_now_us();
    cv_gate_reserve(h->server->o.gate, &h->pkh_value, &h->request, h->sign.digest, &h->ticket,
                    &h->verdict);
    if (h->verdict.status != 0) {
        refuse_watermark(h);
        return false;
    }
    return hand_over(h);
}

static void on_key_ready(struct cv_vault_wait *wait)
{
    (void)submit(HTTP_OF(wait, wait));
}

/* Waits for the key where it must, then signs. False when it was answered. */
static bool proceed(struct cv_http *h)
{
    h->wait.ready = on_key_ready;
    return cv_vault_wait(h->key, &h->wait, cv_server_deadline(h->server, CV_SERVER_SIGN_MS)) ||
           submit(h);
}

/* ---- the policy hook ---- */

static bool prove(struct cv_http *h);

static void on_hook(struct cv_hook_call *call)
{
    struct cv_http *h = HTTP_OF(call, hook);
    if (call->status != 0) {
        cv_instruments_policy_violation(h->server->o.instruments, h->pkh, "policy_hook");
        cv_http_refuse(h, call->status, call->text);
    } else if (h->proving) {
        (void)prove(h);
    } else {
        (void)proceed(h);
    }
}

/* Asks the hook, when there is one, about MESSAGE, and goes on. False when it
 * was answered. */
static bool ask_and_proceed(struct cv_http *h, struct cv_bytes message)
{
    struct cv_server *s = h->server;
    if (s->o.hook == NULL || s->o.config->policy_hook == NULL) {
        return h->proving ? prove(h) : proceed(h);
    }
    h->hook.done = on_hook;
    h->hook.request = message;
    h->hook.source = cv_http_client_ip(h, h->source, sizeof(h->source));
    h->hook.client_key_hash = h->has_client ? h->client_text : NULL;
    h->hook.public_key_hash = h->pkh;
    if (cv_hook_ask(s->o.hook, &h->hook) != 0) {
        cv_http_refuse(h, 503, "policy hook: too many requests wait for it");
        return false;
    }
    return true;
}

CV_NOINLINE static void refuse_for_room(struct cv_http *h)
{
    struct cv_error err;
    cv_error_clear(&err);
    int code = cv_error_set(&err, CV_ERR_BUSY, "%s",
                            h->server->draining ? "the signer is stopping"
                                                : "too many requests are waiting");
    cv_http_refuse_error(h, code, &err);
}

/* False, and answered, when there is no room or the daemon is ending. */
static bool has_room(struct cv_http *h)
{
    if (!h->server->draining && h->server->waiting < CV_SERVER_WAITING) {
        return true;
    }
    refuse_for_room(h);
    return false;
}

static bool allowed(struct cv_http *h)
{
    struct cv_refusal why;
    cv_gate_allow(h->server->o.gate, h->policy, &h->request, h->has_client ? &h->client : NULL,
                  &why, &h->verdict);
    if (h->verdict.status == 0) {
        return true;
    }
    if (why.reason == CV_REFUSED_NO_CLIENT || why.reason == CV_REFUSED_CLIENT) {
        cv_instruments_policy_violation(h->server->o.instruments, h->pkh, "authentication");
        cv_instruments_authentication_failure(h->server->o.instruments, 403, "authorized_keys", "");
    } else if (why.reason != CV_REFUSED_CHAIN) {
        cv_instruments_policy_violation(h->server->o.instruments, h->pkh,
                                        why.kind != NULL ? why.kind : "");
    }
    cv_http_refuse(h, h->verdict.status, h->verdict.text);
    return false;
}

static void on_answer(struct cv_http *h)
{
    cv_instruments_handled(h->server->o.instruments, h->pkh, h->status,
                           cv_now_us() - h->started_us);
}

/* In the order in which clients expect the refusals. */
void cv_http_sign(struct cv_http *h, const char *argument)
{
    char fault[CV_BODY_FAULT];
    size_t n;
    h->on_answer = on_answer;
    if (!cv_http_take_pkh(h, argument)) {
        return;
    }
    if (cv_body_decode(h->body.p, h->body.n, &n, fault) != 0) {
        cv_http_refuse(h, 400, fault);
        return;
    }
    h->sign.message = CV_BYTES(h->body.p, n);
    if (!cv_http_authenticate(h, h->sign.message) || !cv_http_listed(h)) {
        return;
    }
    log_payload(h);
    cv_gate_decode(h->server->o.gate, &h->request, h->sign.message, &h->verdict);
    if (h->verdict.status != 0) {
        cv_http_refuse(h, h->verdict.status, h->verdict.text);
        return;
    }
    h->decoded = true;
    if (!cv_http_find_key(h) || !allowed(h) || !has_room(h)) {
        return;
    }
    cv_blake2b_256(h->sign.digest, h->sign.message);
    h->sign.version = version_of(h);
    if (ask_and_proceed(h, h->sign.message)) {
        cv_http_wait(h);
    }
}

/* ---- proof of possession ---- */

static void on_proved(struct cv_sign *sign, int code, const struct cv_signature *sig,
                      const struct cv_error *err)
{
    struct cv_http *h = HTTP_OF(sign, sign);
    char text[CV_SIG_TEXT_SIZE];
    if (code != 0) {
        cv_http_refuse_error(h, code, err);
        return;
    }
    cv_signature_format(text, sig, false);
    cv_gate_audit(h->server->o.gate, "prove", h->pkh, NULL, &h->verdict, NULL, client_of(h));
    cv_http_answer_pair(h, 200, "bls_prove_possession", text);
}

static bool submit_proof(struct cv_http *h)
{
    struct cv_error err;
    cv_error_clear(&err);
    h->sign.done = on_proved;
    int rc =
        cv_vault_prove(h->key, &h->sign, cv_server_deadline(h->server, CV_SERVER_SIGN_MS), &err);
    if (rc != 0) {
        cv_http_refuse_error(h, rc, &err);
    }
    return rc == 0;
}

static void on_prover_ready(struct cv_vault_wait *wait)
{
    (void)submit_proof(HTTP_OF(wait, wait));
}

static bool prove(struct cv_http *h)
{
    h->wait.ready = on_prover_ready;
    return cv_vault_wait(h->key, &h->wait, cv_server_deadline(h->server, CV_SERVER_SIGN_MS)) ||
           submit_proof(h);
}

void cv_http_prove(struct cv_http *h, const char *argument)
{
    if (!cv_http_take_pkh(h, argument) || !cv_http_authenticate(h, CV_BYTES(NULL, 0)) ||
        !cv_http_listed(h) || !cv_http_find_key(h)) {
        return;
    }
    if (!h->policy->allow_proof_of_possession) {
        cv_http_refuse(h, 400, "proof of possession is not allowed");
        return;
    }
    if (h->pkh_value.scheme != CV_SCHEME_BLS) {
        cv_http_refuse(h, 400, "proof of possession is not supported");
        return;
    }
    if (!has_room(h)) {
        return;
    }
    h->proving = true;
    if (ask_and_proceed(h, CV_BYTES(NULL, 0))) {
        cv_http_wait(h);
    }
}
