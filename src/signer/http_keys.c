/* SPDX-License-Identifier: Apache-2.0 */
/* The routes of the main server: keys and signatures. */
#include <string.h>

#include "common/log.h"
#include "crypto/blake2b.h"
#include "json/json.h"
#include "signer/body.h"
#include "signer/server_impl.h"

#define HTTP_OF(member_ptr, member)                                                                \
    ((struct cv_http *)(void *)((char *)(member_ptr) - offsetof(struct cv_http, member)))

bool cv_http_take_pkh(struct cv_http *h, const char *text, struct cv_pkh *pkh)
{
    int rc = cv_pkh_parse(pkh, cv_bytes_str(text));
    if (rc == 0) {
        cv_pkh_format(h->pkh, pkh);
        return true;
    }
    enum cv_text_kind kind;
    uint8_t payload[CV_TEXT_PAYLOAD_MAX];
    size_t n;
    if (cv_text_parse(&kind, payload, &n, cv_bytes_str(text)) == 0) {
        cv_http_fail(h, 400, "gotez: unknown public key prefix");
    } else {
        cv_http_fail(h, 400, rc == CV_ERR_CRYPTO ? "gotez: base58Check decoding error: invalid checksum"
                                                 : "gotez: base58Check decoding error: invalid format");
    }
    return false;
}

/* ---- POST /keys/{pkh} ---- */

static void log_signed(struct cv_http *h)
{
    cv_gate_audit(h->server->o.gate, "sign", h->pkh, &h->request, &h->verdict, h->sign.digest, NULL);
    if (cv_log_enabled(CV_LOG_INFO)) {
        cv_log(CV_LOG_INFO, "signed", "pkh", h->pkh, "kind", h->verdict.kind, "level",
               h->request.consensus ? cv_logf("%d", (int)h->request.level) : NULL, "round",
               h->request.consensus ? cv_logf("%d", (int)h->request.round) : NULL, "vault",
               cv_vault_name(h->key->vault), "us",
               cv_logf("%lld", (long long)(cv_now_us() - h->started_us)), NULL);
    }
}

/* Every answer that is no signature is a line in the log. */
static void refuse(struct cv_http *h, unsigned status, const char *text)
{
    cv_log(CV_LOG_WARN, "refused", "pkh", h->pkh, "kind", h->verdict.kind, "status",
           cv_logf("%u", status), "reason", text, NULL);
    h->retry_later = status == 503;
    h->verdict.status = status;
    (void)snprintf(h->verdict.text, sizeof(h->verdict.text), "%s", text);
    cv_gate_audit(h->server->o.gate, "refuse", h->pkh, h->decoded ? &h->request : NULL, &h->verdict, NULL, NULL);
    cv_http_fail(h, status, text);
}

static void refuse_verdict(struct cv_http *h)
{
    char text[sizeof(h->verdict.text)];
    memcpy(text, h->verdict.text, sizeof(text));
    refuse(h, h->verdict.status, text);
}

static void refuse_error(struct cv_http *h, int code, const struct cv_error *err)
{
    char chain[CV_ERROR_DEPTH * CV_ERROR_TEXT];
    cv_log(CV_LOG_ERROR, "not signed", "pkh", h->pkh, "kind", h->verdict.kind, "reason",
           cv_error_format(chain, sizeof(chain), err), NULL);
    h->verdict.status = 500;
    (void)snprintf(h->verdict.text, sizeof(h->verdict.text), "%.500s", chain);
    cv_gate_audit(h->server->o.gate, "fail", h->pkh, &h->request, &h->verdict, NULL, NULL);
    cv_http_fail_error(h, code == CV_ERR_REMOTE ? "(Nitro): RPC Error: " : "(Nitro): ", code, err);
}

static void answer_signature(struct cv_http *h, const struct cv_signature *sig)
{
    char text[CV_SIG_TEXT_SIZE];
    cv_signature_format(text, sig, false);
    log_signed(h);
    cv_http_answer_pair(h, 200, "signature", text);
}

/* A signature leaves only when the watermark that covers it is durable. */
static void on_signed(struct cv_sign *sign, int code, const struct cv_signature *sig,
                      const struct cv_error *err)
{
    struct cv_http *h = HTTP_OF(sign, sign);
    struct cv_server *s = h->server;
    struct cv_error why;
    if (code != 0) {
        refuse_error(h, code, err);
        return;
    }
    cv_error_clear(&why);
    switch (cv_gate_settled(s->o.gate, h->seq, &why)) {
    case CV_GATE_DURABLE:
        answer_signature(h, sig);
        break;
    case CV_GATE_WAIT:
        h->held = *sig;
        h->next_held = s->held;
        s->held = h;
        break;
    case CV_GATE_FAILED:
        refuse_error(h, CV_ERR_IO, &why);
    }
}

void cv_server_release(struct cv_server *server)
{
    struct cv_http *h = server->held;
    struct cv_error why;
    cv_error_clear(&why);
    server->held = NULL;
    while (h != NULL) {
        struct cv_http *next = h->next_held;
        switch (cv_gate_settled(server->o.gate, h->seq, &why)) {
        case CV_GATE_DURABLE:
            answer_signature(h, &h->held);
            break;
        case CV_GATE_WAIT:
            h->next_held = server->held;
            server->held = h;
            break;
        case CV_GATE_FAILED:
            cv_wipe(&h->held, sizeof h->held);
            refuse_error(h, CV_ERR_IO, &why);
        }
        h = next;
    }
}

static uint8_t version_of(const struct cv_http *h)
{
    const char *v = MHD_lookup_connection_value(h->connection, MHD_GET_ARGUMENT_KIND, "version");
    return v != NULL && (strcmp(v, "0") == 0 || strcmp(v, "1") == 0) ? (uint8_t)(v[0] - '0') : 2;
}

static void log_payload(const struct cv_http *h)
{
    enum cv_log_level level = h->policy->log_payloads ? CV_LOG_INFO : CV_LOG_DEBUG;
    size_t n = h->sign.message.n < 2048 ? h->sign.message.n : 2048;
    char hex[2 * 2048 + 1];
    if (cv_log_enabled(level)) {
        static const char digits[] = "0123456789abcdef";
        for (size_t i = 0; i < n; i++) {
            hex[2 * i] = digits[h->sign.message.p[i] >> 4];
            hex[2 * i + 1] = digits[h->sign.message.p[i] & 15];
        }
        hex[2 * n] = 0;
        cv_log(level, "payload", "pkh", h->pkh, "bytes", cv_logf("%zu", h->sign.message.n), "hex", hex,
               NULL);
    }
}

/* Hands the request to the vault; what becomes of it comes by on_signed. False
 * when it was answered at once. */
static bool submit(struct cv_http *h)
{
    struct cv_error err;
    cv_error_clear(&err);
    h->sign.done = on_signed;
    cv_gate_reserve(h->server->o.gate, &h->key->pkh, &h->request, h->sign.digest, &h->seq, &h->verdict);
    if (h->verdict.status != 0) {
        refuse_verdict(h);
        return false;
    }
    int rc = cv_vault_sign(h->key, &h->sign, cv_deadline(CV_SERVER_SIGN_MS), &err);
    if (rc != 0) {
        refuse_error(h, rc, &err);
    }
    return rc == 0;
}

static void on_key_ready(struct cv_vault_wait *wait)
{
    (void)submit(HTTP_OF(wait, wait));
}

/* In the order in which clients expect the refusals. */
static void sign(struct cv_http *h, const char *argument)
{
    struct cv_server *s = h->server;
    char fault[CV_BODY_FAULT];
    char text[128];
    struct cv_error err;
    struct cv_pkh pkh;
    size_t n;
    (void)snprintf(h->pkh, sizeof(h->pkh), "unknown");
    if (!cv_http_take_pkh(h, argument, &pkh)) {
        return;
    }
    if (cv_body_decode(h->body.p, h->body.n, &n, fault) != 0) {
        refuse(h, 400, fault);
        return;
    }
    h->sign.message = CV_BYTES(h->body.p, n);
    h->policy = cv_gate_policy(s->o.gate, &pkh);
    if (h->policy == NULL) {
        (void)snprintf(text, sizeof(text), "%s is not listed in config", h->pkh);
        refuse(h, 403, text);
        return;
    }
    log_payload(h);
    cv_gate_decode(s->o.gate, &h->request, h->sign.message, &h->verdict);
    if (h->verdict.status != 0) {
        refuse_verdict(h);
        return;
    }
    h->decoded = true;
    h->key = cv_keyring_find(s->o.ring, &pkh);
    if (h->key == NULL) {
        refuse(h, 404, CV_HTTP_NOT_FOUND);
        return;
    }
    cv_gate_allow(s->o.gate, h->policy, &h->request, NULL, NULL, &h->verdict);
    if (h->verdict.status != 0) {
        refuse_verdict(h);
        return;
    }
    cv_error_clear(&err);
    if (s->draining || s->waiting >= CV_SERVER_WAITING) {
        int code = cv_error_set(&err, CV_ERR_BUSY, "%s", s->draining ? "the signer is stopping"
                                                                     : "too many requests are waiting");
        refuse_error(h, code, &err);
        return;
    }
    cv_blake2b_256(h->sign.digest, h->sign.message);
    h->sign.version = version_of(h);
    h->wait.ready = on_key_ready;
    if (cv_vault_wait(h->key, &h->wait, cv_deadline(CV_SERVER_SIGN_MS)) || submit(h)) {
        cv_http_wait(h);
    }
}

/* ---- GET /keys/{pkh} ---- */

static void answer_key(struct cv_http *h)
{
    char text[sizeof(h->key->fault) + 64];
    const struct cv_vault_key *k = h->key;
    if (k->known) {
        cv_http_answer_pair(h, 200, "public_key", k->public_key_text);
        return;
    }
    /* Its blob is stored, but only the enclave can tell the public key. */
    (void)snprintf(text, sizeof(text), "(Nitro): this key is not imported into the enclave%s%s",
                   k->fault[0] != 0 ? ": " : "", k->fault);
    cv_http_fail(h, 500, text);
}

static void on_key_known(struct cv_vault_wait *wait)
{
    answer_key(HTTP_OF(wait, wait));
}

static void show_key(struct cv_http *h, const char *argument)
{
    struct cv_pkh pkh;
    if (!cv_http_take_pkh(h, argument, &pkh)) {
        return;
    }
    h->key = cv_keyring_find(h->server->o.ring, &pkh);
    if (h->key == NULL) {
        cv_http_fail(h, 404, CV_HTTP_NOT_FOUND);
        return;
    }
    h->wait.ready = on_key_known;
    if (!h->key->known && !h->server->draining &&
        cv_vault_wait(h->key, &h->wait, cv_deadline(CV_SERVER_SIGN_MS))) {
        cv_http_wait(h);
        return;
    }
    answer_key(h);
}

/* ---- GET /authorized_keys ---- */

static void authorized_keys(struct cv_http *h, const char *argument)
{
    const struct cv_config_keys *keys = &h->server->o.config->authorized_keys;
    char text[CV_PKH_TEXT_SIZE];
    struct cv_pkh pkh;
    (void)argument;
    int rc = cv_buf_append_str(&h->reply, keys->count > 0 ? "{\"authorized_keys\":[" : "{");
    for (size_t i = 0; rc == 0 && i < keys->count; i++) {
        cv_pkh_of(&pkh, &keys->key[i]);
        cv_pkh_format(text, &pkh);
        rc = cv_buf_printf(&h->reply, "%s\"%s\"", i > 0 ? "," : "", text);
    }
    if (rc == 0) {
        rc = cv_buf_append_str(&h->reply, keys->count > 0 ? "]}\n" : "}\n");
    }
    if (rc != 0) {
        cv_http_fail(h, 500, "no memory for the answer");
        return;
    }
    cv_http_answer(h, 200, "application/json; charset=utf-8");
}

const struct cv_route cv_main_routes[] = {
    {"POST", "/keys/", true, sign},
    {"GET", "/keys/", true, show_key},
    {"GET", "/keys/*/attestation", true, cv_http_attestation},
    {"GET", "/authorized_keys", false, authorized_keys},
};
const size_t cv_main_route_count = sizeof(cv_main_routes) / sizeof(cv_main_routes[0]);
