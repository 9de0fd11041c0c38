/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/cv_test.h"

#include <stdlib.h>

#include "common/clock.h"
#include "http/message.h"
#include "unit/memory_stream.h"

struct fixture {
    struct memory_stream s;
    struct cv_http_conn c;
    struct cv_http_message m;
    struct cv_error err;
};

static void start(struct fixture *f, struct cv_bytes in, size_t piece, size_t limit)
{
    memory_stream_init(&f->s, in, piece);
    cv_http_conn_init(&f->c, &f->s.base);
    cv_http_message_init(&f->m, limit);
    cv_error_clear(&f->err);
}

static void stop(struct fixture *f)
{
    cv_http_message_free(&f->m);
    cv_http_conn_free(&f->c);
    memory_close(&f->s.base);
}

static int response(struct fixture *f)
{
    return cv_http_read_response(&f->c, &f->m, "GET", 0, &f->err);
}

static const char LENGTH[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Y:  a b \t\r\n\r\nhello";
static const char CHUNKED[] = "HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n"
                              "3\r\nhel\r\n2;name=\"v\"\r\nlo\r\n0\r\nTrailer: x\r\n\r\n";
static const char CLOSE[] = "HTTP/1.1 503 \r\n\r\nhello";
static const char INTERIM[] = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
                              "HTTP/1.1 201\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";

static void good_responses(void **state)
{
    static const struct {
        const char *text;
        int status;
        bool keep;
    } t[] = {{LENGTH, 200, true}, {CHUNKED, 400, true}, {CLOSE, 503, false}, {INTERIM, 201, false}};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        for (size_t piece = 0; piece < 9; piece++) {
            struct fixture f;
            start(&f, cv_bytes_str(t[i].text), piece, 5);
            assert_code(response(&f), 0, &f.err);
            assert_int_equal(f.m.status, t[i].status);
            assert_int_equal(f.m.body.n, 5);
            assert_memory_equal(f.m.body.p, "hello", 5);
            assert_int_equal(f.m.keep_alive, t[i].keep);
            stop(&f);
        }
    }
    struct fixture f;
    start(&f, cv_bytes_str(LENGTH), 0, 5);
    assert_code(response(&f), 0, &f.err);
    assert_string_equal(cv_http_header(&f.m, "x-y"), "a b");
    assert_string_equal(cv_http_header(&f.m, "CONTENT-LENGTH"), "5");
    assert_null(cv_http_header(&f.m, "x"));
    stop(&f);
}

/* Every truncation of a delimited response is told as one. */
static void every_truncation(void **state)
{
    static const char *const texts[] = {LENGTH, CHUNKED, INTERIM};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        for (size_t n = 0; n < strlen(texts[i]); n++) {
            for (int cut = 0; cut < 2; cut++) {
                struct fixture f;
                start(&f, CV_BYTES(texts[i], n), 3, 100);
                f.s.cut = cut != 0;
                assert_code(response(&f), n == 0 ? CV_ERR_CLOSED : CV_ERR_TRUNCATED, &f.err);
                stop(&f);
            }
        }
    }
    /* A body that ends with the connection must end in order. */
    struct fixture f;
    start(&f, cv_bytes_str(CLOSE), 3, 100);
    f.s.cut = true;
    assert_code(response(&f), CV_ERR_TRUNCATED, &f.err);
    stop(&f);
}

/* No flipped bit may crash, hang, or give more than the limit. */
static void every_flipped_bit(void **state)
{
    static const char *const texts[] = {LENGTH, CHUNKED, INTERIM, CLOSE};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        size_t n = strlen(texts[i]);
        for (size_t bit = 0; bit < n * 8; bit++) {
            char copy[256];
            struct fixture f;
            memcpy(copy, texts[i], n);
            copy[bit / 8] = (char)(copy[bit / 8] ^ (1 << (bit % 8)));
            start(&f, CV_BYTES(copy, n), 7, 64);
            if (response(&f) == 0) {
                assert_in_range(f.m.status, 200, 999);
                assert_in_range(f.m.body.n, 0, 64);
            }
            stop(&f);
        }
    }
}

static void bodiless(void **state)
{
    static const char *const texts[] = {
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
    };
    struct fixture f;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        start(&f, cv_bytes_str(texts[i]), 0, 9);
        assert_code(response(&f), 0, &f.err);
        assert_int_equal(f.m.body.n, 0);
        assert_true(f.m.keep_alive);
        stop(&f);
    }
    start(&f, CV_BYTES_LIT("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), 0, 0);
    assert_code(cv_http_read_response(&f.c, &f.m, "HEAD", 0, &f.err), 0, &f.err);
    assert_string_equal(cv_http_header(&f.m, "content-length"), "9");
    stop(&f);
}

static void refused_responses(void **state)
{
    static const char *const texts[] = {
        "garbage\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "http/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1 x\r\nx\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n123456789\r\nx\r\n0\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct fixture f;
        start(&f, cv_bytes_str(texts[i]), 0, 1000);
        int rc = response(&f);
        if (rc != CV_ERR_PROTOCOL)
            fail_msg("%d for %s", rc, texts[i]);
        stop(&f);
    }
    struct fixture f;
    start(&f, CV_BYTES_LIT("HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n"), 0, 1000);
    assert_code(response(&f), CV_ERR_PROTOCOL, &f.err);
    stop(&f);
}

static void limits(void **state)
{
    static const char *const texts[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 999999999999999999\r\n\r\nhello",
    };
    struct fixture f;
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        start(&f, cv_bytes_str(texts[i]), 0, 4);
        assert_code(response(&f), CV_ERR_LIMIT, &f.err);
        stop(&f);
    }
    size_t n = CV_HTTP_MAX_HEAD + 100;
    char *big = malloc(n);
    memset(big, 'a', n);
    memcpy(big, "HTTP/1.1 200 OK\r\nA: ", 20);
    start(&f, CV_BYTES(big, n), 0, 10);
    assert_code(response(&f), CV_ERR_LIMIT, &f.err);
    stop(&f);
    size_t at = (size_t)sprintf(big, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i <= CV_HTTP_MAX_HEADERS; i++)
        at += (size_t)sprintf(big + at, "A: b\r\n");
    at += (size_t)sprintf(big + at, "\r\n");
    start(&f, CV_BYTES(big, at), 0, 10);
    assert_code(response(&f), CV_ERR_LIMIT, &f.err);
    stop(&f);
    free(big);
}

static void unasked_bytes_end_the_connection(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, CV_BYTES_LIT("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
          0, 10);
    assert_code(response(&f), 0, &f.err);
    assert_false(f.m.keep_alive);
    stop(&f);
}

static const char TWO[] = "POST /a?b=c HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"
                          "GET /next HTTP/1.1\r\nhost: h\r\nConnection: foo, Close\r\n\r\n";

static void requests_follow_each_other(void **state)
{
    (void)state;
    for (size_t piece = 0; piece < 5; piece++) {
        struct fixture f;
        start(&f, CV_BYTES_LIT(TWO), piece, 10);
        assert_code(cv_http_read_request(&f.c, &f.m, 0, &f.err), 0, &f.err);
        assert_string_equal(f.m.method, "POST");
        assert_string_equal(f.m.target, "/a?b=c");
        assert_int_equal(f.m.body.n, 2);
        assert_true(f.m.keep_alive);
        assert_code(cv_http_read_request(&f.c, &f.m, 0, &f.err), 0, &f.err);
        assert_string_equal(f.m.target, "/next");
        assert_int_equal(f.m.body.n, 0);
        assert_false(f.m.keep_alive);
        assert_code(cv_http_read_request(&f.c, &f.m, 0, &f.err), CV_ERR_CLOSED, &f.err);
        stop(&f);
    }
}

static void expectation(void **state)
{
    struct fixture f;
    (void)state;
    start(&f,
          CV_BYTES_LIT(
              "PUT /k HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx"),
          1, 10);
    assert_code(cv_http_read_request(&f.c, &f.m, 0, &f.err), 0, &f.err);
    assert_memory_equal(f.s.out.p, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    stop(&f);
}

static void refused_requests(void **state)
{
    static const char *const texts[] = {
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET /\r\nHost: a\r\n\r\n",
        "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 200-ok\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct fixture f;
        start(&f, cv_bytes_str(texts[i]), 0, 1000);
        int rc = cv_http_read_request(&f.c, &f.m, 0, &f.err);
        if (rc != CV_ERR_PROTOCOL)
            fail_msg("%d for %s", rc, texts[i]);
        stop(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_responses),
        cmocka_unit_test(every_truncation),
        cmocka_unit_test(every_flipped_bit),
        cmocka_unit_test(bodiless),
        cmocka_unit_test(refused_responses),
        cmocka_unit_test(limits),
        cmocka_unit_test(unasked_bytes_end_the_connection),
        cmocka_unit_test(requests_follow_each_other),
        cmocka_unit_test(expectation),
        cmocka_unit_test(refused_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
