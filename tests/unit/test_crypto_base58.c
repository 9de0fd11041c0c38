/* SPDX-License-Identifier: Apache-2.0 */
/* Base58check: known texts, every length both ways, and what is refused. */
#include "unit/cv_test.h"
#include "unit/from_hex.h"

#include "crypto/base58.h"

static void known(void **state)
{
    (void)state;
    static const struct {
        const char *hex, *text;
    } cases[] = {
        /* the address of the genesis block of Bitcoin; an empty payload (the
         * checksum alone); payloads of zeros */
        {"0062e907b15cbf27d5425399ebf6f0fb50ebb88f18", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"},
        {"", "3QJmnh"},
        {"00", "1Wh4bh"},
        {"06a19f0000000000000000000000000000000000000000", "tz1Ke2h7sDdakHJQh8WX4Z372du1KChsksyU"},
        {"575200ed9d217c", "NetXxkAx4woPLyu"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t payload[64], back[64];
        char text[CV_BASE58_TEXT_MAX];
        size_t n = from_hex(payload, 64, cases[i].hex), m = 99;
        assert_int_equal(cv_base58check_encode(text, sizeof(text), CV_BYTES(payload, n)), 0);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(cv_base58check_decode(back, 64, &m, cv_bytes_str(text)), 0);
        assert_int_equal(m, n);
        assert_memory_equal(back, payload, n);
    }
}

static void lengths(void **state)
{
    (void)state;
    uint8_t payload[CV_BASE58_PAYLOAD_MAX + 1], back[CV_BASE58_PAYLOAD_MAX];
    char text[CV_BASE58_TEXT_MAX], cut[CV_BASE58_TEXT_MAX];
    uint32_t seed = 1;
    for (size_t n = 0; n <= CV_BASE58_PAYLOAD_MAX; n++) {
        for (size_t zeros = 0; zeros <= n; zeros += 1 + n / 8) {
            size_t m = 0;
            for (size_t i = 0; i < n; i++) {
                seed = seed * 1664525 + 1013904223;
                payload[i] = i < zeros ? 0 : (uint8_t)(seed >> 24);
            }
            assert_int_equal(cv_base58check_encode(text, sizeof(text), CV_BYTES(payload, n)), 0);
            size_t len = strlen(text);
            assert_int_equal(cv_base58check_encode(cut, len, CV_BYTES(payload, n)), CV_ERR_LIMIT);
            assert_int_equal(cv_base58check_encode(cut, len + 1, CV_BYTES(payload, n)), 0);
            assert_int_equal(cv_base58check_decode(back, n, &m, cv_bytes_str(text)), 0);
            assert_int_equal(m, n);
            assert_memory_equal(back, payload, n);
            if (n > 0)
                assert_int_equal(cv_base58check_decode(back, n - 1, &m, cv_bytes_str(text)),
                                 CV_ERR_LIMIT);
        }
    }
    memset(payload, 0xff, sizeof(payload));
    assert_int_equal(cv_base58check_encode(text, sizeof(text), CV_BYTES(payload, sizeof(payload))),
                     CV_ERR_LIMIT);
    memset(payload, 0, sizeof(payload));
    assert_int_equal(
        cv_base58check_encode(text, sizeof(text), CV_BYTES(payload, CV_BASE58_PAYLOAD_MAX)), 0);
}

/* Any single wrong character is noticed. */
static void refused(void **state)
{
    (void)state;
    static const char good[] = "tz1Ke2h7sDdakHJQh8WX4Z372du1KChsksyU";
    uint8_t out[CV_BASE58_PAYLOAD_MAX];
    size_t n;
    for (size_t at = 0; at < sizeof(good) - 1; at++) {
        for (int c = 0; c < 256; c++) {
            char text[sizeof(good)];
            memcpy(text, good, sizeof(text));
            if (text[at] == (char)c)
                continue;
            text[at] = (char)c;
            int rc = cv_base58check_decode(out, sizeof(out), &n, CV_BYTES(text, sizeof(text) - 1));
            assert_true(rc == CV_ERR_INVALID || rc == CV_ERR_CRYPTO);
            if (c == '0' || c == 'O' || c == 'I' || c == 'l' || c == ' ' || c == 0 || c > 127)
                assert_int_equal(rc, CV_ERR_INVALID);
        }
        int rc = cv_base58check_decode(out, sizeof(out), &n, CV_BYTES(good, at));
        assert_true(rc == CV_ERR_INVALID || rc == CV_ERR_CRYPTO);
    }
    char longest[CV_BASE58_TEXT_MAX + 20];
    for (size_t len = 1; len < sizeof(longest); len++) {
        memset(longest, 'z', len);
        int rc = cv_base58check_decode(out, sizeof(out), &n, CV_BYTES(longest, len));
        assert_true(rc < 0);
        memset(longest, '1', len);
        rc = cv_base58check_decode(out, sizeof(out), &n, CV_BYTES(longest, len));
        assert_true(rc < 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known),
        cmocka_unit_test(lengths),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
