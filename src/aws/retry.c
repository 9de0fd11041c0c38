/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/retry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/secret.h"

void cv_aws_bucket_init(struct cv_aws_bucket *b)
{
    pthread_mutex_init(&b->lock, NULL);
    b->tokens = CV_AWS_TOKENS;
}

void cv_aws_bucket_destroy(struct cv_aws_bucket *b)
{
    pthread_mutex_destroy(&b->lock);
}

bool cv_aws_bucket_take(struct cv_aws_bucket *b, unsigned cost)
{
    pthread_mutex_lock(&b->lock);
    bool ok = b->tokens >= cost;
    if (ok)
        b->tokens -= cost;
    pthread_mutex_unlock(&b->lock);
    return ok;
}

void cv_aws_bucket_give(struct cv_aws_bucket *b, unsigned amount)
{
    pthread_mutex_lock(&b->lock);
    b->tokens = b->tokens + amount > CV_AWS_TOKENS ? CV_AWS_TOKENS : b->tokens + amount;
    pthread_mutex_unlock(&b->lock);
}

/* What the server asks for, in ms; 0 for nothing sensible. */
static int64_t hint(const struct cv_http_message *m)
{
    const char *ms = cv_http_header(m, "x-amz-retry-after");
    const char *s = cv_http_header(m, "retry-after");
    const char *text = ms != NULL ? ms : s;
    if (text == NULL || *text == '\0' || strlen(text) > 9 ||
        strspn(text, "0123456789") != strlen(text))
        return 0;
    int64_t v = strtoll(text, NULL, 10) * (ms != NULL ? 1 : 1000);
    return v < CV_AWS_HINT_MAX ? v : CV_AWS_HINT_MAX;
}

int64_t cv_aws_backoff(unsigned retry, int64_t base_ms, const struct cv_http_message *m)
{
    uint32_t r;
    int64_t top = base_ms << (retry < 10 ? retry : 10);
    if (top > CV_AWS_BACKOFF_MAX)
        top = CV_AWS_BACKOFF_MAX;
    cv_random(&r, sizeof r);
    int64_t wait = (int64_t)(((uint64_t)top * r) >> 32);
    int64_t asked = m != NULL ? hint(m) : 0;
    return wait > asked ? wait : asked;
}

int cv_http_date_parse(int64_t *unix_ms, const char *text)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm = {0};
    char month[4] = "", zone[4] = "";
    int used = 0;
    if (strlen(text) != 29 || text[3] != ',')
        return CV_ERR_INVALID;
    if (sscanf(text + 4, " %2d %3s %4d %2d:%2d:%2d %3s%n", &tm.tm_mday, month, &tm.tm_year,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec, zone, &used) != 7 ||
        used != 25 || strcmp(zone, "GMT") != 0 || strlen(month) != 3)
        return CV_ERR_INVALID;
    const char *at = strstr(months, month);
    if (at == NULL || (at - months) % 3 != 0 || tm.tm_year < 1970 || tm.tm_mday < 1 ||
        tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
        return CV_ERR_INVALID;
    tm.tm_mon = (int)((at - months) / 3);
    tm.tm_year -= 1900;
    *unix_ms = (int64_t)timegm(&tm) * 1000;
    return 0;
}
