/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "yaml/yaml.h"

static struct cv_yaml_problems problems;

static struct cv_yaml_doc *parse(const char *text)
{
    struct cv_yaml_doc *doc = NULL;
    cv_yaml_problems_init(&problems, "t.yaml");
    int rc = cv_yaml_parse(&doc, cv_bytes_str(text), &problems);
    assert_int_equal(rc == 0, doc != NULL);
    assert_int_equal(rc == 0, problems.count == 0);
    return doc;
}

static void refuse(const char *text, unsigned line, const char *why)
{
    struct cv_yaml_doc *doc = parse(text);
    if (doc != NULL) {
        fail_msg("accepted: %s", text);
    }
    assert_int_equal(problems.list[0].line, line);
    if (strstr(problems.list[0].text, why) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", problems.list[0].text, why);
    }
}

static void test_tree_and_positions(void **state)
{
    (void)state;
    struct cv_yaml_doc *doc = parse("server:\n  address: :6732\nlist:\n  - a\n  - {k: 'v'}\n");
    assert_non_null(doc);
    const struct cv_yaml_node *root = cv_yaml_root(doc);
    assert_int_equal(root->count, 2);
    const struct cv_yaml_node *addr = cv_yaml_get(cv_yaml_get(root, "server"), "address");
    assert_string_equal(addr->text, ":6732");
    assert_int_equal(addr->line, 2);
    assert_int_equal(addr->column, 12);
    assert_int_equal(addr->key->column, 3);
    const struct cv_yaml_node *v = cv_yaml_get(cv_yaml_get(root, "list")->first->next, "k");
    char path[32];
    assert_string_equal(cv_yaml_path(path, sizeof path, v), "list[1].k");
    assert_false(v->plain);
    assert_null(cv_yaml_get(root, "absent"));
    assert_null(cv_yaml_get(v, "absent"));
    cv_yaml_free(doc);
}

static void test_empty(void **state)
{
    (void)state;
    const char *const texts[] = {"", "\n# only a comment\n", "---\n", "~"};
    for (size_t i = 0; i < 4; i++) {
        struct cv_yaml_doc *doc = parse(texts[i]);
        assert_non_null(doc);
        assert_true(cv_yaml_is_null(cv_yaml_root(doc)));
        cv_yaml_free(doc);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    refuse("a: 1\nb: 2\na: 3\n", 3, "\"a\" was given on line 1");
    refuse("a: [1\n", 2, "not valid YAML");
    refuse("a: *nothing\n", 1, "no anchor");
    refuse("a: &a [*a]\n", 1, "part of");
    refuse("? [x]\n: 1\n", 1, "cannot be a key");
    refuse("a: !!binary aGk=\n", 1, "tag");
    refuse("a: \"x\\0y\"\n", 1, "NUL");
    refuse("--- a\n--- b\n", 0, "more than one document");
    refuse("<<: 1\n", 1, "mappings only");
    refuse("a: \xff\n", 0, "not valid YAML");
    char deep[2 * (CV_YAML_MAX_DEPTH + 2)];
    memset(deep, '[', sizeof deep);
    deep[CV_YAML_MAX_DEPTH + 1] = 0;
    refuse(deep, 1, "deeper");
}

static void test_every_duplicate_is_reported(void **state)
{
    (void)state;
    assert_null(parse("a: 1\na: 2\nb: {c: 1, c: 2}\n"));
    assert_int_equal(problems.count, 2);
}

static void test_alias_bomb_is_bounded(void **state)
{
    (void)state;
    char text[2048];
    size_t n = (size_t)snprintf(text, sizeof text, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 9; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++) {
            n += (size_t)snprintf(text + n, sizeof text - n, "%s*a%d", j ? "," : "", i - 1);
        }
        n += (size_t)snprintf(text + n, sizeof text - n, "]\n");
    }
    assert_null(parse(text));
    assert_non_null(strstr(problems.list[0].text, "more than"));
}

static void test_alias_and_merge(void **state)
{
    (void)state;
    struct cv_yaml_doc *doc = parse(
        "base: &b {x: 1, y: 2}\none:\n  <<: *b\n  y: 3\ntwo: *b\nthree: {<<: [*b, {z: 4}]}\n");
    assert_non_null(doc);
    const struct cv_yaml_node *root = cv_yaml_root(doc);
    const struct cv_yaml_node *one = cv_yaml_get(root, "one");
    assert_int_equal(one->count, 2);
    assert_string_equal(cv_yaml_get(one, "x")->text, "1");
    assert_string_equal(cv_yaml_get(one, "y")->text, "3");
    assert_string_equal(cv_yaml_get(cv_yaml_get(root, "two"), "y")->text, "2");
    assert_string_equal(cv_yaml_get(cv_yaml_get(root, "three"), "z")->text, "4");
    assert_int_equal(cv_yaml_get(root, "three")->count, 3);
    cv_yaml_free(doc);
}

static void test_unknown_keys(void **state)
{
    (void)state;
    static const char *const known[] = {"server", "vaults", "log_payloads", NULL};
    struct cv_yaml_doc *doc = parse("sevrer: 1\nvaults: 2\nzzzzzz: 3\nlogPayloads: 1\n");
    assert_false(cv_yaml_check_keys(&problems, cv_yaml_root(doc), known));
    assert_int_equal(problems.count, 3);
    assert_string_equal(problems.list[0].text, "unknown key \"sevrer\"; did you mean \"server\"?");
    assert_string_equal(problems.list[1].text, "unknown key \"zzzzzz\"");
    assert_string_equal(problems.list[2].text,
                        "unknown key \"logPayloads\"; did you mean \"log_payloads\"?");
    struct cv_error err;
    cv_error_clear(&err);
    assert_int_equal(cv_yaml_problems_error(&problems, &err), CV_ERR_CONFIG);
    assert_string_equal(cv_error_top(&err), "t.yaml:1:1: unknown key \"sevrer\"; did you mean "
                                            "\"server\"? (and 2 more)");
    cv_yaml_free(doc);
    /* The author's own, at the root alone. */
    doc = parse("x-policy: &p {a: 1}\nserver: *p\n");
    assert_true(cv_yaml_check_keys(&problems, cv_yaml_root(doc), known));
    cv_yaml_free(doc);
    doc = parse("server: {x-a: 1}\n");
    assert_false(cv_yaml_check_keys(&problems, cv_yaml_get(cv_yaml_root(doc), "server"), known));
    cv_yaml_free(doc);
}

static void test_values(void **state)
{
    (void)state;
    struct cv_yaml_doc *doc = parse("u: 65535\nx: 0xff\nt: yes\nf: \"true\"\nd: 1m30s\nb: 90\n"
                                    "e: warn\nn: null\nbig: 99999999999999999999\nneg: -1\n");
    const struct cv_yaml_node *r = cv_yaml_root(doc);
    uint64_t u;
    int64_t ms;
    bool flag;
    int which;
    const char *s;
    static const char *const levels[] = {"info", "warn", NULL};
    assert_true(cv_yaml_uint(&problems, cv_yaml_get(r, "u"), &u, 1, 65535) && u == 65535);
    assert_true(cv_yaml_uint(&problems, cv_yaml_get(r, "x"), &u, 1, 65535) && u == 255);
    assert_true(cv_yaml_bool(&problems, cv_yaml_get(r, "t"), &flag) && flag);
    assert_true(cv_yaml_duration(&problems, cv_yaml_get(r, "d"), &ms) && ms == 90000);
    assert_true(cv_yaml_duration(&problems, cv_yaml_get(r, "b"), &ms) && ms == 90000);
    assert_true(cv_yaml_enum(&problems, cv_yaml_get(r, "e"), levels, &which) && which == 1);
    assert_true(cv_yaml_text(&problems, cv_yaml_get(r, "f"), &s));
    assert_int_equal(problems.count, 0);
    assert_false(cv_yaml_bool(&problems, cv_yaml_get(r, "f"), &flag));
    assert_false(cv_yaml_uint(&problems, cv_yaml_get(r, "u"), &u, 1, 65534));
    assert_false(cv_yaml_uint(&problems, cv_yaml_get(r, "big"), &u, 0, UINT64_MAX));
    assert_false(cv_yaml_uint(&problems, cv_yaml_get(r, "neg"), &u, 0, UINT64_MAX));
    assert_false(cv_yaml_text(&problems, cv_yaml_get(r, "n"), &s));
    assert_false(cv_yaml_text(&problems, r, &s));
    assert_false(cv_yaml_duration(&problems, cv_yaml_get(r, "e"), &ms));
    assert_false(cv_yaml_enum(&problems, cv_yaml_get(r, "u"), levels, &which));
    assert_int_equal(problems.count, 8);
    assert_non_null(strstr(problems.list[7].text, "u: expected one of info, warn"));
    cv_yaml_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree_and_positions),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_every_duplicate_is_reported),
        cmocka_unit_test(test_alias_bomb_is_bounded),
        cmocka_unit_test(test_alias_and_merge),
        cmocka_unit_test(test_unknown_keys),
        cmocka_unit_test(test_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
