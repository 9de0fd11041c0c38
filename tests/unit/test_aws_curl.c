/* SPDX-License-Identifier: Apache-2.0 */
/* Both transports against the same TLS server: the same replies, the same faults. */
#include "unit/cv_test.h"

#include "aws/transport.h"
#include "transport/tls.h"
#include "unit/fake_http.h"
#include "unit/pki.h"

static char ca_file[] = "/tmp/cv-curl-ca-XXXXXX";
static struct pki_cert ca;
static struct cv_tls *server_tls;

static int setup(void **state)
{
    struct cv_buf pem;
    int fd = mkstemp(ca_file);
    (void)state;
    ca = pki_make(NULL, "CA", NULL, -100, 100000);
    pki_cert_pem(&pem, &ca);
    int rc = fd < 0 || write(fd, pem.p, pem.n) != (ssize_t)pem.n;
    close(fd);
    cv_buf_free(&pem);
    unsetenv("https_proxy");
    unsetenv("HTTPS_PROXY");
    unsetenv("ALL_PROXY");
    unsetenv("all_proxy");
    return rc;
}

static int teardown(void **state)
{
    (void)state;
    pki_free(&ca);
    return unlink(ca_file);
}

static int wrap(struct cv_stream **s)
{
    struct cv_stream *tls;
    int rc = cv_tls_accept(&tls, server_tls, *s, cv_deadline(3000), NULL);
    *s = tls;
    return rc;
}

struct fixture {
    struct fake_http f;
    struct cv_aws_endpoint e;
    struct cv_aws_transport *t[2]; /* curl, stream */
    struct cv_error err;
};

static void start(struct fixture *x, const struct fake_step *steps, size_t n, const char *san,
                  long to)
{
    struct pki_cert leaf = pki_make(&ca, "leaf", san, -1000, to);
    struct cv_buf chain, key;
    char url[100];
    cv_error_clear(&x->err);
    pki_cert_pem(&chain, &leaf);
    pki_key_pem(&key, &leaf);
    assert_int_equal(
        cv_tls_server_new_pem(&server_tls, cv_buf_view(&chain), cv_buf_view(&key), NULL), 0);
    cv_buf_free(&chain);
    cv_buf_free(&key);
    pki_free(&leaf);
    assert_int_equal(fake_listen(&x->f, steps, n), 0);
    x->f.wrap = wrap;
    assert_int_equal(fake_run(&x->f), 0);
    snprintf(url, sizeof url, "https://127.0.0.1:%u", x->f.l.addr.port);
    assert_int_equal(cv_aws_endpoint_parse(&x->e, url, false, NULL), 0);
    assert_int_equal(cv_aws_curl_new(&x->t[0], ca_file, NULL), 0);
    assert_int_equal(cv_aws_stream_new(&x->t[1], &x->f.l.addr, ca_file, NULL), 0);
}

static void stop(struct fixture *x)
{
    cv_aws_transport_free(&x->t[0]);
    cv_aws_transport_free(&x->t[1]);
    fake_stop(&x->f);
    fake_free(&x->f);
    cv_tls_free(&server_tls);
}

static int send_to(struct fixture *x, struct cv_aws_transport *t, const char *method,
                   const char *target, const char *body, struct cv_http_message *m, int64_t ms)
{
    char host[CV_AWS_HOST_MAX];
    struct cv_http_header h[] = {
        {"Host", cv_aws_endpoint_host(host, &x->e)}, {"X-Amz-Target", "a.b"}, {"x-amz-date", ""}};
    struct cv_http_request r = {method, target, h, 3, cv_bytes_str(body)};
    return t->ops->exchange(t, &x->e, &r, m, cv_deadline(ms), &x->err);
}

static void replies(void **state)
{
    static const struct fake_step steps[] = {
        {.status = 200, .body = "one"}, {.status = 400, .body = "two"},
        {.status = 200, .body = "x"},   {.status = 200, .body = ""},
        {.status = 200, .body = "one"}, {.status = 400, .body = "two"},
        {.status = 200, .body = "x"},   {.status = 200, .body = ""},
    };
    struct fixture x;
    (void)state;
    start(&x, steps, 8, "IP:127.0.0.1", 100000);
    for (int i = 0; i < 2; i++) {
        struct cv_http_message m;
        cv_http_message_init(&m, 100);
        assert_code(send_to(&x, x.t[i], "POST", "/a/../b//c?x=%20", "{}", &m, 3000), 0, &x.err);
        assert_int_equal(m.status, 200);
        assert_string_equal((char *)m.body.p, "one");
        assert_string_equal(cv_http_header(&m, "x-amzn-requestid"), "fake-id");
        cv_http_message_free(&m);
        assert_code(send_to(&x, x.t[i], "GET", "/", "", &m, 3000), 0, &x.err);
        assert_int_equal(m.status, 400);
        assert_string_equal((char *)m.body.p, "two");
        cv_http_message_free(&m);
        assert_code(send_to(&x, x.t[i], "PUT", "/k", "content", &m, 3000), 0, &x.err);
        cv_http_message_free(&m);
        assert_code(send_to(&x, x.t[i], "DELETE", "/k", "", &m, 3000), 0, &x.err);
        cv_http_message_free(&m);
        /* The connection was kept; a free server takes the other transport. */
        cv_aws_transport_free(&x.t[i]);
    }
    fake_stop(&x.f);
    assert_int_equal(x.f.connections, 2);
    for (size_t i = 0; i < 8; i += 4) {
        assert_string_equal(x.f.target[i], "/a/../b//c?x=%20");
        assert_string_equal(x.f.body[i], "{}");
        assert_string_equal(x.f.body[i + 1], "");
        assert_string_equal(x.f.body[i + 2], "content");
        assert_string_equal(x.f.amz_target[i], "a.b");
    }
    stop(&x);
}

static void faults(void **state)
{
    static const struct {
        struct fake_step step;
        int code;
    } t[] = {
        {{.mode = FAKE_CLOSE}, CV_ERR_CLOSED},
        {{.mode = FAKE_STALL}, CV_ERR_TIMEOUT},
        {{.status = 200, .mode = FAKE_HALF, .body = "abc"}, CV_ERR_TRUNCATED},
        {{.status = 200, .body = "0123456789012345678901234567890123456789"}, CV_ERR_LIMIT},
    };
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        for (int k = 0; k < 2; k++) {
            struct fixture x;
            struct cv_http_message m;
            start(&x, &t[i].step, 1, "IP:127.0.0.1", 100000);
            cv_http_message_init(&m, 20);
            assert_code(send_to(&x, x.t[k], "GET", "/", "", &m, 300), t[i].code, &x.err);
            assert_says(&x.err, "127.0.0.1");
            cv_http_message_free(&m);
            stop(&x);
        }
    }
}

static void certificates(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 2; k++) {
            struct fixture x;
            struct cv_http_message m;
            start(&x, NULL, 0, i == 0 ? "DNS:other.test" : "IP:127.0.0.1", i == 0 ? 100000 : -500);
            cv_http_message_init(&m, 20);
            assert_code(send_to(&x, x.t[k], "GET", "/", "", &m, 3000), CV_ERR_DENIED, &x.err);
            assert_says(&x.err, "certificate");
            cv_http_message_free(&m);
            stop(&x);
        }
    }
}

static void nobody_listens(void **state)
{
    struct fixture x;
    struct cv_http_message m;
    (void)state;
    start(&x, NULL, 0, "IP:127.0.0.1", 100000);
    fake_stop(&x.f);
    cv_http_message_init(&m, 20);
    for (int k = 0; k < 2; k++)
        assert_code(send_to(&x, x.t[k], "GET", "/", "", &m, 3000), CV_ERR_IO, &x.err);
    snprintf(x.e.host, sizeof x.e.host, "claviger.invalid");
    assert_code(send_to(&x, x.t[0], "GET", "/", "", &m, 3000), CV_ERR_NOT_FOUND, &x.err);
    stop(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies),
        cmocka_unit_test(faults),
        cmocka_unit_test(certificates),
        cmocka_unit_test(nobody_listens),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
