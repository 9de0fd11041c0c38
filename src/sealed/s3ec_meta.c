/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata of an object: read and written. */
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "json/json.h"
#include "sealed/s3ec.h"

#define V3_SUITE "115"
#define V2_SUITE "AES/GCM/NoPadding"

static int no_memory(struct cv_error *err)
{
    return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
}

static int bad(struct cv_error *err, const char *what)
{
    return cv_error_set(err, CV_ERR_INVALID, "encryption metadata: %s", what);
}

void cv_s3ec_meta_free(struct cv_s3ec_meta *m)
{
    cv_buf_free(&m->edk);
    cv_s3ec_pairs_free(&m->context);
    free(m->context_text);
    m->context_text = NULL;
}

const char *cv_s3ec_cek_value(enum cv_s3ec_format format)
{
    return format == CV_S3EC_V3 ? V3_SUITE : V2_SUITE;
}

/* ---- JSON of flat text pairs ---- */

static int read_pairs(struct cv_s3ec_pairs *out, struct cv_bytes text, bool fold, const char *what,
                      struct cv_error *err)
{
    CV_JSON_AUTO json_t *doc = NULL;
    int rc = cv_json_parse_object(&doc, text, CV_S3EC_MAX_PAIRS * CV_S3EC_MAX_TEXT, what, err);
    const char *name;
    json_t *value;
    json_object_foreach (doc, name, value) {
        if (rc == 0 && !json_is_string(value)) {
            return cv_error_set(err, CV_ERR_INVALID, "%s: a value is no text", what);
        }
        if (rc == 0) {
            rc = cv_s3ec_pairs_add(out, name, json_string_value(value), fold);
            if (rc != 0) {
                return cv_error_set(err, rc, "%s: too large, or a name twice", what);
            }
        }
    }
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct cv_s3ec_pair *)a)->name, ((const struct cv_s3ec_pair *)b)->name);
}

/* Sorted, compact, ASCII. */
static int write_pairs(struct cv_buf *out, const struct cv_s3ec_pairs *pairs)
{
    struct cv_s3ec_pair sorted[CV_S3EC_MAX_PAIRS];
    memcpy(sorted, pairs->pair, sizeof sorted);
    qsort(sorted, pairs->n, sizeof sorted[0], by_name);
    json_t *doc = json_object();
    int rc = 0;
    for (size_t i = 0; i < pairs->n && rc == 0; i++) {
        rc = json_object_set_new(doc, sorted[i].name, json_string(sorted[i].value));
    }
    char *text = rc == 0 ? json_dumps(doc, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    json_decref(doc);
    rc = text != NULL ? cv_buf_append_str(out, text) : CV_ERR_NOMEM;
    free(text);
    return rc;
}

/* ---- reading ---- */

static int read_edk(struct cv_s3ec_meta *m, const char *text, struct cv_error *err)
{
    size_t n = strlen(text);
    uint8_t *room = cv_buf_reserve(&m->edk, CV_BASE64_MAX(n) + 1);
    if (room == NULL || cv_base64_decode(room, CV_BASE64_MAX(n) + 1, &n, CV_BYTES(text, n)) != 0 ||
        n == 0) {
        return bad(err, "the wrapped data key is no base64, or too long");
    }
    cv_buf_commit(&m->edk, n);
    return 0;
}

static int read_fixed(uint8_t *out, size_t want, const char *text, const char *what,
                      struct cv_error *err)
{
    size_t n = 0;
    if (text == NULL || cv_base64_decode(out, want, &n, cv_bytes_str(text)) != 0 || n != want) {
        return bad(err, what);
    }
    for (size_t i = 0; i < want; i++) {
        if (out[i] != 0) {
            return 0;
        }
    }
    return bad(err, what); /* all zeros: the official clients refuse it as well */
}

static int read_context(struct cv_s3ec_meta *m, const char *text, struct cv_error *err)
{
    int rc = read_pairs(&m->context, text != NULL ? cv_bytes_str(text) : CV_BYTES_LIT("{}"), false,
                        "encryption context", err);
    if (rc == 0 && text != NULL && (m->context_text = strdup(text)) == NULL) {
        rc = no_memory(err);
    }
    if (rc != 0 || m->legacy_kms) {
        return rc;
    }
    for (size_t i = 0; i < m->context.n; i++) {
        if (strcmp(m->context.pair[i].name, CV_S3EC_CEK_NAME) == 0) {
            return strcmp(m->context.pair[i].value, cv_s3ec_cek_value(m->format)) == 0
                       ? 0
                       : bad(err, "the encryption context belongs to another algorithm");
        }
    }
    return bad(err, "the encryption context lacks " CV_S3EC_CEK_NAME);
}

static int read_v2(struct cv_s3ec_meta *m, const struct cv_s3ec_pairs *p, struct cv_error *err)
{
    const char *cek = cv_s3ec_pairs_get(p, "x-amz-cek-alg");
    const char *wrap = cv_s3ec_pairs_get(p, "x-amz-wrap-alg");
    const char *tag = cv_s3ec_pairs_get(p, "x-amz-tag-len");
    if (cek == NULL || strcmp(cek, V2_SUITE) != 0) {
        return cv_error_set(err, CV_ERR_UNSUPPORTED,
                            "encryption metadata: only AES-GCM is "
                            "supported; encrypt the object again");
    }
    m->legacy_kms = wrap != NULL && strcmp(wrap, "kms") == 0;
    if (wrap == NULL || (!m->legacy_kms && strcmp(wrap, "kms+context") != 0)) {
        return cv_error_set(err, CV_ERR_UNSUPPORTED,
                            "encryption metadata: the data key is not "
                            "wrapped by KMS");
    }
    if (tag == NULL || strcmp(tag, "128") != 0) {
        return bad(err, "the tag is not 128 bits long");
    }
    int rc = read_edk(m, cv_s3ec_pairs_get(p, "x-amz-key-v2"), err);
    if (rc == 0) {
        rc = read_fixed(m->iv, sizeof m->iv, cv_s3ec_pairs_get(p, "x-amz-iv"),
                        "the IV is not 12 bytes of base64", err);
    }
    return rc == 0 ? read_context(m, cv_s3ec_pairs_get(p, "x-amz-matdesc"), err) : rc;
}

static int read_v3(struct cv_s3ec_meta *m, const struct cv_s3ec_pairs *p, struct cv_error *err)
{
    const char *suite = cv_s3ec_pairs_get(p, "x-amz-c");
    const char *wrap = cv_s3ec_pairs_get(p, "x-amz-w");
    if (suite == NULL || strcmp(suite, V3_SUITE) != 0) {
        return cv_error_set(err, CV_ERR_UNSUPPORTED,
                            "encryption metadata: the algorithm suite is "
                            "not " V3_SUITE);
    }
    if (wrap == NULL || strcmp(wrap, "12") != 0) {
        return cv_error_set(err, CV_ERR_UNSUPPORTED,
                            "encryption metadata: the data key is not "
                            "wrapped by KMS");
    }
    int rc = read_edk(m, cv_s3ec_pairs_get(p, "x-amz-3"), err);
    if (rc == 0) {
        rc = read_fixed(m->message_id, sizeof m->message_id, cv_s3ec_pairs_get(p, "x-amz-i"),
                        "the message id is not 28 bytes of base64", err);
    }
    if (rc == 0) {
        rc = read_fixed(m->commitment, sizeof m->commitment, cv_s3ec_pairs_get(p, "x-amz-d"),
                        "the key commitment is not 28 bytes of base64", err);
    }
    return rc == 0 ? read_context(m, cv_s3ec_pairs_get(p, "x-amz-t"), err) : rc;
}

int cv_s3ec_meta_parse(struct cv_s3ec_meta *m, const struct cv_s3ec_pairs *object,
                       struct cv_error *err)
{
    memset(m, 0, sizeof *m);
    cv_buf_init(&m->edk, CV_S3EC_MAX_EDK + 16);
    bool v1 = cv_s3ec_pairs_get(object, "x-amz-key") != NULL;
    bool v2 = cv_s3ec_pairs_get(object, "x-amz-key-v2") != NULL;
    bool v3 = cv_s3ec_pairs_get(object, "x-amz-3") != NULL;
    if (v1 + v2 + v3 > 1) {
        return bad(err, "names of several format versions");
    }
    if (v1) {
        return cv_error_set(err, CV_ERR_UNSUPPORTED,
                            "encryption metadata: format version 1 is "
                            "not supported; encrypt the object again");
    }
    if (v2) {
        m->format = CV_S3EC_V2;
        return read_v2(m, object, err);
    }
    if (v3) {
        m->format = CV_S3EC_V3;
        return read_v3(m, object, err);
    }
    return cv_error_set(err, CV_ERR_NOT_FOUND,
                        "no encryption metadata: the object was not "
                        "encrypted by an S3 encryption client, or its instruction file is missing");
}

/* ---- instruction files ---- */

static const char *const on_object[] = {"x-amz-c", "x-amz-d", "x-amz-i"};

bool cv_s3ec_needs_instruction(const struct cv_s3ec_pairs *object)
{
    return cv_s3ec_pairs_get(object, "x-amz-key") == NULL &&
           cv_s3ec_pairs_get(object, "x-amz-key-v2") == NULL &&
           cv_s3ec_pairs_get(object, "x-amz-3") == NULL;
}

int cv_s3ec_instruction_parse(struct cv_s3ec_pairs *object, struct cv_bytes json,
                              struct cv_error *err)
{
    struct cv_s3ec_pairs file = {.n = 0};
    int rc = read_pairs(&file, json, true, "instruction file", err);
    for (size_t i = 0; rc == 0 && i < 3; i++) {
        if (cv_s3ec_pairs_get(&file, on_object[i]) != NULL) {
            rc = cv_error_set(err, CV_ERR_INVALID, "instruction file: %s must stand on the object",
                              on_object[i]);
        }
    }
    for (size_t i = 0; rc == 0 && i < file.n; i++) {
        rc = cv_s3ec_pairs_add(object, file.pair[i].name, file.pair[i].value, true);
        if (rc != 0) {
            (void)cv_error_set(err, rc,
                               "instruction file: too large, or a name is on the "
                               "object too");
        }
    }
    cv_s3ec_pairs_free(&file);
    return rc;
}

/* ---- writing ---- */

static int add(struct cv_s3ec_pairs *out, const char *name, const char *value)
{
    return cv_s3ec_pairs_add(out, name, value, true);
}

static int add_base64(struct cv_s3ec_pairs *out, const char *name, const void *p, size_t n)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, CV_S3EC_MAX_TEXT + 16);
    int rc = cv_base64_append(&text, p, n);
    return rc == 0 ? add(out, name, (const char *)text.p) : rc;
}

static int emit_v2(struct cv_s3ec_pairs *out, const struct cv_s3ec_meta *m, const char *context)
{
    int rc = add_base64(out, "x-amz-key-v2", m->edk.p, m->edk.n);
    rc = rc == 0 ? add_base64(out, "x-amz-iv", m->iv, sizeof m->iv) : rc;
    rc = rc == 0 ? add(out, "x-amz-cek-alg", V2_SUITE) : rc;
    rc = rc == 0 ? add(out, "x-amz-wrap-alg", "kms+context") : rc;
    rc = rc == 0 ? add(out, "x-amz-tag-len", "128") : rc;
    return rc == 0 ? add(out, "x-amz-matdesc", context) : rc;
}

static int emit_v3(struct cv_s3ec_pairs *out, const struct cv_s3ec_meta *m, const char *context)
{
    int rc = add(out, "x-amz-c", V3_SUITE);
    rc = rc == 0 ? add(out, "x-amz-w", "12") : rc;
    rc = rc == 0 ? add_base64(out, "x-amz-3", m->edk.p, m->edk.n) : rc;
    rc = rc == 0 ? add_base64(out, "x-amz-i", m->message_id, sizeof m->message_id) : rc;
    rc = rc == 0 ? add_base64(out, "x-amz-d", m->commitment, sizeof m->commitment) : rc;
    return rc == 0 ? add(out, "x-amz-t", context) : rc;
}

int cv_s3ec_meta_emit(struct cv_s3ec_pairs *out, const struct cv_s3ec_meta *m, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf context;
    cv_buf_init(&context, CV_S3EC_MAX_TEXT);
    if (m->legacy_kms) {
        return cv_error_set(err, CV_ERR_UNSUPPORTED, "\"kms\" wrapping is read, never written");
    }
    /* Another client may have written it otherwise than we would: what is signed and
     * measured is the text. */
    int rc = m->context_text != NULL ? cv_buf_append_str(&context, m->context_text)
                                     : write_pairs(&context, &m->context);
    if (rc == 0) {
        const char *text = (const char *)context.p;
        rc = m->format == CV_S3EC_V3 ? emit_v3(out, m, text) : emit_v2(out, m, text);
    }
    return rc == 0 ? 0 : cv_error_set(err, rc, "the encryption metadata do not fit");
}

int cv_s3ec_instruction_emit(struct cv_s3ec_pairs *object, struct cv_buf *json,
                             const struct cv_s3ec_meta *m, struct cv_error *err)
{
    struct cv_s3ec_pairs all = {.n = 0}, file = {.n = 0};
    int rc = cv_s3ec_meta_emit(&all, m, err);
    for (size_t i = 0; rc == 0 && i < all.n; i++) {
        bool stays = false;
        for (size_t k = 0; k < 3; k++) {
            stays = stays || strcmp(all.pair[i].name, on_object[k]) == 0;
        }
        rc = cv_s3ec_pairs_add(stays ? object : &file, all.pair[i].name, all.pair[i].value, true);
    }
    if (rc == 0) {
        rc = write_pairs(json, &file);
    }
    cv_s3ec_pairs_free(&all);
    cv_s3ec_pairs_free(&file);
    return rc == 0 ? 0 : cv_error_set(err, rc, "the instruction file does not fit");
}

/* ---- context ---- */

static bool printable(const char *text)
{
    for (; *text != 0; text++) {
        if (*text < 0x20 || *text >= 0x7f) {
            return false;
        }
    }
    return true;
}

int cv_s3ec_context(struct cv_s3ec_pairs *out, const struct cv_s3ec_pairs *user,
                    enum cv_s3ec_format format, struct cv_error *err)
{
    for (size_t i = 0; i < user->n; i++) {
        const struct cv_s3ec_pair *p = &user->pair[i];
        if (p->name[0] == 0 || strncmp(p->name, "aws:", 4) == 0 ||
            strcmp(p->name, "kms_cmk_id") == 0 || !printable(p->name) || !printable(p->value)) {
            char quoted[100];
            return cv_error_set(err, CV_ERR_INVALID,
                                "the pair \"%s\" cannot stand in an "
                                "encryption context: names of AWS are reserved, and only "
                                "printable ASCII survives S3",
                                cv_error_quote(quoted, sizeof quoted, p->name, strlen(p->name)));
        }
        int rc = cv_s3ec_pairs_add(out, p->name, p->value, false);
        if (rc != 0) {
            return cv_error_set(err, rc,
                                "the encryption context is too large, or names a pair "
                                "twice");
        }
    }
    return cv_s3ec_pairs_add(out, CV_S3EC_CEK_NAME, cv_s3ec_cek_value(format), false) == 0
               ? 0
               : no_memory(err);
}
