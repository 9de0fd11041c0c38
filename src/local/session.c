/* SPDX-License-Identifier: Apache-2.0 */
#include "local/session.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "common/hex.h"
#include "common/secret.h"
#include "crypto/sha.h"
#include "json/json.h"

#define PAYLOAD_MAX 700

static const struct cv_local_principal *root(const struct cv_local_kms_state *state)
{
    for (size_t i = 0; i < state->n_principals; i++) {
        size_t n = strlen(state->principals[i].arn);
        if (n > 5 && strcmp(state->principals[i].arn + n - 5, ":root") == 0)
            return &state->principals[i];
    }
    return NULL;
}

/* Hex of HMAC(key of this state, PURPOSE, text). */
static int mac(char out[2 * CV_SHA256_LEN + 1], const struct cv_local_kms_state *state,
               const char *purpose, const char *text)
{
    const struct cv_local_principal *r = root(state);
    struct cv_hmac_sha256_ctx ctx;
    uint8_t h[CV_SHA256_LEN];
    if (r == NULL)
        return CV_ERR_STATE;
    cv_hmac_sha256_init(&ctx, cv_bytes_str(r->secret_access_key));
    cv_hmac_sha256_update(&ctx, cv_bytes_str("claviger-local session "));
    cv_hmac_sha256_update(&ctx, cv_bytes_str(purpose));
    cv_hmac_sha256_update(&ctx, cv_bytes_str(text));
    cv_hmac_sha256_final(&ctx, h);
    cv_hex_encode(out, h, sizeof h);
    cv_wipe(h, sizeof h);
    return 0;
}

/* The principal of the state that has this role; its policy is the role's. */
static const struct cv_local_principal *role_of(const struct cv_local_kms_state *state,
                                                const char *role_arn)
{
    for (size_t i = 0; i < state->n_principals; i++)
        if (state->principals[i].role_arn != NULL &&
            strcmp(state->principals[i].role_arn, role_arn) == 0)
            return &state->principals[i];
    return NULL;
}

static void link_principal(struct cv_local_session *s, const struct cv_local_principal *role,
                           int64_t expires_ms)
{
    s->principal = (struct cv_local_principal){
        .access_key_id = s->access_key_id,
        .secret_access_key = s->secret,
        .session_token = s->token,
        .arn = s->arn,
        .role_arn = s->role_arn,
        .expires_ms = expires_ms,
        .policy_text = role->policy_text,
        .policy = role->policy,
    };
}

static bool is_name(const char *s, size_t max)
{
    static const char lawful[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+=,.@_-";
    size_t n = strlen(s);
    return n >= 2 && n <= max && strspn(s, lawful) == n;
}

/* "PAYLOAD.MAC", the payload in base64 of {"a": arn, "r": role, "e": expiry, "i": id}. */
static int seal(struct cv_local_session *s, const struct cv_local_kms_state *state,
                int64_t expires_ms)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf json;
    char tag[2 * CV_SHA256_LEN + 1];
    cv_buf_init(&json, PAYLOAD_MAX);
    CV_JSON_AUTO json_t *doc = json_pack("{s:s, s:s, s:I, s:s}", "a", s->arn, "r", s->role_arn, "e",
                                         (json_int_t)expires_ms, "i", s->access_key_id);
    if (doc == NULL || cv_json_dump(&json, doc) != 0 ||
        CV_BASE64_LEN(json.n) + 2 + 2 * CV_SHA256_LEN > sizeof s->token)
        return CV_ERR_LIMIT;
    cv_base64_encode(s->token, json.p, json.n);
    int rc = mac(tag, state, "token", s->token);
    size_t n = strlen(s->token);
    (void)snprintf(s->token + n, sizeof s->token - n, ".%s", tag);
    return rc == 0 ? mac(s->secret, state, "secret", s->token) : rc;
}

int cv_local_session_issue(struct cv_local_session *out, const struct cv_local_kms_state *state,
                           const char *role, const char *name, int64_t expires_ms,
                           struct cv_error *err)
{
    uint8_t r[8];
    char digits[2 * sizeof r + 1];
    const char *slash = strrchr(role, '/');
    const char *role_name = slash != NULL ? slash + 1 : role;
    memset(out, 0, sizeof *out);
    if (!is_name(role_name, 64) || !is_name(name, 64))
        return cv_error_set(err, CV_ERR_INVALID,
                            "a role or session name has 2 to 64 letters, digits and +=,.@_-");
    snprintf(out->role_arn, sizeof out->role_arn, "arn:aws:iam::%s:role/%s", state->account,
             role_name);
    const struct cv_local_principal *p = role_of(state, slash != NULL ? role : out->role_arn);
    if (p == NULL)
        return cv_error_set(err, CV_ERR_NOT_FOUND, "no principal of kms.json has the role %s",
                            role_name);
    snprintf(out->arn, sizeof out->arn, "arn:aws:sts::%s:assumed-role/%s/%s", state->account,
             role_name, name);
    cv_random(r, sizeof r);
    cv_hex_encode(digits, r, sizeof r);
    for (char *c = digits; *c != '\0'; c++)
        *c = (char)(*c >= 'a' ? *c - 'a' + 'A' : *c);
    snprintf(out->access_key_id, sizeof out->access_key_id, "ASIA%s", digits);
    int rc = seal(out, state, expires_ms);
    if (rc != 0)
        return cv_error_set(err, rc, "a session cannot be made: %s", cv_strerror(rc));
    link_principal(out, p, expires_ms);
    return 0;
}

int cv_local_session_open(struct cv_local_session *out, const struct cv_local_kms_state *state,
                          const char *access_key_id, const char *token)
{
    char tag[2 * CV_SHA256_LEN + 1], payload[CV_LOCAL_SESSION_TOKEN];
    uint8_t json[PAYLOAD_MAX];
    size_t n = 0, dot = strcspn(token, ".");
    const char *arn, *role, *id;
    int64_t expires;
    CV_JSON_AUTO json_t *doc = NULL;
    memset(out, 0, sizeof *out);
    if (strlen(token) >= sizeof out->token || token[dot] != '.' ||
        strlen(token + dot + 1) != 2 * CV_SHA256_LEN)
        return CV_ERR_DENIED;
    memcpy(payload, token, dot);
    payload[dot] = '\0';
    if (mac(tag, state, "token", payload) != 0 ||
        !cv_equal_ct(tag, token + dot + 1, 2 * CV_SHA256_LEN))
        return CV_ERR_DENIED;
    if (cv_base64_decode(json, sizeof json, &n, CV_BYTES(payload, dot)) != 0 ||
        cv_json_parse_object(&doc, CV_BYTES(json, n), sizeof json, "session", NULL) != 0 ||
        cv_json_get_str(doc, "a", &arn, NULL) != 0 || cv_json_get_str(doc, "r", &role, NULL) != 0 ||
        cv_json_get_str(doc, "i", &id, NULL) != 0 ||
        cv_json_get_int(doc, "e", 0, INT64_MAX, &expires, NULL) != 0 ||
        strcmp(id, access_key_id) != 0)
        return CV_ERR_DENIED;
    const struct cv_local_principal *p = role_of(state, role);
    if (p == NULL || mac(out->secret, state, "secret", token) != 0)
        return CV_ERR_DENIED;
    snprintf(out->access_key_id, sizeof out->access_key_id, "%s", id);
    snprintf(out->token, sizeof out->token, "%s", token);
    snprintf(out->arn, sizeof out->arn, "%s", arn);
    snprintf(out->role_arn, sizeof out->role_arn, "%s", role);
    link_principal(out, p, expires);
    return 0;
}

void cv_local_session_wipe(struct cv_local_session *s)
{
    cv_wipe(s, sizeof *s);
}
