/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/cv_test.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "proxy/allowlist.h"

static char path[] = "/tmp/cv-allow-XXXXXX";

static int setup(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    close(fd);
    return fd < 0;
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

static int read_text(struct cv_allowlist *l, const char *text, struct cv_error *err)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    cv_error_clear(err);
    return cv_allowlist_read(l, path, err);
}

static void checks(void **state)
{
    static const struct {
        const char *host;
        uint16_t port;
        int code;
    } t[] = {
        {"kms.us-east-1.amazonaws.com", 443, 0},
        {"KMS.us-east-1.AmazonAWS.com", 443, 0},
        {"kms.us-east-1.amazonaws.com", 80, CV_ERR_DENIED},
        {"evil.com", 443, CV_ERR_DENIED},
        {"10.0.0.1", 443, 0},
        {"10.0.0.2", 443, CV_ERR_DENIED},
        {"::1", 8443, 0},
        {"127.0.0.1", 9000, 0},
        {"localhost", 9001, 0},
        {"localhost", 9002, CV_ERR_DENIED},
    };
    struct cv_allowlist l;
    struct cv_error err;
    (void)state;
    assert_code(
        read_text(&l,
                  "allowlist:\n- {address: kms.us-east-1.amazonaws.com, port: 443}\n"
                  "- {address: 10.0.0.1, port: 443}\n- address: '0:0::1'\n  port: 8443\n"
                  "- {address: localhost, port: 9000}\n- {address: 127.0.0.1, port: 9001}\n",
                  &err),
        0, &err);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        assert_code(cv_allowlist_check(&l, t[i].host, t[i].port, cv_deadline(3000), &err),
                    t[i].code, &err);
    assert_says(&err, "localhost:9002 is not on the allowlist");
    cv_allowlist_free(&l);
}

static void builtin(void **state)
{
    static const char *const good[] = {"kms.eu-west-1.amazonaws.com",
                                       "kms-fips.us-gov-west-1.amazonaws.com",
                                       "kms.cn-north-1.amazonaws.com.cn", "kms.us-east-1.api.aws"};
    static const char *const bad[] = {"kms.amazonaws.com",
                                      "xkms.eu-west-1.amazonaws.com",
                                      "kms.eu-west-1.amazonaws.com.evil.com",
                                      "kms.a.b.amazonaws.com",
                                      "sts.eu-west-1.amazonaws.com",
                                      "kms..amazonaws.com"};
    struct cv_allowlist l;
    (void)state;
    cv_allowlist_builtin(&l);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(cv_allowlist_check(&l, good[i], 443, 0, NULL), 0);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(cv_allowlist_check(&l, bad[i], 443, 0, NULL), CV_ERR_DENIED);
    assert_int_equal(cv_allowlist_check(&l, good[0], 444, 0, NULL), CV_ERR_DENIED);
    cv_allowlist_free(&l);
}

static void bad_files(void **state)
{
    static const char *const t[][2] = {
        {"", "no allowlist"},
        {"allowlist: x\n", ":1:"},
        {"allowlist:\n- {address: a}\n", ":2:"},
        {"allowlist:\n- {address: a b, port: 1}\n", "host name"},
        {"allowlist:\n- {address: a, port: 0}\n", "65535"},
        {"allowlist:\n- {address: a, port: 1, x: y}\n", "x"},
        {"allow: []\n", "allow"},
        {"allowlist: [", ":"},
    };
    struct cv_allowlist l;
    struct cv_error err;
    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        assert_code(read_text(&l, t[i][0], &err), CV_ERR_CONFIG, &err);
        assert_says(&err, t[i][1]);
        assert_says(&err, path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(checks), cmocka_unit_test(builtin),
                                       cmocka_unit_test(bad_files)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
