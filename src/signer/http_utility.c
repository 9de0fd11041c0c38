/* SPDX-License-Identifier: Apache-2.0 */
/* The routes of the utility server: is it well, and what has it done? */
#include <stdio.h>

#include "common/log.h"
#include "json/json.h"
#include "signer/server_impl.h"

#define CONTENT_JSON "application/json; charset=utf-8"
#define KEYS_TOLD 10
#define KEY_REASON (CV_ERROR_SENTENCE + 128)

/* Listed keys that cannot sign are told, the first of them by name. False when
 * there is none that can. */
static bool any_key_ready(const struct cv_server *s, json_t *reasons)
{
    const struct cv_config *c = s->o.config;
    char text[KEY_REASON];
    size_t usable = 0, told = 0;
    for (size_t i = 0; i < c->key_count; i++) {
        const struct cv_vault_key *k = cv_keyring_find(s->o.ring, &c->keys[i].pkh);
        if (k != NULL && k->active) {
            usable++;
        } else if (reasons != NULL && told++ < KEYS_TOLD) {
            const char *why = k == NULL ? "it is in no vault" : k->fault;
            (void)snprintf(text, sizeof(text), "key %.60s cannot sign: %s", c->keys[i].text,
                           why[0] != 0 ? why : "it is not imported into the enclave yet");
            (void)json_array_append_new(reasons, json_string(text));
        }
    }
    if (told > KEYS_TOLD) {
        (void)snprintf(text, sizeof(text), "%zu more listed keys cannot sign", told - KEYS_TOLD);
        (void)json_array_append_new(reasons, json_string(text));
    }
    return usable > 0 || c->key_count == 0;
}

/* Why it is not ready, one sentence a reason, into REASONS (may be NULL).
 * Ready means: what is listed can be signed. One key of several that cannot is
 * told, but keeps nobody from asking for the others. */
static bool is_ready(const struct cv_server *s, json_t *reasons)
{
    char chain[CV_ERROR_SENTENCE];
    char text[sizeof(chain) + 128];
    struct cv_error err;
    bool ready = true;
    cv_error_clear(&err);
    if (s->draining) {
        ready = false;
        (void)json_array_append_new(reasons, json_string("the signer is stopping"));
    }
    if (!cv_gate_ready(s->o.gate, &err)) {
        ready = false;
        (void)json_array_append_new(reasons,
                                    json_string(cv_error_format(chain, sizeof(chain), &err)));
    }
    for (size_t i = 0; i < s->o.vault_count; i++) {
        const struct cv_vault *v = s->o.vaults[i];
        if (cv_vault_state(v) != CV_VAULT_UP) {
            ready = false;
            (void)snprintf(text, sizeof(text), "vault %.100s: %s", cv_vault_name(v),
                           cv_vault_state(v) == CV_VAULT_OPENING
                               ? "connecting to its enclave and importing its keys"
                               : cv_error_format(chain, sizeof(chain), cv_vault_why(v)));
            (void)json_array_append_new(reasons, json_string(text));
        }
    }
    return ready ? any_key_ready(s, reasons) : false;
}

static void healthz(struct cv_http *h, const char *argument)
{
    (void)argument;
    bool ready = is_ready(h->server, NULL);
    if (cv_buf_append_str(&h->reply, ready ? "{\"ready\":true}\n" : "{\"ready\":false}\n") != 0) {
        ready = false;
    }
    cv_http_answer(h, ready ? 200 : 503, CONTENT_JSON);
}

static void readyz(struct cv_http *h, const char *argument)
{
    (void)argument;
    json_t *reasons = json_array();
    bool ready = is_ready(h->server, reasons);
    size_t active = 0, stored = 0;
    for (size_t i = 0; i < h->server->o.vault_count; i++) {
        const struct cv_vault *v = h->server->o.vaults[i];
        stored += cv_vault_key_count(v);
        for (size_t k = 0; k < cv_vault_key_count(v); k++) {
            active += cv_vault_key_at(v, k)->active ? 1 : 0;
        }
    }
    CV_JSON_AUTO json_t *doc =
        json_pack("{s:b, s:o, s:I, s:I}", "ready", ready, "reasons", reasons, "keys_stored",
                  (json_int_t)stored, "keys_usable", (json_int_t)active);
    if (doc == NULL || cv_json_dump(&h->reply, doc) != 0 ||
        cv_buf_append_str(&h->reply, "\n") != 0) {
        cv_http_fail(h, 500, "no memory for the answer");
        return;
    }
    cv_http_answer(h, ready ? 200 : 503, CONTENT_JSON);
}

static void metrics(struct cv_http *h, const char *argument)
{
    (void)argument;
    cv_instruments_waiting(h->server->o.instruments, h->server->waiting);
    if (h->server->o.instruments == NULL ||
        cv_instruments_render(h->server->o.instruments, &h->reply) != 0) {
        cv_http_fail(h, 500, "the metrics could not be written");
        return;
    }
    cv_http_answer(h, 200, "text/plain; version=0.0.4; charset=utf-8");
}

const struct cv_route cv_utility_routes[] = {
    {"GET", "/healthz", false, false, healthz},
    {"GET", "/readyz", false, false, readyz},
    {"GET", "/metrics", false, false, metrics},
};
const size_t cv_utility_route_count = sizeof(cv_utility_routes) / sizeof(cv_utility_routes[0]);
