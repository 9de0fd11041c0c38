/* SPDX-License-Identifier: Apache-2.0 */
/* Steps that several routes take: who asks, for which key, and how no is said. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "signer/auth.h"
#include "signer/base58_fault.h"
#include "signer/jwt.h"
#include "signer/server_impl.h"
#include "watermark/signatory.h"

const char *cv_http_client_query(const struct cv_http *h, const char *name)
{
    return MHD_lookup_connection_value(h->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *cv_http_client_header(const struct cv_http *h, const char *name)
{
    return MHD_lookup_connection_value(h->connection, MHD_HEADER_KIND, name);
}

char *cv_http_client_ip(const struct cv_http *h, char *out, size_t size)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(h->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *sa = info != NULL ? info->client_addr : NULL;
    out[0] = 0;
    if (sa != NULL && sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof(in));
        (void)inet_ntop(AF_INET, &in.sin_addr, out, (socklen_t)size);
    } else if (sa != NULL && sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof(in6));
        if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
            (void)inet_ntop(AF_INET, &in6.sin6_addr.s6_addr[12], out, (socklen_t)size);
        } else {
            (void)inet_ntop(AF_INET6, &in6.sin6_addr, out, (socklen_t)size);
        }
    }
    return out;
}

/* ---- saying no ---- */

static const char *client_of(const struct cv_http *h)
{
    return h->has_client ? h->client_text : h->user;
}

static void log_refusal(struct cv_http *h, const char *message, unsigned status, const char *text)
{
    h->logged = true;
    char ip[INET6_ADDRSTRLEN];
    char chain[CV_CHAIN_TEXT_SIZE];
    bool c = h->decoded && h->request.consensus;
    if (c) {
        cv_chain_format(chain, h->request.chain);
    }
    cv_log(status >= 500 ? CV_LOG_ERROR : CV_LOG_WARN, message, "request",
           cv_logf("%llu", (unsigned long long)h->id), "pkh", h->pkh, "kind", h->verdict.kind,
           "chain", c ? chain : NULL, "level", c ? cv_logf("%d", (int)h->request.level) : NULL,
           "round", c ? cv_logf("%d", (int)h->request.round) : NULL, "client", client_of(h), "from",
           cv_http_client_ip(h, ip, sizeof(ip)), "status", cv_logf("%u", status), "reason", text,
           "us", cv_logf("%lld", (long long)(cv_now_us() - h->started_us)), NULL);
}

void cv_http_refuse(struct cv_http *h, unsigned status, const char *text)
{
    log_refusal(h, "refused", status, text);
    h->retry_later = status == 503;
    h->verdict.status = status;
    if (text != h->verdict.text) {
        (void)snprintf(h->verdict.text, sizeof(h->verdict.text), "%s", text);
    }
    cv_gate_audit(h->server->o.gate, "refuse", h->pkh, h->decoded ? &h->request : NULL, &h->verdict,
                  NULL, client_of(h));
    cv_http_fail(h, status, h->verdict.text);
}

void cv_http_refuse_error(struct cv_http *h, int code, const struct cv_error *err)
{
    char chain[CV_ERROR_SENTENCE];
    (void)cv_error_format(chain, sizeof(chain), err);
    h->verdict.status = code == CV_ERR_BUSY || code == CV_ERR_CANCELLED ? 503 : 500;
    (void)snprintf(h->verdict.text, sizeof(h->verdict.text), "%.*s",
                   (int)sizeof(h->verdict.text) - 1, chain);
    log_refusal(h, "not signed", h->verdict.status, chain);
    cv_gate_audit(h->server->o.gate, "fail", h->pkh, h->decoded ? &h->request : NULL, &h->verdict,
                  NULL, client_of(h));
    cv_http_fail_error(h, code == CV_ERR_REMOTE ? "(Nitro): RPC Error: " : "(Nitro): ", code, err);
}

/* ---- who and what ---- */

/* Where TEXT is, or would be, among those that were read before. */
static struct cv_server_pkh *known_pkh(struct cv_server *s, const char *text, size_t n)
{
    uint32_t hash = 0;
    for (size_t i = n < 8 ? 0 : n - 8; i < n; i++) {
        hash = hash * 61 + (uint8_t)text[i];
    }
    return &s->pkhs[hash % CV_SERVER_PKHS];
}

bool cv_http_take_pkh(struct cv_http *h, const char *text)
{
    char why[CV_BASE58_FAULT];
    size_t n = strlen(text);
    struct cv_server_pkh *known = known_pkh(h->server, text, n);
    int rc = 0;
    if (n == 0 || strcmp(known->text, text) != 0) {
        rc = cv_pkh_parse(&known->pkh, CV_BYTES(text, n));
        known->text[0] = 0;
        if (rc == 0) {
            memcpy(known->text, text, n + 1); /* which is its only form */
        }
    }
    if (rc == 0) {
        h->pkh_value = known->pkh;
        memcpy(h->pkh, text, n + 1);
        return true;
    }
    cv_base58_fault(why, text, "gotez: unknown public key prefix");
    cv_http_fail(h, 400, why);
    return false;
}

bool cv_http_authenticate(struct cv_http *h, struct cv_bytes message)
{
    const struct cv_config_keys *keys = &h->server->o.config->authorized_keys;
    struct cv_auth_verdict v;
    if (!keys->given) {
        return true;
    }
    cv_auth_client(&v, keys, &h->pkh_value, message, cv_http_client_query(h, "authentication"));
    if (v.status != 0) {
        char ip[INET6_ADDRSTRLEN];
        cv_instruments_authentication_failure(
            h->server->o.instruments, v.status, "authentication",
            h->server->o.config->metrics_client_ip ? cv_http_client_ip(h, ip, sizeof(ip)) : "");
        cv_http_refuse(h, v.status, v.text);
        return false;
    }
    h->has_client = true;
    h->client = v.client;
    cv_pkh_format(h->client_text, &h->client);
    return true;
}

static bool certificate_fits(const struct cv_http *h)
{
    const struct cv_config_strings *list = &h->policy->client_certificates;
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->item[i], cv_conn_fingerprint(h->conn)) == 0) {
            return true;
        }
    }
    return false;
}

bool cv_http_listed(struct cv_http *h)
{
    char text[256];
    char user[100];
    h->policy = cv_gate_policy(h->server->o.gate, &h->pkh_value);
    if (h->policy == NULL) {
        (void)snprintf(text, sizeof(text), "%s is not listed in config", h->pkh);
        cv_http_refuse(h, 403, text);
        return false;
    }
    if (h->policy->client_certificates.given && !certificate_fits(h)) {
        cv_http_refuse(h, 403, "this client certificate is not allowed to use the key");
        return false;
    }
    if (h->user == NULL || !h->policy->jwt_users.given) {
        return true;
    }
    for (size_t i = 0; i < h->policy->jwt_users.count; i++) {
        if (strcmp(h->policy->jwt_users.item[i], h->user) == 0) {
            return true;
        }
    }
    cv_error_quote(user, sizeof(user), h->user, strlen(h->user));
    (void)snprintf(text, sizeof(text), "user `%s' is not authorized to access %s", user, h->pkh);
    cv_http_refuse(h, 403, text);
    return false;
}

bool cv_http_find_key(struct cv_http *h)
{
    const struct cv_server_options *o = &h->server->o;
    char text[128];
    h->key = cv_keyring_find(o->ring, &h->pkh_value);
    if (h->key != NULL) {
        return true;
    }
    for (size_t i = 0; i < o->vault_count; i++) {
        if (!cv_vault_listed(o->vaults[i])) {
            (void)snprintf(text, sizeof(text), "(Nitro): the keys of vault %.60s are not known yet",
                           cv_vault_name(o->vaults[i]));
            cv_http_refuse(h, 500, text);
            return false;
        }
    }
    cv_http_refuse(h, 404, "this key not found in any vault");
    return false;
}

bool cv_http_check_token(struct cv_http *h)
{
    const struct cv_config *config = h->server->o.config;
    if (config->jwt_user_count == 0) {
        return true;
    }
    const char *user = cv_http_client_header(h, "username");
    const char *why = cv_jwt_check(config, cv_http_client_header(h, MHD_HTTP_HEADER_AUTHORIZATION),
                                   user, cv_unix_ms());
    if (why == NULL) {
        h->user = user;
        return true;
    }
    cv_log(CV_LOG_WARN, "client not let in", "reason", why, NULL);
    if (cv_buf_append_str(&h->reply, why) != 0) {
        cv_http_fail(h, 500, "no memory");
        return false;
    }
    cv_http_answer(h, 401, "text/plain; charset=utf-8");
    return false;
}
