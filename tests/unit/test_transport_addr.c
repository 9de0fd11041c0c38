/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/cv_test.h"

#include "transport/addr.h"

static void accepts_and_prints_back(void **state)
{
    static const char *const good[] = {
        "vsock:3:8000",
        "vsock:any:2000",
        "vsock:0:0",
        "vsock:4294967294:4294967295",
        "unix:/run/x.sock",
        "unix:x",
        "tcp:127.0.0.1:443",
        "tcp:[::1]:443",
        "tcp:[2001:db8::1]:1",
        "tcp:localhost:65535",
        "tcp::6732",
        "tcp:kms.us-east-1.amazonaws.com:443",
        "tcp:a_b.example:1",
        "tcp:127.0.0.1:0",
        "vsock-uds:/run/vm.vsock:2000",
        "vsock-uds:a:b:4294967295",
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct cv_addr a;
        struct cv_error err;
        char text[CV_ADDR_TEXT];
        cv_error_clear(&err);
        assert_code(cv_addr_parse(&a, good[i], &err), 0, &err);
        assert_string_equal(cv_addr_format(text, &a), good[i]);
    }
}

static void refuses(void **state)
{
    static const char *const bad[] = {
        "",
        "vsock",
        "vsock:",
        "vsock:3",
        "vsock:3:",
        "vsock::8000",
        "vsock:-1:1",
        "vsock:3:4294967296",
        "vsock:3:1x",
        "vsock:+3:1",
        "vsock: 3:1",
        "vsock:3:1:2",
        "vsock:99999999999:1",
        "unix:",
        "udp:1:2",
        "tcp:",
        "tcp:host",
        "tcp:host:",
        "tcp:host:65536",
        "tcp:host:-1",
        "tcp:host:1:2",
        "tcp:[::1]",
        "tcp:[::1]443",
        "tcp:[::1:443",
        "tcp:[x]:1",
        "tcp:::1:443",
        "tcp:-x:1",
        "tcp:x-:1",
        "tcp:a..b:1",
        "tcp:.a:1",
        "tcp:a b:1",
        "tcp:a/b:1",
        "tcp:host:0x10",
        "vsock-uds:",
        "vsock-uds:x",
        "vsock-uds::1",
        "vsock-uds:x:",
        "vsock-uds:x:-1",
        "vsock-uds:x:4294967296",
        "vsock-uds:x:1 ",
        "TCP:host:1",
        "tcp:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:1",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cv_addr a;
        struct cv_error err;
        cv_error_clear(&err);
        assert_code(cv_addr_parse(&a, bad[i], &err), CV_ERR_INVALID, &err);
        assert_says(&err, "address");
    }
}

static void path_length(void **state)
{
    struct cv_addr a;
    char text[200] = "unix:";
    (void)state;
    memset(text + 5, 'p', 107);
    text[112] = '\0';
    assert_int_equal(cv_addr_parse(&a, text, NULL), 0);
    text[112] = 'p';
    text[113] = '\0';
    assert_int_equal(cv_addr_parse(&a, text, NULL), CV_ERR_INVALID);
}

static void host_and_port(void **state)
{
    char host[CV_ADDR_HOST];
    uint16_t port;
    (void)state;
    assert_int_equal(cv_hostport_parse(host, &port, "kms.example:8443", 443, NULL), 0);
    assert_string_equal(host, "kms.example");
    assert_int_equal(port, 8443);
    assert_int_equal(cv_hostport_parse(host, &port, "[::1]", 443, NULL), 0);
    assert_string_equal(host, "::1");
    assert_int_equal(port, 443);
    assert_int_equal(cv_hostport_parse(host, &port, "h", 0, NULL), CV_ERR_INVALID);
    assert_int_equal(cv_hostport_parse(host, &port, "h:0", 1, NULL), CV_ERR_INVALID);
    assert_int_equal(cv_hostport_parse(host, &port, ":1", 1, NULL), CV_ERR_INVALID);
    assert_int_equal(cv_hostport_parse(host, &port, "https://h", 1, NULL), CV_ERR_INVALID);
}

static void socket_addresses(void **state)
{
    static const char *const texts[] = {"vsock:16:2000", "unix:/x/y", "tcp:127.0.0.1:80",
                                        "tcp:[::1]:80"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct cv_addr a, b;
        struct sockaddr_storage ss;
        socklen_t len;
        char text[CV_ADDR_TEXT];
        assert_int_equal(cv_addr_parse(&a, texts[i], NULL), 0);
        assert_int_equal(cv_addr_sockaddr(&ss, &len, &a, NULL), 0);
        assert_int_equal(cv_addr_from_sockaddr(&b, &ss, len), 0);
        assert_string_equal(cv_addr_format(text, &b), texts[i]);
    }
    struct cv_addr name;
    struct sockaddr_storage ss;
    socklen_t len;
    assert_int_equal(cv_addr_parse(&name, "tcp:localhost:1", NULL), 0);
    assert_int_equal(cv_addr_sockaddr(&ss, &len, &name, NULL), CV_ERR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_and_prints_back),
        cmocka_unit_test(refuses),
        cmocka_unit_test(path_length),
        cmocka_unit_test(host_and_port),
        cmocka_unit_test(socket_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
