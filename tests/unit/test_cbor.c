/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "cbor/cbor.h"
#include "common/hex.h"
#include "unit/cv_test.h"
#include "unit/mutate.h"

static uint8_t bytes[4096];

/* A reader over bytes given as hexadecimal text. */
static struct cv_reader reader(const char *hex)
{
    size_t n;
    struct cv_reader r;
    assert_int_equal(cv_hex_decode(bytes, sizeof(bytes), &n, cv_bytes_str(hex)), 0);
    cv_reader_init(&r, CV_BYTES(bytes, n));
    return r;
}

/* The integers of RFC 8949 appendix A, and wider forms than needed. */
static void integers(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        uint64_t v;
    } uints[] = {{"00", 0},
                 {"01", 1},
                 {"0a", 10},
                 {"17", 23},
                 {"1818", 24},
                 {"1819", 25},
                 {"1864", 100},
                 {"1903e8", 1000},
                 {"1a000f4240", 1000000},
                 {"1b000000e8d4a51000", UINT64_C(1000000000000)},
                 {"1bffffffffffffffff", UINT64_MAX},
                 {"1800", 0},
                 {"190001", 1},
                 {"1a00000002", 2},
                 {"1b0000000000000003", 3}};
    for (size_t i = 0; i < sizeof(uints) / sizeof(uints[0]); i++) {
        struct cv_reader r = reader(uints[i].hex);
        uint64_t v;
        assert_int_equal(cv_cbor_read_uint(&r, &v), 0);
        assert_true(v == uints[i].v);
        assert_int_equal(cv_reader_end(&r), 0);
    }
    static const struct {
        const char *hex;
        int64_t v;
    } ints[] = {{"00", 0},
                {"20", -1},
                {"29", -10},
                {"3863", -100},
                {"3903e7", -1000},
                {"1b7fffffffffffffff", INT64_MAX},
                {"3b7fffffffffffffff", INT64_MIN}};
    for (size_t i = 0; i < sizeof(ints) / sizeof(ints[0]); i++) {
        struct cv_reader r = reader(ints[i].hex);
        int64_t v;
        assert_int_equal(cv_cbor_read_int(&r, &v), 0);
        assert_true(v == ints[i].v);
        assert_int_equal(cv_reader_end(&r), 0);
    }
    static const char *const wide[] = {"1b8000000000000000", "3b8000000000000000",
                                       "3bffffffffffffffff"};
    for (size_t i = 0; i < 3; i++) {
        struct cv_reader r = reader(wide[i]);
        int64_t v = 7;
        assert_int_equal(cv_cbor_read_int(&r, &v), CV_ERR_LIMIT);
        assert_int_equal(v, 0);
        assert_int_equal(cv_reader_end(&r), CV_ERR_LIMIT);
    }
}

static void strings_and_simple_values(void **state)
{
    (void)state;
    struct cv_bytes v;
    bool b;
    struct cv_reader r = reader("4401020304"
                                "40"
                                "6449455446"
                                "62c3bc"
                                "60"
                                "f5"
                                "f4"
                                "f6"
                                "f6");
    assert_int_equal(cv_cbor_read_bstr(&r, &v), 0);
    assert_true(cv_bytes_equal(v, CV_BYTES_LIT("\1\2\3\4")));
    assert_int_equal(cv_cbor_read_bstr(&r, &v), 0);
    assert_int_equal(v.n, 0);
    assert_int_equal(cv_cbor_read_tstr(&r, &v), 0);
    assert_true(cv_bytes_equal_str(v, "IETF"));
    assert_int_equal(cv_cbor_read_tstr(&r, &v), 0);
    assert_true(cv_bytes_equal_str(v, "\xc3\xbc"));
    assert_int_equal(cv_cbor_read_tstr(&r, &v), 0);
    assert_int_equal(v.n, 0);
    assert_false(cv_cbor_take_null(&r));
    assert_int_equal(cv_cbor_read_bool(&r, &b), 0);
    assert_true(b);
    assert_int_equal(cv_cbor_read_bool(&r, &b), 0);
    assert_false(b);
    assert_int_equal(cv_cbor_read_null(&r), 0);
    assert_true(cv_cbor_take_null(&r));
    assert_false(cv_cbor_take_null(&r));
    assert_int_equal(cv_reader_end(&r), 0);
}

typedef int read_fn(struct cv_reader *r);
static int r_uint(struct cv_reader *r)
{
    uint64_t v;
    return cv_cbor_read_uint(r, &v);
}
static int r_int(struct cv_reader *r)
{
    int64_t v;
    return cv_cbor_read_int(r, &v);
}
static int r_bool(struct cv_reader *r)
{
    bool v;
    return cv_cbor_read_bool(r, &v);
}
static int r_null(struct cv_reader *r)
{
    return cv_cbor_read_null(r);
}
static int r_bstr(struct cv_reader *r)
{
    struct cv_bytes v;
    return cv_cbor_read_bstr(r, &v);
}
static int r_tstr(struct cv_reader *r)
{
    struct cv_bytes v;
    return cv_cbor_read_tstr(r, &v);
}
static int r_array(struct cv_reader *r)
{
    struct cv_cbor_iter i;
    return cv_cbor_enter_array(r, &i);
}
static int r_map(struct cv_reader *r)
{
    struct cv_cbor_iter i;
    return cv_cbor_enter_map(r, &i);
}

/* Each type is taken by its own function and refused by every other, and the
 * reader stays where the fault is. */
static void types_are_told_apart(void **state)
{
    (void)state;
    static read_fn *const fns[] = {r_uint, r_int, r_bool, r_null, r_bstr, r_tstr, r_array, r_map};
    static const struct {
        const char *hex;
        unsigned takers; /* bits of FNS */
    } items[] = {
        {"01", 3},     {"20", 2},         {"f4", 4},
        {"f5", 4},     {"f6", 8},         {"f7", 0},
        {"4161", 16},  {"6161", 32},      {"80", 64},
        {"9fff", 64},  {"a0", 128},       {"bfff", 128},
        {"c001", 0},   {"e0", 0},         {"f820", 0},
        {"f97e00", 0}, {"fa00000000", 0}, {"fb0000000000000000", 0},
        {"ff", 0},     {"5f4161ff", 0},   {"7f6161ff", 0},
        {"f0", 0},
    };
    for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
        for (size_t f = 0; f < 8; f++) {
            struct cv_reader r = reader(items[i].hex);
            int rc = fns[f](&r);
            if ((items[i].takers >> f & 1) != 0) {
                assert_int_equal(rc, 0);
            } else {
                assert_int_equal(rc, CV_ERR_INVALID);
                assert_int_equal(cv_reader_end(&r), CV_ERR_INVALID);
                assert_int_equal(r.off, 0);
                assert_int_equal(fns[f](&r), CV_ERR_INVALID); /* it stays */
            }
        }
    }
}

static void heads(void **state)
{
    (void)state;
    struct cv_cbor_head h;
    struct cv_reader r = reader("d28400f97e00f8ffff9f");
    assert_int_equal(cv_cbor_peek(&r, &h), 0);
    assert_int_equal(h.major, CV_CBOR_TAG);
    assert_int_equal(r.off, 0);
    assert_int_equal(cv_cbor_read_head(&r, &h), 0);
    assert_int_equal(h.value, 18);
    assert_int_equal(cv_cbor_read_head(&r, &h), 0);
    assert_int_equal(h.major, CV_CBOR_ARRAY);
    assert_int_equal(h.value, 4);
    assert_int_equal(cv_cbor_read_head(&r, &h), 0);
    assert_int_equal(cv_cbor_read_head(&r, &h), 0);
    assert_int_equal(h.major, CV_CBOR_SIMPLE);
    assert_int_equal(h.info, 25);
    assert_int_equal(h.value, 0x7e00);
    assert_int_equal(cv_cbor_read_head(&r, &h), 0);
    assert_int_equal(h.value, 255);
    assert_int_equal(cv_cbor_read_head(&r, &h), 0);
    assert_true(h.major == CV_CBOR_SIMPLE && h.indefinite);
    assert_int_equal(cv_cbor_read_head(&r, &h), 0);
    assert_true(h.major == CV_CBOR_ARRAY && h.indefinite);
    assert_int_equal(cv_cbor_read_head(&r, &h), CV_ERR_TRUNCATED);

    static const char *const bad[] = {"1c", "1d", "1e", "1f", "3f", "df",   "fc",   "fd",  "fe",
                                      "5c", "7d", "9e", "bc", "dc", "f800", "f818", "f81f"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        r = reader(bad[i]);
        assert_int_equal(cv_cbor_read_head(&r, &h), CV_ERR_INVALID);
        assert_int_equal(r.off, 0);
    }
    static const char *const cut[] = {"",   "18", "19", "1900", "1a000000", "1b00000000000000",
                                      "58", "d8", "f8", "f9",   "fb00"};
    for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
        r = reader(cut[i]);
        assert_int_equal(cv_cbor_peek(&r, &h), CV_ERR_TRUNCATED);
        assert_int_equal(r.err, 0);
        assert_int_equal(cv_cbor_read_head(&r, &h), CV_ERR_TRUNCATED);
        assert_int_equal(r.off, 0);
    }
}

static void lengths_are_not_believed(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        read_fn *fn;
    } lies[] = {
        {"42aa", r_bstr},
        {"5bffffffffffffffffaa", r_bstr},
        {"5affffffffaa", r_bstr},
        {"7b8000000000000000aa", r_tstr},
        {"9bffffffffffffffff00", r_array},
        {"8200", r_array},
        {"bbffffffffffffffff0000", r_map},
        {"a10000a0", NULL},
        {"a100", r_map},
        {"bb80000000000000000000", r_map},
    };
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        if (lies[i].fn == NULL)
            continue;
        struct cv_reader r = reader(lies[i].hex);
        assert_int_equal(lies[i].fn(&r), CV_ERR_TRUNCATED);
        assert_int_equal(cv_reader_end(&r), CV_ERR_TRUNCATED);
    }
    struct cv_reader r = reader("61ff");
    assert_int_equal(r_tstr(&r), CV_ERR_INVALID);
    r = reader("62c328");
    assert_int_equal(r_tstr(&r), CV_ERR_INVALID);
}

static void containers(void **state)
{
    (void)state;
    static const char *const lists[] = {"83010203", "9f010203ff", "9803010203",
                                        "9b0000000000000003010203"};
    for (size_t i = 0; i < 4; i++) {
        struct cv_reader r = reader(lists[i]);
        struct cv_cbor_iter it;
        uint64_t v, want = 1;
        assert_int_equal(cv_cbor_enter_array(&r, &it), 0);
        while (cv_cbor_next(&r, &it)) {
            assert_int_equal(cv_cbor_read_uint(&r, &v), 0);
            assert_int_equal(v, want++);
        }
        assert_int_equal(want, 4);
        assert_false(cv_cbor_next(&r, &it));
        assert_int_equal(cv_reader_end(&r), 0);
    }
    static const char *const maps[] = {"a2616101616202", "bf616101616202ff"};
    for (size_t i = 0; i < 2; i++) {
        struct cv_reader r = reader(maps[i]);
        struct cv_cbor_iter it;
        uint64_t v, sum = 0;
        struct cv_bytes key;
        assert_int_equal(cv_cbor_enter_map(&r, &it), 0);
        while (cv_cbor_next(&r, &it)) {
            assert_int_equal(cv_cbor_read_tstr(&r, &key), 0);
            assert_int_equal(cv_cbor_read_uint(&r, &v), 0);
            sum = sum * 256 + key.p[0] + v;
        }
        assert_int_equal(sum, ('a' + 1) * 256 + 'b' + 2);
        assert_int_equal(cv_reader_end(&r), 0);
    }
    /* An open container without its end; a break where a value belongs. */
    struct cv_cbor_iter it;
    struct cv_reader r = reader("9f01");
    assert_int_equal(cv_cbor_enter_array(&r, &it), 0);
    assert_true(cv_cbor_next(&r, &it));
    assert_int_equal(r_uint(&r), 0);
    assert_false(cv_cbor_next(&r, &it));
    assert_int_equal(cv_reader_end(&r), CV_ERR_TRUNCATED);
    r = reader("bf01ff");
    assert_int_equal(cv_cbor_enter_map(&r, &it), 0);
    assert_true(cv_cbor_next(&r, &it));
    assert_int_equal(r_uint(&r), 0);
    assert_int_equal(r_uint(&r), CV_ERR_INVALID);
    assert_false(cv_cbor_next(&r, &it));
}

static void skipping(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        unsigned depth;
        int rc;
    } v[] = {
        {"00", 0, 0},
        {"f6", 0, 0},
        {"6161", 0, 0},
        {"fb3ff199999999999a", 0, 0},
        {"80", 0, CV_ERR_LIMIT},
        {"80", 1, 0},
        {"8180", 1, CV_ERR_LIMIT},
        {"8180", 2, 0},
        {"a0", 1, 0},
        {"a1616101", 1, 0},
        {"a16161a0", 2, 0},
        {"c0c0c001", 3, 0},
        {"c0c0c001", 2, CV_ERR_LIMIT},
        {"9f0102ff", 1, 0},
        {"9fff", 1, 0},
        {"bfff", 1, 0},
        {"bf0102ff", 1, 0},
        {"bf01ff", 1, CV_ERR_INVALID},
        {"bf0102", 1, CV_ERR_TRUNCATED},
        {"5f41614162ff", 1, 0},
        {"5fff", 1, 0},
        {"5f6161ff", 1, CV_ERR_INVALID},
        {"5f00ff", 1, CV_ERR_INVALID},
        {"5f5f4161ffff", 2, CV_ERR_INVALID},
        {"7f61616162ff", 1, 0},
        {"7f4161ff", 1, CV_ERR_INVALID},
        {"7f61ffff", 1, CV_ERR_INVALID},
        {"ff", 1, CV_ERR_INVALID},
        {"81ff", 1, CV_ERR_INVALID},
        {"a1ff", 1, CV_ERR_TRUNCATED},
        {"a100ff", 1, CV_ERR_INVALID},
        {"c0ff", 1, CV_ERR_INVALID},
        {"9fc0ff", 2, CV_ERR_INVALID},
        {"82", 1, CV_ERR_TRUNCATED},
        {"8201", 1, CV_ERR_TRUNCATED},
        {"81", 1, CV_ERR_TRUNCATED},
        {"c1", 1, CV_ERR_TRUNCATED},
        {"5f", 1, CV_ERR_TRUNCATED},
        {"", 1, CV_ERR_TRUNCATED},
        {"9bffffffffffffffff", 1, CV_ERR_TRUNCATED},
        {"bbffffffffffffffff0000", 1, CV_ERR_TRUNCATED},
        {"bf9f0102ff82bf6161f6ff5f4100ffff", 9, 0},
        {"fc", 1, CV_ERR_INVALID},
        {"bf01c2ffff", 9, CV_ERR_INVALID},
    };
    for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
        struct cv_reader r = reader(v[i].hex);
        struct cv_bytes raw;
        int rc = cv_cbor_skip(&r, v[i].depth, &raw);
        if (rc != v[i].rc)
            fail_msg("%s gave %d, not %d", v[i].hex, rc, v[i].rc);
        if (rc == 0) {
            assert_int_equal(cv_reader_end(&r), 0);
            assert_int_equal(raw.n, strlen(v[i].hex) / 2);
            assert_ptr_equal(raw.p, bytes);
        } else {
            assert_int_equal(cv_reader_end(&r), rc);
            assert_int_equal(raw.n, 0);
        }
    }
    /* It stops behind the item. */
    struct cv_reader r = reader("820102"
                                "03");
    assert_int_equal(cv_cbor_skip(&r, 4, NULL), 0);
    assert_int_equal(r.off, 3);
    assert_int_equal(cv_cbor_skip(&r, 4, NULL), 0);
    assert_int_equal(cv_cbor_skip(&r, 4, NULL), CV_ERR_TRUNCATED);
    assert_int_equal(cv_cbor_skip(&r, 4, NULL), CV_ERR_TRUNCATED);
}

static void depth_is_capped(void **state)
{
    (void)state;
    static uint8_t deep[100000];
    memset(deep, 0x81, sizeof(deep)); /* [[[[… */
    struct cv_reader r;
    cv_reader_init(&r, CV_BYTES(deep, sizeof(deep)));
    assert_int_equal(cv_cbor_skip(&r, UINT32_MAX, NULL), CV_ERR_LIMIT);
    memset(deep, 0xc0, sizeof(deep)); /* tags of tags */
    cv_reader_init(&r, CV_BYTES(deep, sizeof(deep)));
    assert_int_equal(cv_cbor_skip(&r, UINT32_MAX, NULL), CV_ERR_LIMIT);
    memset(deep, 0x81, CV_CBOR_MAX_DEPTH);
    deep[CV_CBOR_MAX_DEPTH] = 0;
    cv_reader_init(&r, CV_BYTES(deep, CV_CBOR_MAX_DEPTH + 1));
    assert_int_equal(cv_cbor_skip(&r, CV_CBOR_MAX_DEPTH, NULL), 0);
    assert_int_equal(cv_reader_end(&r), 0);
}

static void writes_shortest_forms(void **state)
{
    (void)state;
    uint8_t out[256];
    struct cv_writer w;
    cv_writer_init(&w, out, sizeof(out));
    static const uint64_t u[] = {
        0, 23, 24, 255, 256, 65535, 65536, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX};
    for (size_t i = 0; i < sizeof(u) / sizeof(u[0]); i++)
        cv_cbor_write_uint(&w, u[i]);
    cv_cbor_write_int(&w, 5);
    cv_cbor_write_int(&w, -1);
    cv_cbor_write_int(&w, -500);
    cv_cbor_write_int(&w, INT64_MIN);
    cv_cbor_write_bstr(&w, CV_BYTES_LIT("\1\2"));
    cv_cbor_write_tstr(&w, "abc");
    cv_cbor_write_text(&w, CV_BYTES_LIT("d"));
    cv_cbor_write_bool(&w, true);
    cv_cbor_write_bool(&w, false);
    cv_cbor_write_null(&w);
    cv_cbor_write_array(&w, 2);
    cv_cbor_write_map(&w, 30);
    cv_cbor_write_head(&w, CV_CBOR_TAG, 18);
    char hex[2 * sizeof(out) + 1];
    size_t n;
    assert_int_equal(cv_writer_end(&w, &n), 0);
    cv_hex_encode(hex, out, n);
    assert_string_equal(hex, "00"
                             "17"
                             "1818"
                             "18ff"
                             "190100"
                             "19ffff"
                             "1a00010000"
                             "1affffffff"
                             "1b0000000100000000"
                             "1bffffffffffffffff"
                             "05"
                             "20"
                             "3901f3"
                             "3b7fffffffffffffff"
                             "420102"
                             "63616263"
                             "6164"
                             "f5"
                             "f4"
                             "f6"
                             "82"
                             "b81e"
                             "d2");
    /* What does not fit is an error, and nothing is written past the end. */
    for (size_t cap = 0; cap < 5; cap++) {
        memset(out, 'Z', sizeof(out));
        cv_writer_init(&w, out, cap);
        cv_cbor_write_tstr(&w, "abcd");
        assert_int_equal(cv_writer_end(&w, NULL), CV_ERR_LIMIT);
        assert_int_equal(out[cap], 'Z');
    }
}

static void skip_variant(void *ctx, const uint8_t *p, size_t n, const char *what)
{
    const bool *truncated = ctx;
    struct cv_reader r;
    cv_reader_init(&r, CV_BYTES(p, n));
    int rc = cv_cbor_skip(&r, 16, NULL);
    if (*truncated && rc != CV_ERR_TRUNCATED)
        fail_msg("%s gave %d", what, rc);
    if (rc == 0)
        assert_true(r.off <= n);
    else
        assert_int_equal(r.err, rc);
}

static void every_truncation_and_flip(void **state)
{
    (void)state;
    size_t n;
    uint8_t in[256];
    static const char good[] =
        "d2a66161830102206162bf0102ff61637818c3bc6162636465666768696a6b6c6d6e"
        "6f70717273747576"
        "61645f41614162ff6165fb3ff199999999999a61667f6161ff";
    assert_int_equal(cv_hex_decode(in, sizeof(in), &n, cv_bytes_str(good)), 0);
    struct cv_reader r;
    cv_reader_init(&r, CV_BYTES(in, n));
    assert_int_equal(cv_cbor_skip(&r, 16, NULL), 0);
    assert_int_equal(cv_reader_end(&r), 0);
    bool truncated = true;
    mutate_truncations(in, n, skip_variant, &truncated);
    truncated = false;
    mutate_bit_flips(in, n, skip_variant, &truncated);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),
        cmocka_unit_test(strings_and_simple_values),
        cmocka_unit_test(types_are_told_apart),
        cmocka_unit_test(heads),
        cmocka_unit_test(lengths_are_not_believed),
        cmocka_unit_test(containers),
        cmocka_unit_test(skipping),
        cmocka_unit_test(depth_is_capped),
        cmocka_unit_test(writes_shortest_forms),
        cmocka_unit_test(every_truncation_and_flip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
