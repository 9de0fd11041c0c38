/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes: skipping and walking agree on what is an item and where it ends,
 * and what was walked, written again, reads back as the same values.
 */
#include <stdlib.h>

#include "cbor/cbor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* Reads one item with the typed functions into W, its canonical form. False
 * where only skipping knows the item (tags, floats, chunked strings). */
static bool copy_item(struct cv_reader *r, struct cv_writer *w, unsigned depth)
{
    struct cv_cbor_head head;
    if (depth == 0 || cv_cbor_peek(r, &head) != 0)
        return false;
    struct cv_cbor_iter it;
    struct cv_bytes s;
    uint64_t u;
    int64_t i;
    bool b;
    switch (head.major) {
    case CV_CBOR_UINT:
        must(cv_cbor_read_uint(r, &u) == 0);
        cv_cbor_write_uint(w, u);
        return true;
    case CV_CBOR_NINT:
        if (cv_cbor_read_int(r, &i) != 0)
            return false;
        cv_cbor_write_int(w, i);
        return true;
    case CV_CBOR_BSTR:
        if (cv_cbor_read_bstr(r, &s) != 0)
            return false;
        cv_cbor_write_bstr(w, s);
        return true;
    case CV_CBOR_TSTR:
        if (cv_cbor_read_tstr(r, &s) != 0)
            return false;
        must(cv_utf8_valid(s));
        cv_cbor_write_text(w, s);
        return true;
    case CV_CBOR_ARRAY:
    case CV_CBOR_MAP:
        if ((head.major == CV_CBOR_MAP ? cv_cbor_enter_map(r, &it) : cv_cbor_enter_array(r, &it)) !=
                0 ||
            it.indefinite)
            return false;
        cv_cbor_write_head(w, head.major, it.left);
        while (cv_cbor_next(r, &it)) {
            if (!copy_item(r, w, depth - 1) ||
                (head.major == CV_CBOR_MAP && !copy_item(r, w, depth - 1)))
                return false;
        }
        return r->err == 0;
    case CV_CBOR_SIMPLE:
        if (cv_cbor_take_null(r)) {
            cv_cbor_write_null(w);
            return true;
        }
        if (cv_cbor_read_bool(r, &b) != 0)
            return false;
        cv_cbor_write_bool(w, b);
        return true;
    case CV_CBOR_TAG:
        return false;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cv_reader skip, walk;
    struct cv_bytes raw;
    cv_reader_init(&skip, CV_BYTES(data, size));
    walk = skip;
    int rc = cv_cbor_skip(&skip, 40, &raw);
    must(rc == skip.err && skip.off <= size);
    must(rc != 0 || (raw.n == skip.off && raw.n > 0));

    uint8_t *out = malloc(size + 1);
    if (out == NULL)
        return 0;
    struct cv_writer w;
    cv_writer_init(&w, out, size); /* the canonical form is never longer */
    if (copy_item(&walk, &w, 40)) {
        size_t n;
        must(rc == 0 && walk.off == skip.off);
        must(cv_writer_end(&w, &n) == 0 && n <= raw.n);
        struct cv_reader again;
        cv_reader_init(&again, CV_BYTES(out, n));
        must(cv_cbor_skip(&again, 40, NULL) == 0 && cv_reader_end(&again) == 0);
    }
    free(out);
    return 0;
}
