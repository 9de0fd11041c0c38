/* SPDX-License-Identifier: Apache-2.0 */
#include "sealed/config.h"

#include <stdlib.h>
#include <string.h>

#include "common/reader.h"
#include "json/json.h"

#define MAGIC_LEN (sizeof CV_CONFIG_MAGIC - 1)

/* ---- container ---- */

int cv_config_unpack(struct cv_s3ec_pairs *pairs, struct cv_bytes *body, struct cv_bytes file,
                     struct cv_error *err)
{
    pairs->n = 0;
    struct cv_reader r;
    cv_reader_init(&r, file);
    struct cv_bytes magic = cv_read_bytes(&r, MAGIC_LEN);
    uint32_t n = cv_read_be32(&r);
    if (!cv_bytes_equal_str(magic, CV_CONFIG_MAGIC)) {
        return cv_error_set(err, CV_ERR_INVALID,
                            "this is no encrypted configuration: it does not "
                            "begin with \"" CV_CONFIG_MAGIC "\"");
    }
    if (r.err != 0 || n > CV_CONFIG_MAX_JSON || n > cv_reader_left(&r)) {
        return cv_error_set(err, CV_ERR_TRUNCATED,
                            "the encrypted configuration ends within its "
                            "metadata, or they are larger than %u bytes",
                            CV_CONFIG_MAX_JSON);
    }
    struct cv_bytes text = cv_read_bytes(&r, n);
    *body = cv_read_bytes(&r, cv_reader_left(&r));
    if (body->n < CV_S3EC_TAG_LEN || body->n > CV_S3EC_MAX_BODY) {
        return cv_error_set(err, body->n > CV_S3EC_MAX_BODY ? CV_ERR_LIMIT : CV_ERR_TRUNCATED,
                            "the encrypted configuration has a body of %zu bytes", body->n);
    }
    CV_JSON_AUTO json_t *doc = NULL;
    int rc = cv_json_parse_object(&doc, text, CV_CONFIG_MAX_JSON, "metadata", err);
    const char *name;
    json_t *value;
    json_object_foreach (doc, name, value) {
        if (rc == 0 && !json_is_string(value)) {
            rc = cv_error_set(err, CV_ERR_INVALID, "the metadata hold a value that is no text");
        } else if (rc == 0) {
            rc = cv_s3ec_pairs_add(pairs, name, json_string_value(value), true);
            if (rc != 0) {
                (void)cv_error_set(err, rc, "the metadata are too large, or hold a name twice");
            }
        }
    }
    return rc;
}

int cv_config_pack(struct cv_buf *out, const struct cv_s3ec_pairs *pairs, struct cv_bytes body,
                   struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, CV_CONFIG_MAX_JSON);
    CV_JSON_AUTO json_t *doc = json_object();
    int rc = doc != NULL ? 0 : CV_ERR_NOMEM;
    for (size_t i = 0; i < pairs->n && rc == 0; i++) {
        rc = json_object_set_new(doc, pairs->pair[i].name, json_string(pairs->pair[i].value)) == 0
                 ? 0
                 : CV_ERR_INVALID;
    }
    if (rc == 0) {
        rc = cv_json_dump(&text, doc);
    }
    uint8_t length[4] = {(uint8_t)(text.n >> 24), (uint8_t)(text.n >> 16), (uint8_t)(text.n >> 8),
                         (uint8_t)text.n};
    if (rc != 0 || (rc = cv_buf_append(out, CV_CONFIG_MAGIC, MAGIC_LEN)) != 0 ||
        (rc = cv_buf_append(out, length, sizeof length)) != 0 ||
        (rc = cv_buf_append(out, text.p, text.n)) != 0 ||
        (rc = cv_buf_append(out, body.p, body.n)) != 0) {
        return cv_error_set(err, rc, "the encrypted configuration does not fit");
    }
    return 0;
}

/* ---- rules ---- */

static const char *context_value(const struct cv_s3ec_meta *m, const char *name, size_t n)
{
    for (size_t i = 0; i < m->context.n; i++) {
        const char *have = m->context.pair[i].name;
        if (strlen(have) == n && memcmp(have, name, n) == 0) {
            return m->context.pair[i].value;
        }
    }
    return NULL;
}

int cv_config_version(const struct cv_s3ec_meta *m, uint64_t *version, struct cv_error *err)
{
    const char *text = context_value(m, CV_CONFIG_VERSION, strlen(CV_CONFIG_VERSION));
    uint64_t v = 0;
    *version = 0;
    if (text == NULL) {
        return 0;
    }
    bool good = text[0] >= '1' && text[0] <= '9' && strlen(text) <= 19;
    for (const char *p = text; good && *p != 0; p++) {
        good = *p >= '0' && *p <= '9';
        v = v * 10 + (uint64_t)(*p - '0');
    }
    if (!good || v > INT64_MAX) {
        return cv_error_set(err, CV_ERR_INVALID, "the configuration's version is no number");
    }
    *version = v;
    return 0;
}

static int check_context(const struct cv_s3ec_meta *m, const struct cv_config_expect *expect,
                         struct cv_error *err)
{
    size_t own = 0; /* the reserved pair and the version */
    for (size_t i = 0; i < m->context.n; i++) {
        const char *name = m->context.pair[i].name;
        own += strcmp(name, CV_S3EC_CEK_NAME) == 0 || strcmp(name, CV_CONFIG_VERSION) == 0 ||
               (m->legacy_kms && strcmp(name, "kms_cmk_id") == 0);
    }
    for (size_t i = 0; i < expect->context_count; i++) {
        size_t n = strcspn(expect->context[i], "=");
        const char *have = context_value(m, expect->context[i], n);
        if (have == NULL || expect->context[i][n] == 0 ||
            strcmp(have, expect->context[i] + n + 1) != 0) {
            char quoted[100];
            return cv_error_set(err, CV_ERR_DENIED,
                                "the configuration's encryption context has "
                                "not \"%s\": it was made for something else",
                                cv_error_quote(quoted, sizeof quoted, expect->context[i],
                                               strlen(expect->context[i])));
        }
    }
    if (m->context.n != own + expect->context_count) {
        return cv_error_set(err, CV_ERR_DENIED,
                            "the configuration's encryption context holds "
                            "pairs that are not expected");
    }
    return 0;
}

int cv_config_check(const struct cv_s3ec_meta *m, const struct cv_s3ec_pairs *pairs,
                    struct cv_bytes body, const struct cv_config_expect *expect, uint64_t *version,
                    struct cv_error *err)
{
    uint64_t v = 0;
    int rc = 0;
    if (expect->publisher_key != NULL) {
        rc = cv_config_verify(pairs, body, expect->publisher_key, err);
    }
    if (rc == 0 && m->legacy_kms && !expect->allow_legacy) {
        rc = cv_error_set(err, CV_ERR_DENIED,
                          "the data key is wrapped without an encryption "
                          "context (\"kms\"): encrypt the configuration again");
    }
    if (rc == 0 && (uint64_t)m->format < expect->minimum_format) {
        rc = cv_error_set(
            err, CV_ERR_DENIED,
            "the configuration has format %d, and at least %llu is asked for (\"secrets "
            "encrypt --format\")",
            (int)m->format, (unsigned long long)expect->minimum_format);
    }
    if (rc == 0) {
        rc = cv_config_version(m, &v, err);
    }
    if (rc == 0 && v < expect->minimum_version) {
        rc = cv_error_set(err, CV_ERR_DENIED,
                          "the configuration has version %llu, and at least "
                          "%llu is asked for: an older one was put in its place",
                          (unsigned long long)v, (unsigned long long)expect->minimum_version);
    }
    if (rc == 0 && !expect->any_context) {
        rc = check_context(m, expect, err);
    }
    if (version != NULL) {
        *version = v;
    }
    return rc;
}
