/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "rpc/walk.h"

#define TAG_BIGPOS 2
#define TAG_BIGNEG 3

/* NOLINTNEXTLINE(readability-non-const-parameter): the walk writes through it */
void cv_walk_init(struct cv_walk *w, uint8_t *p, size_t n, char *text, size_t size)
{
    *w = (struct cv_walk){.p = p, .n = n, .depth = CV_WALK_DEPTH, .text = text, .size = size};
    text[0] = '\0';
}

bool cv_walk_head(struct cv_walk *w, struct cv_cbor_head *h)
{
    size_t at = w->off;
    memset(h, 0, sizeof *h);
    if (w->p == NULL || w->off >= w->n)
        return cv_walk_eof(w);
    uint8_t first = w->p[w->off++];
    h->major = (enum cv_cbor_major)(first >> 5);
    h->info = first & 31;
    if (h->info < 24) {
        h->value = h->info;
    } else if (h->info <= 27) {
        size_t len = (size_t)1 << (h->info - 24);
        if (w->n - w->off < len) {
            w->off = w->n;
            return cv_walk_eof(w);
        }
        for (size_t i = 0; i < len; i++)
            h->value = h->value << 8 | w->p[w->off++];
    } else if (h->info == 31) {
        /* An integer or a tag has no indefinite form. */
        if (h->major == CV_CBOR_UINT || h->major == CV_CBOR_NINT || h->major == CV_CBOR_TAG)
            return cv_walk_syntax(w, at);
        h->indefinite = true;
    } else {
        return cv_walk_syntax(w, at);
    }
    return true;
}

bool cv_walk_untagged(struct cv_walk *w, struct cv_cbor_head *h, size_t *at)
{
    do {
        if (at != NULL)
            *at = w->off;
        if (!cv_walk_head(w, h))
            return false;
    } while (h->major == CV_CBOR_TAG);
    return true;
}

bool cv_walk_enter(struct cv_walk *w)
{
    if (w->depth == 0) {
        snprintf(w->text, w->size, "RecursionLimitExceeded");
        return false;
    }
    w->depth--;
    return true;
}

void cv_walk_leave(struct cv_walk *w)
{
    w->depth++;
}

struct cv_walk_items cv_walk_items(const struct cv_cbor_head *h)
{
    return (struct cv_walk_items){.indefinite = h->indefinite, .left = h->value};
}

int cv_walk_next(struct cv_walk *w, struct cv_walk_items *it)
{
    if (!it->indefinite) {
        if (it->left == 0)
            return 0;
        it->left--;
        return 1;
    }
    if (w->off >= w->n) {
        cv_walk_eof(w);
        return -1;
    }
    if (w->p[w->off] != 0xff)
        return 1;
    w->off++;
    return 0;
}

static bool take(struct cv_walk *w, uint64_t n, uint8_t **p)
{
    *p = NULL;
    if (n > w->n - w->off) {
        w->off = w->n;
        return cv_walk_eof(w);
    }
    *p = w->p + w->off;
    w->off += (size_t)n;
    return true;
}

bool cv_walk_identifier(struct cv_walk *w, struct cv_bytes *name)
{
    struct cv_cbor_head h;
    size_t at;
    uint8_t *p;
    if (!cv_walk_untagged(w, &h, &at))
        return false;
    if ((h.major != CV_CBOR_TSTR && h.major != CV_CBOR_BSTR) || h.indefinite ||
        h.value > CV_WALK_IDENTIFIER)
        return cv_walk_expected(w, &h, "str or bytes");
    if (!take(w, h.value, &p))
        return false;
    *name = CV_BYTES(p, (size_t)h.value);
    if (h.major == CV_CBOR_TSTR && !cv_utf8_valid(*name))
        return cv_walk_syntax(w, at);
    return true;
}

/* The pieces of a string whose head H (of MAJOR) was at AT, put together at
 * the place where the head stood. Nested pieces are accepted, as there. */
static bool segments(struct cv_walk *w, const struct cv_cbor_head *h, size_t at, struct cv_bytes *v)
{
    uint8_t *p;
    *v = CV_BYTES(NULL, 0);
    if (!h->indefinite) {
        if (!take(w, h->value, &p))
            return false;
        *v = CV_BYTES(p, (size_t)h->value);
        if (h->major == CV_CBOR_TSTR && !cv_utf8_valid(*v))
            return cv_walk_syntax(w, at);
        return true;
    }
    uint8_t *out = w->p + at;
    size_t n = 0;
    for (size_t nested = 1; nested > 0;) {
        struct cv_cbor_head piece;
        size_t start = w->off;
        if (!cv_walk_head(w, &piece))
            return false;
        if (piece.major == CV_CBOR_SIMPLE && piece.indefinite) {
            nested--;
            continue;
        }
        if (piece.major != h->major)
            return cv_walk_syntax(w, start);
        if (piece.indefinite) {
            nested++;
            continue;
        }
        if (!take(w, piece.value, &p))
            return false;
        if (h->major == CV_CBOR_TSTR && !cv_utf8_valid(CV_BYTES(p, (size_t)piece.value)))
            return cv_walk_syntax(w, start);
        if (p != NULL)
            memmove(out + n, p, (size_t)piece.value);
        n += (size_t)piece.value;
    }
    *v = CV_BYTES(out, n);
    return true;
}

/* The magnitude after a bignum's tag: *BIG when it has more than 64 bits. */
static bool bignum(struct cv_walk *w, uint64_t *v, bool *big, bool *huge)
{
    struct cv_cbor_head h;
    struct cv_bytes b;
    size_t at = w->off;
    if (!cv_walk_head(w, &h))
        return false;
    if (h.major != CV_CBOR_BSTR)
        return cv_walk_expected(w, &h, "bytes");
    if (!segments(w, &h, at, &b))
        return false;
    while (b.n > 0 && b.p[0] == 0) {
        b.p++;
        b.n--;
    }
    *huge = b.n > 16;
    *big = b.n > 8;
    *v = 0;
    for (size_t i = 0; !*big && i < b.n; i++)
        *v = *v << 8 | b.p[i];
    return true;
}

bool cv_walk_uint(struct cv_walk *w, uint64_t *v, uint64_t max, const char *type)
{
    struct cv_cbor_head h;
    *v = 0;
    do {
        if (!cv_walk_head(w, &h))
            return false;
        if (h.major == CV_CBOR_TAG && (h.value == TAG_BIGPOS || h.value == TAG_BIGNEG))
            break;
    } while (h.major == CV_CBOR_TAG);
    if (h.major == CV_CBOR_TAG) {
        bool big, huge, negative = h.value == TAG_BIGNEG;
        if (!bignum(w, v, &big, &huge))
            return false;
        if (huge)
            return cv_walk_semantic(w, "bigint too large");
        if (negative)
            return cv_walk_semantic(w, "unexpected negative integer");
        if (big)
            return cv_walk_semantic(w, "integer too large");
    } else if (h.major == CV_CBOR_UINT) {
        *v = h.value;
    } else if (h.major == CV_CBOR_NINT) {
        return cv_walk_semantic(w, "unexpected negative integer");
    } else {
        return cv_walk_expected(w, &h, "integer");
    }
    if (*v > max)
        return cv_walk_semantic(w, "invalid value: integer `%llu`, expected %s",
                                (unsigned long long)*v, type);
    return true;
}

bool cv_walk_text(struct cv_walk *w, struct cv_bytes *v)
{
    struct cv_cbor_head h;
    size_t at;
    if (!cv_walk_untagged(w, &h, &at))
        return false;
    if (h.major != CV_CBOR_TSTR)
        return cv_walk_expected(w, &h, "string");
    return segments(w, &h, at, v);
}

bool cv_walk_take_none(struct cv_walk *w, bool *none)
{
    size_t at = w->off;
    struct cv_cbor_head h;
    if (!cv_walk_head(w, &h))
        return false;
    *none = h.major == CV_CBOR_SIMPLE && !h.indefinite && h.info <= 24 &&
            (h.value == CV_CBOR_NULL || h.value == CV_CBOR_UNDEFINED);
    if (!*none)
        w->off = at;
    return true;
}

bool cv_walk_bytes(struct cv_walk *w, struct cv_bytes *v)
{
    struct cv_cbor_head h;
    size_t at;
    if (!cv_walk_untagged(w, &h, &at))
        return false;
    if (h.major == CV_CBOR_BSTR)
        return segments(w, &h, at, v);
    if (h.major != CV_CBOR_ARRAY)
        return cv_walk_expected(w, &h, "bytes");
    if (!cv_walk_enter(w))
        return false;
    struct cv_walk_items it = cv_walk_items(&h);
    uint8_t *out = w->p + at;
    size_t n = 0;
    int more;
    while ((more = cv_walk_next(w, &it)) > 0) {
        uint64_t byte;
        if (!cv_walk_uint(w, &byte, UINT8_MAX, "u8"))
            return false;
        out[n++] = (uint8_t)byte;
    }
    cv_walk_leave(w);
    *v = CV_BYTES(out, n);
    return more == 0;
}

bool cv_walk_enum(struct cv_walk *w)
{
    struct cv_cbor_head h;
    size_t at;
    if (!cv_walk_untagged(w, &h, &at))
        return false;
    if (h.major == CV_CBOR_TSTR)
        w->off = at; /* the name itself; its value follows in the stream */
    else if (h.major != CV_CBOR_MAP || h.indefinite || h.value != 1)
        return cv_walk_expected(w, &h, "enum");
    return cv_walk_enter(w);
}

static bool ignore_tagged(struct cv_walk *w, uint64_t tag)
{
    if (tag == TAG_BIGPOS || tag == TAG_BIGNEG) {
        uint64_t v;
        bool big, huge;
        return bignum(w, &v, &big, &huge);
    }
    if (!cv_walk_enter(w) || !cv_walk_ignore(w))
        return false;
    cv_walk_leave(w);
    return true;
}

static bool ignore_items(struct cv_walk *w, const struct cv_cbor_head *h)
{
    struct cv_walk_items it = cv_walk_items(h);
    int more;
    if (!cv_walk_enter(w))
        return false;
    while ((more = cv_walk_next(w, &it)) > 0) {
        if (!cv_walk_ignore(w))
            return false;
        if (h->major == CV_CBOR_MAP && !cv_walk_ignore(w))
            return false;
    }
    cv_walk_leave(w);
    return more == 0;
}

/* At most CV_WALK_DEPTH calls deep. */
bool cv_walk_ignore(struct cv_walk *w)
{
    struct cv_cbor_head h;
    struct cv_bytes v;
    size_t at = w->off;
    if (!cv_walk_head(w, &h))
        return false;
    switch (h.major) {
    case CV_CBOR_UINT:
    case CV_CBOR_NINT:
        return true;
    case CV_CBOR_BSTR:
    case CV_CBOR_TSTR:
        return segments(w, &h, at, &v);
    case CV_CBOR_ARRAY:
    case CV_CBOR_MAP:
        return ignore_items(w, &h);
    case CV_CBOR_TAG:
        return ignore_tagged(w, h.value);
    case CV_CBOR_SIMPLE:
    default:
        break;
    }
    if (h.indefinite)
        return cv_walk_expected(w, &h, "non-break");
    if (h.info <= 24 && (h.value < CV_CBOR_FALSE || h.value > CV_CBOR_UNDEFINED))
        return cv_walk_expected(w, &h, "known simple value");
    return true;
}
