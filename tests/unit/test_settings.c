/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "settings/keyvalue.h"
#include "settings/settings.h"
#include "unit/cv_test.h"
#include "unit/mutate.h"

#define ARN "arn:aws:kms:eu-west-1:123456789012:key/771dfdac-e8e9-4f40-9747-f56d0911fce4"
#define ARN2 "arn:aws:kms:eu-west-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab"
#define ARN_US "arn:aws:kms:us-east-1:123456789012:key/771dfdac-e8e9-4f40-9747-f56d0911fce4"

static struct cv_error err;
static struct cv_settings s;

static int parse_as(const char *text, enum cv_settings_build build)
{
    cv_settings_default(&s);
    cv_error_clear(&err);
    return cv_settings_parse(&s, cv_bytes_str(text), "enclave.conf", build, &err);
}

static int parse(const char *text)
{
    return parse_as(text, CV_SETTINGS_RELEASE);
}

static void defaults(void **state)
{
    (void)state;
    assert_code(parse(""), 0, &err);
    assert_int_equal(s.cmk_count, 0);
    assert_string_equal(s.region, "");
    assert_string_equal(s.endpoint, "");
    assert_string_equal(s.ca_file, "");
    assert_int_equal(s.parent_cid, 3);
    assert_int_equal(s.proxy_port, 8000);
    assert_int_equal(s.listen_port, 2000);
    assert_true(s.plain_import && s.seal_v1 && s.self_check && !s.allow_debug);
    assert_true(cv_settings_allows_cmk(&s, CV_BYTES_LIT("alias/anything")));
}

static void everything_can_be_set(void **state)
{
    (void)state;
    assert_code(parse("# the keys\n"
                      "cmk_arn=" ARN "\n"
                      "  cmk_arn =\t" ARN2 " \r\n"
                      "\n"
                      "region=eu-west-1\n"
                      "endpoint=https://kms.example.org:8443\n"
                      "ca_file=/etc/claviger/ca.pem\n"
                      "parent_cid=4\nproxy_port=9000\nlisten_port=3000\n"
                      "plain_import=off\nseal_v1=off\nallow_debug=on\nself_check=off"),
                0, &err);
    assert_int_equal(s.cmk_count, 2);
    assert_string_equal(s.cmk_arn[0], ARN);
    assert_string_equal(s.cmk_arn[1], ARN2);
    assert_string_equal(s.region, "eu-west-1");
    assert_string_equal(s.endpoint, "https://kms.example.org:8443");
    assert_string_equal(s.ca_file, "/etc/claviger/ca.pem");
    assert_int_equal(s.parent_cid, 4);
    assert_int_equal(s.proxy_port, 9000);
    assert_int_equal(s.listen_port, 3000);
    assert_true(!s.plain_import && !s.seal_v1 && !s.self_check && s.allow_debug);
    assert_true(cv_settings_allows_cmk(&s, CV_BYTES_LIT(ARN)));
    assert_true(cv_settings_allows_cmk(&s, CV_BYTES_LIT(ARN2)));
    assert_false(cv_settings_allows_cmk(&s, CV_BYTES_LIT(ARN_US)));
    assert_false(cv_settings_allows_cmk(&s, CV_BYTES_LIT("771dfdac-e8e9-4f40-9747-f56d0911fce4")));
    assert_false(cv_settings_allows_cmk(&s, CV_BYTES_LIT("alias/x")));
    assert_false(cv_settings_allows_cmk(&s, CV_BYTES_LIT("")));
}

static void the_region_is_that_of_the_keys(void **state)
{
    (void)state;
    assert_code(parse("cmk_arn=" ARN), 0, &err);
    assert_string_equal(s.region, "eu-west-1");
    assert_code(parse("cmk_arn=" ARN "\nregion=us-east-1"), CV_ERR_CONFIG, &err);
    assert_says(&err, "is not in the region us-east-1");
    assert_code(parse("region=us-east-1\ncmk_arn=" ARN), CV_ERR_CONFIG, &err);
    assert_code(parse("cmk_arn=" ARN "\ncmk_arn=" ARN_US), CV_ERR_CONFIG, &err);
    assert_says(&err, ARN_US);
}

static void refusals_name_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"\n#\nbogus=1", "enclave.conf, line 3: unknown setting bogus"},
        {"region=a-1\nregion=a-1", "enclave.conf, line 2: region is set twice"},
        {"cmk_arn=" ARN "\ncmk_arn=" ARN, "line 2: cmk_arn: this key is pinned already"},
        {"region", "line 1: expected key=value"},
        {"=x", "line 1: a key has only"},
        {"Region=x", "a key has only"},
        {"region =", "region: expected a region"},
        {"region=EU", "expected a region"},
        {"region=a.b", "expected a region"},
        {"region=a/../b", "expected a region"},
        {"region=-a", "expected a region"},
        {"region=a-", "expected a region"},
        {"region=a # comment", "expected a region"},
        {"cmk_arn=", "expected the ARN"},
        {"cmk_arn=771dfdac-e8e9-4f40-9747-f56d0911fce4", "expected the ARN"},
        {"cmk_arn=arn:aws:kms:eu-west-1:123456789012:alias/x", "an alias cannot be pinned"},
        {"endpoint=http://kms.example.org", "endpoint: expected https://"},
        {"endpoint=https://", "expected https://"},
        {"endpoint=https:///", "expected https://"},
        {"endpoint=https://a@b", "expected https://"},
        {"endpoint=https://a/b", "expected https://"},
        {"endpoint=https://a?b", "expected https://"},
        {"endpoint=https://a:", "expected https://"},
        {"endpoint=https://a:x", "expected https://"},
        {"endpoint=https://:1", "expected https://"},
        {"endpoint=https://[::1", "expected https://"},
        {"endpoint=https://[g]", "expected https://"},
        {"endpoint=ftp://a", "expected https://"},
        {"endpoint=kms.example.org", "expected https://"},
        {"ca_file=ca.pem", "ca_file: expected an absolute path"},
        {"ca_file=", "expected an absolute path"},
        {"proxy_port=", "proxy_port: expected a number from 0 to 4294967294"},
        {"proxy_port=-1", "expected a number"},
        {"proxy_port=+1", "expected a number"},
        {"proxy_port=1x", "expected a number"},
        {"proxy_port=0x10", "expected a number"},
        {"proxy_port=4294967295", "expected a number"},
        {"proxy_port=4294967296", "expected a number"},
        {"proxy_port=99999999999999999999", "expected a number"},
        {"self_check=yes", "self_check: expected on or off"},
        {"self_check=ON", "expected on or off"},
        {"self_check=", "expected on or off"},
        {"listen_address=unix:/x", "listen_address is for development builds only"},
        {"proxy_address=unix:/x", "proxy_address is for development"},
        {"nsm_address=unix:/x", "nsm_address is for development"},
        {"ca_file=/a\x1b[2J", "the value of ca_file has a control character"},
        {"ca_file=/a\xff", "invalid UTF-8"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (parse(bad[i].text) != CV_ERR_CONFIG)
            fail_msg("%s was accepted", bad[i].text);
        assert_says(&err, bad[i].says);
        assert_int_equal(err.code, CV_ERR_CONFIG);
    }
    cv_settings_default(&s);
    assert_code(
        cv_settings_parse(&s, CV_BYTES_LIT("ca_file=/a\0b"), "f", CV_SETTINGS_RELEASE, &err),
        CV_ERR_CONFIG, &err);
    assert_int_equal(parse_as("x", CV_SETTINGS_RELEASE), CV_ERR_CONFIG);
    char big[CV_KEYVALUE_MAX + 2];
    memset(big, '#', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    assert_code(parse(big), CV_ERR_LIMIT, &err);
    big[sizeof(big) - 2] = '\0';
    assert_code(parse(big), 0, &err);
}

static void limits(void **state)
{
    (void)state;
    char text[20 * (CV_ARN_MAX + 10)] = "", line[400];
    for (int i = 0; i <= CV_SETTINGS_CMKS; i++) {
        (void)snprintf(line, sizeof(line), "cmk_arn=arn:aws:kms:r:123456789012:key/%d\n", i);
        (void)strncat(text, line, sizeof(text) - strlen(text) - 1);
        int rc = parse(text);
        assert_int_equal(rc, i < CV_SETTINGS_CMKS ? 0 : CV_ERR_CONFIG);
    }
    assert_says(&err, "more than 16 pinned keys");
    memset(line, 'a', sizeof(line));
    memcpy(line, "ca_file=/", 9);
    line[8 + CV_SETTINGS_TEXT] = '\0';
    assert_code(parse(line), CV_ERR_CONFIG, &err);
    assert_says(&err, "the value is longer than 255 bytes");
    line[8 + CV_SETTINGS_TEXT - 1] = '\0';
    assert_code(parse(line), 0, &err);
    assert_int_equal(strlen(s.ca_file), CV_SETTINGS_TEXT - 1);
}

static void development_builds_take_addresses(void **state)
{
    (void)state;
    assert_code(parse_as("listen_address=unix:/tmp/e.sock\nproxy_address=tcp:127.0.0.1:99\n"
                         "nsm_address=unix:/tmp/n.sock\nendpoint=http://[::1]:80/",
                         CV_SETTINGS_DEVELOPMENT),
                0, &err);
    assert_string_equal(s.listen_address, "unix:/tmp/e.sock");
    assert_string_equal(s.proxy_address, "tcp:127.0.0.1:99");
    assert_string_equal(s.nsm_address, "unix:/tmp/n.sock");
    assert_string_equal(s.endpoint, "http://[::1]:80/");
    assert_code(parse_as("listen_address=", CV_SETTINGS_DEVELOPMENT), CV_ERR_CONFIG, &err);
    assert_says(&err, "the value is empty");
}

static char *environment(const char *name)
{
    static char cid[] = "77", port[] = "+8001", listen_port[] = "4000",
                url[] = "https://kms.example.org/";
    return strcmp(name, "PROXY_CID") == 0     ? cid
           : strcmp(name, "PROXY_PORT") == 0  ? port
           : strcmp(name, "LISTEN_PORT") == 0 ? listen_port
           : strcmp(name, "ENDPOINT") == 0    ? url
                                              : NULL;
}

static char *nonsense(const char *name)
{
    static char cid[] = "", port[] = "8001 ", listen_port[] = "4294967296", url[] = "kms";
    return strcmp(name, "PROXY_CID") == 0     ? cid
           : strcmp(name, "PROXY_PORT") == 0  ? port
           : strcmp(name, "LISTEN_PORT") == 0 ? listen_port
           : strcmp(name, "ENDPOINT") == 0    ? url
                                              : NULL;
}

static char *nothing(const char *name)
{
    (void)name;
    return NULL;
}

static void tee_signers_environment(void **state)
{
    (void)state;
    cv_settings_default(&s);
    cv_settings_environment(&s, environment, CV_SETTINGS_RELEASE);
    assert_int_equal(s.parent_cid, 77);
    assert_int_equal(s.proxy_port, 8001);
    assert_int_equal(s.listen_port, 4000);
    assert_string_equal(s.endpoint, "https://kms.example.org/");
    /* The file wins. */
    assert_code(cv_settings_parse(&s, CV_BYTES_LIT("proxy_port=1"), "f", CV_SETTINGS_RELEASE, &err),
                0, &err);
    assert_int_equal(s.proxy_port, 1);
    assert_int_equal(s.parent_cid, 77);

    struct cv_settings plain;
    cv_settings_default(&plain);
    cv_settings_default(&s);
    cv_settings_environment(&s, nonsense, CV_SETTINGS_RELEASE);
    cv_settings_environment(&s, nothing, CV_SETTINGS_RELEASE);
    assert_memory_equal(&s, &plain, sizeof(s));
}

static void loads_a_file(void **state)
{
    (void)state;
    char path[] = "/tmp/cv_settings_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(cv_fd_write_all(fd, "region=eu-west-1\nbad\n", 21), 0);
    assert_code(cv_settings_load(&s, path, CV_SETTINGS_RELEASE, &err), CV_ERR_CONFIG, &err);
    assert_says(&err, "line 2: expected key=value");
    assert_says(&err, path);
    assert_int_equal(ftruncate(fd, 17), 0);
    assert_int_equal(setenv("LISTEN_PORT", "1234", 1), 0);
    assert_code(cv_settings_load(&s, path, CV_SETTINGS_RELEASE, &err), 0, &err);
    assert_int_equal(unsetenv("LISTEN_PORT"), 0);
    assert_string_equal(s.region, "eu-west-1");
    assert_int_equal(s.listen_port, 1234);
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(path), 0);
    assert_code(cv_settings_load(&s, path, CV_SETTINGS_RELEASE, &err), CV_ERR_NOT_FOUND, &err);
    assert_says(&err, "reading the settings: cannot open");
    if (access(CV_SETTINGS_FILE, F_OK) != 0)
        assert_code(cv_settings_load(&s, NULL, CV_SETTINGS_RELEASE, NULL), 0, &err);
}

static void arns(void **state)
{
    (void)state;
    struct cv_kms_arn a;
    assert_int_equal(cv_kms_arn_parse(&a, CV_BYTES_LIT(ARN)), 0);
    assert_true(cv_bytes_equal_str(a.partition, "aws"));
    assert_true(cv_bytes_equal_str(a.region, "eu-west-1"));
    assert_true(cv_bytes_equal_str(a.account, "123456789012"));
    assert_true(cv_bytes_equal_str(a.key, "771dfdac-e8e9-4f40-9747-f56d0911fce4"));
    static const char *const good[] = {"arn:aws-cn:kms:cn-north-1:123456789012:key/a",
                                       "arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/A-1"};
    static const char *const bad[] = {"",
                                      "arn",
                                      "arn:aws:kms:eu-west-1:123456789012:key/",
                                      "arn:aws:kms:eu-west-1:123456789012:key",
                                      "arn:aws:kms:eu-west-1:123456789012:alias/a",
                                      "arn:aws:kms:eu-west-1:12345678901:key/a",
                                      "arn:aws:kms:eu-west-1:1234567890123:key/a",
                                      "arn:aws:kms:eu-west-1:12345678901x:key/a",
                                      "arn:aws:kms::123456789012:key/a",
                                      "arn:aws:kms:EU:123456789012:key/a",
                                      "arn:aws:s3:eu-west-1:123456789012:key/a",
                                      "arn:awsx:kms:eu-west-1:123456789012:key/a",
                                      "arn:aws-:kms:eu-west-1:123456789012:key/a",
                                      "arn:gcp:kms:eu-west-1:123456789012:key/a",
                                      "ARN:aws:kms:eu-west-1:123456789012:key/a",
                                      "arn:aws:kms:eu-west-1:123456789012:key/a/b",
                                      "arn:aws:kms:eu-west-1:123456789012:key/a:b",
                                      "arn:aws:kms:eu-west-1:123456789012:key/a ",
                                      " arn:aws:kms:eu-west-1:123456789012:key/a",
                                      "arn:aws:kms:eu-west-1::123456789012:key/a"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(cv_kms_arn_parse(&a, cv_bytes_str(good[i])), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (cv_kms_arn_parse(&a, cv_bytes_str(bad[i])) != CV_ERR_INVALID)
            fail_msg("%s was accepted", bad[i]);
        assert_int_equal(a.key.n, 0);
    }
    char region[CV_REGION_MAX + 1];
    memset(region, 'a', sizeof(region));
    assert_false(cv_region_valid(CV_BYTES(region, CV_REGION_MAX)));
    assert_true(cv_region_valid(CV_BYTES(region, CV_REGION_MAX - 1)));
    assert_false(cv_region_valid(CV_BYTES(NULL, 0)));
    assert_false(cv_region_valid(CV_BYTES_LIT("1a")));
}

static void variant(void *ctx, const uint8_t *p, size_t n, const char *what)
{
    (void)ctx;
    (void)what;
    cv_settings_default(&s);
    int rc = cv_settings_parse(&s, CV_BYTES(p, n), "f", CV_SETTINGS_RELEASE, &err);
    assert_true(rc == 0 || rc == CV_ERR_CONFIG);
    for (size_t i = 0; rc == 0 && i < s.cmk_count; i++) {
        struct cv_kms_arn arn;
        assert_int_equal(cv_kms_arn_parse(&arn, cv_bytes_str(s.cmk_arn[i])), 0);
        assert_true(cv_bytes_equal_str(arn.region, s.region));
    }
}

static void every_truncation_and_flip(void **state)
{
    (void)state;
    static const char text[] = "# c\ncmk_arn=" ARN "\ncmk_arn=" ARN2 "\nendpoint=https://a:1\n"
                               "self_check=on\nproxy_port=8000\n";
    mutate_all(text, sizeof(text) - 1, variant, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(everything_can_be_set),
        cmocka_unit_test(the_region_is_that_of_the_keys),
        cmocka_unit_test(refusals_name_the_line),
        cmocka_unit_test(limits),
        cmocka_unit_test(development_builds_take_addresses),
        cmocka_unit_test(tee_signers_environment),
        cmocka_unit_test(loads_a_file),
        cmocka_unit_test(arns),
        cmocka_unit_test(every_truncation_and_flip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
