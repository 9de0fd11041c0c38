/* SPDX-License-Identifier: Apache-2.0 */
#include "tezos/request.h"

#include <stdlib.h>
#include <string.h>

#include "tezos/operation.h"

enum magic {
    MAGIC_GENERIC = 0x03,
    MAGIC_PACK = 0x05,
    MAGIC_BLOCK = 0x11,
    MAGIC_PREATTESTATION = 0x12,
    MAGIC_ATTESTATION = 0x13,
};

static void generic(struct cv_fields *f, struct cv_request *out)
{
    struct cv_operation op;
    out->kind = CV_REQUEST_GENERIC;
    cv_field_skip(f, 32); /* branch */
    out->operations = CV_BYTES(f->r.p + f->r.off, cv_fields_left(f));
    if (cv_fields_ok(f) && cv_fields_left(f) == 0)
        cv_fields_fail(f, CV_ERR_TRUNCATED, "the batch holds no operation");
    while (cv_fields_left(f) > 0) {
        cv_operation_read(f, &op);
        out->operation_count++;
    }
}

static void block(struct cv_fields *f, struct cv_request *out)
{
    out->kind = CV_REQUEST_BLOCK;
    out->consensus = true;
    cv_read_copy(&f->r, out->chain, sizeof(out->chain));
    cv_block_header(f, &out->level, &out->round);
}

static void consensus(struct cv_fields *f, struct cv_request *out, uint8_t magic)
{
    out->consensus = true;
    cv_read_copy(&f->r, out->chain, sizeof(out->chain));
    cv_field_skip(f, 32); /* branch */
    uint8_t tag = cv_read_u8(&f->r);
    out->op_tag = tag;
    if (magic == MAGIC_PREATTESTATION && (tag == 20 || tag == 40))
        out->kind = CV_REQUEST_PREATTESTATION;
    else if (magic == MAGIC_ATTESTATION && (tag == 21 || tag == 41))
        out->kind = CV_REQUEST_ATTESTATION;
    else if (magic == MAGIC_ATTESTATION && tag == 23)
        out->kind = CV_REQUEST_ATTESTATION_WITH_DAL;
    else
        cv_fields_unknown_tag(f, tag);
    cv_consensus_body(f, tag, &out->level, &out->round);
}

static int report(const struct cv_fields *f, struct cv_error *err)
{
    int code = f->r.err;
    if (code == CV_ERR_UNSUPPORTED)
        return cv_error_set(err, code, "gotez: unknown tag %d", f->unknown_tag);
    if (f->fault != NULL)
        return cv_error_set(err, code, "malformed request at byte %zu: %s", f->r.off, f->fault);
    return cv_error_set(err, code, "malformed request: it ends too early");
}

int cv_request_parse(struct cv_request *out, struct cv_bytes in, struct cv_error *err)
{
    struct cv_fields f;
    memset(out, 0, sizeof(*out));
    cv_fields_init(&f, in);
    uint8_t magic = cv_read_u8(&f.r);
    switch (magic) {
    case MAGIC_GENERIC:
        generic(&f, out);
        break;
    case MAGIC_PACK:
        out->kind = CV_REQUEST_PACK;
        cv_field_michelson(&f);
        break;
    case MAGIC_BLOCK:
        block(&f, out);
        break;
    case MAGIC_PREATTESTATION:
    case MAGIC_ATTESTATION:
        consensus(&f, out, magic);
        break;
    default:
        cv_fields_unknown_tag(&f, magic);
    }
    cv_fields_end(&f);
    return cv_fields_ok(&f) ? 0 : report(&f, err);
}

void cv_operations_start(struct cv_operations *it, const struct cv_request *request)
{
    it->left = request->operations;
}

bool cv_operations_next(struct cv_operations *it, struct cv_operation *op)
{
    struct cv_fields f;
    if (it->left.n == 0)
        return false;
    cv_fields_init(&f, it->left);
    cv_operation_read(&f, op);
    /* It was parsed before: a fault now is a bug, and nothing may be signed. */
    if (!cv_fields_ok(&f))
        abort();
    it->left = CV_BYTES(it->left.p + f.r.off, it->left.n - f.r.off);
    return true;
}

bool cv_address_equal(const struct cv_address *a, const struct cv_address *b)
{
    if (a->kind != b->kind)
        return false;
    return a->kind == CV_ADDRESS_IMPLICIT ? cv_pkh_equal(&a->pkh, &b->pkh)
                                          : memcmp(a->contract, b->contract, 20) == 0;
}

int cv_address_parse(struct cv_address *out, struct cv_bytes text)
{
    uint8_t payload[CV_TEXT_PAYLOAD_MAX];
    enum cv_text_kind kind;
    size_t n;
    memset(out, 0, sizeof(*out));
    int rc = cv_text_parse(&kind, payload, &n, text);
    if (rc != 0)
        return rc;
    if (kind == CV_TEXT_CONTRACT) {
        out->kind = CV_ADDRESS_ORIGINATED;
        memcpy(out->contract, payload, sizeof(out->contract));
        return 0;
    }
    return cv_pkh_parse(&out->pkh, text);
}

void cv_address_format(char out[CV_PKH_TEXT_SIZE], const struct cv_address *address)
{
    if (address->kind == CV_ADDRESS_IMPLICIT)
        cv_pkh_format(out, &address->pkh);
    else if (cv_text_format(out, CV_PKH_TEXT_SIZE, CV_TEXT_CONTRACT,
                            CV_BYTES(address->contract, sizeof(address->contract))) != 0)
        abort();
}
