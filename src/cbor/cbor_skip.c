/* SPDX-License-Identifier: Apache-2.0 */
/* Walking over an item of any shape, without recursion and without the heap. */
#include "cbor/cbor.h"

enum shape { COUNTED, OPEN_ARRAY, OPEN_MAP, OPEN_MAP_VALUE, OPEN_BSTR, OPEN_TSTR };

struct level {
    uint64_t left; /* items to come, when COUNTED */
    enum shape shape;
};

static int fail(struct cv_reader *r, int code)
{
    cv_reader_fail(r, code);
    return r->err;
}

static int skip_string(struct cv_reader *r, const struct cv_cbor_head *head)
{
    if (head->value > cv_reader_left(r))
        return fail(r, CV_ERR_TRUNCATED);
    struct cv_bytes text = cv_read_bytes(r, (size_t)head->value);
    if (head->major == CV_CBOR_TSTR && !cv_utf8_valid(text))
        return fail(r, CV_ERR_INVALID);
    return 0;
}

/* The level that HEAD opens, if it opens one: *NESTED. */
static int open_level(struct cv_reader *r, const struct cv_cbor_head *head, struct level *level,
                      bool *nested)
{
    *nested = true;
    *level = (struct level){.shape = COUNTED};
    switch (head->major) {
    case CV_CBOR_BSTR:
    case CV_CBOR_TSTR:
        if (head->indefinite) {
            level->shape = head->major == CV_CBOR_BSTR ? OPEN_BSTR : OPEN_TSTR;
            return 0;
        }
        *nested = false;
        return skip_string(r, head);
    case CV_CBOR_ARRAY:
        if (head->indefinite)
            level->shape = OPEN_ARRAY;
        else if (head->value > cv_reader_left(r))
            return fail(r, CV_ERR_TRUNCATED);
        level->left = head->value;
        return 0;
    case CV_CBOR_MAP:
        if (head->indefinite)
            level->shape = OPEN_MAP;
        else if (head->value > cv_reader_left(r) / 2)
            return fail(r, CV_ERR_TRUNCATED);
        level->left = 2 * head->value;
        return 0;
    case CV_CBOR_TAG:
        level->left = 1;
        return 0;
    case CV_CBOR_UINT:
    case CV_CBOR_NINT:
    case CV_CBOR_SIMPLE:
        break;
    }
    *nested = false;
    return 0;
}

/* What may not stand inside the level that is open. */
static bool allowed(const struct level *level, const struct cv_cbor_head *head)
{
    if (level->shape == OPEN_BSTR)
        return head->major == CV_CBOR_BSTR && !head->indefinite;
    if (level->shape == OPEN_TSTR)
        return head->major == CV_CBOR_TSTR && !head->indefinite;
    return true;
}

/* An item of LEVEL was read. */
static void count(struct level *level)
{
    if (level->shape == COUNTED)
        level->left--;
    else if (level->shape == OPEN_MAP)
        level->shape = OPEN_MAP_VALUE;
    else if (level->shape == OPEN_MAP_VALUE)
        level->shape = OPEN_MAP;
}

int cv_cbor_skip(struct cv_reader *r, unsigned max_depth, struct cv_bytes *raw)
{
    struct level stack[CV_CBOR_MAX_DEPTH];
    size_t depth = 0, start = r->off;
    if (raw != NULL)
        *raw = (struct cv_bytes){NULL, 0};
    if (max_depth > CV_CBOR_MAX_DEPTH)
        max_depth = CV_CBOR_MAX_DEPTH;
    do {
        struct cv_cbor_head head;
        struct level *top = depth > 0 ? &stack[depth - 1] : NULL;
        size_t here = r->off;
        int rc = cv_cbor_read_head(r, &head);
        if (rc != 0)
            return rc;
        if (head.major == CV_CBOR_SIMPLE && head.indefinite) {
            /* A break: only in an open level, and not between key and value. */
            if (top == NULL || top->shape == COUNTED || top->shape == OPEN_MAP_VALUE) {
                r->off = here;
                return fail(r, CV_ERR_INVALID);
            }
            depth--;
        } else {
            if (top != NULL) {
                if (!allowed(top, &head)) {
                    r->off = here;
                    return fail(r, CV_ERR_INVALID);
                }
                count(top);
            }
            struct level level;
            bool nested;
            rc = open_level(r, &head, &level, &nested);
            if (rc == 0 && nested && depth == max_depth)
                rc = fail(r, CV_ERR_LIMIT);
            if (rc != 0) {
                r->off = here;
                return rc;
            }
            if (nested)
                stack[depth++] = level;
        }
        while (depth > 0 && stack[depth - 1].shape == COUNTED && stack[depth - 1].left == 0)
            depth--;
    } while (depth > 0);
    if (raw != NULL)
        *raw = (struct cv_bytes){r->p + start, r->off - start};
    return 0;
}
