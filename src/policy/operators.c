/* SPDX-License-Identifier: Apache-2.0 */
/* Condition operators (IAM User Guide, "IAM JSON policy elements: Condition
 * operators"): how one value of the request is compared with one of the policy. */
#include "policy/model.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/hex.h"

static const struct cv_policy_operator operators[] = {
    {"StringEquals", CV_CMP_STRING, CV_REL_EQ, false},
    {"StringNotEquals", CV_CMP_STRING, CV_REL_EQ, true},
    {"StringEqualsIgnoreCase", CV_CMP_STRING_NOCASE, CV_REL_EQ, false},
    {"StringNotEqualsIgnoreCase", CV_CMP_STRING_NOCASE, CV_REL_EQ, true},
    {"StringLike", CV_CMP_STRING_LIKE, CV_REL_EQ, false},
    {"StringNotLike", CV_CMP_STRING_LIKE, CV_REL_EQ, true},
    {"ArnEquals", CV_CMP_ARN, CV_REL_EQ, false},
    {"ArnLike", CV_CMP_ARN, CV_REL_EQ, false},
    {"ArnNotEquals", CV_CMP_ARN, CV_REL_EQ, true},
    {"ArnNotLike", CV_CMP_ARN, CV_REL_EQ, true},
    {"NumericEquals", CV_CMP_NUMERIC, CV_REL_EQ, false},
    {"NumericNotEquals", CV_CMP_NUMERIC, CV_REL_EQ, true},
    {"NumericLessThan", CV_CMP_NUMERIC, CV_REL_LT, false},
    {"NumericLessThanEquals", CV_CMP_NUMERIC, CV_REL_LE, false},
    {"NumericGreaterThan", CV_CMP_NUMERIC, CV_REL_GT, false},
    {"NumericGreaterThanEquals", CV_CMP_NUMERIC, CV_REL_GE, false},
    {"DateEquals", CV_CMP_DATE, CV_REL_EQ, false},
    {"DateNotEquals", CV_CMP_DATE, CV_REL_EQ, true},
    {"DateLessThan", CV_CMP_DATE, CV_REL_LT, false},
    {"DateLessThanEquals", CV_CMP_DATE, CV_REL_LE, false},
    {"DateGreaterThan", CV_CMP_DATE, CV_REL_GT, false},
    {"DateGreaterThanEquals", CV_CMP_DATE, CV_REL_GE, false},
    {"Bool", CV_CMP_BOOL, CV_REL_EQ, false},
    {"BinaryEquals", CV_CMP_BINARY, CV_REL_EQ, false},
    {"IpAddress", CV_CMP_IP, CV_REL_EQ, false},
    {"NotIpAddress", CV_CMP_IP, CV_REL_EQ, true},
    {"Null", CV_CMP_NULL, CV_REL_EQ, false},
};

const struct cv_policy_operator *cv_policy_operator_find(const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++)
        if (strlen(operators[i].name) == n && !memcmp(operators[i].name, name, n))
            return &operators[i];
    return NULL;
}

static bool parse_number(double *v, const char *s)
{
    const char *p = s + (*s == '-' || *s == '+');
    size_t digits = 0, points = 0;
    for (; *p; p++) {
        if (isdigit((unsigned char)*p))
            digits++;
        else if (*p == '.' && !points)
            points++;
        else
            return false;
    }
    if (!digits || strlen(s) > 64)
        return false;
    *v = strtod(s, NULL);
    return true;
}

/* W3C's date forms (a year, a month, a day, a time), or seconds of the epoch. */
static bool parse_date(int64_t *ms, const char *s)
{
    size_t n = strlen(s);
    char full[40];
    if (n > 4 && n <= 11 && strspn(s, "0123456789") == n) {
        *ms = strtoll(s, NULL, 10) * 1000;
        return true;
    }
    if (n == 4)
        snprintf(full, sizeof full, "%.4s-01-01T00:00:00Z", s);
    else if (n == 7)
        snprintf(full, sizeof full, "%.7s-01T00:00:00Z", s);
    else if (n == 10)
        snprintf(full, sizeof full, "%.10sT00:00:00Z", s);
    else if (n < sizeof full)
        memcpy(full, s, n + 1);
    else
        return false;
    return cv_rfc3339_parse(ms, full) == 0;
}

struct ip_range {
    int family;
    uint8_t addr[16];
    unsigned bits;
};

static bool parse_ip(struct ip_range *r, const char *s)
{
    char text[64];
    const char *slash = strchr(s, '/');
    size_t n = slash ? (size_t)(slash - s) : strlen(s);
    if (n == 0 || n >= sizeof text)
        return false;
    memcpy(text, s, n);
    text[n] = '\0';
    memset(r->addr, 0, sizeof r->addr);
    r->family = strchr(text, ':') ? AF_INET6 : AF_INET;
    if (inet_pton(r->family, text, r->addr) != 1)
        return false;
    unsigned max = r->family == AF_INET ? 32 : 128;
    r->bits = max;
    if (!slash)
        return true;
    size_t len = strlen(slash + 1);
    if (len == 0 || len > 3 || strspn(slash + 1, "0123456789") != len)
        return false;
    r->bits = (unsigned)strtoul(slash + 1, NULL, 10);
    return r->bits <= max;
}

static bool ip_in_range(const struct ip_range *net, const struct ip_range *ip)
{
    if (net->family != ip->family)
        return false;
    for (unsigned i = 0; i < net->bits; i++) {
        unsigned shift = 7 - i % 8;
        if (((net->addr[i / 8] ^ ip->addr[i / 8]) >> shift) & 1)
            return false;
    }
    return true;
}

/* Cuts an ARN at its first five colons. */
static bool split_arn(char *copy, size_t size, const char *arn, char *part[6])
{
    size_t n = strlen(arn);
    if (n >= size)
        return false;
    memcpy(copy, arn, n + 1);
    part[0] = copy;
    for (int i = 1; i < 6; i++) {
        char *colon = strchr(part[i - 1], ':');
        /* A colon inside ${aws:…} does not separate. */
        const char *var = strstr(part[i - 1], "${");
        while (colon && var && var < colon) {
            const char *close = strchr(var, '}');
            if (!close)
                return false;
            colon = strchr(close, ':');
            var = strstr(close, "${");
        }
        if (!colon)
            return false;
        *colon = '\0';
        part[i] = colon + 1;
    }
    return true;
}

/* Each of the six parts matches for itself: "*" does not cross a colon that
 * separates parts. */
static bool match_arn(const struct cv_policy *p, const struct cv_policy_request *req,
                      const char *pattern, const char *arn)
{
    char a[2200], b[2200], *want[6], *got[6];
    if (!split_arn(a, sizeof a, pattern, want) || !split_arn(b, sizeof b, arn, got))
        return false;
    for (int i = 0; i < 6; i++)
        if (!cv_policy_match(p, req, want[i], got[i], true, false))
            return false;
    return true;
}

#define RELATE(rel, a, b)              \
    ((rel) == CV_REL_EQ   ? (a) == (b) \
     : (rel) == CV_REL_LT ? (a) < (b)  \
     : (rel) == CV_REL_LE ? (a) <= (b) \
     : (rel) == CV_REL_GT ? (a) > (b)  \
                          : (a) >= (b))

static bool match_number(enum cv_policy_relation rel, const char *want, const char *got)
{
    double w, g;
    if (!parse_number(&w, want) || !parse_number(&g, got))
        return false;
    /* Equality of what was written, which no rounding can disturb. */
    return rel == CV_REL_EQ ? !(g < w) && !(g > w) : RELATE(rel, g, w);
}

static bool match_date(enum cv_policy_relation rel, const char *want, const char *got)
{
    int64_t w, g;
    return parse_date(&w, want) && parse_date(&g, got) && RELATE(rel, g, w);
}

static bool is_bool(const char *s)
{
    return !strcasecmp(s, "true") || !strcasecmp(s, "false");
}

bool cv_policy_operator_accepts(const struct cv_policy_operator *op, const char *value)
{
    double number;
    int64_t date;
    struct ip_range ip;
    uint8_t raw[CV_POLICY_TEXT];
    size_t n;
    switch (op->compare) {
    case CV_CMP_NUMERIC:
        return parse_number(&number, value);
    case CV_CMP_DATE:
        return parse_date(&date, value);
    case CV_CMP_BOOL:
    case CV_CMP_NULL:
        /* IAM takes a policy variable where a Boolean is wanted. */
        return is_bool(value) || (op->compare == CV_CMP_BOOL && !strncmp(value, "${", 2));
    case CV_CMP_IP:
        return parse_ip(&ip, value);
    case CV_CMP_BINARY:
        return cv_base64_decode(raw, sizeof raw, &n, cv_bytes_str(value)) == 0;
    default:
        return true;
    }
}

bool cv_policy_operator_match(const struct cv_policy_operator *op, const struct cv_policy *p,
                              const struct cv_policy_request *req, const char *want,
                              const char *got)
{
    struct ip_range net, ip;
    switch (op->compare) {
    case CV_CMP_STRING:
        return cv_policy_match(p, req, want, got, false, false);
    case CV_CMP_STRING_NOCASE:
        return cv_policy_match(p, req, want, got, false, true);
    case CV_CMP_STRING_LIKE:
        return cv_policy_match(p, req, want, got, true, false);
    case CV_CMP_ARN:
        return match_arn(p, req, want, got);
    case CV_CMP_NUMERIC:
        return match_number(op->relation, want, got);
    case CV_CMP_DATE:
        return match_date(op->relation, want, got);
    case CV_CMP_BOOL:
        return cv_policy_match(p, req, want, got, false, true);
    case CV_CMP_BINARY:
        return !strcmp(want, got);
    case CV_CMP_IP:
        return parse_ip(&net, want) && parse_ip(&ip, got) && ip_in_range(&net, &ip);
    case CV_CMP_NULL:
        break; /* decided by presence, in conditions.c */
    }
    return false;
}
