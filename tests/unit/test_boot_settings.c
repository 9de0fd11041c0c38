/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "settings/boot.h"

#define KEY "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555"
#define TAIL "minimum_version=0\nparent_cid=3\nboot_deadline_ms=120000\nallow_debug=off\n"

static const char full[] = "format=1\n"
                           "arg=/app/server\n"
                           "arg=--motto=two\\nlines \\\\ and \\x01 \xc3\xa9\n"
                           "env=PATH=/usr/bin\n"
                           "env=EMPTY=\n"
                           "user=app:app\n"
                           "workdir=/app\n"
                           "hostname=app-1\n"
                           "stop_signal=SIGQUIT\n"
                           "port=8080\n"
                           "port=443:8443\n"
                           "egress=api.example.org:443\n"
                           "egress=my_db:5432\n"
                           "egress=192.0.2.7:443\n"
                           "egress=[2001:db8::7]:443\n"
                           "source=s3 s3://bucket/a/key\n"
                           "allow_env=DB_*\n"
                           "allow_env=PATH\n"
                           "allow_path=/etc/app/*\n"
                           "source=local secrets.enc\n"
                           "allow_path=/run/secret\n"
                           "untrusted_env=LOG_LEVEL\n"
                           "cmk=" KEY "\n"
                           "region=eu-west-1\n"
                           "context=app=server\n"
                           "minimum_version=7\n"
                           "parent_cid=3\n"
                           "boot_deadline_ms=90000\n"
                           "allow_debug=on\n"
                           "heartbeat=required\n"
                           "minimum_format=3\n"
                           "config_pcr=16\n";

static struct cv_error err;

static void test_round_trip(void **state)
{
    (void)state;
    struct cv_boot_settings s;
    assert_int_equal(cv_boot_decode(&s, cv_bytes_str(full), &err), 0);
    assert_int_equal(s.argv.count, 2);
    assert_string_equal(s.argv.item[1], "--motto=two\nlines \\ and \x01 \xc3\xa9");
    assert_int_equal(s.source_count, 2);
    assert_int_equal(s.source[0].type, CV_BOOT_S3);
    assert_string_equal(s.source[1].location, "secrets.enc");
    assert_int_equal(s.source[1].allow_env.count, 0);
    assert_int_equal(s.minimum_version, 7);
    assert_true(s.allow_debug);
    struct cv_buf out;
    cv_buf_init(&out, CV_BOOT_MAX_TEXT);
    assert_int_equal(cv_boot_encode(&out, &s, &err), 0);
    assert_int_equal(out.n, sizeof full - 1);
    assert_memory_equal(out.p, full, out.n);
    cv_buf_free(&out);
    cv_boot_free(&s);
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "format=2\n" TAIL,
        "format=1",
        "format=1\nunknown=1\n",
        "format=1\narg=a",
        "format=1\nenv=A=1\narg=late\n" TAIL,
        "format=1\nuser=a\nuser=b\n" TAIL,
        "format=1\nenv=NOVALUE\n" TAIL,
        "format=1\narg=\\q\n" TAIL,
        "format=1\narg=\\x41\n" TAIL,
        "format=1\narg=\\x0a\n" TAIL,
        "format=1\narg=\\x0\n",
        "format=1\narg=\\\n" TAIL,
        "format=1\narg=tab\there\n" TAIL,
        "format=1\nallow_env=A\n" TAIL,
        "format=1\nport=0\n" TAIL,
        "format=1\nport=65536\n" TAIL,
        "format=1\nport=80:\n" TAIL,
        "format=1\negress=host\n" TAIL,
        "format=1\negress=:80\n" TAIL,
        "format=1\negress=a b:80\n" TAIL,
        "format=1\negress=2001:db8::1:80\n" TAIL,
        "format=1\negress=[2001:db8::1]\n" TAIL,
        "format=1\negress=[2001:db8::1:80\n" TAIL,
        "format=1\negress=[10.0.0.1]:80\n" TAIL,
        "format=1\negress=[]:80\n" TAIL,
        "format=1\negress=[::]:80\n" TAIL,
        "format=1\negress=[fe80::1]:80\n" TAIL,
        "format=1\negress=[ff02::1]:80\n" TAIL,
        "format=1\negress=[::ffff:10.0.0.1]:80\n" TAIL,
        "format=1\nheartbeat=on\n",
        "format=1\nconfig_pcr=15\n",
        "format=1\nminimum_format=1\n",
        "format=1\nminimum_format=4\n",
        "format=1\nconfig_pcr=32\n",
        "format=1\nsource=http x\ncmk=" KEY "\n" TAIL,
        "format=1\nsource=s3 s3://b/k\nallow_env=A\ncmk=" KEY "\n" TAIL, /* bucket too short */
        "format=1\nsource=s3 s3://bucket/k\ncmk=" KEY "\n" TAIL,         /* no allow list */
        "format=1\nsource=s3 s3://bucket/k\nallow_env=A\n" TAIL,         /* no key */
        "format=1\nsource=s3 s3://bucket/k\nallow_path=/a/../b\ncmk=" KEY "\n" TAIL,
        "format=1\nsource=s3 s3://bucket/k\nallow_path=/a\nallow_env=A\ncmk=" KEY "\n" TAIL,
        "format=1\ncmk=alias/x\n" TAIL,
        "format=1\ncmk=" KEY "\nregion=us-east-1\n" TAIL,
        "format=1\nworkdir=app\n" TAIL,
        "format=1\nhostname=a_b\n" TAIL,
        "format=1\nminimum_version=07\n",
        "format=1\nminimum_version=-1\n",
        "format=1\nminimum_version=18446744073709551616\n",
        "format=1\nallow_debug=yes\n",
        "format=1\nparent_cid=1\n",
        "format=1\nboot_deadline_ms=0\n",
        "format=1\narg=\xff\n" TAIL,
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct cv_boot_settings s;
        if (cv_boot_decode(&s, cv_bytes_str(texts[i]), &err) == 0) {
            fail_msg("accepted: %s", texts[i]);
        }
        cv_boot_free(&s);
    }
}

static void test_every_truncation(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof full - 1; n++) {
        struct cv_boot_settings s;
        int rc = cv_boot_decode(&s, CV_BYTES(full, n), &err);
        if (n == 0 || full[n - 1] != '\n') {
            assert_int_not_equal(rc, 0);
        }
        cv_boot_free(&s);
    }
}

static void test_env_set(void **state)
{
    (void)state;
    struct cv_boot_list env = {NULL, 0};
    assert_int_equal(cv_boot_env_set(&env, "A=1"), 0);
    assert_int_equal(cv_boot_env_set(&env, "AB=2"), 0);
    assert_int_equal(cv_boot_env_set(&env, "A=3=4"), 0);
    assert_int_equal(env.count, 2);
    assert_string_equal(env.item[0], "A=3=4");
    struct cv_boot_settings s;
    cv_boot_init(&s);
    s.env = env;
    cv_boot_free(&s);
}

/* Name, whether it is allowed by the list "APP_*, PATH, LD_PRELOAD*", and
 * without a list behind a publisher's key. */
static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool listed, any;
    } cases[] = {
        {"APP_X", true, true},
        {"APP_", true, true},
        {"APPX", false, true},
        {"PATH", true, false},
        {"LD_PRELOAD", false, false},
        {"LD_LIBRARY_PATH", false, false},
        {"PYTHONPATH", false, false},
        {"NODE_OPTIONS", false, false},
        {"BASH_ENV", false, false},
        {"OTHER", false, true},
        {"A B", false, false},
        {"", false, false},
        {"1A", false, true},
        {"discovery.type", false, true},
        {"A*", false, false},
        {"APP_\x7f", false, false},
        {"BASH_FUNC_x%%", false, false},
        {"A=B", false, false},
        {"PERL5OPT", false, false},
        {"JAVA_TOOL_OPTIONS", false, false},
        {"GLIBC_TUNABLES", false, false},
    };
    struct cv_boot_settings s;
    cv_boot_init(&s);
    s.source_count = 2;
    assert_int_equal(cv_boot_list_add(&s.source[0].allow_env, "APP_*"), 0);
    assert_int_equal(cv_boot_list_add(&s.source[0].allow_env, "PATH"), 0);
    assert_int_equal(cv_boot_list_add(&s.source[0].allow_env, "LD_PRELOAD*"), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(cv_boot_allows_env(&s, &s.source[0], cases[i].name), cases[i].listed);
        assert_false(cv_boot_allows_env(&s, &s.source[1], cases[i].name));
    }
    assert_int_equal(cv_boot_text_set(&s.publisher_key, "key"), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(cv_boot_allows_env(&s, &s.source[1], cases[i].name), cases[i].any);
        assert_int_equal(cv_boot_allows_env(&s, &s.source[0], cases[i].name), cases[i].listed);
    }
    cv_boot_free(&s);
}

static void test_paths(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        bool listed, any;
    } cases[] = {
        {"/etc/app/x", true, true},
        {"/etc/app/a/b", true, true},
        {"/etc/app", false, true},
        {"/etc/apple", false, true},
        {"/run/one", true, true},
        {"/run/one/two", false, true},
        {"/etc/app/../x", false, false},
        {"/etc/app//x", false, false},
        {"etc/app/x", false, false},
        {"/etc/app/.", false, false},
        {"/", false, false},
        {"/dev/null", false, false},
        {"/proc/self/mem", false, false},
        {"/sys", false, false},
        {"/etc/app/x/", false, false},
    };
    struct cv_boot_settings s;
    cv_boot_init(&s);
    s.source_count = 2;
    assert_int_equal(cv_boot_list_add(&s.source[0].allow_path, "/etc/app/*"), 0);
    assert_int_equal(cv_boot_list_add(&s.source[0].allow_path, "/run/one"), 0);
    assert_int_equal(cv_boot_list_add(&s.source[0].allow_path, "/dev/*"), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(cv_boot_allows_path(&s, &s.source[0], cases[i].path), cases[i].listed);
        assert_false(cv_boot_allows_path(&s, &s.source[1], cases[i].path));
    }
    assert_int_equal(cv_boot_text_set(&s.publisher_key, "key"), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(cv_boot_allows_path(&s, &s.source[1], cases[i].path), cases[i].any);
    }
    cv_boot_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_env_set),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
