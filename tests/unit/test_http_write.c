/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/cv_test.h"

#include <stdlib.h>

#include "http/message.h"
#include "unit/memory_stream.h"

static int send_request(char *out, size_t size, const struct cv_http_request *r)
{
    struct memory_stream s;
    struct cv_http_conn c;
    memory_stream_init(&s, CV_BYTES(NULL, 0), 0);
    cv_http_conn_init(&c, &s.base);
    int rc = cv_http_write_request(&c, r, 0, NULL);
    snprintf(out, size, "%.*s", (int)s.out.n, s.out.p != NULL ? (char *)s.out.p : "");
    cv_http_conn_free(&c);
    memory_close(&s.base);
    return rc;
}

static void requests(void **state)
{
    struct cv_http_header h[] = {{"Host", "h"}, {"X-A", "b c"}};
    struct cv_http_request r = {"GET", "/x?y", h, 2, {NULL, 0}};
    char text[512];
    (void)state;
    assert_int_equal(send_request(text, sizeof text, &r), 0);
    assert_string_equal(text, "GET /x?y HTTP/1.1\r\nHost: h\r\nX-A: b c\r\n\r\n");
    r.method = "POST";
    assert_int_equal(send_request(text, sizeof text, &r), 0);
    assert_string_equal(text,
                        "POST /x?y HTTP/1.1\r\nHost: h\r\nX-A: b c\r\nContent-Length: 0\r\n\r\n");
    r.body = CV_BYTES_LIT("{}");
    assert_int_equal(send_request(text, sizeof text, &r), 0);
    assert_string_equal(text,
                        "POST /x?y HTTP/1.1\r\nHost: h\r\nX-A: b c\r\nContent-Length: 2\r\n\r\n{}");
}

static void nothing_can_be_injected(void **state)
{
    static const struct cv_http_header bad[] = {
        {"X-A", "b\r\nX-B: c"},
        {"X-A", "b\nc"},
        {"X-A\r\nB", "c"},
        {"X A", "c"},
        {"", "c"},
        {"Content-Length", "3"},
        {"transfer-encoding", "chunked"},
        {"Host", "second"},
    };
    char text[512];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cv_http_header h[] = {{"Host", "h"}, bad[i]};
        struct cv_http_request r = {"GET", "/", h, 2, {NULL, 0}};
        assert_int_equal(send_request(text, sizeof text, &r), CV_ERR_INVALID);
        assert_string_equal(text, "");
    }
    struct cv_http_header h[] = {{"Host", "h"}};
    static const char *const targets[] = {"", "/a b", "/a\r\n", "/\x7f", "/\xc3\xa9"};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        struct cv_http_request r = {"GET", targets[i], h, 1, {NULL, 0}};
        assert_int_equal(send_request(text, sizeof text, &r), CV_ERR_INVALID);
    }
    struct cv_http_request no_host = {"GET", "/", NULL, 0, {NULL, 0}};
    assert_int_equal(send_request(text, sizeof text, &no_host), CV_ERR_INVALID);
    char *big = malloc(CV_HTTP_MAX_HEAD + 1);
    memset(big, 'a', CV_HTTP_MAX_HEAD);
    big[CV_HTTP_MAX_HEAD] = '\0';
    struct cv_http_header hb[] = {{"Host", "h"}, {"X", big}};
    struct cv_http_request r = {"GET", "/", hb, 2, {NULL, 0}};
    assert_int_equal(send_request(text, sizeof text, &r), CV_ERR_LIMIT);
    free(big);
}

static void responses(void **state)
{
    static const struct {
        struct cv_http_response r;
        const char *text;
    } t[] = {
        {{200, NULL, 0, {(const uint8_t *)"ok", 2}, false, false},
         "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
        {{200, NULL, 0, {(const uint8_t *)"ok", 2}, true, true},
         "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"},
        {{204, NULL, 0, {NULL, 0}, false, false}, "HTTP/1.1 204 No Content\r\n\r\n"},
        {{799, NULL, 0, {NULL, 0}, false, false}, "HTTP/1.1 799 \r\nContent-Length: 0\r\n\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct memory_stream s;
        struct cv_http_conn c;
        memory_stream_init(&s, CV_BYTES(NULL, 0), 0);
        cv_http_conn_init(&c, &s.base);
        assert_int_equal(cv_http_write_response(&c, &t[i].r, 0, NULL), 0);
        assert_string_equal((char *)s.out.p, t[i].text);
        cv_http_conn_free(&c);
        memory_close(&s.base);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(nothing_can_be_injected),
        cmocka_unit_test(responses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
