/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/jwt.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "common/hex.h"
#include "json/json.h"

#define MAC_MAX 64
#define EXPIRY_DEFAULT_MIN 60

static const struct {
    const char *name;
    const EVP_MD *(*digest)(void);
    size_t size;
} algorithms[] = {
    {"HS256", EVP_sha256, 32},
    {"HS384", EVP_sha384, 48},
    {"HS512", EVP_sha512, 64},
};
#define ALGORITHMS (sizeof(algorithms) / sizeof(algorithms[0]))

static const struct cv_config_jwt_user *find_user(const struct cv_config *config, const char *name)
{
    for (size_t i = 0; i < config->jwt_user_count; i++) {
        if (strcmp(config->jwt_users[i].name, name) == 0) {
            return &config->jwt_users[i];
        }
    }
    return NULL;
}

/* What is good at NOW: the new data alone, or both until the old ones end. */
static size_t credentials_of(const struct cv_config_jwt_user *u, int64_t now,
                             const struct cv_config_jwt_credentials *out[2])
{
    size_t n = 0;
    if (u->rotating) {
        out[n++] = &u->next;
    }
    if (!u->rotating || (u->has_old_expiry && now < u->old_expiry_ms)) {
        out[n++] = &u->now;
    }
    return n;
}

/* base64url without padding (RFC 7515), by way of standard base64. */
static int decode_base64url(uint8_t *out, size_t cap, size_t *n, struct cv_bytes text)
{
    char padded[CV_JWT_MAX + 4];
    size_t size = text.n;
    if (size > CV_JWT_MAX || size % 4 == 1) {
        return CV_ERR_INVALID;
    }
    for (size_t i = 0; i < size; i++) {
        char c = (char)text.p[i];
        if (c == '+' || c == '/' || c == '=') {
            return CV_ERR_INVALID;
        }
        padded[i] = c;
        if (c == '-') {
            padded[i] = '+';
        } else if (c == '_') {
            padded[i] = '/';
        }
    }
    while (size % 4 != 0) {
        padded[size++] = '=';
    }
    return cv_base64_decode(out, cap, n, CV_BYTES(padded, size));
}

static int append_base64url(struct cv_buf *out, const void *p, size_t n)
{
    size_t start = out->n;
    int rc = cv_base64_append(out, p, n);
    while (rc == 0 && out->n > start && out->p[out->n - 1] == '=') {
        out->p[--out->n] = 0;
    }
    for (size_t i = start; rc == 0 && i < out->n; i++) {
        if (out->p[i] == '+') {
            out->p[i] = '-';
        } else if (out->p[i] == '/') {
            out->p[i] = '_';
        }
    }
    return rc;
}

static bool mac(uint8_t out[MAC_MAX], size_t algorithm, const struct cv_secret *key,
                struct cv_bytes in)
{
    unsigned n = 0;
    return HMAC(algorithms[algorithm].digest(), key->p, (int)key->n, in.p, in.n, out, &n) != NULL &&
           n == algorithms[algorithm].size;
}

/* The three parts of "header.claims.signature". */
static bool split(struct cv_bytes token, struct cv_bytes part[3])
{
    const uint8_t *p = token.p;
    const uint8_t *end = token.p + token.n;
    for (int i = 0; i < 3; i++) {
        const uint8_t *dot = i < 2 ? memchr(p, '.', (size_t)(end - p)) : end;
        if (dot == NULL) {
            return false;
        }
        part[i] = CV_BYTES(p, (size_t)(dot - p));
        p = dot < end ? dot + 1 : end;
    }
    return memchr(part[2].p, '.', part[2].n) == NULL;
}

static json_t *decode_object(struct cv_bytes part)
{
    uint8_t text[CV_JWT_MAX];
    json_t *out = NULL;
    size_t n;
    if (decode_base64url(text, sizeof(text), &n, part) != 0 ||
        cv_json_parse_object(&out, CV_BYTES(text, n), sizeof(text), "token", NULL) != 0) {
        return NULL;
    }
    return out;
}

static bool signed_by(const struct cv_config_jwt_user *u, size_t algorithm, struct cv_bytes token,
                      const struct cv_bytes part[3], int64_t now)
{
    const struct cv_config_jwt_credentials *c[2];
    uint8_t given[MAC_MAX], right[MAC_MAX];
    size_t n;
    if (decode_base64url(given, sizeof(given), &n, part[2]) != 0 ||
        n != algorithms[algorithm].size) {
        return false;
    }
    struct cv_bytes covered = CV_BYTES(token.p, part[0].n + 1 + part[1].n);
    size_t count = credentials_of(u, now, c);
    for (size_t i = 0; i < count; i++) {
        if (mac(right, algorithm, &c[i]->secret, covered) && cv_equal_ct(given, right, n)) {
            return true;
        }
    }
    return false;
}

const char *cv_jwt_check(const struct cv_config *config, const char *authorization,
                         const char *user, int64_t now)
{
    static const char invalid[] = "JWT: invalid token";
    struct cv_bytes part[3];
    if (authorization == NULL || authorization[0] == 0) {
        return "token required";
    }
    const struct cv_config_jwt_user *u = user != NULL ? find_user(config, user) : NULL;
    if (u == NULL) {
        return "JWT: user not found";
    }
    struct cv_bytes token = cv_bytes_str(authorization);
    if (strncmp(authorization, "Bearer ", 7) == 0) {
        token = cv_bytes_str(authorization + 7);
    }
    if (token.n > CV_JWT_MAX || !split(token, part)) {
        return invalid;
    }
    CV_JSON_AUTO json_t *header = decode_object(part[0]);
    CV_JSON_AUTO json_t *claims = decode_object(part[1]);
    if (header == NULL || claims == NULL) {
        return invalid;
    }
    const char *alg = json_string_value(json_object_get(header, "alg"));
    const char *name = json_string_value(json_object_get(claims, "user"));
    const json_t *exp = json_object_get(claims, "exp");
    size_t a = 0;
    while (a < ALGORITHMS && (alg == NULL || strcmp(alg, algorithms[a].name) != 0)) {
        a++;
    }
    if (a == ALGORITHMS || name == NULL || strcmp(name, user) != 0 || !json_is_number(exp) ||
        json_number_value(exp) * 1000.0 <= (double)now || !signed_by(u, a, token, part, now)) {
        return invalid;
    }
    return NULL;
}

static int issue(const struct cv_config_jwt_user *u, const struct cv_config_jwt_credentials *c,
                 int64_t now, struct cv_buf *out)
{
    static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    uint8_t tag[MAC_MAX];
    CV_CLEANUP(cv_buf_free) struct cv_buf claims;
    unsigned minutes = c->expiry_minutes != 0 ? c->expiry_minutes : EXPIRY_DEFAULT_MIN;
    cv_buf_init(&claims, CV_JWT_MAX / 2);
    if (cv_buf_printf(&claims, "{\"exp\":%lld,\"user\":",
                      (long long)(now / 1000 + (int64_t)minutes * 60)) != 0 ||
        cv_json_append_str(&claims, cv_bytes_str(u->name)) != 0 ||
        cv_buf_append_str(&claims, "}") != 0) {
        return CV_ERR_NOMEM;
    }
    size_t start = out->n;
    if (append_base64url(out, header, sizeof(header) - 1) != 0 ||
        cv_buf_append_str(out, ".") != 0 || append_base64url(out, claims.p, claims.n) != 0 ||
        !mac(tag, 0, &c->secret, CV_BYTES(out->p + start, out->n - start)) ||
        cv_buf_append_str(out, ".") != 0 || append_base64url(out, tag, algorithms[0].size) != 0) {
        return CV_ERR_NOMEM;
    }
    return 0;
}

const char *cv_jwt_login(const struct cv_config *config, const char *user, const char *password,
                         int64_t now, struct cv_buf *out)
{
    const struct cv_config_jwt_credentials *c[2];
    if (user == NULL || user[0] == 0 || password == NULL || password[0] == 0) {
        return "username and password required";
    }
    const struct cv_config_jwt_user *u = find_user(config, user);
    size_t count = u != NULL ? credentials_of(u, now, c) : 0;
    size_t n = strlen(password);
    for (size_t i = 0; i < count; i++) {
        if (c[i]->password.n == n && cv_equal_ct(c[i]->password.p, password, n)) {
            return issue(u, c[i], now, out) == 0 ? NULL : "Access denied";
        }
    }
    return "Access denied";
}
