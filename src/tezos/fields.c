/* SPDX-License-Identifier: Apache-2.0 */
#include "tezos/fields.h"

#include <string.h>

void cv_fields_init(struct cv_fields *f, struct cv_bytes in)
{
    cv_reader_init(&f->r, in);
    f->fault = NULL;
    f->unknown_tag = 0;
}

void cv_fields_fail(struct cv_fields *f, int code, const char *fault)
{
    if (f->r.err != 0)
        return;
    f->fault = fault;
    cv_reader_fail(&f->r, code);
}

void cv_fields_unknown_tag(struct cv_fields *f, int tag)
{
    if (f->r.err != 0)
        return;
    f->unknown_tag = tag;
    cv_reader_fail(&f->r, CV_ERR_UNSUPPORTED);
}

bool cv_fields_ok(const struct cv_fields *f)
{
    return f->r.err == 0;
}

size_t cv_fields_left(const struct cv_fields *f)
{
    return f->r.err != 0 ? 0 : cv_reader_left(&f->r);
}

void cv_fields_end(struct cv_fields *f)
{
    if (cv_fields_left(f) != 0)
        cv_fields_fail(f, CV_ERR_TRAILING, "bytes are left over");
}

void cv_field_skip(struct cv_fields *f, size_t n)
{
    cv_read_skip(&f->r, n);
}

bool cv_field_bool(struct cv_fields *f)
{
    uint8_t flag = cv_read_u8(&f->r);
    if (flag != 0x00 && flag != 0xff)
        cv_fields_fail(f, CV_ERR_INVALID, "a flag is neither 0x00 nor 0xff");
    return flag == 0xff; /* what could not be read is 0 */
}

struct cv_bytes cv_field_dyn(struct cv_fields *f)
{
    uint32_t n = cv_read_be32(&f->r);
    return cv_read_bytes(&f->r, n);
}

size_t cv_field_enter(struct cv_fields *f)
{
    size_t outer = f->r.n;
    uint32_t n = cv_read_be32(&f->r);
    if (n > cv_fields_left(f))
        cv_fields_fail(f, CV_ERR_TRUNCATED, NULL);
    else
        f->r.n = f->r.off + n;
    return outer;
}

void cv_field_leave(struct cv_fields *f, size_t outer)
{
    cv_fields_end(f);
    f->r.n = outer;
}

/* A last group of zero (but for the only one) is a longer way to write the
 * same number. */
static uint8_t groups(struct cv_fields *f, size_t max, uint8_t first_bits, uint64_t *value)
{
    uint8_t first = cv_read_u8(&f->r), byte = first;
    uint64_t v = first & ((1u << first_bits) - 1);
    unsigned shift = first_bits;
    for (size_t n = 1; (byte & 0x80) != 0; n++) {
        if (n == max) {
            cv_fields_fail(f, CV_ERR_LIMIT, "a number is too long");
            break;
        }
        byte = cv_read_u8(&f->r);
        uint64_t group = byte & 0x7f;
        if (byte == 0)
            cv_fields_fail(f, CV_ERR_INVALID, "a number is written longer than it needs to be");
        if (group != 0 && (shift >= 64 || group > UINT64_MAX >> shift))
            v = UINT64_MAX; /* and stays so: only bits are added */
        else if (group != 0)
            v |= group << shift;
        shift = shift < 64 ? shift + 7 : shift;
    }
    *value = v;
    return first;
}

uint64_t cv_field_n(struct cv_fields *f)
{
    uint64_t value;
    groups(f, CV_NUMBER_MAX, 7, &value);
    return value;
}

void cv_field_z(struct cv_fields *f, size_t max)
{
    uint64_t value;
    uint8_t first = groups(f, max, 6, &value);
    if (first == 0x40) /* the sign bit alone */
        cv_fields_fail(f, CV_ERR_INVALID, "a number is minus zero");
}

void cv_field_pkh(struct cv_fields *f, struct cv_pkh *out)
{
    uint8_t tag = cv_read_u8(&f->r);
    if (tag >= CV_SCHEME_COUNT)
        cv_fields_unknown_tag(f, tag);
    out->scheme = cv_fields_ok(f) ? (enum cv_scheme)tag : CV_SCHEME_ED25519;
    cv_read_copy(&f->r, out->p, sizeof(out->p));
}

void cv_field_pk(struct cv_fields *f)
{
    uint8_t tag = cv_read_u8(&f->r);
    if (tag >= CV_SCHEME_COUNT)
        cv_fields_unknown_tag(f, tag);
    else
        cv_read_skip(&f->r, cv_public_key_len((enum cv_scheme)tag));
}

static void contract_hash(struct cv_fields *f, uint8_t out[20])
{
    cv_read_copy(&f->r, out, 20);
    if (cv_read_u8(&f->r) != 0)
        cv_fields_fail(f, CV_ERR_INVALID, "the padding of a contract is not zero");
}

void cv_field_contract(struct cv_fields *f, struct cv_address *out)
{
    memset(out, 0, sizeof(*out));
    uint8_t tag = cv_read_u8(&f->r);
    switch (tag) {
    case 0:
        out->kind = CV_ADDRESS_IMPLICIT;
        cv_field_pkh(f, &out->pkh);
        break;
    case 1:
        out->kind = CV_ADDRESS_ORIGINATED;
        contract_hash(f, out->contract);
        break;
    default:
        cv_fields_unknown_tag(f, tag);
    }
}

void cv_field_originated(struct cv_fields *f)
{
    uint8_t hash[20];
    uint8_t tag = cv_read_u8(&f->r);
    if (tag != 1)
        cv_fields_unknown_tag(f, tag);
    contract_hash(f, hash);
}

void cv_field_dyn_units(struct cv_fields *f, size_t unit)
{
    if (cv_field_dyn(f).n % unit != 0)
        cv_fields_fail(f, CV_ERR_INVALID, "a list does not hold whole items");
}
