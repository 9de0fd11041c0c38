/* SPDX-License-Identifier: Apache-2.0 */
#include "cbor/cbor.h"

/* Puts the reader back to START, where the fault is, and records CODE. */
static int fail_at(struct cv_reader *r, size_t start, int code)
{
    r->off = start;
    cv_reader_fail(r, code);
    return r->err;
}

int cv_cbor_read_head(struct cv_reader *r, struct cv_cbor_head *head)
{
    *head = (struct cv_cbor_head){0};
    if (r->err != 0)
        return r->err;
    size_t start = r->off;
    uint8_t first = cv_read_u8(r);
    head->major = (enum cv_cbor_major)(first >> 5);
    head->info = first & 31;
    /* RFC 8949 section 3: the low five bits are the argument or its width. */
    switch (head->info) {
    case 24:
        head->value = cv_read_u8(r);
        break;
    case 25:
        head->value = cv_read_be16(r);
        break;
    case 26:
        head->value = cv_read_be32(r);
        break;
    case 27:
        head->value = cv_read_be64(r);
        break;
    case 28:
    case 29:
    case 30:
        return fail_at(r, start, CV_ERR_INVALID);
    case 31:
        if (head->major == CV_CBOR_UINT || head->major == CV_CBOR_NINT ||
            head->major == CV_CBOR_TAG)
            return fail_at(r, start, CV_ERR_INVALID);
        head->indefinite = true;
        break;
    default:
        head->value = head->info;
    }
    if (r->err != 0)
        return fail_at(r, start, r->err);
    /* Section 3.3: two-byte simple values begin at 32. */
    if (head->major == CV_CBOR_SIMPLE && head->info == 24 && head->value < 32)
        return fail_at(r, start, CV_ERR_INVALID);
    return 0;
}

int cv_cbor_peek(const struct cv_reader *r, struct cv_cbor_head *head)
{
    struct cv_reader copy = *r;
    return cv_cbor_read_head(&copy, head);
}

/* Reads a head that must be definite and of the type MAJOR. */
static int read_definite(struct cv_reader *r, enum cv_cbor_major major, struct cv_cbor_head *head)
{
    size_t start = r->off;
    int rc = cv_cbor_read_head(r, head);
    if (rc != 0)
        return rc;
    if (head->major != major || head->indefinite)
        return fail_at(r, start, CV_ERR_INVALID);
    return 0;
}

int cv_cbor_read_uint(struct cv_reader *r, uint64_t *v)
{
    struct cv_cbor_head head;
    int rc = read_definite(r, CV_CBOR_UINT, &head);
    *v = rc == 0 ? head.value : 0;
    return rc;
}

int cv_cbor_read_int(struct cv_reader *r, int64_t *v)
{
    struct cv_cbor_head head;
    size_t start = r->off;
    *v = 0;
    int rc = cv_cbor_read_head(r, &head);
    if (rc != 0)
        return rc;
    if (head.major != CV_CBOR_UINT && head.major != CV_CBOR_NINT)
        return fail_at(r, start, CV_ERR_INVALID);
    if (head.value > INT64_MAX)
        return fail_at(r, start, CV_ERR_LIMIT);
    *v = head.major == CV_CBOR_UINT ? (int64_t)head.value : -1 - (int64_t)head.value;
    return 0;
}

/* A simple value in one byte, as 0xf4 to 0xf7 are. */
static int read_simple(struct cv_reader *r, uint64_t *value)
{
    struct cv_cbor_head head;
    size_t start = r->off;
    int rc = read_definite(r, CV_CBOR_SIMPLE, &head);
    if (rc != 0)
        return rc;
    if (head.info >= 24)
        return fail_at(r, start, CV_ERR_INVALID);
    *value = head.value;
    return 0;
}

int cv_cbor_read_bool(struct cv_reader *r, bool *v)
{
    size_t start = r->off;
    uint64_t value = 0;
    *v = false;
    int rc = read_simple(r, &value);
    if (rc != 0)
        return rc;
    if (value != CV_CBOR_FALSE && value != CV_CBOR_TRUE)
        return fail_at(r, start, CV_ERR_INVALID);
    *v = value == CV_CBOR_TRUE;
    return 0;
}

int cv_cbor_read_null(struct cv_reader *r)
{
    size_t start = r->off;
    uint64_t value = 0;
    int rc = read_simple(r, &value);
    if (rc != 0)
        return rc;
    return value == CV_CBOR_NULL ? 0 : fail_at(r, start, CV_ERR_INVALID);
}

bool cv_cbor_take_null(struct cv_reader *r)
{
    if (cv_reader_left(r) == 0 || cv_peek_u8(r) != 0xf6)
        return false;
    cv_read_skip(r, 1);
    return true;
}

static int read_string(struct cv_reader *r, enum cv_cbor_major major, struct cv_bytes *v)
{
    struct cv_cbor_head head;
    size_t start = r->off;
    *v = (struct cv_bytes){NULL, 0};
    int rc = read_definite(r, major, &head);
    if (rc != 0)
        return rc;
    if (head.value > cv_reader_left(r))
        return fail_at(r, start, CV_ERR_TRUNCATED);
    struct cv_bytes text = cv_read_bytes(r, (size_t)head.value);
    if (major == CV_CBOR_TSTR && !cv_utf8_valid(text))
        return fail_at(r, start, CV_ERR_INVALID);
    *v = text;
    return 0;
}

int cv_cbor_read_bstr(struct cv_reader *r, struct cv_bytes *v)
{
    return read_string(r, CV_CBOR_BSTR, v);
}

int cv_cbor_read_tstr(struct cv_reader *r, struct cv_bytes *v)
{
    return read_string(r, CV_CBOR_TSTR, v);
}

static int enter(struct cv_reader *r, enum cv_cbor_major major, struct cv_cbor_iter *it)
{
    struct cv_cbor_head head;
    size_t start = r->off;
    *it = (struct cv_cbor_iter){.map = major == CV_CBOR_MAP};
    int rc = cv_cbor_read_head(r, &head);
    if (rc != 0)
        return rc;
    if (head.major != major)
        return fail_at(r, start, CV_ERR_INVALID);
    /* Every item takes a byte at least, so a count past that is a lie. */
    if (!head.indefinite && head.value > cv_reader_left(r) / (it->map ? 2 : 1))
        return fail_at(r, start, CV_ERR_TRUNCATED);
    it->indefinite = head.indefinite;
    it->left = head.value;
    return 0;
}

int cv_cbor_enter_array(struct cv_reader *r, struct cv_cbor_iter *it)
{
    return enter(r, CV_CBOR_ARRAY, it);
}

int cv_cbor_enter_map(struct cv_reader *r, struct cv_cbor_iter *it)
{
    return enter(r, CV_CBOR_MAP, it);
}

bool cv_cbor_next(struct cv_reader *r, struct cv_cbor_iter *it)
{
    if (r->err != 0)
        return false;
    if (!it->indefinite) {
        if (it->left == 0)
            return false;
        it->left--;
        return true;
    }
    if (cv_reader_left(r) == 0) {
        cv_reader_fail(r, CV_ERR_TRUNCATED);
        return false;
    }
    if (cv_peek_u8(r) != 0xff)
        return true;
    cv_read_skip(r, 1);
    /* Over for good, should the caller ask again. */
    it->indefinite = false;
    it->left = 0;
    return false;
}
