/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/attest_document.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attest/statement.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/hex.h"
#include "common/utf8.h"
#include "eif/measure.h"
#include "tezos/keytext.h"

#define FILE_MAX (4 * CV_ATTEST_MAX_DOCUMENT) /* as hex, with line breaks */

/* Removes white space; false when there is something that no text has. */
static bool strip(struct cv_buf *b)
{
    size_t n = 0;

    for (size_t i = 0; i < b->n; i++) {
        uint8_t c = b->p[i];
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
            continue;
        if (c < 0x21 || c > 0x7E)
            return false;
        b->p[n++] = c;
    }
    b->n = n;
    return true;
}

/* Text becomes the bytes it stands for; other content is left alone. */
static int decode_text(struct cv_buf *b)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text, out;
    size_t n = 0;

    cv_buf_init(&text, FILE_MAX);
    cv_buf_init(&out, FILE_MAX);
    if (cv_buf_append(&text, b->p, b->n) != 0 || !strip(&text) || text.n == 0)
        return 0;
    uint8_t *room = cv_buf_reserve(&out, text.n);
    if (room == NULL || (cv_hex_decode(room, text.n, &n, cv_buf_view(&text)) != 0 &&
                         cv_base64_decode(room, text.n, &n, cv_buf_view(&text)) != 0))
        return 0;
    cv_buf_reset(b);
    return cv_buf_append(b, room, n);
}

int cv_cli_document_load(struct cv_buf *bytes, const char *path, struct cv_error *err)
{
    cv_buf_init(bytes, FILE_MAX);
    int rc = strcmp(path, "-") == 0 ? cv_fd_read_all(bytes, STDIN_FILENO, "standard input", err)
                                    : cv_file_read(bytes, path, err);
    if (rc != 0)
        return rc;
    /* No document is made of printable characters alone. */
    rc = decode_text(bytes);
    return rc == 0 ? 0 : cv_error_set(err, rc, "no memory for %s", path);
}

static bool is_zero(struct cv_attest_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != 0)
            return false;
    }
    return true;
}

/* "i-0123…" of "i-0123…-enc4567…". */
static bool instance_of(char *out, size_t size, const struct cv_attest_document *doc)
{
    for (size_t i = 0; i + 4 < doc->module_id.n && i + 1 < size; i++) {
        if (memcmp(doc->module_id.p + i, "-enc", 4) == 0) {
            memcpy(out, doc->module_id.p, i);
            out[i] = '\0';
            return memchr(out, 0, i) == NULL;
        }
    }
    return false;
}

static const char *instance_meaning(char *out, size_t size, const struct cv_attest_document *doc)
{
    char id[128], quoted[160];
    uint8_t pcr[CV_EIF_PCR_LEN];

    if (is_zero(doc->pcr[4]))
        return "the parent instance's id: zero, not measured";
    if (!instance_of(id, sizeof id, doc) || cv_eif_pcr_of_text(pcr, id, NULL) != 0)
        return "the parent instance's id: hash of 48 zero bytes and the id";
    (void)snprintf(out, size, "the parent instance's id: %s %s",
                   doc->pcr[4].n == sizeof pcr && memcmp(doc->pcr[4].p, pcr, sizeof pcr) == 0
                       ? "it is"
                       : "it is not",
                   cv_error_quote(quoted, sizeof quoted, id, strlen(id)));
    return out;
}

const char *cv_cli_pcr_meaning(char *out, size_t size, const struct cv_attest_document *doc,
                               unsigned index)
{
    bool zero = is_zero(doc->pcr[index]);

    switch (index) {
    case 0:
        return zero ? "the image: zero, the enclave runs in DEBUG MODE"
                    : "the image: digest of kernel, command line and all ramdisks";
    case 1:
        return zero ? "kernel and boot: zero, not measured"
                    : "digest of kernel, command line and the first ramdisk (boot)";
    case 2:
        return zero ? "the application: zero, not measured"
                    : "digest of the ramdisks after the first (the application)";
    case 3:
        return zero ? "the parent instance's IAM role: zero, no role is attached"
                    : "the parent instance's IAM role: hash of 48 zero bytes and its ARN";
    case 4:
        return instance_meaning(out, size, doc);
    case 8:
        return zero ? "the certificate that signed the image: zero, it is not signed"
                    : "digest of the certificate that signed the image";
    default:
        return "";
    }
}

void cv_cli_warn_debug(void)
{
    (void)fputs(
        "WARNING: this enclave runs in DEBUG MODE: its memory and console are open to the parent, "
        "and its document proves nothing.\n",
        stderr);
}

/* ---- JSON ---- */

static json_t *hex_json(struct cv_attest_span s)
{
    char hex[2 * CV_ATTEST_MAX_CERTIFICATE + 1];

    if (s.p == NULL || s.n > CV_ATTEST_MAX_CERTIFICATE)
        return json_null();
    cv_hex_encode(hex, s.p, s.n);
    return json_string(hex);
}

static json_t *time_json(int64_t ms)
{
    char text[CV_RFC3339_LEN];

    cv_rfc3339_format(text, ms);
    return json_string(text);
}

static json_t *text_json(struct cv_attest_span s)
{
    char quoted[2 * CV_ATTEST_MAX_FIELD];

    if (s.p == NULL)
        return json_null();
    if (cv_utf8_valid(CV_BYTES(s.p, s.n)) && memchr(s.p, 0, s.n) == NULL)
        return json_stringn((const char *)s.p, s.n);
    return json_string(cv_error_quote(quoted, sizeof quoted, s.p, s.n));
}

static json_t *certificate_json(const char *role, struct cv_attest_span der)
{
    struct cv_attest_certificate c;
    char sha256[65];
    json_t *o = json_pack("{s:s}", "role", role);

    if (cv_attest_certificate_read(&c, der.p, der.n, NULL) != CV_ATTEST_OK) {
        json_object_set_new(o, "error", json_string("cannot be read"));
        return o;
    }
    cv_hex_encode(sha256, c.sha256, sizeof c.sha256);
    json_object_set_new(o, "subject", json_string(c.subject));
    json_object_set_new(o, "issuer", json_string(c.issuer));
    json_object_set_new(o, "serial", json_string(c.serial));
    json_object_set_new(o, "not_before", time_json(c.not_before_ms));
    json_object_set_new(o, "not_after", time_json(c.not_after_ms));
    json_object_set_new(o, "sha256", json_string(sha256));
    json_object_set_new(o, "bytes", json_integer((json_int_t)der.n));
    return o;
}

static const char *role_name(size_t i)
{
    static const char *const names[] = {"root", "regional", "zonal", "instance"};

    return i < sizeof names / sizeof names[0] ? names[i] : "issuer";
}

static json_t *certificates_json(const struct cv_attest_document *doc)
{
    json_t *all = json_array();

    for (size_t i = 0; i < doc->cabundle_count; i++)
        json_array_append_new(all, certificate_json(role_name(i), doc->cabundle[i]));
    json_array_append_new(all, certificate_json("enclave", doc->certificate));
    return all;
}

static json_t *statement_json(struct cv_bytes user_data)
{
    struct cv_key_statement st;
    struct cv_pkh pkh;
    char pkh_text[CV_PKH_TEXT_SIZE], pk_text[CV_PK_TEXT_SIZE];

    if (cv_key_statement_read(&st, user_data, NULL) != 0)
        return NULL;
    cv_pkh_of(&pkh, &st.public_key);
    cv_pkh_format(pkh_text, &pkh);
    cv_public_key_format(pk_text, &st.public_key);
    return json_pack("{s:s,s:s,s:s%,s:s%,s:b}", "public_key_hash", pkh_text, "public_key", pk_text,
                     "origin", (const char *)st.origin.p, st.origin.n, "cmk",
                     (const char *)st.cmk.p, st.cmk.n, "pinned", st.pinned);
}

static void add_pcrs(json_t *o, const struct cv_attest_document *doc)
{
    json_t *pcrs = json_object(), *meanings = json_object();

    for (unsigned i = 0; i < CV_ATTEST_PCRS; i++) {
        char name[12], text[256];
        if ((doc->pcr_mask >> i & 1) == 0)
            continue;
        (void)snprintf(name, sizeof name, "PCR%u", i);
        json_object_set_new(pcrs, name, hex_json(doc->pcr[i]));
        const char *meaning = cv_cli_pcr_meaning(text, sizeof text, doc, i);
        if (meaning[0] != '\0')
            json_object_set_new(meanings, name, json_string(meaning));
    }
    json_object_set_new(o, "pcrs", pcrs);
    json_object_set_new(o, "meaning", meanings);
}

json_t *cv_cli_document_json(const struct cv_attest_document *doc)
{
    json_t *o = json_object();

    if (o == NULL)
        return NULL;
    json_object_set_new(o, "module_id", text_json(doc->module_id));
    json_object_set_new(o, "digest", text_json(doc->digest));
    json_object_set_new(o, "timestamp", json_integer((json_int_t)doc->timestamp_ms));
    json_object_set_new(o, "time", time_json((int64_t)doc->timestamp_ms));
    json_object_set_new(o, "debug_mode", json_boolean(cv_attest_is_debug(doc)));
    add_pcrs(o, doc);
    json_object_set_new(o, "public_key", hex_json(doc->public_key));
    json_object_set_new(o, "user_data", hex_json(doc->user_data));
    json_object_set_new(o, "nonce", hex_json(doc->nonce));
    json_t *statement = statement_json(CV_BYTES(doc->user_data.p, doc->user_data.n));
    if (statement != NULL)
        json_object_set_new(o, "key", statement);
    json_object_set_new(o, "certificates", certificates_json(doc));
    json_object_set_new(o, "tagged", json_boolean(doc->tagged));
    json_object_set_new(o, "indefinite", json_boolean(doc->indefinite));
    json_object_set_new(o, "unknown_fields", json_integer(doc->unknown_fields));
    return o;
}

/* ---- text ---- */

static void print_field(const char *name, struct cv_attest_span s)
{
    char hex[2 * CV_ATTEST_MAX_FIELD + 1], quoted[96];

    if (s.p == NULL) {
        (void)printf("%-12s none\n", name);
        return;
    }
    cv_hex_encode(hex, s.p, s.n <= CV_ATTEST_MAX_FIELD ? s.n : CV_ATTEST_MAX_FIELD);
    (void)printf("%-12s %zu bytes  %s\n", name, s.n, hex);
    bool text = s.n > 0 && s.n < 64;
    for (size_t i = 0; i < s.n && text; i++)
        text = s.p[i] >= 0x20 && s.p[i] < 0x7F;
    if (text)
        (void)printf("%-12s   \"%s\"\n", "", cv_error_quote(quoted, sizeof quoted, s.p, s.n));
}

static void print_certificate(const char *role, struct cv_attest_span der)
{
    struct cv_attest_certificate c;
    char from[CV_RFC3339_LEN], to[CV_RFC3339_LEN], sha256[65];

    if (cv_attest_certificate_read(&c, der.p, der.n, NULL) != CV_ATTEST_OK) {
        (void)printf("  %-9s cannot be read (%zu bytes)\n", role, der.n);
        return;
    }
    cv_rfc3339_format(from, c.not_before_ms);
    cv_rfc3339_format(to, c.not_after_ms);
    cv_hex_encode(sha256, c.sha256, sizeof c.sha256);
    (void)printf("  %-9s %s\n  %-9s from %.19sZ to %.19sZ\n", role, c.subject, "", from, to);
    if (strcmp(role, "root") == 0)
        (void)printf("  %-9s SHA-256 %s%s\n", "", sha256,
                     strcmp(sha256, CV_ATTEST_AWS_ROOT_SHA256) == 0 ? " (AWS's)" : " (NOT AWS's)");
}

static void print_statement(struct cv_bytes user_data)
{
    struct cv_key_statement st;
    struct cv_pkh pkh;
    char text[CV_PKH_TEXT_SIZE], pk[CV_PK_TEXT_SIZE];

    if (cv_key_statement_read(&st, user_data, NULL) != 0)
        return;
    cv_pkh_of(&pkh, &st.public_key);
    cv_pkh_format(text, &pkh);
    cv_public_key_format(pk, &st.public_key);
    (void)printf("key          %s (%s)\n             %.*s, sealed under %.*s, which the image %s\n",
                 text, pk, (int)st.origin.n, (const char *)st.origin.p, (int)st.cmk.n,
                 (const char *)st.cmk.p, st.pinned ? "is pinned to" : "is NOT pinned to");
}

void cv_cli_document_print(const struct cv_attest_document *doc)
{
    char time[CV_RFC3339_LEN], quoted[4 * CV_ATTEST_MAX_MODULE_ID];

    if (cv_attest_is_debug(doc))
        (void)puts(
            "DEBUG MODE: the parent reads this enclave's memory. The document proves nothing.\n");
    cv_rfc3339_format(time, (int64_t)doc->timestamp_ms);
    (void)printf("module       %s\ntime         %s\n",
                 cv_error_quote(quoted, sizeof quoted, doc->module_id.p, doc->module_id.n), time);
    for (unsigned i = 0; i < CV_ATTEST_PCRS; i++) {
        char hex[2 * CV_ATTEST_PCR_MAX + 1], text[256];
        const char *meaning = cv_cli_pcr_meaning(text, sizeof text, doc, i);
        if ((doc->pcr_mask >> i & 1) == 0 || (meaning[0] == '\0' && is_zero(doc->pcr[i])))
            continue;
        cv_hex_encode(hex, doc->pcr[i].p, doc->pcr[i].n);
        (void)printf("PCR%-9u %s\n", i, hex);
        if (meaning[0] != '\0')
            (void)printf("%-12s   %s\n", "", meaning);
    }
    print_field("public_key", doc->public_key);
    print_field("user_data", doc->user_data);
    print_field("nonce", doc->nonce);
    print_statement(CV_BYTES(doc->user_data.p, doc->user_data.n));
    (void)puts("certificates");
    for (size_t i = 0; i < doc->cabundle_count; i++)
        print_certificate(role_name(i), doc->cabundle[i]);
    print_certificate("enclave", doc->certificate);
    if (doc->unknown_fields > 0)
        (void)printf("and %u fields that are not known\n", doc->unknown_fields);
}
