/* SPDX-License-Identifier: Apache-2.0 */
#include "cbor/cbor.h"

void cv_cbor_write_head(struct cv_writer *w, enum cv_cbor_major major, uint64_t value)
{
    uint8_t top = (uint8_t)((unsigned)major << 5);
    /* Shortest form (RFC 8949 section 4.2.1). */
    if (value < 24) {
        cv_write_u8(w, (uint8_t)(top | value));
    } else if (value <= UINT8_MAX) {
        cv_write_u8(w, top | 24);
        cv_write_u8(w, (uint8_t)value);
    } else if (value <= UINT16_MAX) {
        cv_write_u8(w, top | 25);
        cv_write_be16(w, (uint16_t)value);
    } else if (value <= UINT32_MAX) {
        cv_write_u8(w, top | 26);
        cv_write_be32(w, (uint32_t)value);
    } else {
        cv_write_u8(w, top | 27);
        cv_write_be64(w, value);
    }
}

void cv_cbor_write_uint(struct cv_writer *w, uint64_t v)
{
    cv_cbor_write_head(w, CV_CBOR_UINT, v);
}

void cv_cbor_write_int(struct cv_writer *w, int64_t v)
{
    if (v >= 0)
        cv_cbor_write_head(w, CV_CBOR_UINT, (uint64_t)v);
    else
        cv_cbor_write_head(w, CV_CBOR_NINT, (uint64_t)(-1 - v));
}

void cv_cbor_write_bstr(struct cv_writer *w, struct cv_bytes v)
{
    cv_cbor_write_head(w, CV_CBOR_BSTR, v.n);
    cv_write_bytes(w, v);
}

void cv_cbor_write_text(struct cv_writer *w, struct cv_bytes v)
{
    cv_cbor_write_head(w, CV_CBOR_TSTR, v.n);
    cv_write_bytes(w, v);
}

void cv_cbor_write_tstr(struct cv_writer *w, const char *v)
{
    cv_cbor_write_text(w, cv_bytes_str(v));
}

void cv_cbor_write_bool(struct cv_writer *w, bool v)
{
    cv_cbor_write_head(w, CV_CBOR_SIMPLE, v ? CV_CBOR_TRUE : CV_CBOR_FALSE);
}

void cv_cbor_write_null(struct cv_writer *w)
{
    cv_cbor_write_head(w, CV_CBOR_SIMPLE, CV_CBOR_NULL);
}

void cv_cbor_write_array(struct cv_writer *w, uint64_t count)
{
    cv_cbor_write_head(w, CV_CBOR_ARRAY, count);
}

void cv_cbor_write_map(struct cv_writer *w, uint64_t pairs)
{
    cv_cbor_write_head(w, CV_CBOR_MAP, pairs);
}
