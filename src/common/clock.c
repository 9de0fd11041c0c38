/* SPDX-License-Identifier: Apache-2.0 */
#include "common/clock.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t clock_us(clockid_t id)
{
    struct timespec ts;
    if (clock_gettime(id, &ts) != 0)
        abort();
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t cv_now_ms(void)
{
    return clock_us(CLOCK_MONOTONIC) / 1000;
}

int64_t cv_now_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

int64_t cv_unix_ms(void)
{
    return clock_us(CLOCK_REALTIME) / 1000;
}

int64_t cv_deadline(int64_t in_ms)
{
    int64_t t;
    return __builtin_add_overflow(cv_now_ms(), in_ms, &t) ? CV_NO_DEADLINE : t;
}

int cv_deadline_poll(int64_t deadline)
{
    if (deadline == CV_NO_DEADLINE)
        return -1;
    int64_t now = cv_now_ms();
    if (deadline <= now)
        return 0;
    return deadline - now > INT_MAX ? INT_MAX : (int)(deadline - now);
}

void cv_sleep_ms(int64_t ms)
{
    if (ms <= 0)
        return;
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
        ;
}

static struct tm utc(int64_t unix_ms, int *ms)
{
    int64_t sec = unix_ms / 1000;
    *ms = (int)(unix_ms % 1000);
    if (*ms < 0) {
        *ms += 1000;
        sec--;
    }
    /* The texts have four digits for the year. */
    const int64_t min = INT64_C(-62167219200), max = INT64_C(253402300799);
    time_t t = (time_t)(sec < min ? min : sec > max ? max : sec);
    struct tm tm;
    if (gmtime_r(&t, &tm) == NULL)
        abort();
    return tm;
}

/* Decimal digits of V at OUT. */
static char *put(char *out, int v, int digits)
{
    for (int i = digits; i-- > 0; v /= 10)
        out[i] = (char)('0' + v % 10);
    return out + digits;
}

void cv_rfc3339_format(char out[CV_RFC3339_LEN], int64_t unix_ms)
{
    /* Most times that are written follow in the same second. */
    static _Thread_local struct {
        int64_t second;
        struct tm tm;
    } last = {.second = INT64_MIN};
    int ms = (int)(unix_ms % 1000);
    if (unix_ms < 0 || unix_ms / 1000 != last.second) {
        last.tm = utc(unix_ms, &ms);
        last.second = unix_ms < 0 ? INT64_MIN : unix_ms / 1000;
    }
    struct tm tm = last.tm;
    char *o = put(out, tm.tm_year + 1900, 4);
    *o++ = '-';
    o = put(o, tm.tm_mon + 1, 2);
    *o++ = '-';
    o = put(o, tm.tm_mday, 2);
    *o++ = 'T';
    o = put(o, tm.tm_hour, 2);
    *o++ = ':';
    o = put(o, tm.tm_min, 2);
    *o++ = ':';
    o = put(o, tm.tm_sec, 2);
    *o++ = '.';
    o = put(o, ms, 3);
    *o++ = 'Z';
    *o = '\0';
}

void cv_amz_date(char out[17], int64_t unix_ms)
{
    int ms;
    struct tm tm = utc(unix_ms, &ms);
    char *o = put(out, tm.tm_year + 1900, 4);
    o = put(o, tm.tm_mon + 1, 2);
    o = put(o, tm.tm_mday, 2);
    *o++ = 'T';
    o = put(o, tm.tm_hour, 2);
    o = put(o, tm.tm_min, 2);
    o = put(o, tm.tm_sec, 2);
    *o++ = 'Z';
    *o = '\0';
}

/* DIGITS decimal digits at *S, which moves past them; -1 when they are not. */
static int number(const char **s, int digits)
{
    int v = 0;
    for (int i = 0; i < digits; i++, (*s)++) {
        if (**s < '0' || **s > '9')
            return -1;
        v = v * 10 + (**s - '0');
    }
    return v;
}

static bool expect(const char **s, char a, char b)
{
    if (**s != a && **s != b)
        return false;
    (*s)++;
    return true;
}

/* ".5", ".123456789": milliseconds, further digits ignored; 0 without one. */
static int fraction(const char **s)
{
    if (**s != '.')
        return 0;
    int ms = 0, digits = 0;
    for ((*s)++; **s >= '0' && **s <= '9'; (*s)++, digits++) {
        if (digits < 3)
            ms = ms * 10 + (**s - '0');
    }
    if (digits == 0)
        return -1;
    for (; digits < 3; digits++)
        ms *= 10;
    return ms;
}

/* "Z" or "+hh:mm" in minutes. */
static bool zone(const char **s, int *minutes)
{
    *minutes = 0;
    if (expect(s, 'Z', 'z'))
        return true;
    int sign = **s == '-' ? -1 : 1;
    if (!expect(s, '+', '-'))
        return false;
    int h = number(s, 2);
    if (h < 0 || h > 23 || !expect(s, ':', ':'))
        return false;
    int m = number(s, 2);
    if (m < 0 || m > 59)
        return false;
    *minutes = sign * (h * 60 + m);
    return true;
}

int cv_rfc3339_parse(int64_t *unix_ms, const char *text)
{
    const char *s = text;
    struct tm tm = {0};
    int year = number(&s, 4);
    if (year < 0 || !expect(&s, '-', '-'))
        return CV_ERR_INVALID;
    int month = number(&s, 2);
    if (month < 1 || month > 12 || !expect(&s, '-', '-'))
        return CV_ERR_INVALID;
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    tm.tm_mday = number(&s, 2);
    if (tm.tm_mday < 1 || tm.tm_mday > 31 || !expect(&s, 'T', 't'))
        return CV_ERR_INVALID;
    tm.tm_hour = number(&s, 2);
    if (tm.tm_hour < 0 || tm.tm_hour > 23 || !expect(&s, ':', ':'))
        return CV_ERR_INVALID;
    tm.tm_min = number(&s, 2);
    if (tm.tm_min < 0 || tm.tm_min > 59 || !expect(&s, ':', ':'))
        return CV_ERR_INVALID;
    tm.tm_sec = number(&s, 2);
    int ms = tm.tm_sec < 0 || tm.tm_sec > 60 ? -1 : fraction(&s);
    int minutes;
    if (ms < 0 || !zone(&s, &minutes) || *s != '\0')
        return CV_ERR_INVALID;
    int day = tm.tm_mday;
    bool leap = tm.tm_sec == 60; /* counted as the second before it */
    if (leap)
        tm.tm_sec = 59;
    time_t t = timegm(&tm);
    if (tm.tm_mday != day) /* timegm(3) carried a 31st of April over */
        return CV_ERR_INVALID;
    *unix_ms = ((int64_t)t - (int64_t)minutes * 60) * 1000 + ms;
    return 0;
}

void cv_http_date_format(char out[CV_HTTP_DATE_LEN], int64_t unix_ms)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int ms;
    struct tm tm = utc(unix_ms, &ms);
    memcpy(out, "Day, 00 Mon 0000 00:00:00 GMT", CV_HTTP_DATE_LEN);
    memcpy(out, days + (ptrdiff_t)3 * tm.tm_wday, 3);
    (void)put(out + 5, tm.tm_mday, 2);
    memcpy(out + 8, months + (ptrdiff_t)3 * tm.tm_mon, 3);
    (void)put(out + 12, tm.tm_year + 1900, 4);
    (void)put(out + 17, tm.tm_hour, 2);
    (void)put(out + 20, tm.tm_min, 2);
    (void)put(out + 23, tm.tm_sec, 2);
}
