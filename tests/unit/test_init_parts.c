/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of claviger-init that need no machine of their own. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cbor/cbor.h"
#include "init/application.h"
#include "init/clock.h"
#include "init/egress.h"
#include "init/environment.h"
#include "init/files.h"
#include "init/httpproxy.h"
#include "init/logring.h"
#include "init/modules.h"
#include "init/users.h"
#include "unit/cv_test.h"
#include "unit/mutate.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "broken line\n"
                             "app:x:1000:1001:An App,,:/home/app:/bin/sh\n"
                             "5000:x:77:78::/odd:/bin/sh\n"
                             "nohome:x:1005:1005::relative:/bin/sh\n"
                             "last:x:5001:5001::/last:/bin/sh";
static const char group[] =
    "root:x:0:\nstaff:x:1001:\nextra:x:1002:app,other\nmore:x:1003:other,app2\n"
    "5:x:1234:\nlast:x:1004:app\n";

static int resolve(struct cv_user *u, const char *spec, struct cv_error *err)
{
    return cv_user_resolve(u, cv_bytes_str(passwd), cv_bytes_str(group), spec, err);
}

static void test_users(void **state)
{
    static const struct {
        const char *spec;
        uid_t uid;
        gid_t gid;
        const char *home;
        size_t groups;
    } good[] = {
        {NULL, 0, 0, "/root", 0},
        {"", 0, 0, "/root", 0},
        {"root", 0, 0, "/root", 0},
        {"app", 1000, 1001, "/home/app", 2},
        {"1000", 1000, 1001, "/home/app", 2},
        {"app:staff", 1000, 1001, "/home/app", 0},
        {"app:42", 1000, 42, "/home/app", 0},
        {"4242", 4242, 0, "/", 0},
        {"4242:extra", 4242, 1002, "/", 0},
        {"5000", 77, 78, "/odd", 0},
        {"nohome", 1005, 1005, "/", 0},
        {"last", 5001, 5001, "/last", 0},
        {"app:", 1000, 1001, "/home/app", 2},
        {":staff", 0, 1001, "/root", 0},
        {"app:5", 1000, 1234, "/home/app", 0},
    };
    static const char *const bad[] = {"nobody", "app:nogroup", "4294967295", "99999999999",
                                      "-1",     "ap",          "app ",       "app:4294967295"};
    struct cv_user u;
    struct cv_error err;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_code(resolve(&u, good[i].spec, &err), 0, &err);
        assert_int_equal(u.uid, good[i].uid);
        assert_int_equal(u.gid, good[i].gid);
        assert_string_equal(u.home, good[i].home);
        assert_int_equal(u.group_count, good[i].groups);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_code(resolve(&u, bad[i], &err), CV_ERR_NOT_FOUND, &err);
    assert_code(resolve(&u, "app", &err), 0, &err);
    assert_int_equal(u.groups[0], 1002);
    assert_int_equal(u.groups[1], 1004);
}

static void users_variant(void *ctx, const uint8_t *p, size_t n, const char *what)
{
    struct cv_user u;
    (void)ctx, (void)what;
    (void)!cv_user_resolve(&u, CV_BYTES(p, n), cv_bytes_str(group), "app", NULL);
    (void)!cv_user_resolve(&u, cv_bytes_str(passwd), CV_BYTES(p, n), "app:extra", NULL);
    assert_true(u.group_count <= CV_USER_GROUPS);
}

static void test_users_mutated(void **state)
{
    (void)state;
    mutate_all(passwd, sizeof passwd - 1, users_variant, NULL);
    mutate_all(group, sizeof group - 1, users_variant, NULL);
}

static void test_environment(void **state)
{
    struct cv_environment e = {NULL, 0}, f = {NULL, 0};
    static char large[CV_ENVIRONMENT_VALUE];
    (void)state;
    assert_int_equal(cv_environment_assign(&e, "A=1"), 0);
    assert_int_equal(cv_environment_assign(&e, "B=x=y"), 0);
    assert_int_equal(cv_environment_assign(&e, "AB="), 0);
    assert_int_equal(cv_environment_set(&e, "A", CV_BYTES_LIT("two")), 0);
    assert_int_equal(e.n, 3);
    assert_string_equal(e.v[0], "A=two");
    assert_string_equal(cv_environment_get(&e, "B"), "x=y");
    assert_string_equal(cv_environment_get(&e, "AB"), "");
    assert_null(cv_environment_get(&e, "C"));
    assert_null(e.v[3]);
    assert_int_equal(cv_environment_default(&e, "A", "three"), 0);
    assert_string_equal(cv_environment_get(&e, "A"), "two");
    assert_int_equal(cv_environment_assign(&e, "novalue"), CV_ERR_INVALID);
    assert_int_equal(cv_environment_assign(&e, "=x"), CV_ERR_INVALID);
    assert_int_equal(cv_environment_set(&e, "two words", CV_BYTES_LIT("x")), CV_ERR_INVALID);
    assert_int_equal(cv_environment_set(&e, "N", CV_BYTES("a\0b", 3)), CV_ERR_INVALID);
    memset(large, 120, sizeof large);
    assert_int_equal(cv_environment_set(&e, "N", CV_BYTES(large, sizeof large)), CV_ERR_LIMIT);
    assert_int_equal(cv_environment_assign(&f, "A=two"), 0);
    assert_false(cv_environment_equal(&e, &f));
    assert_int_equal(cv_environment_assign(&f, "B=x=y"), 0);
    assert_int_equal(cv_environment_assign(&f, "AB="), 0);
    assert_true(cv_environment_equal(&e, &f));
    /* The image's own may have any name. */
    assert_int_equal(cv_environment_assign(&e, "discovery.type=single-node"), 0);
    assert_int_equal(cv_environment_assign(&e, "two words=x"), 0);
    assert_string_equal(cv_environment_get(&e, "discovery.type"), "single-node");
    cv_environment_free(&e);
    cv_environment_free(&f);
}

/* ---- files ---- */

static char top[] = "/tmp/cv-init-XXXXXX";

static void in_top(char *out, const char *name)
{
    snprintf(out, 256, "%s/%s", top, name);
}

static int write_text(int root, const char *path, mode_t mode, const char *text,
                      struct cv_error *err)
{
    const struct cv_file_owner owner = {getuid(), getgid(), mode};
    return cv_files_write(root, path, &owner, cv_bytes_str(text), err);
}

static void assert_file(const char *name, mode_t mode, const char *text)
{
    char path[256], content[256];
    struct stat st;
    in_top(path, name);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, content, sizeof content - 1);
    close(fd);
    assert_int_equal(n, strlen(text));
    content[n] = '\0';
    assert_string_equal(content, text);
}

static void test_files(void **state)
{
    struct cv_error err;
    char path[256];
    struct stat before, after;
    (void)state;
    assert_non_null(mkdtemp(top));
    int root = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    umask(077);
    assert_code(write_text(root, "/a/b/secret", 0400, "one", &err), 0, &err);
    assert_file("a/b/secret", 0400, "one");
    in_top(path, "a/b");
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(before.st_mode & 07777, 0755);
    /* A reader of the old file keeps it: the new one is another. */
    in_top(path, "a/b/secret");
    int old = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(old, &before), 0);
    assert_code(write_text(root, "/a/b/secret", 0640, "two!", &err), 0, &err);
    assert_file("a/b/secret", 0640, "two!");
    assert_int_equal(stat(path, &after), 0);
    assert_true(after.st_ino != before.st_ino);
    char was[8] = "";
    assert_int_equal(read(old, was, sizeof was), 3);
    close(old);
    assert_code(write_text(root, "/a/b", 0400, "x", &err), CV_ERR_IO, &err);
    assert_says(&err, "/a/b: putting it in its place");
    assert_code(write_text(root, "/a/b/secret/x", 0400, "x", &err), CV_ERR_IO, &err);
    assert_code(write_text(root, "/a/../x", 0400, "x", &err), CV_ERR_INVALID, &err);
    assert_code(write_text(root, "/proc/x", 0400, "x", &err), 0, &err); /* no proc there */
    assert_code(cv_files_remove(root, "/a/b/secret", &err), 0, &err);
    assert_code(cv_files_remove(root, "/a/b/secret", &err), 0, &err);
    assert_code(cv_files_remove(root, "/no/such", &err), 0, &err);
    in_top(path, "a/b");
    assert_int_equal(rmdir(path), 0); /* nothing was left behind */
    close(root);
}

/* Links stay inside the root, and are root's. */
static void test_files_links(void **state)
{
    struct cv_error err;
    char path[256];
    (void)state;
    int root = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (getuid() != 0) {
        close(root);
        skip();
    }
    in_top(path, "real");
    assert_int_equal(mkdir(path, 0755), 0);
    in_top(path, "absolute");
    assert_int_equal(symlink("/real", path), 0);
    in_top(path, "up");
    assert_int_equal(symlink("../../../../real", path), 0);
    in_top(path, "loop");
    assert_int_equal(symlink("loop", path), 0);
    in_top(path, "foreign");
    assert_int_equal(symlink("/real", path), 0);
    assert_int_equal(lchown(path, 1000, 1000), 0);
    in_top(path, "kernel");
    assert_code(write_text(root, "/absolute/x", 0400, "1", &err), 0, &err);
    assert_file("real/x", 0400, "1");
    assert_code(write_text(root, "/up/y", 0400, "2", &err), 0, &err);
    assert_file("real/y", 0400, "2");
    assert_code(write_text(root, "/loop/z", 0400, "3", &err), CV_ERR_IO, &err);
    assert_code(write_text(root, "/foreign/z", 0400, "3", &err), CV_ERR_IO, &err);
    assert_says(&err, "not root's");
    /* The last component is replaced, not followed. */
    in_top(path, "real/link");
    assert_int_equal(symlink("/real/x", path), 0);
    assert_code(write_text(root, "/real/link", 0400, "4", &err), 0, &err);
    assert_file("real/x", 0400, "1");
    assert_file("real/link", 0400, "4");
    close(root);
    root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_code(write_text(root, "/proc/self/attr/x", 0400, "x", &err), CV_ERR_DENIED, &err);
    assert_code(write_text(root, "/dev/x", 0400, "x", &err), CV_ERR_DENIED, &err);
    close(root);
}

static int clear_away(void **state)
{
    char command[320];
    (void)state;
    snprintf(command, sizeof command, "%s", top);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/rm", "rm", "-rf", command, (char *)NULL);
        _exit(1);
    }
    return 0;
}

/* ---- the log ---- */

static void test_logring(void **state)
{
    static struct cv_logring r;
    static uint8_t out[CV_LOGRING_HEAD + CV_LOGRING_RECORD], big[20000];
    (void)state;
    cv_logring_init(&r);
    assert_true(cv_logring_empty(&r));
    assert_int_equal(cv_logring_take(&r, out), 0);
    cv_logring_put(&r, CV_LOG_STDERR, "hello", 5);
    assert_int_equal(cv_logring_take(&r, out), 10);
    assert_memory_equal(out, "\x02\0\0\0\x05hello", 10);
    /* A long one is split, nothing is lost. */
    cv_logring_put(&r, CV_LOG_STDOUT, big, sizeof big);
    size_t total = 0, n;
    while ((n = cv_logring_take(&r, out)) != 0)
        total += n - CV_LOGRING_HEAD;
    assert_int_equal(total, sizeof big);
    /* Past its size the oldest go, and are counted to the byte. */
    uint64_t put = 0, got = 0, lost = 0;
    for (unsigned i = 0; i < 1000; i++) {
        memset(big, (int)(i & 0xff), 999);
        cv_logring_put(&r, CV_LOG_STDOUT, big, 999);
        put += 999;
    }
    while ((n = cv_logring_take(&r, out)) != 0) {
        if (out[0] == CV_LOG_LOST) {
            assert_int_equal(n, 13);
            for (int i = 0; i < 8; i++)
                lost = lost << 8 | out[5 + i];
            continue;
        }
        assert_int_equal(n, CV_LOGRING_HEAD + 999);
        got += 999;
    }
    assert_int_equal(out[5], 999 & 0xff); /* the newest came last */
    assert_int_equal(got + lost, put);
    assert_true(got > CV_LOGRING_SIZE - 2000);
}

/* ---- the clock ---- */

static size_t document(uint8_t *out, size_t size, const char *key, uint64_t at, bool tagged)
{
    uint8_t payload[128];
    struct cv_writer p, w;
    cv_writer_init(&p, payload, sizeof payload);
    cv_cbor_write_map(&p, 2);
    cv_cbor_write_tstr(&p, "module_id");
    cv_cbor_write_tstr(&p, "i-1");
    cv_cbor_write_tstr(&p, key);
    cv_cbor_write_uint(&p, at);
    cv_writer_init(&w, out, size);
    if (tagged)
        cv_cbor_write_head(&w, CV_CBOR_TAG, 18);
    cv_cbor_write_array(&w, 4);
    cv_cbor_write_bstr(&w, CV_BYTES_LIT("\xa1\x01\x38\x22"));
    cv_cbor_write_map(&w, 0);
    cv_cbor_write_bstr(&w, cv_writer_view(&p));
    cv_cbor_write_bstr(&w, CV_BYTES_LIT("signature"));
    return cv_writer_view(&w).n;
}

static void clock_variant(void *ctx, const uint8_t *p, size_t n, const char *what)
{
    int64_t at;
    if (cv_clock_document_time(&at, CV_BYTES(p, n)) == 0 && strncmp(what, "trunc", 5) == 0)
        fail_msg("%s was accepted", what);
    (void)ctx;
}

static void test_clock(void **state)
{
    uint8_t doc[256];
    int64_t at = 0, last = 0, step = 0;
    struct cv_error err;
    (void)state;
    for (int tagged = 0; tagged < 2; tagged++) {
        size_t n = document(doc, sizeof doc, "timestamp", 1764400000123u, tagged != 0);
        assert_int_equal(cv_clock_document_time(&at, CV_BYTES(doc, n)), 0);
        assert_int_equal(at, 1764400000123);
        mutate_all(doc, n, clock_variant, NULL);
    }
    size_t n = document(doc, sizeof doc, "timestamp", 5, false);
    assert_int_equal(cv_clock_document_time(&at, CV_BYTES(doc, n)), CV_ERR_INVALID);
    n = document(doc, sizeof doc, "time", 1764400000123u, false);
    assert_int_equal(cv_clock_document_time(&at, CV_BYTES(doc, n)), CV_ERR_INVALID);
    assert_code(cv_clock_step(&last, 1000, 4000, &step, &err), 0, &err); /* back, at first */
    assert_int_equal(step, -3000);
    assert_code(cv_clock_step(&last, 1500, 1400, &step, &err), 0, &err);
    assert_int_equal(step, 100);
    assert_code(cv_clock_step(&last, 1499, 1600, &step, &err), CV_ERR_DENIED, &err);
    assert_int_equal(last, 1500);
}

/* ---- network ---- */

static void test_egress(void **state)
{
    struct cv_boot_list list = {NULL, 0};
    struct cv_egress e;
    struct cv_buf hosts;
    struct cv_error err;
    static const char *const items[] = {
        "DB.example:5432",   "db.example:5433", "10.1.2.3:80",         "localhost:99",
        "api.example:443",   "db.example:5432", "[2001:DB8:0::1]:443", "127.9.9.9:1",
        "[2001:db8::1]:443", "[::1]:7"};
    (void)state;
    for (size_t i = 0; i < sizeof items / sizeof items[0]; i++)
        assert_int_equal(cv_boot_list_add(&list, items[i]), 0);
    assert_code(cv_egress_plan(&e, &list, &err), 0, &err);
    assert_int_equal(e.n, 8);
    assert_string_equal(e.entry[0].address, "127.77.0.2");
    assert_string_equal(e.entry[1].address, "127.77.0.2");
    assert_false(e.entry[1].in_hosts);
    assert_string_equal(e.entry[2].address, "10.1.2.3");
    assert_true(e.entry[2].is_ip);
    assert_string_equal(e.entry[3].address, "127.0.0.1");
    assert_string_equal(e.entry[4].address, "127.77.0.3");
    assert_true(e.entry[5].is_ip);
    assert_string_equal(e.entry[5].address, "2001:db8::1");
    assert_false(e.entry[7].is_ip);
    assert_true(cv_egress_allows(&e, "2001:0db8:0:0:0:0:0:1", 443));
    assert_false(cv_egress_allows(&e, "2001:db8::2", 443));
    assert_false(e.entry[6].is_ip);
    assert_true(cv_egress_allows(&e, "Db.Example.", 5432));
    assert_false(cv_egress_allows(&e, "db.example", 443));
    assert_false(cv_egress_allows(&e, "b.example", 5432));
    assert_false(cv_egress_allows(&e, "", 5432));
    cv_buf_init(&hosts, 4096);
    assert_int_equal(cv_egress_hosts(&e, CV_BYTES_LIT("1.2.3.4 x"), "me", &hosts), 0);
    assert_string_equal((char *)hosts.p, "1.2.3.4 x\n127.0.0.1 me\n127.77.0.2 db.example\n"
                                         "127.77.0.3 api.example\n");
    cv_buf_reset(&hosts);
    assert_int_equal(cv_egress_hosts(&e, CV_BYTES(NULL, 0), NULL, &hosts), 0);
    assert_memory_equal(hosts.p, "127.0.0.1 localhost\n", 20);
    cv_buf_free(&hosts);
    cv_egress_free(&e);
    for (size_t i = 0; i < list.count; i++)
        free(list.item[i]);
    free(list.item);
}

static int parse_request(const char *text, struct cv_httpproxy_request *r, struct cv_buf *out,
                         struct cv_error *err)
{
    cv_buf_reset(out);
    return cv_httpproxy_parse(r, out, cv_bytes_str(text), err);
}

static void proxy_variant(void *ctx, const uint8_t *p, size_t n, const char *what)
{
    struct cv_httpproxy_request r;
    struct cv_buf *out = ctx;
    (void)what;
    cv_buf_reset(out);
    (void)!cv_httpproxy_head(CV_BYTES(p, n));
    (void)!cv_httpproxy_parse(&r, out, CV_BYTES(p, n), NULL);
}

static void test_httpproxy(void **state)
{
    static const char get[] =
        "GET http://a.example:8080/x?y#z HTTP/1.1\r\nHost: a.example\r\n"
        "Proxy-Connection: keep-alive\r\nconnection: keep-alive\r\nX-A: b\r\n\r\n";
    static const char *const bad[] = {
        "GET /x HTTP/1.1\r\n\r\n",
        "GET https://a/ HTTP/1.1\r\n\r\n",
        "CONNECT a.example HTTP/1.1\r\n\r\n",
        "CONNECT a:99999 HTTP/1.1\r\n\r\n",
        "GET http://u@a/ HTTP/1.1\r\n\r\n",
        "GET\r\n\r\n",
        "CONNECT a:1 HTTP/2\r\n\r\n",
        "GET http:///x HTTP/1.1\r\n\r\n",
        "",
        " \r\n\r\n",
    };
    struct cv_httpproxy_request r;
    struct cv_error err;
    struct cv_buf out;
    (void)state;
    cv_buf_init(&out, 65536);
    assert_code(parse_request("CONNECT a.example:443 HTTP/1.1\r\nHost: x\r\n\r\n", &r, &out, &err),
                0, &err);
    assert_true(r.connect && r.port == 443 && strcmp(r.host, "a.example") == 0 && out.n == 0);
    assert_code(parse_request(get, &r, &out, &err), 0, &err);
    assert_false(r.connect);
    assert_string_equal(r.host, "a.example");
    assert_int_equal(r.port, 8080);
    assert_string_equal((char *)out.p,
                        "GET /x?y HTTP/1.1\r\nConnection: close\r\nHost: a.example\r\n"
                        "X-A: b\r\n\r\n");
    assert_code(parse_request("GET http://a?q HTTP/1.0\r\n\r\n", &r, &out, &err), 0, &err);
    assert_int_equal(r.port, 80);
    assert_memory_equal(out.p, "GET /?q HTTP/1.1\r\n", 18);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_code(parse_request(bad[i], &r, &out, &err), CV_ERR_INVALID, &err);
    assert_int_equal(cv_httpproxy_head(CV_BYTES_LIT("GET x\r\n\r\nrest")), 9);
    assert_int_equal(cv_httpproxy_head(CV_BYTES_LIT("GET x\r\n\r")), 0);
    mutate_all(get, sizeof get - 1, proxy_variant, &out);
    cv_buf_free(&out);
}

/* ---- the rest ---- */

static int note(void *ctx, const char *name, struct cv_error *err)
{
    char *all = ctx;
    (void)err;
    strncat(all, name, 100);
    strncat(all, " ", 2);
    return 0;
}

static void test_modules(void **state)
{
    static const char *const bad[] = {"a/b.ko\n", "../x.ko\n", ".hidden\n", "ok.ko\n/abs.ko"};
    char all[512] = "";
    struct cv_error err;
    (void)state;
    assert_code(cv_modules_each(cv_bytes_str("one.ko\n\ntwo.ko.xz\nthree.ko"), note, all, &err), 0,
                &err);
    assert_string_equal(all, "one.ko two.ko.xz three.ko ");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_code(cv_modules_each(cv_bytes_str(bad[i]), note, all, &err), CV_ERR_INVALID, &err);
}

static void test_signals(void **state)
{
    (void)state;
    assert_int_equal(cv_signal_number(NULL), SIGTERM);
    assert_int_equal(cv_signal_number("SIGQUIT"), SIGQUIT);
    assert_int_equal(cv_signal_number("WINCH"), SIGWINCH);
    assert_int_equal(cv_signal_number("9"), 9);
    assert_int_equal(cv_signal_number("SIGRTMIN+3"), SIGRTMIN + 3);
    assert_int_equal(cv_signal_number("RTMIN"), SIGRTMIN);
    assert_int_equal(cv_signal_number("SIGNONE"), 0);
    assert_int_equal(cv_signal_number("0"), 0);
    assert_int_equal(cv_signal_number("65"), 0);
    assert_int_equal(cv_signal_number("RTMIN+99"), 0);
    assert_int_equal(cv_signal_number(""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_users),
        cmocka_unit_test(test_users_mutated),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_files),
        cmocka_unit_test_teardown(test_files_links, clear_away),
        cmocka_unit_test(test_logring),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_egress),
        cmocka_unit_test(test_httpproxy),
        cmocka_unit_test(test_modules),
        cmocka_unit_test(test_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
