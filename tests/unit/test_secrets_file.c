/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/file.h"
#include "sealed/secrets_file.h"

static struct cv_yaml_problems problems;
static struct cv_error err;

static int parse(struct cv_secret *out, const char *text, bool env)
{
    cv_yaml_problems_init(&problems, "s");
    return env ? cv_secrets_from_env(out, cv_bytes_str(text), &problems)
               : cv_secrets_from_yaml(out, cv_bytes_str(text), "/tmp", &problems);
}

static void test_yaml(void **state)
{
    (void)state;
    char name[] = "/tmp/claviger-test-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    assert_int_equal(cv_fd_write_all(fd, "from a file", 11), 0);
    close(fd);
    char text[512];
    snprintf(text, sizeof text,
             "environment: [B=2, 'A=x=y']\nfiles:\n  - {path: /b, base64: AAEC}\n"
             "  - {path: /a, content: \"c\\n\", mode: 0640, owner: root:app}\n"
             "  - {path: /c, source: %s}\n",
             name + 5);
    CV_SECRET_AUTO struct cv_secret out = CV_SECRET_INIT, again = CV_SECRET_INIT;
    assert_int_equal(parse(&out, text, false), 0);
    unlink(name);
    struct cv_secrets s;
    assert_int_equal(cv_secrets_decode(&s, cv_secret_view(&out), &err), 0);
    assert_int_equal(s.env_count, 2);
    assert_true(cv_bytes_equal_str(s.env[0].value, "x=y"));
    assert_int_equal(s.file[0].mode, 0640);
    assert_string_equal(s.file[0].owner, "root:app");
    assert_int_equal(s.file[1].mode, 0400);
    assert_int_equal(s.file[1].content.n, 3);
    assert_true(cv_bytes_equal_str(s.file[2].content, "from a file"));
    struct cv_buf yaml;
    cv_buf_init(&yaml, 65536);
    assert_int_equal(cv_secrets_to_yaml(&yaml, &s, &err), 0);
    assert_int_equal(parse(&again, (const char *)yaml.p, false), 0);
    assert_true(cv_secret_equal(&out, &again));
    cv_buf_free(&yaml);
    cv_secrets_free(&s);
}

static void test_env_file(void **state)
{
    (void)state;
    CV_SECRET_AUTO struct cv_secret out = CV_SECRET_INIT;
    assert_int_equal(parse(&out, "# c\nA=\"kept as it is\" $X\n\nB=2\r\nC=", true), 0);
    struct cv_secrets s;
    assert_int_equal(cv_secrets_decode(&s, cv_secret_view(&out), &err), 0);
    assert_int_equal(s.env_count, 3);
    assert_true(cv_bytes_equal_str(s.env[0].value, "\"kept as it is\" $X"));
    assert_true(cv_bytes_equal_str(s.env[1].value, "2"));
    assert_int_equal(s.env[2].value.n, 0);
    cv_secrets_free(&s);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool env;
        unsigned line;
    } cases[] = {
        {"", false, 0},
        {"environment: []", false, 0},
        {"environment: {A: secret}", false, 1},
        {"environment: ['A B=secret']", false, 1},
        {"environment: [A]", false, 1},
        {"environment:\n  - A=1\n  - A=2", false, 3},
        {"enviroment: [A=secret]", false, 1},
        {"files: [{path: /a}]", false, 1},
        {"files: [{path: a, content: secret}]", false, 1},
        {"files: [{path: /a, content: x, base64: eA==}]", false, 1},
        {"files: [{path: /a, base64: '*'}]", false, 1},
        {"files: [{path: /a, source: absent-file}]", false, 1},
        {"files:\n  - {path: /a, content: x}\n  - {path: /a, content: y}", false, 3},
        {"files: [{path: /a, content: secret, mode: 8}]", false, 1},
        {"files: [{content: secret}]", false, 1},
        {"A=1\nB", true, 2},
        {"A=1\nA=2", true, 2},
        {"", true, 0},
        {"A=\xff", true, 1},
        {" A=1", true, 1},
        {"export A=secret", true, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CV_SECRET_AUTO struct cv_secret out = CV_SECRET_INIT;
        if (parse(&out, cases[i].text, cases[i].env) == 0) {
            fail_msg("accepted: %s", cases[i].text);
        }
        assert_int_equal(problems.list[0].line, cases[i].line);
        assert_null(strstr(problems.list[0].text, "secret")); /* no value in a message */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yaml),
        cmocka_unit_test(test_env_file),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
