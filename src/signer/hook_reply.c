/* SPDX-License-Identifier: Apache-2.0 */
/* What a reply of the policy hook says, and whether it is to be believed. */
#include <stdio.h>
#include <string.h>

#include "common/hex.h"
#include "json/json.h"
#include "signer/body.h"
#include "signer/hook.h"

static void refuse(struct cv_hook_call *c, unsigned status, const char *text)
{
    c->status = status;
    (void)snprintf(c->text, sizeof(c->text), "policy hook: %.200s", text);
}

/* 2xx lets it pass, 4xx is a no, anything else a failure. */
static void take_status(struct cv_hook_call *c, long status, const char *text)
{
    if (status >= 200 && status < 300) {
        c->status = 0;
        c->text[0] = 0;
    } else {
        refuse(c, status >= 400 && status < 500 ? 403 : 500, text);
    }
}

static const uint8_t *skip_space(const uint8_t *p, const uint8_t *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n')) {
        p++;
    }
    return p;
}

/* Behind the string or the value that begins at P; the text is valid JSON. */
static const uint8_t *skip_value(const uint8_t *p, const uint8_t *end)
{
    size_t depth = 0;
    for (; p < end; p++) {
        if (*p == '"') {
            for (p++; p < end && *p != '"'; p++) {
                p += *p == '\\' ? 1 : 0;
            }
            if (depth == 0) {
                return p < end ? p + 1 : end;
            }
        } else if (*p == '{' || *p == '[') {
            depth++;
        } else if (*p == '}' || *p == ']') {
            if (depth == 0) {
                return p; /* the container around a bare number ends here */
            }
            if (--depth == 0) {
                return p + 1;
            }
        } else if (depth == 0 &&
                   (*p == ',' || *p == ' ' || *p == '\t' || *p == '\r' || *p == '\n')) {
            return p;
        }
    }
    return end;
}

/* The bytes of the member NAME of the object that TEXT (valid JSON) is, as
 * they stand there: they are what was signed. */
static bool raw_member(struct cv_bytes text, const char *name, struct cv_bytes *out)
{
    const uint8_t *end = text.p + text.n;
    const uint8_t *p = skip_space(text.p, end);
    size_t n = strlen(name);
    bool found = false;
    if (p == end || *p != '{') {
        return false;
    }
    p = skip_space(p + 1, end);
    while (p < end && *p == '"') {
        const uint8_t *key = p + 1;
        p = skip_value(p, end);
        size_t length = (size_t)(p - key) - 1;
        p = skip_space(skip_space(p, end) + 1, end); /* the colon */
        const uint8_t *value = p;
        p = skip_value(p, end);
        if (length == n && memcmp(key, name, n) == 0) {
            if (found) {
                return false; /* twice: which one was signed? */
            }
            *out = CV_BYTES(value, (size_t)(p - value));
            found = true;
        }
        p = skip_space(p, end);
        if (p < end && *p == ',') {
            p = skip_space(p + 1, end);
        }
    }
    return found;
}

static const struct cv_public_key *signer_of(const struct cv_config_keys *keys, const char *text)
{
    struct cv_pkh wanted, pkh;
    if (text == NULL || cv_pkh_parse(&wanted, cv_bytes_str(text)) != 0) {
        return NULL;
    }
    for (size_t i = 0; i < keys->count; i++) {
        cv_pkh_of(&pkh, &keys->key[i]);
        if (cv_pkh_equal(&pkh, &wanted)) {
            return &keys->key[i];
        }
    }
    return NULL;
}

static bool nonce_fits(const struct cv_hook_call *c, const char *text)
{
    uint8_t nonce[CV_HOOK_NONCE_LEN];
    size_t n;
    return text != NULL && cv_base64_decode(nonce, sizeof(nonce), &n, cv_bytes_str(text)) == 0 &&
           n == sizeof(nonce) && memcmp(nonce, c->nonce, n) == 0;
}

static void judge_signed(struct cv_hook_call *c, const struct cv_config_keys *keys, long status,
                         const json_t *doc, struct cv_bytes raw)
{
    struct cv_signature sig;
    const json_t *payload = json_object_get(doc, "payload");
    const json_t *number = json_object_get(payload, "status");
    const char *text = json_string_value(json_object_get(doc, "signature"));
    if (!json_is_object(payload) || !json_is_integer(number) ||
        json_integer_value(number) != status) {
        refuse(c, 500, "the status of the signed reply is not that of the answer");
        return;
    }
    if (!nonce_fits(c, json_string_value(json_object_get(payload, "nonce")))) {
        refuse(c, 403, "nonce mismatch");
        return;
    }
    const struct cv_public_key *key =
        signer_of(keys, json_string_value(json_object_get(payload, "public_key_hash")));
    if (key == NULL) {
        refuse(c, 401, "public key not found");
        return;
    }
    if (text == NULL || cv_signature_from_text(&sig, key->scheme, cv_bytes_str(text)) != 0 ||
        cv_verify(key, CV_SIGN_VERSION_2, raw, &sig) != 0) {
        refuse(c, 403, "invalid signature");
        return;
    }
    const char *error = json_string_value(json_object_get(payload, "error"));
    char quoted[200];
    error = error != NULL ? error : "";
    take_status(c, status, cv_error_quote(quoted, sizeof(quoted), error, strlen(error)));
}

void cv_hook_judge(struct cv_hook_call *call, const struct cv_config_keys *keys, long status,
                   const char *reason, struct cv_bytes body)
{
    char line[96];
    char fault[CV_BODY_FAULT];
    struct cv_bytes raw;
    CV_JSON_AUTO json_t *doc = NULL;
    if (!keys->given) {
        (void)snprintf(line, sizeof(line), "%ld %.64s", status, reason);
        take_status(call, status, line);
        return;
    }
    if (!cv_go_json_valid(body, fault) || !raw_member(body, "payload", &raw) ||
        cv_json_parse_object(&doc, body, CV_HOOK_REPLY_MAX, "reply of the policy hook", NULL) !=
            0) {
        refuse(call, 500, "the reply is no signed JSON");
        return;
    }
    judge_signed(call, keys, status, doc, raw);
}
