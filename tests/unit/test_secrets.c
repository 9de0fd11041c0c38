/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "sealed/secrets.h"
#include "unit/mutate.h"

static struct cv_error err;

static void make(struct cv_secret *out)
{
    struct cv_secrets s = {.env_count = 0};
    assert_int_equal(cv_secrets_add_env(&s, "B", CV_BYTES_LIT("two\nlines")), 0);
    assert_int_equal(cv_secrets_add_env(&s, "A", CV_BYTES_LIT("")), 0);
    assert_int_equal(cv_secrets_add_env(&s, "A_B", CV_BYTES_LIT("\xff\xfe")), 0);
    assert_int_equal(cv_secrets_add_file(&s, "/run/key", 0400, "app:app", CV_BYTES_LIT("k\0y")), 0);
    assert_int_equal(cv_secrets_add_file(&s, "/etc/a", 0644, "", CV_BYTES_LIT("")), 0);
    assert_int_equal(cv_secrets_encode(out, &s, &err), 0);
    cv_secrets_free(&s);
}

static void test_round_trip(void **state)
{
    (void)state;
    CV_SECRET_AUTO struct cv_secret text = CV_SECRET_INIT, again = CV_SECRET_INIT;
    make(&text);
    static const char want[] = "\x83\x72"
                               "claviger.secrets.1"
                               "\x83"
                               "\x82\x61"
                               "A"
                               "\x40"
                               "\x82\x63"
                               "A_B"
                               "\x42\xff\xfe"
                               "\x82\x61"
                               "B"
                               "\x49"
                               "two\nlines"
                               "\x82"
                               "\x84\x66/etc/a"
                               "\x19\x01\xa4"
                               "\x60"
                               "\x40"
                               "\x84\x68/run/key"
                               "\x19\x01\x00"
                               "\x67"
                               "app:app"
                               "\x43"
                               "k\0y";
    assert_int_equal(text.n, sizeof want - 1);
    assert_memory_equal(text.p, want, text.n);
    struct cv_secrets s;
    assert_int_equal(cv_secrets_decode(&s, cv_secret_view(&text), &err), 0);
    assert_int_equal(s.env_count, 3);
    assert_int_equal(s.file_count, 2);
    assert_string_equal(s.file[1].owner, "app:app");
    assert_int_equal(s.file[1].mode, 0400);
    assert_int_equal(s.file[1].content.n, 3);
    assert_int_equal(cv_secrets_encode(&again, &s, &err), 0);
    assert_true(cv_secret_equal(&text, &again));
    cv_secrets_free(&s);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *name, *path, *owner;
        uint32_t mode;
        struct cv_bytes value;
    } cases[] = {
        {"A B", NULL, "", 0, {NULL, 0}},      {"A=B", NULL, "", 0, {NULL, 0}},
        {"", NULL, "", 0, {NULL, 0}},         {"A", NULL, "", 0, CV_BYTES_LIT("a\0b")},
        {NULL, "relative", "", 0, {NULL, 0}}, {NULL, "/a/../b", "", 0, {NULL, 0}},
        {NULL, "/", "", 0, {NULL, 0}},        {NULL, "/a", "", 010000, {NULL, 0}},
        {NULL, "/a", "a b", 0, {NULL, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cv_secrets s = {.env_count = 0};
        CV_SECRET_AUTO struct cv_secret out = CV_SECRET_INIT;
        if (cases[i].name != NULL) {
            assert_int_equal(cv_secrets_add_env(&s, cases[i].name, cases[i].value), 0);
        } else {
            assert_int_equal(cv_secrets_add_file(&s, cases[i].path, cases[i].mode, cases[i].owner,
                                                 cases[i].value),
                             0);
        }
        assert_int_equal(cv_secrets_encode(&out, &s, &err), CV_ERR_INVALID);
        assert_null(out.p);
        cv_secrets_free(&s);
    }
    struct cv_secrets s = {.env_count = 0};
    CV_SECRET_AUTO struct cv_secret out = CV_SECRET_INIT;
    assert_int_equal(cv_secrets_add_env(&s, "A", CV_BYTES_LIT("1")), 0);
    assert_int_equal(cv_secrets_add_env(&s, "A", CV_BYTES_LIT("2")), 0);
    assert_int_equal(cv_secrets_encode(&out, &s, &err), CV_ERR_EXISTS);
    cv_secrets_free(&s);
}

static void decode(void *ctx, const uint8_t *p, size_t n, const char *what)
{
    unsigned *accepted = ctx;
    struct cv_secrets s;
    (void)what;
    *accepted += cv_secrets_decode(&s, CV_BYTES(p, n), &err) == 0;
    cv_secrets_free(&s);
}

static void test_damage(void **state)
{
    (void)state;
    CV_SECRET_AUTO struct cv_secret text = CV_SECRET_INIT;
    make(&text);
    unsigned accepted = 0;
    mutate_truncations(text.p, text.n, decode, &accepted);
    assert_int_equal(accepted, 0);
    mutate_bit_flips(text.p, text.n, decode, &accepted);
    uint8_t longer[256];
    memcpy(longer, text.p, text.n);
    longer[text.n] = 0;
    accepted = 0;
    decode(&accepted, longer, text.n + 1, "longer");
    assert_int_equal(accepted, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
