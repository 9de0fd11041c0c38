/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the control connection. */
#include <stdlib.h>

#include "init/control_message.h"
#include "unit/cv_test.h"
#include "unit/mutate.h"

#define EXPIRES_TOMORROW                                                    \
    "{\"type\":\"credentials\",\"access_key_id\":\"AKIA0123456789ABCDEF\"," \
    "\"secret_access_key\":\"s\",\"expiration\":\"tomorrow\"}"
#define CREDENTIALS                                                                  \
    "{\"type\":\"credentials\",\"id\":3,\"access_key_id\":\"AKIA0123456789ABCDEF\"," \
    "\"secret_access_key\":\"s\",\"session_token\":\"t\",\"expiration\":\"2030-01-01T00:00:00Z\"}"

static int parse(struct cv_control_message *m, const char *text, struct cv_error *err)
{
    return cv_control_parse(m, cv_bytes_str(text), err);
}

static void test_good(void **state)
{
    struct cv_control_message m;
    struct cv_error err;
    (void)state;
    assert_code(
        parse(&m,
              "{\"type\":\"credentials\",\"id\":3,\"access_key_id\":\"AKIA0123456789ABCDEF\","
              "\"secret_access_key\":\"s\",\"session_token\":\"t\","
              "\"expiration\":\"2030-01-01T00:00:00Z\"}",
              &err),
        0, &err);
    assert_int_equal(m.type, CV_CONTROL_CREDENTIALS);
    assert_int_equal(m.id, 3);
    assert_string_equal(m.credentials.access_key_id, "AKIA0123456789ABCDEF");
    assert_int_equal(m.credentials.expires_ms, 1893456000000);
    cv_control_message_free(&m);
    assert_code(parse(&m,
                      "{\"type\":\"credentials\",\"access_key_id\":\"AKIA0123456789ABCDEF\","
                      "\"secret_access_key\":\"s\",\"expiration\":null,\"new\":[1]}",
                      &err),
                0, &err);
    assert_int_equal(m.id, 0);
    assert_int_equal(m.credentials.expires_ms, 0);
    cv_control_message_free(&m);
    assert_code(parse(&m, "{\"type\":\"environment\",\"id\":1,\"variables\":{\"A\":\"b\"}}", &err),
                0, &err);
    assert_string_equal(json_string_value(json_object_get(m.variables, "A")), "b");
    cv_control_message_free(&m);
    assert_code(parse(&m, "{\"type\":\"file\",\"id\":1,\"content\":\"AAEC\"}", &err), 0, &err);
    assert_int_equal(m.content.n, 3);
    cv_control_message_free(&m);
    assert_code(parse(&m, "{\"type\":\"file\",\"id\":1,\"error\":\"no \\n such\"}", &err), 0, &err);
    assert_true(m.has_error);
    assert_null(strchr(m.error, '\n'));
    cv_control_message_free(&m);
    assert_code(parse(&m, "{\"type\":\"stop\"}", &err), 0, &err);
    assert_int_equal(m.seconds, 10);
    cv_control_message_free(&m);
    assert_code(parse(&m, "{\"type\":\"rotate\"}", &err), 0, &err);
    assert_int_equal(m.type, CV_CONTROL_ROTATE);
    cv_control_message_free(&m);
    assert_code(parse(&m, "{\"type\":\"of a later version\"}", &err), 0, &err);
    assert_int_equal(m.type, CV_CONTROL_UNKNOWN);
    cv_control_message_free(&m);
}

static void test_bad(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"type\":1}",
        "{\"type\":\"stop\",\"seconds\":-1}",
        "{\"type\":\"stop\",\"seconds\":1e3}",
        "{\"type\":\"stop\",\"seconds\":86401}",
        "{\"type\":\"credentials\",\"id\":1}",
        "{\"type\":\"rotate\",\"id\":-1}",
        "{\"type\":\"credentials\",\"access_key_id\":\"A\\r\\nB\",\"secret_access_key\":\"s\"}",
        EXPIRES_TOMORROW,
        "{\"type\":\"environment\",\"id\":1}",
        "{\"type\":\"environment\",\"variables\":{\"A\":1}}",
        "{\"type\":\"environment\",\"variables\":[]}",
        "{\"type\":\"file\",\"id\":1}",
        "{\"type\":\"file\",\"content\":\"?\"}",
        "{\"type\":\"stop\"} x",
        "{\"type\":\"stop\",\"type\":\"stop\"}",
        "{\"type\":\"file\",\"error\":1}",
    };
    struct cv_control_message m;
    struct cv_error err;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cv_error_clear(&err);
        if (parse(&m, bad[i], &err) == 0)
            fail_msg("accepted: %s", bad[i]);
        assert_true(err.count != 0);
        cv_control_message_free(&m);
    }
}

static void test_too_large(void **state)
{
    struct cv_control_message m;
    struct cv_error err;
    size_t n = CV_CONTROL_FILE / 3 * 4 + 400;
    char *text = malloc(n + 100);
    (void)state;
    int at = snprintf(text, 100, "{\"type\":\"file\",\"id\":1,\"content\":\"");
    memset(text + at, 'A', n / 4 * 4);
    memcpy(text + at + n / 4 * 4, "\"}", 3);
    cv_error_clear(&err);
    assert_code(parse(&m, text, &err), CV_ERR_LIMIT, &err);
    cv_control_message_free(&m);
    free(text);
}

static void variant(void *ctx, const uint8_t *p, size_t n, const char *what)
{
    struct cv_control_message m;
    (void)ctx;
    int rc = cv_control_parse(&m, CV_BYTES(p, n), NULL);
    if (rc == 0 && strncmp(what, "trunc", 5) == 0)
        fail_msg("%s was accepted", what);
    cv_control_message_free(&m);
}

static void test_mutated(void **state)
{
    static const char *const lines[] = {
        CREDENTIALS,
        "{\"type\":\"environment\",\"id\":1,\"variables\":{\"A\":\"b\"}}",
        "{\"type\":\"file\",\"id\":1,\"content\":\"AAEC\"}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        mutate_all(lines[i], strlen(lines[i]), variant, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_mutated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
