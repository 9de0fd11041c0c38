/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <sys/time.h>

#include "common/clock.h"
#include "unit/cv_test.h"

static void deadlines(void **state)
{
    (void)state;
    int64_t a = cv_now_ms(), b = cv_now_us() / 1000;
    assert_true(b >= a && b - a < 5000);
    assert_int_equal(cv_deadline_poll(CV_NO_DEADLINE), -1);
    assert_int_equal(cv_deadline_poll(0), 0);
    assert_int_equal(cv_deadline_poll(cv_now_ms() - 1), 0);
    int left = cv_deadline_poll(cv_deadline(100000));
    assert_true(left > 90000 && left <= 100000);
    assert_int_equal(cv_deadline_poll(cv_deadline(INT64_C(1) << 40)), INT32_MAX);
    assert_true(cv_deadline(INT64_MAX) == CV_NO_DEADLINE);
}

static void on_alarm(int sig)
{
    (void)sig;
}

static void sleep_goes_on_after_signals(void **state)
{
    (void)state;
    struct sigaction sa = {.sa_handler = on_alarm}; /* without SA_RESTART */
    struct itimerval every = {{0, 5000}, {0, 5000}}, off = {{0, 0}, {0, 0}};
    assert_int_equal(sigaction(SIGALRM, &sa, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &every, NULL), 0);
    int64_t start = cv_now_us();
    cv_sleep_ms(60);
    int64_t took = cv_now_us() - start;
    assert_int_equal(setitimer(ITIMER_REAL, &off, NULL), 0);
    assert_true(took >= 60000);
    cv_sleep_ms(0);
    cv_sleep_ms(-1);
}

static void formats(void **state)
{
    (void)state;
    char text[CV_RFC3339_LEN], amz[17];
    cv_rfc3339_format(text, INT64_C(1795933512345));
    assert_string_equal(text, "2026-11-29T06:25:12.345Z");
    cv_amz_date(amz, INT64_C(1795933512345));
    assert_string_equal(amz, "20261129T062512Z");
    cv_rfc3339_format(text, -1);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    cv_rfc3339_format(text, INT64_MAX); /* years of more than four digits stop */
    assert_string_equal(text, "9999-12-31T23:59:59.807Z");
    cv_rfc3339_format(text, INT64_MIN);
    assert_memory_equal(text, "0000-01-01T00:00:00", 19);
}

static void parses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-29T06:25:12Z", INT64_C(1795933512000)},
        {"2026-11-29t06:25:12.345z", INT64_C(1795933512345)},
        {"2026-11-29T06:25:12.3Z", INT64_C(1795933512300)},
        {"2026-11-29T06:25:12.345678901Z", INT64_C(1795933512345)},
        {"2026-11-29T08:25:12+02:00", INT64_C(1795933512000)},
        {"2026-11-29T00:55:12-05:30", INT64_C(1795933512000)},
        {"2024-02-29T00:00:00Z", INT64_C(1709164800000)},
        {"2016-12-31T23:59:60Z", INT64_C(1483228799000)},
        {"1969-12-31T23:59:59.999Z", -1},
    };
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-11-29",
                                      "2026-11-29T06:25:12",
                                      "2026-11-29 06:25:12Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-00-01T00:00:00Z",
                                      "2026-11-31T00:00:00Z",
                                      "2026-02-29T00:00:00Z",
                                      "2026-11-00T00:00:00Z",
                                      "2026-11-32T00:00:00Z",
                                      "2026-11-29T24:00:00Z",
                                      "2026-11-29T00:60:00Z",
                                      "2026-11-29T00:00:61Z",
                                      "2026-11-29T06:25:12.Z",
                                      "2026-11-29T06:25:12Z ",
                                      "2026-11-29T06:25:12ZZ",
                                      "2026-11-29T06:25:12+0200",
                                      "2026-11-29T06:25:12+24:00",
                                      "2026-11-29T06:25:12+02:60",
                                      "2026-11-29T06:25:12+02",
                                      "26-11-29T06:25:12Z",
                                      "2026-1-29T06:25:12Z",
                                      "+026-11-29T06:25:12Z",
                                      "2026-11-29T06:25:1 Z",
                                      "2026/11/29T06:25:12Z"};
    int64_t ms = 0;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (cv_rfc3339_parse(&ms, good[i].text) != 0 || ms != good[i].ms)
            fail_msg("%s gave %lld", good[i].text, (long long)ms);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (cv_rfc3339_parse(&ms, bad[i]) != CV_ERR_INVALID)
            fail_msg("%s was accepted", bad[i]);
    }
    for (int64_t t = 0; t < INT64_C(4102444800000); t += INT64_C(86399999 * 17)) {
        char text[CV_RFC3339_LEN];
        cv_rfc3339_format(text, t);
        assert_int_equal(cv_rfc3339_parse(&ms, text), 0);
        assert_true(ms == t);
    }
}

static void test_http_date(void **state)
{
    char text[CV_HTTP_DATE_LEN];
    (void)state;
    cv_http_date_format(text, INT64_C(784111777) * 1000 + 999); /* of RFC 9110 */
    assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    cv_http_date_format(text, 0);
    assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT");
    cv_http_date_format(text, INT64_C(1795946400000));
    assert_string_equal(text, "Sun, 29 Nov 2026 10:00:00 GMT");
}

/* The second is remembered: what was formatted before must not show. */
static void test_times_in_any_order(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } times[] = {
        {0, "1970-01-01T00:00:00.000Z"},         {-1, "1969-12-31T23:59:59.999Z"},
        {5, "1970-01-01T00:00:00.005Z"},         {999, "1970-01-01T00:00:00.999Z"},
        {1000, "1970-01-01T00:00:01.000Z"},      {-1000, "1969-12-31T23:59:59.000Z"},
        {1001, "1970-01-01T00:00:01.001Z"},      {1, "1970-01-01T00:00:00.001Z"},
        {-86400000, "1969-12-31T00:00:00.000Z"}, {7, "1970-01-01T00:00:00.007Z"},
    };
    char text[CV_RFC3339_LEN];
    (void)state;
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        cv_rfc3339_format(text, times[i].ms);
        assert_string_equal(text, times[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_date), cmocka_unit_test(test_times_in_any_order),
        cmocka_unit_test(deadlines),      cmocka_unit_test(sleep_goes_on_after_signals),
        cmocka_unit_test(formats),        cmocka_unit_test(parses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
