/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/cv_test.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "transport/tls.h"
#include "unit/pki.h"

#define DAY 86400L

static struct pki_cert ca, other_ca;
static struct cv_tls *client;

static int setup(void **state)
{
    struct cv_buf pem;
    (void)state;
    signal(SIGPIPE, SIG_DFL); /* none may be raised */
    ca = pki_make(NULL, "Test CA", NULL, -DAY, DAY);
    other_ca = pki_make(NULL, "Other CA", NULL, -DAY, DAY);
    pki_cert_pem(&pem, &ca);
    int rc = cv_tls_client_new_pem(&client, cv_buf_view(&pem), NULL);
    cv_buf_free(&pem);
    return rc;
}

static int teardown(void **state)
{
    (void)state;
    cv_tls_free(&client);
    pki_free(&ca);
    pki_free(&other_ca);
    return 0;
}

static struct cv_tls *server_of(const struct pki_cert *issuer, const char *san, long from, long to)
{
    struct pki_cert leaf = pki_make(issuer, "leaf", san, from, to);
    struct cv_buf chain, key;
    struct cv_tls *t = NULL;
    struct cv_error err;
    cv_error_clear(&err);
    pki_cert_pem(&chain, &leaf);
    pki_key_pem(&key, &leaf);
    assert_code(cv_tls_server_new_pem(&t, cv_buf_view(&chain), cv_buf_view(&key), &err), 0, &err);
    cv_buf_free(&chain);
    cv_buf_free(&key);
    pki_free(&leaf);
    return t;
}

struct server {
    pthread_t thread;
    int fd;
    struct cv_tls *tls;
    size_t echo; /* bytes to echo; then close in order, or abruptly */
    bool abrupt;
    int rc;
};

static void *serve(void *arg)
{
    struct server *s = arg;
    struct cv_stream *raw, *tls;
    static uint8_t buf[300000];
    s->rc = cv_stream_from_fd(&raw, s->fd, NULL);
    if (s->rc == 0)
        s->rc = cv_tls_accept(&tls, s->tls, raw, cv_deadline(5000), NULL);
    if (s->rc != 0)
        return NULL;
    s->rc = cv_stream_read_exact(tls, buf, s->echo, cv_deadline(5000), NULL);
    if (s->rc == 0)
        s->rc = cv_stream_write(tls, CV_BYTES(buf, s->echo), cv_deadline(5000), NULL);
    if (s->abrupt)
        shutdown(cv_stream_fd(tls), SHUT_RDWR);
    cv_stream_close(&tls);
    return NULL;
}

/* Connects CLIENT to a server thread; the result of cv_tls_connect. */
static int dial(struct cv_stream **out, struct server *s, struct cv_tls *c, const char *host,
                struct cv_error *err)
{
    int fds[2];
    struct cv_stream *raw;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    s->fd = fds[1];
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    assert_int_equal(cv_stream_from_fd(&raw, fds[0], NULL), 0);
    return cv_tls_connect(out, c, raw, host, cv_deadline(5000), err);
}

static void echo_through(const char *san, const char *host, size_t n)
{
    struct server s = {.tls = server_of(&ca, san, -DAY, DAY), .echo = n};
    struct cv_stream *c;
    struct cv_error err;
    uint8_t *out = malloc(n + 1), *in = malloc(n + 1), more;
    cv_error_clear(&err);
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(i * 31 + i / 253);
    assert_code(dial(&c, &s, client, host, &err), 0, &err);
    struct iovec iov[3] = {{out, n / 5}, {out + n / 5, 0}, {out + n / 5, n - n / 5}};
    assert_code(cv_stream_writev(c, iov, 3, cv_deadline(5000), &err), 0, &err);
    assert_code(cv_stream_read_exact(c, in, n, cv_deadline(5000), &err), 0, &err);
    assert_memory_equal(in, out, n);
    assert_int_equal(cv_stream_read(c, &more, 1, cv_deadline(5000), &err), 0);
    pthread_join(s.thread, NULL);
    assert_int_equal(s.rc, 0);
    cv_stream_close(&c);
    cv_tls_free(&s.tls);
    free(out);
    free(in);
}

static void echo_by_name_and_address(void **state)
{
    (void)state;
    echo_through("DNS:kms.test", "kms.test", 10);
    echo_through("DNS:*.kms.test", "A.KMS.test", 16384);
    echo_through("IP:127.0.0.1", "127.0.0.1", 1);
    echo_through("IP:::1", "::1", 300000);
}

static void refused(struct cv_tls *srv, const char *host, int code, const char *says)
{
    struct server s = {.tls = srv, .echo = 1};
    struct cv_stream *c;
    struct cv_error err;
    cv_error_clear(&err);
    assert_code(dial(&c, &s, client, host, &err), code, &err);
    assert_null(c);
    assert_says(&err, says);
    assert_says(&err, host);
    pthread_join(s.thread, NULL);
    assert_true(s.rc != 0);
    cv_tls_free(&s.tls);
}

static void bad_certificates(void **state)
{
    (void)state;
    refused(server_of(&ca, "DNS:kms.test", -2 * DAY, -DAY), "kms.test", CV_ERR_DENIED, "expired");
    refused(server_of(&ca, "DNS:kms.test", DAY, 2 * DAY), "kms.test", CV_ERR_DENIED,
            "not valid yet");
    refused(server_of(&ca, "DNS:kms.test", -DAY, DAY), "sts.test", CV_ERR_DENIED, "another name");
    refused(server_of(&ca, "DNS:127.0.0.1", -DAY, DAY), "127.0.0.1", CV_ERR_DENIED, "another name");
    refused(server_of(&ca, NULL, -DAY, DAY), "leaf", CV_ERR_DENIED, "another name");
    refused(server_of(&ca, "DNS:k*.test", -DAY, DAY), "kms.test", CV_ERR_DENIED, "another name");
    refused(server_of(&other_ca, "DNS:kms.test", -DAY, DAY), "kms.test", CV_ERR_DENIED,
            "(/CN=leaf)");
    refused(server_of(NULL, "DNS:kms.test", -DAY, DAY), "kms.test", CV_ERR_DENIED,
            "unknown issuer");
}

static void old_version_is_refused(void **state)
{
    struct cv_tls *srv = server_of(&ca, "DNS:kms.test", -DAY, DAY);
    (void)state;
    /* The server's half of this connection is OpenSSL with TLS 1.1 alone. */
    SSL_CTX *raw = *(SSL_CTX **)srv;
    SSL_CTX_set_min_proto_version(raw, TLS1_1_VERSION);
    SSL_CTX_set_max_proto_version(raw, TLS1_1_VERSION);
    SSL_CTX_set_security_level(raw, 0);
    refused(srv, "kms.test", CV_ERR_PROTOCOL, "handshake");
}

static void not_tls_at_all(void **state)
{
    int fds[2];
    struct cv_stream *raw, *c;
    struct cv_error err;
    (void)state;
    cv_error_clear(&err);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_true(write(fds[1], "HTTP/1.1 400 Bad Request\r\n\r\n", 28) == 28);
    assert_int_equal(cv_stream_from_fd(&raw, fds[0], NULL), 0);
    assert_code(cv_tls_connect(&c, client, raw, "kms.test", cv_deadline(1000), &err),
                CV_ERR_PROTOCOL, &err);
    close(fds[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(cv_stream_from_fd(&raw, fds[0], NULL), 0);
    assert_code(cv_tls_connect(&c, client, raw, "kms.test", cv_deadline(50), &err), CV_ERR_TIMEOUT,
                &err);
    close(fds[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    close(fds[1]);
    assert_int_equal(cv_stream_from_fd(&raw, fds[0], NULL), 0);
    assert_code(cv_tls_connect(&c, client, raw, "kms.test", cv_deadline(1000), &err), CV_ERR_CLOSED,
                &err);
}

static void a_cut_is_no_end(void **state)
{
    struct server s = {.tls = server_of(&ca, "DNS:kms.test", -DAY, DAY), .echo = 1, .abrupt = true};
    struct cv_stream *c;
    struct cv_error err;
    char b;
    (void)state;
    cv_error_clear(&err);
    assert_code(dial(&c, &s, client, "kms.test", &err), 0, &err);
    assert_code(cv_stream_write(c, CV_BYTES("x", 1), cv_deadline(1000), &err), 0, &err);
    assert_int_equal(cv_stream_read(c, &b, 1, cv_deadline(1000), &err), 1);
    assert_code(cv_stream_read(c, &b, 1, cv_deadline(1000), &err), CV_ERR_CLOSED, &err);
    pthread_join(s.thread, NULL);
    assert_true(cv_stream_write(c, CV_BYTES("x", 1), cv_deadline(1000), &err) < 0);
    cv_stream_close(&c);
    cv_tls_free(&s.tls);
}

static void reading_goes_on_after_a_time_out(void **state)
{
    struct server s = {.tls = server_of(&ca, "DNS:kms.test", -DAY, DAY), .echo = 1};
    struct cv_stream *c;
    struct cv_error err;
    char b = 0;
    (void)state;
    cv_error_clear(&err);
    assert_code(dial(&c, &s, client, "kms.test", &err), 0, &err);
    assert_code(cv_stream_read(c, &b, 1, cv_deadline(20), &err), CV_ERR_TIMEOUT, &err);
    assert_code(cv_stream_write(c, CV_BYTES("x", 1), cv_deadline(1000), &err), 0, &err);
    assert_int_equal(cv_stream_read(c, &b, 1, cv_deadline(1000), &err), 1);
    assert_int_equal(b, 'x');
    pthread_join(s.thread, NULL);
    cv_stream_close(&c);
    cv_tls_free(&s.tls);
}

static void ca_files(void **state)
{
    struct cv_tls *t;
    struct cv_error err;
    char path[] = "/tmp/cv-ca-XXXXXX";
    (void)state;
    cv_error_clear(&err);
    assert_code(cv_tls_client_new(&t, "/nonexistent/ca.pem", &err), CV_ERR_CONFIG, &err);
    assert_says(&err, "/nonexistent/ca.pem");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_code(cv_tls_client_new(&t, path, &err), CV_ERR_CONFIG, &err);
    assert_says(&err, "no PEM certificate");
    assert_true(write(fd, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 60) >
                0);
    assert_code(cv_tls_client_new(&t, path, &err), CV_ERR_CONFIG, &err);
    assert_says(&err, path);
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echo_by_name_and_address),
        cmocka_unit_test(bad_certificates),
        cmocka_unit_test(old_version_is_refused),
        cmocka_unit_test(not_tls_at_all),
        cmocka_unit_test(a_cut_is_no_end),
        cmocka_unit_test(reading_goes_on_after_a_time_out),
        cmocka_unit_test(ca_files),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
