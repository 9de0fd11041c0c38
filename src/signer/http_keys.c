/* SPDX-License-Identifier: Apache-2.0 */
/* The routes of the main server, and those that show what is public. */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "json/json.h"
#include "signer/jwt.h"
#include "signer/server_impl.h"

#define HTTP_OF(member_ptr, member) \
    ((struct cv_http *)(void *)((char *)(member_ptr)-offsetof(struct cv_http, member)))

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
    if (!cv_http_take_pkh(h, argument) || !cv_http_find_key(h)) {
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

/* ---- POST /login ---- */

static void login(struct cv_http *h, const char *argument)
{
    (void)argument;
    if (h->server->o.config->jwt_user_count == 0) {
        if (cv_buf_append_str(&h->reply, "404 page not found\n") != 0) {
            cv_http_fail(h, 500, "no memory");
            return;
        }
        cv_http_answer(h, 404, "text/plain; charset=utf-8");
        return;
    }
    const char *why = cv_jwt_login(h->server->o.config, cv_http_client_header(h, "username"),
                                   cv_http_client_header(h, "password"), cv_unix_ms(), &h->reply);
    if (why != NULL) {
        cv_log(CV_LOG_WARN, "login refused", "reason", why, NULL);
        cv_buf_reset(&h->reply);
        if (cv_buf_append_str(&h->reply, why) != 0) {
            cv_http_fail(h, 500, "no memory");
            return;
        }
    }
    cv_http_answer(h, why == NULL ? 201 : 401, "text/plain; charset=utf-8");
}

const struct cv_route cv_main_routes[] = {
    {"POST", "/keys/", true, true, cv_http_sign},
    {"GET", "/keys/", true, true, show_key},
    {"GET", "/keys/*/attestation", true, true, cv_http_attestation},
    {"GET", "/authorized_keys", false, true, authorized_keys},
    {"GET", "/bls_prove_possession/", true, true, cv_http_prove},
    {"POST", "/login", false, false, login},
};
const size_t cv_main_route_count = sizeof(cv_main_routes) / sizeof(cv_main_routes[0]);
