/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The payload map of a document, rules of AWS's "Verifying the root of trust".
 * Departures, all seen in documents that AWS signed: absent optional fields
 * are present as null; user_data and nonce reach 1024 bytes; the map may have
 * an indefinite length. Fields that are not known are skipped unless asked
 * otherwise: they are signed like the rest.
 */
#include <stdio.h>
#include <string.h>

#include "attest/internal.h"
#include "cbor/cbor.h"

#define MAX_DEPTH 16
#define MAX_UNKNOWN 16
#define MAX_TIMESTAMP_MS UINT64_C(253402300799999) /* the end of the year 9999 */

enum field {
    MODULE_ID,
    DIGEST,
    TIMESTAMP,
    PCRS,
    CERTIFICATE,
    CABUNDLE,
    PUBLIC_KEY,
    USER_DATA,
    NONCE,
    FIELDS
};

static const struct {
    const char *name;
    bool optional;
} fields[FIELDS] = {
    [MODULE_ID] = {"module_id", false},
    [DIGEST] = {"digest", false},
    [TIMESTAMP] = {"timestamp", false},
    [PCRS] = {"pcrs", false},
    [CERTIFICATE] = {"certificate", false},
    [CABUNDLE] = {"cabundle", false},
    [PUBLIC_KEY] = {"public_key", true},
    [USER_DATA] = {"user_data", true},
    [NONCE] = {"nonce", true},
};

struct parser {
    struct cv_reader r;
    struct cv_attest_document *doc;
    struct cv_attest_error *err;
    bool strict;
    unsigned seen;
    struct cv_bytes unknown[MAX_UNKNOWN];
};

static enum cv_attest_code read_bytes(struct parser *p, const char *field, size_t min, size_t max,
                                      struct cv_attest_span *out)
{
    struct cv_bytes b;

    if (cv_cbor_read_bstr(&p->r, &b) != 0)
        return cv_attest_fail(p->err, CV_ATTEST_ERR_FIELD, field, "is not a whole byte string");
    if (b.n < min || b.n > max)
        return cv_attest_fail(p->err, CV_ATTEST_ERR_FIELD, field,
                              "has %zu bytes; %zu to %zu are allowed", b.n, min, max);
    *out = cv_attest_span(b);
    return CV_ATTEST_OK;
}

static enum cv_attest_code read_module_id(struct parser *p)
{
    struct cv_bytes text;

    if (cv_cbor_read_tstr(&p->r, &text) != 0)
        return cv_attest_fail(p->err, CV_ATTEST_ERR_FIELD, "module_id", "is not text");
    if (text.n == 0 || text.n > CV_ATTEST_MAX_MODULE_ID)
        return cv_attest_fail(p->err, CV_ATTEST_ERR_FIELD, "module_id",
                              "has %zu bytes; 1 to %d are allowed", text.n,
                              CV_ATTEST_MAX_MODULE_ID);
    p->doc->module_id = cv_attest_span(text);
    return CV_ATTEST_OK;
}

static enum cv_attest_code read_digest(struct parser *p)
{
    struct cv_bytes text;

    if (cv_cbor_read_tstr(&p->r, &text) != 0 || !cv_bytes_equal_str(text, "SHA384"))
        return cv_attest_fail(p->err, CV_ATTEST_ERR_FIELD, "digest", "is not \"SHA384\"");
    p->doc->digest = cv_attest_span(text);
    return CV_ATTEST_OK;
}

static enum cv_attest_code read_timestamp(struct parser *p)
{
    uint64_t ms;

    if (cv_cbor_read_uint(&p->r, &ms) != 0 || ms == 0 || ms > MAX_TIMESTAMP_MS)
        return cv_attest_fail(p->err, CV_ATTEST_ERR_FIELD, "timestamp",
                              "is not a positive number of milliseconds before the year 10000");
    p->doc->timestamp_ms = ms;
    return CV_ATTEST_OK;
}

static enum cv_attest_code read_pcr(struct parser *p)
{
    struct cv_attest_document *doc = p->doc;
    uint64_t index;
    char name[16];

    if (cv_cbor_read_uint(&p->r, &index) != 0 || index >= CV_ATTEST_PCRS)
        return cv_attest_fail(p->err, CV_ATTEST_ERR_FIELD, "pcrs",
                              "an index is not a number from 0 to %d", CV_ATTEST_PCRS - 1);
    snprintf(name, sizeof name, "pcrs[%u]", (unsigned)index);
    if (doc->pcr_mask >> index & 1)
        return cv_attest_fail(p->err, CV_ATTEST_ERR_DUPLICATE, name, "occurs twice");
    enum cv_attest_code code = read_bytes(p, name, 32, CV_ATTEST_PCR_MAX, &doc->pcr[index]);
    if (code != CV_ATTEST_OK)
        return code;
    size_t n = doc->pcr[index].n;
    if (n != 32 && n != 48 && n != 64)
        return cv_attest_fail(p->err, CV_ATTEST_ERR_FIELD, name, "has %zu bytes, not 32, 48 or 64",
                              n);
    doc->pcr_mask |= UINT32_C(1) << index;
    return CV_ATTEST_OK;
}

static enum cv_attest_code read_pcrs(struct parser *p)
{
    struct cv_cbor_iter it;

    cv_cbor_enter_map(&p->r, &it);
    while (cv_cbor_next(&p->r, &it)) {
        enum cv_attest_code code = read_pcr(p);
        if (code != CV_ATTEST_OK)
            return code;
    }
    if (p->r.err != 0)
        return cv_attest_fail(p->err, CV_ATTEST_ERR_FIELD, "pcrs", "is not a whole map");
    if (p->doc->pcr_mask == 0)
        return cv_attest_fail(p->err, CV_ATTEST_ERR_FIELD, "pcrs", "is empty");
    return CV_ATTEST_OK;
}

static enum cv_attest_code read_cabundle(struct parser *p)
{
    struct cv_attest_document *doc = p->doc;
    struct cv_cbor_iter it;

    cv_cbor_enter_array(&p->r, &it);
    while (cv_cbor_next(&p->r, &it)) {
        char name[24];
        snprintf(name, sizeof name, "cabundle[%zu]", doc->cabundle_count);
        if (doc->cabundle_count == CV_ATTEST_MAX_CABUNDLE)
            return cv_attest_fail(p->err, CV_ATTEST_ERR_FIELD, "cabundle",
                                  "has more than %d certificates", CV_ATTEST_MAX_CABUNDLE);
        enum cv_attest_code code =
            read_bytes(p, name, 1, CV_ATTEST_MAX_CERTIFICATE, &doc->cabundle[doc->cabundle_count]);
        if (code != CV_ATTEST_OK)
            return code;
        doc->cabundle_count++;
    }
    if (p->r.err != 0)
        return cv_attest_fail(p->err, CV_ATTEST_ERR_FIELD, "cabundle", "is not a whole array");
    if (doc->cabundle_count == 0)
        return cv_attest_fail(p->err, CV_ATTEST_ERR_FIELD, "cabundle", "is empty");
    return CV_ATTEST_OK;
}

static enum cv_attest_code read_field(struct parser *p, enum field field)
{
    struct cv_attest_document *doc = p->doc;
    const char *name = fields[field].name;

    if (cv_cbor_take_null(&p->r)) {
        if (fields[field].optional)
            return CV_ATTEST_OK;
        return cv_attest_fail(p->err, CV_ATTEST_ERR_MISSING, name, "is null, but mandatory");
    }
    switch (field) {
    case MODULE_ID:
        return read_module_id(p);
    case DIGEST:
        return read_digest(p);
    case TIMESTAMP:
        return read_timestamp(p);
    case PCRS:
        return read_pcrs(p);
    case CERTIFICATE:
        return read_bytes(p, name, 1, CV_ATTEST_MAX_CERTIFICATE, &doc->certificate);
    case CABUNDLE:
        return read_cabundle(p);
    case PUBLIC_KEY:
        return read_bytes(p, name, 1, CV_ATTEST_MAX_FIELD, &doc->public_key);
    case USER_DATA:
        return read_bytes(p, name, 0, CV_ATTEST_MAX_FIELD, &doc->user_data);
    case NONCE:
        return read_bytes(p, name, 0, CV_ATTEST_MAX_FIELD, &doc->nonce);
    case FIELDS:
        break;
    }
    return CV_ATTEST_ERR_INTERNAL;
}

static enum cv_attest_code skip_unknown(struct parser *p, struct cv_bytes key)
{
    char quoted[40];

    cv_error_quote(quoted, sizeof quoted, key.p, key.n);
    if (p->strict)
        return cv_attest_fail(p->err, CV_ATTEST_ERR_UNKNOWN, quoted,
                              "is not a field of attestation documents");
    for (unsigned i = 0; i < p->doc->unknown_fields; i++) {
        if (cv_bytes_equal(p->unknown[i], key))
            return cv_attest_fail(p->err, CV_ATTEST_ERR_DUPLICATE, quoted, "occurs twice");
    }
    if (p->doc->unknown_fields == MAX_UNKNOWN)
        return cv_attest_fail(p->err, CV_ATTEST_ERR_PAYLOAD, "payload", "has too many fields");
    p->unknown[p->doc->unknown_fields++] = key;
    if (cv_cbor_skip(&p->r, MAX_DEPTH, NULL) != 0)
        return cv_attest_fail(p->err, CV_ATTEST_ERR_PAYLOAD, quoted, "is not well-formed");
    return CV_ATTEST_OK;
}

static enum cv_attest_code read_entry(struct parser *p)
{
    struct cv_bytes key;
    unsigned i;

    if (cv_cbor_read_tstr(&p->r, &key) != 0)
        return cv_attest_fail(p->err, CV_ATTEST_ERR_PAYLOAD, "payload",
                              "a field's name is not text");
    for (i = 0; i < FIELDS; i++) {
        if (cv_bytes_equal_str(key, fields[i].name))
            break;
    }
    if (i == FIELDS)
        return skip_unknown(p, key);
    if (p->seen >> i & 1)
        return cv_attest_fail(p->err, CV_ATTEST_ERR_DUPLICATE, fields[i].name, "occurs twice");
    p->seen |= 1U << i;
    return read_field(p, (enum field)i);
}

enum cv_attest_code cv_attest_read_payload(struct cv_attest_document *doc, bool strict,
                                           struct cv_attest_error *err)
{
    struct parser p = {.doc = doc, .err = err, .strict = strict};
    struct cv_cbor_iter it;

    cv_reader_init(&p.r, cv_attest_bytes(doc->payload));
    cv_cbor_enter_map(&p.r, &it);
    doc->indefinite = it.indefinite;
    while (cv_cbor_next(&p.r, &it)) {
        enum cv_attest_code code = read_entry(&p);
        if (code != CV_ATTEST_OK)
            return code;
    }
    if (cv_reader_end(&p.r) != 0)
        return cv_attest_fail(err, CV_ATTEST_ERR_PAYLOAD, "payload", "is not one whole CBOR map");
    for (unsigned i = 0; i < FIELDS; i++) {
        if (!fields[i].optional && (p.seen >> i & 1) == 0)
            return cv_attest_fail(err, CV_ATTEST_ERR_MISSING, fields[i].name, "is missing");
    }
    return CV_ATTEST_OK;
}
