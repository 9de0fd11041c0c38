/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the control connection, hosts that are allowed, the tunnel's line. */
#include <string.h>

#include "cv_test.h"
#include "json/json.h"
#include "parent/message.h"
#include "parent/rules.h"
#include "unit/mutate.h"

static int parse(struct cv_parent_message *m, const char *text)
{
    struct cv_error err;
    cv_error_clear(&err);
    return cv_parent_message_parse(m, cv_bytes_str(text), &err);
}

static void test_messages(void **state)
{
    struct cv_parent_message m;
    (void)state;
    assert_int_equal(parse(&m, "{\"type\":\"hello\",\"protocol\":1,\"version\":\"2.0\",\"build\":"
                               "\"release\",\"debug\":true,\"pcr0\":\"00\"}"),
                     0);
    assert_int_equal(m.type, CV_PARENT_HELLO);
    assert_string_equal(m.version, "2.0");
    assert_true(m.debug);
    assert_int_equal(parse(&m, "{\"type\":\"want\",\"id\":7,\"what\":\"file\",\"name\":\"a\"}"), 0);
    assert_int_equal(m.type, CV_PARENT_WANT);
    assert_int_equal(m.want, CV_PARENT_FILE);
    assert_int_equal(m.id, 7);
    assert_string_equal(m.name, "a");
    assert_int_equal(parse(&m, "{\"type\":\"want\",\"id\":7,\"what\":\"else\"}"), 0);
    assert_int_equal(m.want, CV_PARENT_WANT_OTHER);
    assert_int_equal(parse(&m, "{\"type\":\"stage\",\"stage\":\"fetch\",\"state\":\"failed\","
                               "\"error\":\"a\\u001bb\"}"),
                     0);
    assert_string_equal(m.error, "a\\x1bb");
    assert_int_equal(parse(&m, "{\"type\":\"exit\",\"signal\":9}"), 0);
    assert_true(m.signalled);
    assert_int_equal(m.status, 9);
    assert_int_equal(parse(&m, "{\"type\":\"exit\",\"status\":0,\"signal\":null}"), 0);
    assert_false(m.signalled);
    assert_int_equal(parse(&m, "{\"type\":\"tomorrow\"}"), 0);
    assert_int_equal(m.type, CV_PARENT_UNKNOWN);
}

static void test_bad_messages(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"type\":null}",
        "{\"type\":\"hello\"}",
        "{\"type\":\"hello\",\"protocol\":0}",
        "{\"type\":\"hello\",\"protocol\":1,\"debug\":1}",
        "{\"type\":\"want\",\"what\":\"file\",\"name\":\"a\"}",
        "{\"type\":\"want\",\"id\":0,\"what\":\"environment\"}",
        "{\"type\":\"want\",\"id\":1}",
        "{\"type\":\"want\",\"id\":1,\"what\":\"file\"}",
        "{\"type\":\"stage\",\"state\":\"end\"}",
        "{\"type\":\"exit\"}",
        "{\"type\":\"exit\",\"status\":1,\"signal\":1}",
        "{\"type\":\"exit\",\"status\":-1}",
        "{\"type\":\"exit\",\"status\":256}",
        "{\"type\":\"exit\",\"signal\":0}",
        "{\"type\":\"exit\",\"status\":0} x",
        "{\"type\":\"exit\",\"status\":0,\"status\":0}",
    };
    struct cv_parent_message m;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_not_equal(parse(&m, bad[i]), 0);
}

static json_t *line_of(const struct cv_buf *b)
{
    json_t *o = NULL;
    assert_true(b->n > 0 && b->p[b->n - 1] == '\n');
    assert_null(memchr(b->p, '\n', b->n - 1));
    assert_int_equal(cv_json_parse_object(&o, CV_BYTES(b->p, b->n - 1), b->n, "line", NULL), 0);
    return o;
}

static void test_written_lines(void **state)
{
    struct cv_aws_credentials c = CV_AWS_CREDENTIALS_INIT;
    const struct cv_parent_pair pairs[] = {{"A", "1\n2"}, {"B", ""}};
    struct cv_buf b;
    (void)state;
    cv_buf_init(&b, 1 << 20);
    assert_int_equal(cv_aws_credentials_set(&c, cv_bytes_str("AKID"), cv_bytes_str("secret"),
                                            CV_BYTES(NULL, 0), 1000, "test", NULL),
                     0);
    assert_int_equal(cv_parent_write_credentials(&b, 3, &c), 0);
    json_t *o = line_of(&b);
    assert_string_equal(json_string_value(json_object_get(o, "expiration")),
                        "1970-01-01T00:00:01.000Z");
    assert_string_equal(json_string_value(json_object_get(o, "session_token")), "");
    json_decref(o);
    cv_buf_reset(&b);
    assert_int_equal(cv_parent_write_environment(&b, 4, pairs, 2), 0);
    o = line_of(&b);
    assert_string_equal(json_string_value(json_object_get(json_object_get(o, "variables"), "A")),
                        "1\n2");
    json_decref(o);
    cv_buf_reset(&b);
    assert_int_equal(cv_parent_write_file(&b, 5, CV_BYTES("\0\1", 2)), 0);
    o = line_of(&b);
    assert_string_equal(json_string_value(json_object_get(o, "content")), "AAE=");
    json_decref(o);
    cv_buf_free(&b);
    cv_aws_credentials_free(&c);
}

static void test_rules(void **state)
{
    static struct cv_parent_rules r;
    (void)state;
    memset(&r, 0, sizeof r);
    assert_int_equal(cv_parent_rules_add(&r, "kms.us-west-2.amazonaws.com:443=unix:/x", NULL), 0);
    assert_int_equal(cv_parent_rules_add_region(&r, "us-west-2", NULL), 0);
    assert_int_equal(cv_parent_rules_add(&r, "[::1]:80", NULL), 0);
    const struct cv_parent_rule *f = cv_parent_rules_find(&r, "KMS.us-west-2.amazonaws.com", 443);
    assert_non_null(f);
    assert_true(f->mapped);
    assert_non_null(cv_parent_rules_find(&r, "kms-fips.us-west-2.amazonaws.com", 443));
    assert_non_null(cv_parent_rules_find(&r, "s3.us-west-2.amazonaws.com", 443));
    assert_non_null(cv_parent_rules_find(&r, "my.bucket.s3.us-west-2.amazonaws.com", 443));
    assert_non_null(cv_parent_rules_find(&r, "::1", 80));
    assert_int_equal(cv_parent_rules_add(&r, "[2001:DB8:0:0::7]:443", NULL), 0);
    assert_non_null(cv_parent_rules_find(&r, "2001:db8::7", 443));
    assert_null(cv_parent_rules_find(&r, "x.kms.us-west-2.amazonaws.com", 443));
    assert_null(cv_parent_rules_find(&r, ".s3.us-west-2.amazonaws.com", 443));
    assert_null(cv_parent_rules_find(&r, "evils3.us-west-2.amazonaws.com", 443));
    assert_null(cv_parent_rules_find(&r, "s3.us-west-2.amazonaws.com.evil.test", 443));
    assert_null(cv_parent_rules_find(&r, "kms.us-west-2.amazonaws.com", 444));
    assert_null(cv_parent_rules_find(&r, "", 443));
    static const char *const bad[] = {
        "",      "a",   "a:", "a:0", ":1", "*.1.2.3.4:1", "a:1=", "a:1=x", "a:1=tcp:name:1",
        "a b:1", "*.:1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_not_equal(cv_parent_rules_add(&r, bad[i], NULL), 0);
    while (cv_parent_rules_add(&r, "a:1", NULL) == 0)
        ;
    assert_int_equal(r.n, CV_PARENT_RULES_MAX);
}

static void test_connect_line(void **state)
{
    char host[CV_ADDR_HOST];
    uint16_t port;
    (void)state;
    assert_int_equal(cv_parent_connect_parse(host, &port, CV_BYTES_LIT("CONNECT a.b:443"), NULL),
                     0);
    assert_string_equal(host, "a.b");
    assert_int_equal(port, 443);
    assert_int_equal(cv_parent_connect_parse(host, &port, CV_BYTES_LIT("CONNECT [::1]:1"), NULL),
                     0);
    assert_string_equal(host, "::1");
    assert_int_not_equal(
        cv_parent_connect_parse(host, &port, CV_BYTES_LIT("CONNECT a.b:443\r"), NULL), 0);
    assert_int_not_equal(
        cv_parent_connect_parse(host, &port, CV_BYTES_LIT("CONNECT a\0b:443"), NULL), 0);
    assert_int_not_equal(cv_parent_connect_parse(host, &port, CV_BYTES_LIT("connect a:443"), NULL),
                         0);
    assert_int_not_equal(cv_parent_connect_parse(host, &port, CV_BYTES_LIT("CONNECT :443"), NULL),
                         0);
}

/* Whatever it becomes, the texts stay printable and ended. */
static void try_line(void *ctx, const uint8_t *p, size_t n, const char *what)
{
    struct cv_parent_message m;
    (void)ctx;
    if (cv_parent_message_parse(&m, CV_BYTES(p, n), NULL) != 0)
        return;
    for (const char *c = m.error; *c != 0; c++) {
        if (*c < 0x20 || *c > 0x7e)
            fail_msg("%s: the text holds 0x%02x", what, (unsigned char)*c);
    }
}

static void refuse_line(void *ctx, const uint8_t *p, size_t n, const char *what)
{
    struct cv_parent_message m;
    (void)ctx;
    if (cv_parent_message_parse(&m, CV_BYTES(p, n), NULL) == 0)
        fail_msg("%s was taken", what);
}

static void test_mutations(void **state)
{
    static const char line[] = "{\"type\":\"stage\",\"stage\":\"fetch\",\"state\":\"failed\","
                               "\"error\":\"no such key\"}";
    (void)state;
    mutate_truncations(line, sizeof line - 1, refuse_line, NULL);
    mutate_bit_flips(line, sizeof line - 1, try_line, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),  cmocka_unit_test(test_bad_messages),
        cmocka_unit_test(test_mutations), cmocka_unit_test(test_written_lines),
        cmocka_unit_test(test_rules),     cmocka_unit_test(test_connect_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
