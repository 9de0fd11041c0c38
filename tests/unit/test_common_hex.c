/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "common/hex.h"
#include "unit/cv_test.h"

static void hex(void **state)
{
    (void)state;
    char text[2 * 256 + 1];
    uint8_t all[256], back[256];
    size_t n;
    for (int i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    cv_hex_encode(text, all, sizeof(all));
    assert_int_equal(strlen(text), 512);
    assert_memory_equal(text + 512 - 6, "fdfeff", 7);
    assert_int_equal(cv_hex_decode(back, sizeof(back), &n, cv_bytes_str(text)), 0);
    assert_int_equal(n, 256);
    assert_memory_equal(all, back, 256);
    assert_int_equal(cv_hex_decode(back, 255, &n, cv_bytes_str(text)), CV_ERR_LIMIT);
    assert_int_equal(n, 0);
    assert_int_equal(cv_hex_decode(back, 2, &n, CV_BYTES_LIT("AbcD")), 0);
    assert_memory_equal(back, "\xab\xcd", 2);
    assert_int_equal(cv_hex_decode(back, 0, &n, CV_BYTES_LIT("")), 0);
    static const char *const bad[] = {"a",  "abc", "0g", "g0", " 0", "0x", "00 ",
                                      "-1", "0:",  "0/", "@0", "`0", "0\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(cv_hex_decode(back, sizeof(back), &n, cv_bytes_str(bad[i])),
                         CV_ERR_INVALID);
    cv_hex_encode(text, NULL, 0);
    assert_string_equal(text, "");
}

/* RFC 4648 section 10. */
static void base64_vectors(void **state)
{
    (void)state;
    static const char *const v[][2] = {{"", ""},
                                       {"f", "Zg=="},
                                       {"fo", "Zm8="},
                                       {"foo", "Zm9v"},
                                       {"foob", "Zm9vYg=="},
                                       {"fooba", "Zm9vYmE="},
                                       {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
        char text[16];
        uint8_t back[8];
        size_t n;
        struct cv_bytes plain = cv_bytes_str(v[i][0]);
        cv_base64_encode(text, plain.p, plain.n);
        assert_string_equal(text, v[i][1]);
        assert_int_equal(CV_BASE64_LEN(plain.n), strlen(v[i][1]));
        assert_int_equal(cv_base64_decode(back, sizeof(back), &n, cv_bytes_str(text)), 0);
        assert_true(cv_bytes_equal(CV_BYTES(back, n), plain));
        if (plain.n > 0) {
            assert_int_equal(cv_base64_decode(back, plain.n, &n, cv_bytes_str(text)), 0);
            assert_int_equal(cv_base64_decode(back, plain.n - 1, &n, cv_bytes_str(text)),
                             CV_ERR_LIMIT);
        }
    }
}

static void base64_is_strict(void **state)
{
    (void)state;
    uint8_t back[16];
    size_t n = 9;
    static const char *const bad[] = {
        "Z",     "Zg",   "Zg=",  "Zg===",    "Zm9vYg",   "Zh==",   "Zm9=",
        "=",     "====", "Z===", "Zm=v",     "Zm9v\n",   "Zm 9",   " Zm9",
        "Zm9v=", "Zm-v", "Zm_v", "Zg==Zg==", "Zm9vZg=a", "Zm9\xff"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (cv_base64_decode(back, sizeof(back), &n, cv_bytes_str(bad[i])) != CV_ERR_INVALID)
            fail_msg("\"%s\" was accepted", bad[i]);
        assert_int_equal(n, 0);
    }
    assert_int_equal(cv_base64_decode(back, sizeof(back), &n, CV_BYTES_LIT("Zm\0v")),
                     CV_ERR_INVALID);
    assert_int_equal(cv_base64_decode(back, sizeof(back), &n, CV_BYTES_LIT("+/+/")), 0);
    assert_memory_equal(back, "\xfb\xff\xbf", 3);
}

static void base64_round_trips(void **state)
{
    (void)state;
    uint8_t in[100], back[100];
    for (size_t len = 0; len <= sizeof(in); len++) {
        CV_CLEANUP(cv_buf_free) struct cv_buf b;
        cv_buf_init(&b, 200);
        for (size_t i = 0; i < len; i++)
            in[i] = (uint8_t)(len * 31 + i * 7);
        size_t n;
        assert_int_equal(cv_buf_append_str(&b, "x"), 0);
        assert_int_equal(cv_base64_append(&b, in, len), 0);
        assert_int_equal(b.n, 1 + CV_BASE64_LEN(len));
        struct cv_bytes text = {b.p + 1, b.n - 1};
        assert_int_equal(cv_base64_decode(back, sizeof(back), &n, text), 0);
        assert_true(cv_bytes_equal(CV_BYTES(in, len), CV_BYTES(back, n)));
        b.limit = b.n; /* full */
        assert_int_equal(cv_base64_append(&b, in, 1), CV_ERR_LIMIT);
        assert_int_equal(b.n, 1 + CV_BASE64_LEN(len));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hex),
        cmocka_unit_test(base64_vectors),
        cmocka_unit_test(base64_is_strict),
        cmocka_unit_test(base64_round_trips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
