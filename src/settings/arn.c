/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/arn.h"

#include <string.h>

static bool lower_or_digit(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool cv_region_valid(struct cv_bytes text)
{
    if (text.n == 0 || text.n >= CV_REGION_MAX || text.p[0] < 'a' || text.p[0] > 'z' ||
        text.p[text.n - 1] == '-')
        return false;
    for (size_t i = 0; i < text.n; i++) {
        if (!lower_or_digit(text.p[i]) && text.p[i] != '-')
            return false;
    }
    return true;
}

/* The text up to the next colon, which is taken too; what is left in *IN. */
static struct cv_bytes field(struct cv_bytes *in)
{
    const uint8_t *colon = in->n == 0 ? NULL : memchr(in->p, ':', in->n);
    struct cv_bytes f = {in->p, colon == NULL ? in->n : (size_t)(colon - in->p)};
    size_t taken = colon == NULL ? f.n : f.n + 1;
    in->p = in->n == 0 ? in->p : in->p + taken;
    in->n -= taken;
    return f;
}

static bool partition_valid(struct cv_bytes p)
{
    struct cv_bytes head = {p.p, p.n < 3 ? p.n : 3};
    return (p.n == 3 || (p.n > 4 && p.p[3] == '-')) && cv_bytes_equal_str(head, "aws") &&
           cv_region_valid(p);
}

static bool account_valid(struct cv_bytes a)
{
    for (size_t i = 0; i < a.n; i++) {
        if (a.p[i] < '0' || a.p[i] > '9')
            return false;
    }
    return a.n == 12;
}

static bool key_valid(struct cv_bytes k)
{
    for (size_t i = 0; i < k.n; i++) {
        if (!lower_or_digit(k.p[i]) && (k.p[i] < 'A' || k.p[i] > 'Z') && k.p[i] != '-')
            return false;
    }
    return k.n > 0;
}

int cv_kms_arn_parse(struct cv_kms_arn *arn, struct cv_bytes text)
{
    *arn = (struct cv_kms_arn){0};
    if (text.n >= CV_ARN_MAX || !cv_bytes_equal_str(field(&text), "arn"))
        return CV_ERR_INVALID;
    struct cv_kms_arn a;
    a.partition = field(&text);
    if (!partition_valid(a.partition) || !cv_bytes_equal_str(field(&text), "kms"))
        return CV_ERR_INVALID;
    a.region = field(&text);
    a.account = field(&text);
    static const char kind[] = "key/";
    const size_t skip = sizeof(kind) - 1;
    if (!cv_region_valid(a.region) || !account_valid(a.account) || text.n <= skip ||
        memcmp(text.p, kind, skip) != 0)
        return CV_ERR_INVALID;
    a.key = (struct cv_bytes){text.p + skip, text.n - skip};
    if (!key_valid(a.key))
        return CV_ERR_INVALID;
    *arn = a;
    return 0;
}
