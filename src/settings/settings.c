/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/settings.h"

#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "settings/keyvalue.h"

enum kind { CMK, REGION, ENDPOINT, PATH, TEXT, NUMBER, SWITCH };

/* One row a setting: what it is, where it goes. A port or CID of 2^32-1 means
 * "any" to vsock(7), so it is none that can be connected to. */
static const struct setting {
    const char *key;
    enum kind kind;
    size_t offset;
    const char *variable; /* tee-signer's, NULL = none */
    bool development;     /* only there */
} table[] = {
    {"cmk_arn", CMK, 0, NULL, false},
    {"region", REGION, offsetof(struct cv_settings, region), NULL, false},
    {"endpoint", ENDPOINT, offsetof(struct cv_settings, endpoint), "ENDPOINT", false},
    {"ca_file", PATH, offsetof(struct cv_settings, ca_file), NULL, false},
    {"parent_cid", NUMBER, offsetof(struct cv_settings, parent_cid), "PROXY_CID", false},
    {"proxy_port", NUMBER, offsetof(struct cv_settings, proxy_port), "PROXY_PORT", false},
    {"listen_port", NUMBER, offsetof(struct cv_settings, listen_port), "LISTEN_PORT", false},
    {"plain_import", SWITCH, offsetof(struct cv_settings, plain_import), NULL, false},
    {"seal_v1", SWITCH, offsetof(struct cv_settings, seal_v1), NULL, false},
    {"allow_debug", SWITCH, offsetof(struct cv_settings, allow_debug), NULL, false},
    {"self_check", SWITCH, offsetof(struct cv_settings, self_check), NULL, false},
    {"listen_address", TEXT, offsetof(struct cv_settings, listen_address), NULL, true},
    {"proxy_address", TEXT, offsetof(struct cv_settings, proxy_address), NULL, true},
    {"nsm_address", TEXT, offsetof(struct cv_settings, nsm_address), NULL, true},
};
#define ROWS (sizeof(table) / sizeof(table[0]))

void cv_settings_default(struct cv_settings *s)
{
    *s = (struct cv_settings){
        .parent_cid = 3,
        .proxy_port = 8000,
        .listen_port = 2000,
        .plain_import = true,
        .seal_v1 = true,
        .allow_debug = false,
        .self_check = true,
    };
}

static bool starts_with(struct cv_bytes text, const char *prefix)
{
    size_t n = strlen(prefix);
    return text.n >= n && memcmp(text.p, prefix, n) == 0;
}

/* SCHEME://HOST[:PORT][/]: what is behind the scheme has no user, path or
 * query, which KMS endpoints do not have either. */
static bool endpoint_valid(struct cv_bytes url, enum cv_settings_build build)
{
    size_t skip = starts_with(url, "https://")                                      ? 8
                  : build == CV_SETTINGS_DEVELOPMENT && starts_with(url, "http://") ? 7
                                                                                    : 0;
    if (skip == 0 || url.n == skip)
        return false;
    size_t end = url.p[url.n - 1] == '/' ? url.n - 1 : url.n;
    bool host = false, port = false, colon = false, bracket = false;
    for (size_t i = skip; i < end; i++) {
        uint8_t c = url.p[i];
        bool digit = c >= '0' && c <= '9';
        if (colon) {
            if (!digit)
                return false;
            port = true;
        } else if (bracket) { /* an IPv6 address */
            bracket = c != ']';
            if (bracket && !digit && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') && c != ':' &&
                c != '.')
                return false;
        } else if (c == '[' && i == skip) {
            bracket = host = true;
        } else if (c == ':') {
            colon = true;
        } else if (digit || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
                   c == '.') {
            host = true;
        } else {
            return false;
        }
    }
    return host && !bracket && colon == port;
}

static int add_cmk(struct cv_settings *s, struct cv_bytes value, struct cv_error *err)
{
    struct cv_kms_arn arn;
    if (cv_kms_arn_parse(&arn, value) != 0)
        return cv_error_set(err, CV_ERR_CONFIG,
                            "expected the ARN of a KMS key, "
                            "arn:aws:kms:REGION:ACCOUNT:key/ID (an alias cannot be pinned)");
    for (size_t i = 0; i < s->cmk_count; i++) {
        if (cv_bytes_equal_str(value, s->cmk_arn[i]))
            return cv_error_set(err, CV_ERR_CONFIG, "this key is pinned already");
    }
    if (s->cmk_count == CV_SETTINGS_CMKS)
        return cv_error_set(err, CV_ERR_CONFIG, "more than %d pinned keys", CV_SETTINGS_CMKS);
    return cv_keyvalue_text(s->cmk_arn[s->cmk_count++], CV_ARN_MAX, value, err);
}

static int assign(struct cv_settings *s, const struct setting *row, struct cv_bytes value,
                  enum cv_settings_build build, struct cv_error *err)
{
    char *field = (char *)s + row->offset;
    switch (row->kind) {
    case CMK:
        return add_cmk(s, value, err);
    case REGION:
        if (!cv_region_valid(value))
            return cv_error_set(err, CV_ERR_CONFIG, "expected a region such as eu-west-1");
        return cv_keyvalue_text(field, CV_REGION_MAX, value, err);
    case ENDPOINT:
        if (!endpoint_valid(value, build))
            return cv_error_set(err, CV_ERR_CONFIG, "expected https://HOST or https://HOST:PORT");
        return cv_keyvalue_text(field, CV_SETTINGS_TEXT, value, err);
    case PATH:
        if (value.n == 0 || value.p[0] != '/')
            return cv_error_set(err, CV_ERR_CONFIG, "expected an absolute path");
        return cv_keyvalue_text(field, CV_SETTINGS_TEXT, value, err);
    case TEXT:
        return cv_keyvalue_text(field, CV_SETTINGS_TEXT, value, err);
    case NUMBER: {
        uint32_t v;
        int rc = cv_keyvalue_u32(&v, 0, UINT32_MAX - 1, value, err);
        if (rc == 0)
            memcpy(field, &v, sizeof(v));
        return rc;
    }
    case SWITCH: {
        bool v;
        int rc = cv_keyvalue_switch(&v, value, err);
        if (rc == 0)
            memcpy(field, &v, sizeof(v));
        return rc;
    }
    }
    return cv_error_set(err, CV_ERR_INTERNAL, "unknown kind of setting");
}

void cv_settings_environment(struct cv_settings *s, char *(*get)(const char *name),
                             enum cv_settings_build build)
{
    for (size_t i = 0; i < ROWS; i++) {
        const char *text = table[i].variable == NULL ? NULL : get(table[i].variable);
        if (text == NULL)
            continue;
        struct cv_bytes value = cv_bytes_str(text);
        /* tee-signer's number parser takes one plus sign. */
        if (table[i].kind == NUMBER && value.n > 1 && value.p[0] == '+') {
            value.p++;
            value.n--;
        }
        if (assign(s, &table[i], value, build, NULL) != 0)
            continue; /* as good as none */
    }
}

struct parse {
    struct cv_settings *s;
    enum cv_settings_build build;
    bool seen[ROWS];
};

static int take(void *ctx, struct cv_bytes key, struct cv_bytes value, struct cv_error *err)
{
    struct parse *p = ctx;
    char quoted[48];
    for (size_t i = 0; i < ROWS; i++) {
        const struct setting *row = &table[i];
        if (!cv_bytes_equal_str(key, row->key))
            continue;
        if (row->development && p->build != CV_SETTINGS_DEVELOPMENT)
            return cv_error_set(err, CV_ERR_CONFIG, "%s is for development builds only", row->key);
        if (p->seen[i] && row->kind != CMK)
            return cv_error_set(err, CV_ERR_CONFIG, "%s is set twice", row->key);
        p->seen[i] = true;
        int rc = assign(p->s, row, value, p->build, err);
        if (rc != 0)
            (void)cv_error_wrap(err, "%s", row->key);
        return rc;
    }
    return cv_error_set(err, CV_ERR_CONFIG, "unknown setting %s",
                        cv_error_quote(quoted, sizeof(quoted), key.p, key.n));
}

/* One enclave talks to KMS in one region, which is that of its keys. */
static int check_region(struct cv_settings *s, const char *name, struct cv_error *err)
{
    for (size_t i = 0; i < s->cmk_count; i++) {
        struct cv_kms_arn arn;
        if (cv_kms_arn_parse(&arn, cv_bytes_str(s->cmk_arn[i])) != 0)
            return cv_error_set(err, CV_ERR_INTERNAL, "%s: a pinned key was not checked", name);
        if (s->region[0] == '\0') {
            int rc = cv_keyvalue_text(s->region, sizeof(s->region), arn.region, err);
            if (rc != 0)
                return rc;
        } else if (!cv_bytes_equal_str(arn.region, s->region)) {
            return cv_error_set(err, CV_ERR_CONFIG, "%s: the pinned key %s is not in the region %s",
                                name, s->cmk_arn[i], s->region);
        }
    }
    return 0;
}

int cv_settings_parse(struct cv_settings *s, struct cv_bytes text, const char *name,
                      enum cv_settings_build build, struct cv_error *err)
{
    struct parse p = {.s = s, .build = build};
    int rc = cv_keyvalue_parse(text, name, take, &p, err);
    return rc != 0 ? rc : check_region(s, name, err);
}

int cv_settings_load(struct cv_settings *s, const char *path, enum cv_settings_build build,
                     struct cv_error *err)
{
    cv_settings_default(s);
    cv_settings_environment(s, getenv, build);
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, CV_KEYVALUE_MAX);
    int rc = cv_file_read(&text, path == NULL ? CV_SETTINGS_FILE : path, err);
    if (rc == CV_ERR_NOT_FOUND && path == NULL) {
        cv_error_clear(err);
        return 0;
    }
    if (rc != 0) {
        (void)cv_error_wrap(err, "reading the settings");
        return rc;
    }
    return cv_settings_parse(s, cv_buf_view(&text), path == NULL ? CV_SETTINGS_FILE : path, build,
                             err);
}

bool cv_settings_allows_cmk(const struct cv_settings *s, struct cv_bytes arn)
{
    for (size_t i = 0; i < s->cmk_count; i++) {
        if (cv_bytes_equal_str(arn, s->cmk_arn[i]))
            return true;
    }
    return s->cmk_count == 0;
}
