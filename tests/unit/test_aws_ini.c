/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/cv_test.h"

#include "aws/ini.h"

static struct cv_aws_ini *ini;
static struct cv_error err;

static int setup(void **state)
{
    (void)state;
    cv_error_clear(&err);
    return cv_aws_ini_new(&ini);
}

static int teardown(void **state)
{
    (void)state;
    cv_aws_ini_free(&ini);
    return 0;
}

static void add(enum cv_aws_ini_file file, const char *text)
{
    assert_code(cv_aws_ini_add(ini, file, cv_bytes_str(text), "file", &err), 0, &err);
}

static const char *get(const char *profile, const char *key)
{
    const char *v = cv_aws_ini_get(ini, CV_AWS_INI_PROFILE, profile, key);
    return v != NULL ? v : "(none)";
}

static void grammar(void **state)
{
    (void)state;
    add(CV_AWS_INI_CONFIG, "\xef\xbb\xbf# a comment\n"
                           "; another\n"
                           "\n"
                           "[default]\r\n"
                           "Region = us-west-2 # trailing\r\n"
                           "output=json;kept\n"
                           "empty = ; nothing\n"
                           "[ profile  dev ] ; comment\n"
                           "aws_access_key_id=A=B\n"
                           "s3 =\n"
                           "  Addressing_Style = path\n"
                           "  # between\n"
                           "  use_accelerate_endpoint=true # no\n"
                           "region = eu-west-1\n"
                           "[profile \"with space\"]\n"
                           "region=a-1\n"
                           "[services local]\n"
                           "kms =\n"
                           "  endpoint_url = http://localhost:1 \n"
                           "dynamodb=\n"
                           "\tendpoint_url=http://localhost:2\n"
                           "[sso-session s]\n"
                           "x=y\n"
                           "[other]\n"
                           "garbage without sign\n"
                           "[profile long]\n"
                           "credential_process = one\n"
                           "  two"); /* no line feed at the end */
    assert_string_equal(get("default", "region"), "us-west-2");
    assert_string_equal(get("default", "output"), "json;kept");
    assert_string_equal(get("default", "empty"), "(none)");
    assert_string_equal(get("dev", "region"), "eu-west-1");
    assert_string_equal(get("dev", "aws_access_key_id"), "A=B");
    assert_string_equal(get("dev", "s3.addressing_style"), "path");
    assert_string_equal(get("dev", "s3.use_accelerate_endpoint"), "true");
    assert_string_equal(get("with space", "region"), "a-1");
    assert_string_equal(get("long", "credential_process"), "one\ntwo");
    assert_string_equal(cv_aws_ini_get(ini, CV_AWS_INI_SERVICES, "local", "kms.endpoint_url"),
                        "http://localhost:1");
    assert_string_equal(cv_aws_ini_get(ini, CV_AWS_INI_SERVICES, "local", "dynamodb.endpoint_url"),
                        "http://localhost:2");
    assert_false(cv_aws_ini_has(ini, CV_AWS_INI_PROFILE, "other"));
    assert_true(cv_aws_ini_has(ini, CV_AWS_INI_SSO, "s"));
}

static void merging(void **state)
{
    (void)state;
    add(CV_AWS_INI_CREDENTIALS, "[p]\naws_access_key_id = from-credentials\n[profile q]\nx=1\n");
    add(CV_AWS_INI_CONFIG,
        "[profile p]\naws_access_key_id = from-config\nregion = r\n[profile p]\nregion = later\n[q]\nx=2\n");
    assert_string_equal(get("p", "aws_access_key_id"), "from-credentials");
    assert_string_equal(get("p", "region"), "later");
    assert_false(cv_aws_ini_has(ini, CV_AWS_INI_PROFILE, "q"));
    assert_false(cv_aws_ini_has(ini, CV_AWS_INI_PROFILE, "profile q"));
}

/* AWS SDKs and Tools Reference Guide, "Format of the config file": of the two
 * ways to write it, [profile default] is the one that counts. */
static void default_in_two_ways(void **state)
{
    (void)state;
    add(CV_AWS_INI_CONFIG, "[profile default]\nregion=right\n[default]\nregion=wrong\noutput=x\n");
    assert_string_equal(get("default", "region"), "right");
    assert_string_equal(get("default", "output"), "(none)");
    /* In the credentials file there is one way only. */
    add(CV_AWS_INI_CREDENTIALS, "[default]\naws_access_key_id=id\n");
    assert_string_equal(get("default", "aws_access_key_id"), "id");
}

static void faults_name_the_line(void **state)
{
    static const struct {
        const char *text, *says;
    } t[] = {
        {"x = y\n", "line 1: a property before"},
        {"[default]\n\nnonsense\n", "line 3: expected key = value"},
        {"[default\nx=y\n", "line 1: a section's bracket"},
        {"[default] x\n", "line 1: text after"},
        {"[]\n", "line 1: a section without a name"},
        {"[default]\n= v\n", "line 2: a property without a name"},
        {"[default]\n  x = y\n", "line 2: an indented line"},
        {"[default]\ns3 =\n  nothing\n", "line 3: expected an indented"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        assert_code(
            cv_aws_ini_add(ini, CV_AWS_INI_CONFIG, cv_bytes_str(t[i].text), "the file", &err),
            CV_ERR_CONFIG, &err);
        assert_says(&err, "the file");
        assert_says(&err, t[i].says);
    }
    assert_code(
        cv_aws_ini_add(ini, CV_AWS_INI_CONFIG, CV_BYTES_LIT("[default]\na=b\0c\n"), "f", &err),
        CV_ERR_CONFIG, &err);
    assert_says(&err, "NUL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(grammar, setup, teardown),
        cmocka_unit_test_setup_teardown(merging, setup, teardown),
        cmocka_unit_test_setup_teardown(default_in_two_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(faults_name_the_line, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
