/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of signing requests, with the texts of Go's encoding/json and hex. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "signer/body.h"

static void good(const char *body, const char *bytes, size_t n)
{
    char fault[CV_BODY_FAULT];
    size_t size = strlen(body), got = 99;
    uint8_t *copy = malloc(size + 1);
    assert_non_null(copy);
    memcpy(copy, body, size);
    if (cv_body_decode(copy, size, &got, fault) != 0) {
        fail_msg("%s: %s", body, fault);
    }
    assert_int_equal(got, n);
    assert_memory_equal(copy, bytes, n);
    free(copy);
}

static void bad_n(const char *body, size_t size, const char *text)
{
    char fault[CV_BODY_FAULT];
    size_t got = 99;
    uint8_t *copy = malloc(size + 1);
    assert_non_null(copy);
    memcpy(copy, body, size);
    assert_int_equal(cv_body_decode(copy, size, &got, fault), CV_ERR_INVALID);
    assert_string_equal(fault, text);
    free(copy);
}

static void bad(const char *body, const char *text)
{
    bad_n(body, strlen(body), text);
}

static void test_good(void **state)
{
    (void)state;
    good("\"03aAbB\"", "\x03\xaa\xbb", 3);
    good(" \t\r\n\"00\"\n", "\0", 1);
    good("\"\"", "", 0);
    good("null", "", 0);
    good("\"\\u0030\\u0033\"", "\x03", 1);
}

static void test_json_faults(void **state)
{
    (void)state;
    bad("", "unexpected end of JSON input");
    bad("  ", "unexpected end of JSON input");
    bad("\"03", "unexpected end of JSON input");
    bad("\x03", "invalid character '\\x03' looking for beginning of value");
    bad("03", "invalid character '3' after top-level value");
    bad("\"03\" x", "invalid character 'x' after top-level value");
    bad("'03'", "invalid character '\\'' looking for beginning of value");
    bad("\"a\nb\"", "invalid character '\\n' in string literal");
    bad("\"\\x\"", "invalid character 'x' in string escape code");
    bad("\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape");
    bad("nul", "unexpected end of JSON input");
    bad("nulx", "invalid character 'x' in literal null (expecting 'l')");
    bad("{1", "invalid character '1' looking for beginning of object key string");
    bad("{\"a\"1", "invalid character '1' after object key");
    bad("{\"a\":1 2", "invalid character '2' after object key:value pair");
    bad("[1 2", "invalid character '2' after array element");
    bad("[1,]", "invalid character ']' looking for beginning of value");
    bad("{\"a\":1,}", "invalid character '}' looking for beginning of object key string");
    bad("-x", "invalid character 'x' in numeric literal");
    bad("1.x", "invalid character 'x' after decimal point in numeric literal");
    bad("1ex", "invalid character 'x' in exponent of numeric literal");
    bad("\xc3\xa9", "invalid character '\xc3\x83' looking for beginning of value");
    bad_n("\0", 1, "invalid character '\\x00' looking for beginning of value");
}

static void test_types(void **state)
{
    (void)state;
    bad("5", "json: cannot unmarshal number into Go value of type string");
    bad("-1.5e+3", "json: cannot unmarshal number into Go value of type string");
    bad("true", "json: cannot unmarshal bool into Go value of type string");
    bad("false", "json: cannot unmarshal bool into Go value of type string");
    bad("{\"a\":[{},[],\"x\",null]}", "json: cannot unmarshal object into Go value of type string");
    bad("[]", "json: cannot unmarshal array into Go value of type string");
}

static void test_hex_faults(void **state)
{
    (void)state;
    bad("\"03ZZZZ\"", "encoding/hex: invalid byte: U+005A 'Z'");
    bad("\"0\"", "encoding/hex: odd length hex string");
    bad("\"00Z\"", "encoding/hex: invalid byte: U+005A 'Z'");
    bad("\"0x00\"", "encoding/hex: invalid byte: U+0078 'x'");
    bad("\"\\u00e9\\u00e9\"", "encoding/hex: invalid byte: U+00C3 '\xc3\x83'");
    bad("\"\\n0\"", "encoding/hex: invalid byte: U+000A");
}

static void test_depth(void **state)
{
    (void)state;
    size_t n = CV_BODY_DEPTH + 1;
    char *deep = malloc(n);
    char fault[CV_BODY_FAULT];
    assert_non_null(deep);
    memset(deep, '[', n);
    assert_false(cv_go_json_valid(CV_BYTES(deep, n), fault));
    assert_string_equal(fault, "exceeded max depth");
    assert_false(cv_go_json_valid(CV_BYTES(deep, n - 1), fault));
    assert_string_equal(fault, "unexpected end of JSON input");
    free(deep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),  cmocka_unit_test(test_json_faults),
        cmocka_unit_test(test_types), cmocka_unit_test(test_hex_faults),
        cmocka_unit_test(test_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
