/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "json/json.h"
#include "unit/cv_test.h"
#include "unit/mutate.h"

static struct cv_error err;

static json_t *parse(const char *text)
{
    json_t *v;
    assert_code(cv_json_parse(&v, cv_bytes_str(text), 65536, "it", &err), 0, &err);
    return v;
}

static void parses_any_value(void **state)
{
    (void)state;
    static const char *const good[] = {"{}",
                                       "[]",
                                       " [1] ",
                                       "null",
                                       "true",
                                       "1",
                                       "-0",
                                       "1.5e3",
                                       "\"\\ud83d\\ude00\"",
                                       "{\"a\":{\"a\":1},\"b\":[{}]}"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        json_decref(parse(good[i]));
}

static void refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "it ends too early"},
        {"{", "it ends too early"},
        {"{\"a\":1,\"a\":2}", "it has a member twice in one object"},
        {"{\"a\":{\"b\":1,\"b\":2}}", "a member twice"},
        {"[] x", "it goes on after its end"},
        {"[1,]", "is not valid JSON (line 1, column 4)"},
        {"{\"a\":1}\n{", "line 2"},
        {"\"\xff\"", "invalid UTF-8"},
        {"\"\xed\xa0\x80\"", "invalid UTF-8"},
        {"\"\\u0000\"", "NUL"},
        {"{\"\\u0000\":1}", "NUL"},
        {"\"\\ud800\"", "not valid"},
        {"01", "not valid"},
        {"NaN", "not valid"},
        {"'a'", "not valid"},
        {"[1 2]", "not valid"},
        {"// x\n1", "not valid"},
        {"\"a\nb\"", "not valid"},
        {"1e999", "too large"},
        {"99999999999999999999", "too large"},
        {"\xef\xbb\xbf{}", "not valid"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        json_t *v = (json_t *)&v;
        int rc = cv_json_parse(&v, cv_bytes_str(bad[i].text), 65536, "it", &err);
        if (rc != CV_ERR_INVALID)
            fail_msg("%s gave %d", bad[i].text, rc);
        assert_null(v);
        assert_says(&err, bad[i].says);
    }
    json_t *v;
    assert_int_equal(cv_json_parse(&v, CV_BYTES_LIT("[1]\0"), 65536, "it", &err), CV_ERR_INVALID);
    assert_int_equal(cv_json_parse(&v, CV_BYTES_LIT("[1]"), 2, "it", &err), CV_ERR_LIMIT);
    assert_says(&err, "it is larger than 2 bytes");
    assert_int_equal(cv_json_parse_object(&v, CV_BYTES_LIT("[1]"), 3, "it", &err), CV_ERR_INVALID);
    assert_says(&err, "it is not a JSON object");
    assert_null(v);
    assert_int_equal(cv_json_parse_object(&v, CV_BYTES_LIT("{"), 3, "it", NULL), CV_ERR_INVALID);
    assert_int_equal(cv_json_parse_object(&v, CV_BYTES_LIT("{}"), 3, "it", NULL), 0);
    json_decref(v);
}

static void nesting_is_capped(void **state)
{
    (void)state;
    char text[3000];
    json_t *v;
    for (size_t depth = CV_JSON_MAX_DEPTH; depth <= 1400; depth += depth < 66 ? 1 : 600) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        int rc = cv_json_parse(&v, CV_BYTES(text, 2 * depth), 65536, "it", &err);
        assert_int_equal(rc, depth <= CV_JSON_MAX_DEPTH ? 0 : CV_ERR_LIMIT);
        json_decref(v);
    }
    /* Brackets in a string are text. */
    text[0] = '"';
    memset(text + 1, '[', 500);
    memcpy(text + 501, "\\\"[\"", 4);
    assert_code(cv_json_parse(&v, CV_BYTES(text, 505), 65536, "it", &err), 0, &err);
    json_decref(v);
}

static void getters(void **state)
{
    (void)state;
    CV_JSON_AUTO json_t *o = parse("{\"s\":\"text\",\"i\":7,\"r\":1.0,\"t\":true,\"f\":false,"
                                   "\"o\":{\"x\":1},\"a\":[1,2],\"n\":null,\"b\":\"AQID\"}");
    const char *s;
    const json_t *v;
    int64_t i;
    bool b;
    assert_code(cv_json_get_str(o, "s", &s, &err), 0, &err);
    assert_string_equal(s, "text");
    assert_code(cv_json_get_str(o, "i", &s, &err), CV_ERR_INVALID, &err);
    assert_says(&err, "\"i\" is not a string");
    assert_null(s);
    assert_code(cv_json_get_str(o, "n", &s, &err), CV_ERR_INVALID, &err);
    assert_code(cv_json_get_str(o, "zz", &s, &err), CV_ERR_NOT_FOUND, &err);
    assert_says(&err, "\"zz\" is missing");
    assert_code(cv_json_opt_str(o, "zz", &s, "def", &err), 0, &err);
    assert_string_equal(s, "def");
    assert_code(cv_json_opt_str(o, "n", &s, NULL, &err), 0, &err);
    assert_null(s);
    assert_code(cv_json_opt_str(o, "s", &s, NULL, &err), 0, &err);
    assert_string_equal(s, "text");
    assert_code(cv_json_opt_str(o, "i", &s, NULL, &err), CV_ERR_INVALID, &err);

    assert_code(cv_json_get_int(o, "i", 7, 7, &i, &err), 0, &err);
    assert_int_equal(i, 7);
    assert_code(cv_json_get_int(o, "i", 8, 9, &i, &err), CV_ERR_LIMIT, &err);
    assert_says(&err, "\"i\" is not between 8 and 9");
    assert_code(cv_json_get_int(o, "i", 0, 6, &i, &err), CV_ERR_LIMIT, &err);
    assert_code(cv_json_get_int(o, "r", 0, 6, &i, &err), CV_ERR_INVALID, &err);
    assert_code(cv_json_get_int(o, "zz", 0, 6, &i, &err), CV_ERR_NOT_FOUND, &err);
    assert_code(cv_json_opt_int(o, "zz", 0, 6, &i, 5, &err), 0, &err);
    assert_int_equal(i, 5);
    assert_code(cv_json_opt_int(o, "i", 0, 7, &i, 5, &err), 0, &err);
    assert_int_equal(i, 7);

    assert_code(cv_json_get_bool(o, "t", &b, &err), 0, &err);
    assert_true(b);
    assert_code(cv_json_get_bool(o, "f", &b, &err), 0, &err);
    assert_false(b);
    assert_code(cv_json_get_bool(o, "i", &b, &err), CV_ERR_INVALID, &err);
    assert_code(cv_json_get_bool(o, "zz", &b, &err), CV_ERR_NOT_FOUND, &err);
    assert_code(cv_json_opt_bool(o, "zz", &b, true, &err), 0, &err);
    assert_true(b);
    assert_code(cv_json_opt_bool(o, "f", &b, true, &err), 0, &err);
    assert_false(b);

    assert_code(cv_json_get_object(o, "o", &v, &err), 0, &err);
    assert_int_equal(json_object_size(v), 1);
    assert_code(cv_json_get_object(o, "a", &v, &err), CV_ERR_INVALID, &err);
    assert_code(cv_json_get_object(o, "zz", &v, &err), CV_ERR_NOT_FOUND, &err);
    assert_code(cv_json_opt_object(o, "n", &v, &err), 0, &err);
    assert_null(v);
    assert_code(cv_json_get_array(o, "a", &v, &err), 0, &err);
    assert_int_equal(json_array_size(v), 2);
    assert_code(cv_json_get_array(o, "o", &v, &err), CV_ERR_INVALID, &err);
    assert_code(cv_json_get_array(o, "zz", &v, &err), CV_ERR_NOT_FOUND, &err);
    assert_code(cv_json_opt_array(o, "zz", &v, &err), 0, &err);
    assert_null(v);

    CV_CLEANUP(cv_buf_free) struct cv_buf bin;
    cv_buf_init(&bin, 3);
    assert_code(cv_json_get_base64(o, "b", &bin, &err), 0, &err);
    assert_int_equal(bin.n, 3);
    assert_memory_equal(bin.p, "\1\2\3", 3);
    bin.limit = 2;
    cv_buf_reset(&bin);
    assert_code(cv_json_get_base64(o, "b", &bin, &err), CV_ERR_LIMIT, &err);
    assert_code(cv_json_get_base64(o, "i", &bin, &err), CV_ERR_INVALID, &err);
    assert_code(cv_json_get_base64(o, "s", &bin, &err), CV_ERR_LIMIT, &err);
    bin.limit = 100;
    assert_code(cv_json_get_base64(o, "s", &bin, &err), 0, &err); /* "text" is base64 as well */
    json_object_set_new(o, "s", json_string("te=t"));
    assert_code(cv_json_get_base64(o, "s", &bin, &err), CV_ERR_INVALID, &err);
    assert_says(&err, "\"s\" is not base64");
    assert_code(cv_json_get_base64(o, "zz", &bin, &err), CV_ERR_NOT_FOUND, &err);

    /* Something else than an object has no members. */
    assert_code(cv_json_get_str(NULL, "s", &s, &err), CV_ERR_NOT_FOUND, &err);
    assert_code(cv_json_get_str(json_object_get(o, "a"), "s", &s, &err), CV_ERR_NOT_FOUND, &err);
}

static void only_known_members(void **state)
{
    (void)state;
    CV_JSON_AUTO json_t *o = parse("{\"a\":1,\"b\\n\":2}");
    assert_code(cv_json_only(o, &err, "b\n", "a", NULL), 0, &err);
    assert_code(cv_json_only(o, &err, "b\n", NULL), CV_ERR_INVALID, &err);
    assert_says(&err, "\"a\" is not a known member");
    assert_code(cv_json_only(o, &err, "a", "c", NULL), CV_ERR_INVALID, &err);
    assert_says(&err, "\"b\\x0a\" is not");
}

static void writes(void **state)
{
    (void)state;
    CV_CLEANUP(cv_buf_free) struct cv_buf out;
    cv_buf_init(&out, 100);
    CV_JSON_AUTO json_t *o = parse("{\"z\": 1, \"a\": [true, null], \"m\": \"\xc3\xa9/\"}");
    assert_int_equal(cv_buf_append_str(&out, ">"), 0);
    assert_int_equal(cv_json_dump(&out, o), 0);
    assert_string_equal((char *)out.p, ">{\"z\":1,\"a\":[true,null],\"m\":\"\xc3\xa9/\"}");
    cv_buf_reset(&out);
    assert_int_equal(cv_json_dump_indent(&out, o, 4), 0);
    assert_string_equal((char *)out.p, "{\n    \"z\": 1,\n    \"a\": [\n        true,\n"
                                       "        null\n    ],\n    \"m\": \"\xc3\xa9/\"\n}");
    cv_buf_free(&out);
    cv_buf_init(&out, 10);
    assert_int_equal(cv_buf_append_str(&out, ">"), 0);
    assert_int_equal(cv_json_dump(&out, o), CV_ERR_LIMIT);
    assert_string_equal((char *)out.p, ">");
}

static void escapes_as_go_does(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } v[] = {
        {"", "\"\""},
        {"plain", "\"plain\""},
        {"a\"b\\c", "\"a\\\"b\\\\c\""},
        {"\n\r\t", "\"\\n\\r\\t\""},
        {"\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\""},
        {"<a>&", "\"\\u003ca\\u003e\\u0026\""},
        {"\xc3\xa9", "\"\xc3\xa9\""},
        {"\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa", "\"\\u2028\\u2029\xe2\x80\xaa\""},
        {"a\xffz", "\"a\\ufffdz\""},
        {"\xe2\x80", "\"\\ufffd\\ufffd\""},
    };
    for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
        CV_CLEANUP(cv_buf_free) struct cv_buf out;
        cv_buf_init(&out, 1000);
        assert_int_equal(cv_json_append_str(&out, cv_bytes_str(v[i].in)), 0);
        assert_string_equal((char *)out.p, v[i].out);
        /* One byte too little: the buffer is as it was. */
        cv_buf_free(&out);
        out.limit = strlen(v[i].out);
        assert_int_equal(cv_buf_append_str(&out, "x"), 0);
        assert_int_equal(cv_json_append_str(&out, cv_bytes_str(v[i].in)), CV_ERR_LIMIT);
        assert_string_equal((char *)out.p, "x");
    }
    CV_CLEANUP(cv_buf_free) struct cv_buf out;
    cv_buf_init(&out, 100);
    assert_int_equal(cv_json_append_str(&out, CV_BYTES_LIT("a\0b")), 0);
    assert_string_equal((char *)out.p, "\"a\\u0000b\"");
}

static void variant(void *ctx, const uint8_t *p, size_t n, const char *what)
{
    bool truncated = ctx != NULL;
    json_t *v;
    int rc = cv_json_parse_object(&v, CV_BYTES(p, n), 65536, "it", &err);
    if (truncated && rc == 0)
        fail_msg("%s was accepted", what);
    assert_true((rc == 0) == (v != NULL));
    json_decref(v);
}

static void every_truncation_and_flip(void **state)
{
    (void)state;
    static char text[] = "{\"KeyId\":\"a\\u00e9\",\"n\":[1,-2.5e1,true,null,{}]}";
    mutate_truncations(text, sizeof(text) - 1, variant, text);
    mutate_bit_flips(text, sizeof(text) - 1, variant, NULL);
}

/* Texts are looked at eight bytes at a time: each byte is escaped alike
 * wherever it stands. */
static void test_escapes_at_every_place(void **state)
{
    (void)state;
    for (unsigned c = 1; c < 0x80; c++) {
        struct cv_buf alone, got, want;
        uint8_t one = (uint8_t)c;
        cv_buf_init(&alone, 64);
        cv_buf_init(&got, 256);
        cv_buf_init(&want, 256);
        assert_int_equal(cv_json_append_str(&alone, CV_BYTES(&one, 1)), 0);
        for (size_t n = 1; n <= 24; n++) {
            for (size_t at = 0; at < n; at++) {
                char text[24];
                memset(text, 'a', sizeof(text));
                text[at] = (char)c;
                cv_buf_reset(&got);
                cv_buf_reset(&want);
                assert_int_equal(cv_json_append_str(&got, CV_BYTES(text, n)), 0);
                assert_int_equal(cv_buf_append_u8(&want, '"'), 0);
                assert_int_equal(cv_buf_append(&want, "aaaaaaaaaaaaaaaaaaaaaaaa", at), 0);
                assert_int_equal(cv_buf_append(&want, alone.p + 1, alone.n - 2), 0);
                assert_int_equal(cv_buf_append(&want, "aaaaaaaaaaaaaaaaaaaaaaaa", n - at - 1), 0);
                assert_int_equal(cv_buf_append_u8(&want, '"'), 0);
                assert_true(cv_bytes_equal(cv_buf_view(&got), cv_buf_view(&want)));
            }
        }
        cv_buf_free(&alone);
        cv_buf_free(&got);
        cv_buf_free(&want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escapes_at_every_place),
        cmocka_unit_test(parses_any_value),
        cmocka_unit_test(refuses),
        cmocka_unit_test(nesting_is_capped),
        cmocka_unit_test(getters),
        cmocka_unit_test(only_known_members),
        cmocka_unit_test(writes),
        cmocka_unit_test(escapes_as_go_does),
        cmocka_unit_test(every_truncation_and_flip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
