/* SPDX-License-Identifier: Apache-2.0 */
/* The syntax of documents: every rule by its code and field, on documents built
 * by hand. Nothing is signed here; the parser alone is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cbor/cbor.h"
#include "claviger/attest.h"
#include "unit/mutate.h"

/* One field of the payload, as CBOR after its name. */
struct entry {
    const char *name;
    void (*write)(struct cv_writer *w);
};

static void text_id(struct cv_writer *w)
{
    cv_cbor_write_tstr(w, "i-1-enc1");
}
static void text_empty(struct cv_writer *w)
{
    cv_cbor_write_tstr(w, "");
}
static void text_sha384(struct cv_writer *w)
{
    cv_cbor_write_tstr(w, "SHA384");
}
static void text_sha256(struct cv_writer *w)
{
    cv_cbor_write_tstr(w, "SHA256");
}
static void text_bad_utf8(struct cv_writer *w)
{
    cv_write_raw(w, "\x61\xFF", 2);
}
static void text_chunked(struct cv_writer *w)
{
    cv_write_raw(w, "\x7F\x61i\xFF", 4);
}
static void number_now(struct cv_writer *w)
{
    cv_cbor_write_uint(w, UINT64_C(1800000000000));
}
static void number_zero(struct cv_writer *w)
{
    cv_cbor_write_uint(w, 0);
}
static void number_huge(struct cv_writer *w)
{
    cv_cbor_write_uint(w, UINT64_MAX);
}
static void number_negative(struct cv_writer *w)
{
    cv_cbor_write_int(w, -1);
}
static void number_float(struct cv_writer *w)
{
    cv_write_raw(w, "\xFB\x42\x7A\x31\x8E\x5C\x00\x00\x00", 9);
}
static void null_value(struct cv_writer *w)
{
    cv_cbor_write_null(w);
}
static void undefined_value(struct cv_writer *w)
{
    cv_write_u8(w, 0xF7);
}

static void bytes_of(struct cv_writer *w, size_t n)
{
    static const uint8_t zeros[2000];
    cv_cbor_write_bstr(w, CV_BYTES(zeros, n));
}
static void bytes_0(struct cv_writer *w)
{
    bytes_of(w, 0);
}
static void bytes_1(struct cv_writer *w)
{
    bytes_of(w, 1);
}
static void bytes_1024(struct cv_writer *w)
{
    bytes_of(w, 1024);
}
static void bytes_1025(struct cv_writer *w)
{
    bytes_of(w, 1025);
}
static void bytes_chunked(struct cv_writer *w)
{
    cv_write_raw(w, "\x5F\x41i\xFF", 4);
}

static void bundle_of(struct cv_writer *w, unsigned count)
{
    cv_cbor_write_array(w, count);
    for (unsigned i = 0; i < count; i++)
        bytes_1(w);
}
static void bundle_0(struct cv_writer *w)
{
    bundle_of(w, 0);
}
static void bundle_1(struct cv_writer *w)
{
    bundle_of(w, 1);
}
static void bundle_16(struct cv_writer *w)
{
    bundle_of(w, 16);
}
static void bundle_17(struct cv_writer *w)
{
    bundle_of(w, 17);
}
static void bundle_huge(struct cv_writer *w)
{
    cv_cbor_write_array(w, UINT64_MAX);
}
static void bundle_indefinite(struct cv_writer *w)
{
    cv_write_raw(w, "\x9F\x41i\xFF", 4);
}
static void bundle_empty_cert(struct cv_writer *w)
{
    cv_cbor_write_array(w, 2);
    bytes_1(w);
    bytes_0(w);
}

static void pcr(struct cv_writer *w, uint64_t index, size_t n)
{
    cv_cbor_write_uint(w, index);
    bytes_of(w, n);
}
static void pcrs_48(struct cv_writer *w)
{
    cv_cbor_write_map(w, 2);
    pcr(w, 0, 48);
    pcr(w, 31, 48);
}
static void pcrs_32_64(struct cv_writer *w)
{
    cv_cbor_write_map(w, 2);
    pcr(w, 0, 32);
    pcr(w, 1, 64);
}
static void pcrs_indefinite(struct cv_writer *w)
{
    cv_write_u8(w, 0xBF);
    pcr(w, 0, 48);
    cv_write_u8(w, 0xFF);
}
static void pcrs_empty(struct cv_writer *w)
{
    cv_cbor_write_map(w, 0);
}
static void pcrs_33(struct cv_writer *w)
{
    cv_cbor_write_map(w, 33);
    for (unsigned i = 0; i < 33; i++)
        pcr(w, i, 48);
}
static void pcrs_twice(struct cv_writer *w)
{
    cv_cbor_write_map(w, 2);
    pcr(w, 3, 48);
    pcr(w, 3, 48);
}
static void pcrs_47(struct cv_writer *w)
{
    cv_cbor_write_map(w, 1);
    pcr(w, 3, 47);
}
static void pcrs_0(struct cv_writer *w)
{
    cv_cbor_write_map(w, 1);
    pcr(w, 3, 0);
}
static void pcrs_65(struct cv_writer *w)
{
    cv_cbor_write_map(w, 1);
    pcr(w, 3, 65);
}
static void pcrs_text_key(struct cv_writer *w)
{
    cv_cbor_write_map(w, 1);
    cv_cbor_write_tstr(w, "0");
    bytes_of(w, 48);
}

static const struct entry good[] = {
    {"module_id", text_id},     {"digest", text_sha384},   {"timestamp", number_now},
    {"pcrs", pcrs_48},          {"certificate", bytes_1},  {"cabundle", bundle_1},
    {"public_key", null_value}, {"user_data", null_value}, {"nonce", null_value},
};
#define GOOD (sizeof good / sizeof good[0])

struct doc {
    uint8_t bytes[60000];
    size_t n;
};

static void wrap(struct doc *d, struct cv_bytes payload)
{
    static const uint8_t signature[96];
    struct cv_writer w;

    cv_writer_init(&w, d->bytes, sizeof d->bytes);
    cv_write_raw(&w, "\x84\x44\xA1\x01\x38\x22\xA0", 7);
    cv_cbor_write_bstr(&w, payload);
    cv_cbor_write_bstr(&w, CV_BYTES(signature, sizeof signature));
    assert_int_equal(cv_writer_end(&w, &d->n), 0);
}

enum form { DEFINITE, INDEFINITE };

/* The good payload with REPLACE in place of the field of its name (or added),
 * and without the field REMOVE. */
static void build(struct doc *d, enum form form, const struct entry *replace, const char *remove)
{
    static uint8_t bytes[50000];
    struct cv_writer w;
    uint64_t count = 0;
    bool replaced = false;

    for (int pass = 0; pass < 2; pass++) {
        cv_writer_init(&w, bytes, sizeof bytes);
        if (form == INDEFINITE)
            cv_write_u8(&w, 0xBF);
        else
            cv_cbor_write_map(&w, count);
        count = 0;
        replaced = false;
        for (size_t i = 0; i < GOOD; i++) {
            const struct entry *e = &good[i];
            if (remove != NULL && strcmp(e->name, remove) == 0)
                continue;
            if (replace != NULL && strcmp(e->name, replace->name) == 0) {
                e = replace;
                replaced = true;
            }
            cv_cbor_write_tstr(&w, e->name);
            e->write(&w);
            count++;
        }
        if (replace != NULL && !replaced) {
            cv_cbor_write_tstr(&w, replace->name);
            replace->write(&w);
            count++;
        }
    }
    if (form == INDEFINITE)
        cv_write_u8(&w, 0xFF);
    wrap(d, cv_writer_view(&w));
}

static void expect_doc(const struct doc *d, bool strict, enum cv_attest_code code,
                       const char *field, const char *what)
{
    struct cv_attest_document out;
    struct cv_attest_error err;

    enum cv_attest_code got = cv_attest_parse_unverified(&out, d->bytes, d->n, strict, &err);
    if (got != code || strcmp(err.field, field) != 0 || err.code != code)
        fail_msg("%s: got %s about '%s', expected %s about '%s'", what, cv_attest_code_name(got),
                 err.field, cv_attest_code_name(code), field);
    if (code == CV_ATTEST_OK)
        assert_int_equal(out.timestamp_ms, UINT64_C(1800000000000));
    else
        assert_true(out.timestamp_ms == 0 && out.payload.p == NULL);
}

static void good_documents(void **state)
{
    static struct doc d;
    struct cv_attest_document out;

    (void)state;
    for (enum form form = DEFINITE; form <= INDEFINITE; form++) {
        build(&d, form, NULL, NULL);
        assert_int_equal(cv_attest_parse_unverified(&out, d.bytes, d.n, true, NULL), CV_ATTEST_OK);
        assert_int_equal(out.indefinite, form == INDEFINITE);
        assert_false(out.tagged);
        assert_int_equal(out.module_id.n, 8);
        assert_memory_equal(out.module_id.p, "i-1-enc1", 8);
        assert_int_equal(out.pcr_mask, 0x80000001U);
        assert_int_equal(out.pcr[31].n, 48);
        assert_null(out.pcr[1].p);
        assert_null(out.nonce.p);
        assert_true(cv_attest_is_debug(&out));
    }
    /* With tag 18 before it. */
    memmove(d.bytes + 1, d.bytes, d.n);
    d.bytes[0] = 0xD2;
    d.n++;
    assert_int_equal(cv_attest_parse_unverified(&out, d.bytes, d.n, true, NULL), CV_ATTEST_OK);
    assert_true(out.tagged);
    d.bytes[0] = 0xD1; /* another tag */
    expect_doc(&d, false, CV_ATTEST_ERR_COSE, "", "tag 17");
}

static void field_rules(void **state)
{
    static const struct {
        struct entry entry;
        enum cv_attest_code code;
        const char *field;
    } cases[] = {
        {{"module_id", text_empty}, CV_ATTEST_ERR_FIELD, "module_id"},
        {{"module_id", bytes_1}, CV_ATTEST_ERR_FIELD, "module_id"},
        {{"module_id", text_bad_utf8}, CV_ATTEST_ERR_FIELD, "module_id"},
        {{"module_id", text_chunked}, CV_ATTEST_ERR_FIELD, "module_id"},
        {{"module_id", null_value}, CV_ATTEST_ERR_MISSING, "module_id"},
        {{"digest", text_sha256}, CV_ATTEST_ERR_FIELD, "digest"},
        {{"digest", null_value}, CV_ATTEST_ERR_MISSING, "digest"},
        {{"timestamp", number_zero}, CV_ATTEST_ERR_FIELD, "timestamp"},
        {{"timestamp", number_huge}, CV_ATTEST_ERR_FIELD, "timestamp"},
        {{"timestamp", number_negative}, CV_ATTEST_ERR_FIELD, "timestamp"},
        {{"timestamp", number_float}, CV_ATTEST_ERR_FIELD, "timestamp"},
        {{"timestamp", text_id}, CV_ATTEST_ERR_FIELD, "timestamp"},
        {{"timestamp", null_value}, CV_ATTEST_ERR_MISSING, "timestamp"},
        {{"pcrs", pcrs_32_64}, CV_ATTEST_OK, ""},
        {{"pcrs", pcrs_indefinite}, CV_ATTEST_OK, ""},
        {{"pcrs", pcrs_empty}, CV_ATTEST_ERR_FIELD, "pcrs"},
        {{"pcrs", pcrs_33}, CV_ATTEST_ERR_FIELD, "pcrs"},
        {{"pcrs", pcrs_twice}, CV_ATTEST_ERR_DUPLICATE, "pcrs[3]"},
        {{"pcrs", pcrs_0}, CV_ATTEST_ERR_FIELD, "pcrs[3]"},
        {{"pcrs", pcrs_47}, CV_ATTEST_ERR_FIELD, "pcrs[3]"},
        {{"pcrs", pcrs_65}, CV_ATTEST_ERR_FIELD, "pcrs[3]"},
        {{"pcrs", pcrs_text_key}, CV_ATTEST_ERR_FIELD, "pcrs"},
        {{"pcrs", bundle_1}, CV_ATTEST_ERR_FIELD, "pcrs"},
        {{"pcrs", null_value}, CV_ATTEST_ERR_MISSING, "pcrs"},
        {{"certificate", bytes_1024}, CV_ATTEST_OK, ""},
        {{"certificate", bytes_0}, CV_ATTEST_ERR_FIELD, "certificate"},
        {{"certificate", bytes_1025}, CV_ATTEST_ERR_FIELD, "certificate"},
        {{"certificate", bytes_chunked}, CV_ATTEST_ERR_FIELD, "certificate"},
        {{"certificate", null_value}, CV_ATTEST_ERR_MISSING, "certificate"},
        {{"cabundle", bundle_16}, CV_ATTEST_OK, ""},
        {{"cabundle", bundle_indefinite}, CV_ATTEST_OK, ""},
        {{"cabundle", bundle_0}, CV_ATTEST_ERR_FIELD, "cabundle"},
        {{"cabundle", bundle_17}, CV_ATTEST_ERR_FIELD, "cabundle"},
        {{"cabundle", bundle_huge}, CV_ATTEST_ERR_FIELD, "cabundle"},
        {{"cabundle", bundle_empty_cert}, CV_ATTEST_ERR_FIELD, "cabundle[1]"},
        {{"cabundle", bytes_1}, CV_ATTEST_ERR_FIELD, "cabundle"},
        {{"cabundle", null_value}, CV_ATTEST_ERR_MISSING, "cabundle"},
        {{"public_key", bytes_1024}, CV_ATTEST_OK, ""},
        {{"public_key", bytes_0}, CV_ATTEST_ERR_FIELD, "public_key"},
        {{"public_key", bytes_1025}, CV_ATTEST_ERR_FIELD, "public_key"},
        {{"public_key", text_id}, CV_ATTEST_ERR_FIELD, "public_key"},
        {{"public_key", undefined_value}, CV_ATTEST_ERR_FIELD, "public_key"},
        {{"user_data", bytes_0}, CV_ATTEST_OK, ""},
        {{"user_data", bytes_1024}, CV_ATTEST_OK, ""},
        {{"user_data", bytes_1025}, CV_ATTEST_ERR_FIELD, "user_data"},
        {{"user_data", number_zero}, CV_ATTEST_ERR_FIELD, "user_data"},
        {{"nonce", bytes_0}, CV_ATTEST_OK, ""},
        {{"nonce", bytes_1024}, CV_ATTEST_OK, ""},
        {{"nonce", bytes_1025}, CV_ATTEST_ERR_FIELD, "nonce"},
        {{"nonce", text_id}, CV_ATTEST_ERR_FIELD, "nonce"},
    };
    static struct doc d;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (enum form form = DEFINITE; form <= INDEFINITE; form++) {
            build(&d, form, &cases[i].entry, NULL);
            expect_doc(&d, true, cases[i].code, cases[i].field, cases[i].entry.name);
        }
    }
}

static void absent_fields(void **state)
{
    static struct doc d;

    (void)state;
    for (size_t i = 0; i < GOOD; i++) {
        build(&d, DEFINITE, NULL, good[i].name);
        if (i < 6)
            expect_doc(&d, true, CV_ATTEST_ERR_MISSING, good[i].name, good[i].name);
        else
            expect_doc(&d, true, CV_ATTEST_OK, "", good[i].name);
    }
}

static void write_nested(struct cv_writer *w)
{
    cv_write_raw(w, "\x82\xA1\x01\x9F\xF6\xFF\x00", 7);
}

static void write_deep(struct cv_writer *w)
{
    for (int i = 0; i < 100; i++)
        cv_cbor_write_array(w, 1);
    cv_cbor_write_null(w);
}

static void unknown_fields(void **state)
{
    static struct doc d;
    static uint8_t bytes[4000];
    struct cv_attest_document out;
    struct cv_writer w;
    const struct entry fine = {"tpm", write_nested}, deep = {"tpm", write_deep};

    (void)state;
    build(&d, INDEFINITE, &fine, NULL);
    assert_int_equal(cv_attest_parse_unverified(&out, d.bytes, d.n, false, NULL), CV_ATTEST_OK);
    assert_int_equal(out.unknown_fields, 1);
    expect_doc(&d, true, CV_ATTEST_ERR_UNKNOWN, "tpm", "strict");
    build(&d, DEFINITE, &deep, NULL);
    expect_doc(&d, false, CV_ATTEST_ERR_PAYLOAD, "tpm", "deep");

    /* Twice the same, and a name that is no text, and too many. */
    cv_writer_init(&w, bytes, sizeof bytes);
    cv_write_raw(&w, "\xA2\x61x\x00\x61x\x00", 7);
    wrap(&d, cv_writer_view(&w));
    expect_doc(&d, false, CV_ATTEST_ERR_DUPLICATE, "x", "twice");
    cv_writer_init(&w, bytes, sizeof bytes);
    cv_write_raw(&w, "\xA1\x01\x00", 3);
    wrap(&d, cv_writer_view(&w));
    expect_doc(&d, false, CV_ATTEST_ERR_PAYLOAD, "payload", "number as name");
    cv_writer_init(&w, bytes, sizeof bytes);
    cv_cbor_write_map(&w, 17);
    for (uint8_t i = 0; i < 17; i++) {
        cv_cbor_write_text(&w, CV_BYTES((uint8_t[]){(uint8_t)('a' + i)}, 1));
        cv_cbor_write_uint(&w, 0);
    }
    wrap(&d, cv_writer_view(&w));
    expect_doc(&d, false, CV_ATTEST_ERR_PAYLOAD, "payload", "too many");
}

static void duplicates(void **state)
{
    static struct doc d;
    static uint8_t bytes[4000];

    (void)state;
    for (size_t i = 0; i < GOOD; i++) {
        struct cv_writer w;
        cv_writer_init(&w, bytes, sizeof bytes);
        cv_cbor_write_map(&w, 2);
        for (int twice = 0; twice < 2; twice++) {
            cv_cbor_write_tstr(&w, good[i].name);
            good[i].write(&w);
        }
        wrap(&d, cv_writer_view(&w));
        expect_doc(&d, false, CV_ATTEST_ERR_DUPLICATE, good[i].name, good[i].name);
    }
}

/* Raw documents that are no attestation documents. */
static void cose_rules(void **state)
{
#define SIG96  \
    "\x58\x60" \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    static const struct {
        const char *bytes;
        size_t n;
        enum cv_attest_code code;
        const char *field;
    } cases[] = {
#define RAW(s) s, sizeof(s) - 1
        {RAW(""), CV_ATTEST_ERR_SIZE, ""},
        {RAW("\x80"), CV_ATTEST_ERR_COSE, ""},
        {RAW("hello"), CV_ATTEST_ERR_COSE, ""},
        {RAW("\xD2\xD2\x84"), CV_ATTEST_ERR_COSE, ""},
        {RAW("\x83\x44\xA1\x01\x38\x22\xA0\x41\xA0"), CV_ATTEST_ERR_COSE, ""},
        {RAW("\x84\xA0"), CV_ATTEST_ERR_COSE, "protected"},
        {RAW("\x84\x44\xA1\x01\x38"), CV_ATTEST_ERR_COSE, "protected"},
        {RAW("\x84\x40\xA0\x41\xA0" SIG96), CV_ATTEST_ERR_COSE, "protected"},
        {RAW("\x84\x41\xA0\xA0\x41\xA0" SIG96), CV_ATTEST_ERR_ALGORITHM, "protected"}, /* none */
        {RAW("\x84\x43\xA1\x01\x26\xA0\x41\xA0" SIG96), CV_ATTEST_ERR_ALGORITHM,
         "protected"}, /* ES256 */
        {RAW("\x84\x44\xA1\x01\x38\x23\xA0\x41\xA0" SIG96), CV_ATTEST_ERR_ALGORITHM, "protected"},
        {RAW("\x84\x43\xA1\x01\x20\xA0\x41\xA0" SIG96), CV_ATTEST_ERR_ALGORITHM,
         "protected"}, /* QEMU: -1 */
        {RAW("\x84\x48\xA1\x01\x65"
             "ES384\xA0\x41\xA0" SIG96),
         CV_ATTEST_ERR_ALGORITHM, "protected"},
        {RAW("\x84\x47\xA2\x01\x38\x22\x01\x38\x22\xA0\x41\xA0" SIG96), CV_ATTEST_ERR_COSE,
         "protected"},
        {RAW("\x84\x47\xA2\x01\x38\x22\x02\x81\x01\xA0\x41\xA0" SIG96), CV_ATTEST_ERR_COSE,
         "protected"},
        {RAW("\x84\x45\xA1\x01\x38\x22\x00\xA0\x41\xA0" SIG96), CV_ATTEST_ERR_COSE, "protected"},
        {RAW("\x84\x44\xA1\x01\x38\x22\xA1\x04\x41\x31\x41\xA0" SIG96), CV_ATTEST_ERR_COSE,
         "unprotected"},
        {RAW("\x84\x44\xA1\x01\x38\x22\xF6\x41\xA0" SIG96), CV_ATTEST_ERR_COSE, "unprotected"},
        {RAW("\x84\x44\xA1\x01\x38\x22\xA0\xF6" SIG96), CV_ATTEST_ERR_COSE,
         "payload"}, /* detached */
        {RAW("\x84\x44\xA1\x01\x38\x22\xA0\x40" SIG96), CV_ATTEST_ERR_SIZE, "payload"},
        {RAW("\x84\x44\xA1\x01\x38\x22\xA0\x5B\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"),
         CV_ATTEST_ERR_COSE, "payload"},
        {RAW("\x84\x44\xA1\x01\x38\x22\xA0\x41\xA0\x40"), CV_ATTEST_ERR_COSE, "signature"},
        {RAW("\x84\x44\xA1\x01\x38\x22\xA0\x41\xA0"), CV_ATTEST_ERR_COSE, "signature"},
        {RAW("\x84\x44\xA1\x01\x38\x22\xA0\x41\xA0" SIG96 "\x00"), CV_ATTEST_ERR_COSE, ""},
        {RAW("\x84\x44\xA1\x01\x38\x22\xA0\x41\xA0" SIG96), CV_ATTEST_ERR_MISSING, "module_id"},
        {RAW("\x84\x44\xA1\x01\x38\x22\xA0\x41\x80" SIG96), CV_ATTEST_ERR_PAYLOAD, "payload"},
        {RAW("\x84\x44\xA1\x01\x38\x22\xA0\x41\xBF" SIG96), CV_ATTEST_ERR_PAYLOAD, "payload"},
        {RAW("\x84\x44\xA1\x01\x38\x22\xA0\x42\xA0\x00" SIG96), CV_ATTEST_ERR_PAYLOAD, "payload"},
#undef RAW
    };
    static struct doc d;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char what[16];
        snprintf(what, sizeof what, "case %zu", i);
        memcpy(d.bytes, cases[i].bytes, cases[i].n);
        d.n = cases[i].n;
        expect_doc(&d, false, cases[i].code, cases[i].field, what);
    }
}

static void sizes(void **state)
{
    static struct doc d;
    static uint8_t payload[CV_ATTEST_MAX_PAYLOAD + 1];

    (void)state;
    wrap(&d, CV_BYTES(payload, sizeof payload));
    expect_doc(&d, false, CV_ATTEST_ERR_SIZE, "payload", "payload too long");
    d.n = CV_ATTEST_MAX_DOCUMENT + 1;
    expect_doc(&d, false, CV_ATTEST_ERR_SIZE, "", "document too long");
    assert_int_equal(cv_attest_parse_unverified(NULL, d.bytes, d.n, false, NULL),
                     CV_ATTEST_ERR_ARGUMENT);
}

static void try_variant(void *ctx, const uint8_t *p, size_t n, const char *what)
{
    struct cv_attest_document out;
    struct cv_attest_error err;

    (void)ctx;
    if (cv_attest_parse_unverified(&out, p, n, false, &err) != CV_ATTEST_OK) {
        assert_true(err.message[0] != '\0');
        return;
    }
    if (strncmp(what, "truncated", 9) == 0)
        fail_msg("accepted %s", what);
    for (unsigned i = 0; i < CV_ATTEST_PCRS; i++) {
        assert_int_equal(out.pcr[i].p != NULL, out.pcr_mask >> i & 1);
        assert_true(out.pcr[i].p == NULL ||
                    (out.pcr[i].p > p && out.pcr[i].p + out.pcr[i].n <= p + n));
    }
}

static void mutations(void **state)
{
    static struct doc d;

    (void)state;
    for (enum form form = DEFINITE; form <= INDEFINITE; form++) {
        build(&d, form, NULL, NULL);
        mutate_all(d.bytes, d.n, try_variant, NULL);
    }
}

static void names_of_codes(void **state)
{
    (void)state;
    assert_string_equal(cv_attest_code_name(CV_ATTEST_OK), "ok");
    assert_string_equal(cv_attest_code_name(CV_ATTEST_ERR_EXPIRED), "expired");
    assert_string_equal(cv_attest_code_name((enum cv_attest_code)999), "unknown");
    assert_string_equal(cv_attest_strerror((enum cv_attest_code)999), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_documents), cmocka_unit_test(field_rules),
        cmocka_unit_test(absent_fields),  cmocka_unit_test(unknown_fields),
        cmocka_unit_test(duplicates),     cmocka_unit_test(cose_rules),
        cmocka_unit_test(sizes),          cmocka_unit_test(mutations),
        cmocka_unit_test(names_of_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
