/* SPDX-License-Identifier: Apache-2.0 */
/* Percent-encoding as AWS wants it: RFC 3986's unreserved characters and no others. */
#include <stdlib.h>
#include <string.h>

#include "aws/sigv4_private.h"

int cv_aws_uri_encode(struct cv_buf *out, const void *in, size_t n, bool keep_slash)
{
    static const char hex[] = "0123456789ABCDEF";
    const uint8_t *p = in;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = p[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        char e[3] = {'%', hex[c >> 4], hex[c & 15]};
        int rc;
        if (alnum || c == '-' || c == '.' || c == '_' || c == '~' || (c == '/' && keep_slash))
            rc = cv_buf_append_u8(out, c);
        else
            rc = cv_buf_append(out, e, sizeof e);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* One "name=value", encoded; sorting compares these texts' halves. */
struct pair {
    size_t name, name_n, value, value_n;
    const struct cv_buf *text;
};

static int compare_half(const struct cv_buf *t, size_t a, size_t an, size_t b, size_t bn)
{
    int c = memcmp(t->p + a, t->p + b, an < bn ? an : bn);
    return c != 0 ? c : (an > bn) - (an < bn);
}

static int compare(const void *x, const void *y)
{
    const struct pair *a = x, *b = y;
    int c = compare_half(a->text, a->name, a->name_n, b->name, b->name_n);
    return c != 0 ? c : compare_half(a->text, a->value, a->value_n, b->value, b->value_n);
}

int cv_aws_canonical_query(struct cv_buf *out, const struct cv_aws_param *query, size_t n)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    struct pair pairs[CV_AWS_MAX_QUERY];
    int rc = 0;
    cv_buf_init(&text, out->limit);
    if (n > CV_AWS_MAX_QUERY)
        return CV_ERR_LIMIT;
    /* So that text.p is never NULL in a comparison. */
    rc = cv_buf_append_u8(&text, '?');
    for (size_t i = 0; i < n && rc == 0; i++) {
        pairs[i] = (struct pair){.text = &text, .name = text.n};
        rc = cv_aws_uri_encode(&text, query[i].name, strlen(query[i].name), false);
        pairs[i].name_n = text.n - pairs[i].name;
        pairs[i].value = text.n;
        if (rc == 0)
            rc = cv_aws_uri_encode(&text, query[i].value, strlen(query[i].value), false);
        pairs[i].value_n = text.n - pairs[i].value;
    }
    if (rc != 0)
        return rc;
    qsort(pairs, n, sizeof *pairs, compare);
    for (size_t i = 0; i < n && rc == 0; i++)
        if ((i > 0 && (rc = cv_buf_append_u8(out, '&')) != 0) ||
            (rc = cv_buf_append(out, text.p + pairs[i].name, pairs[i].name_n)) != 0 ||
            (rc = cv_buf_append_u8(out, '=')) != 0 ||
            (rc = cv_buf_append(out, text.p + pairs[i].value, pairs[i].value_n)) != 0)
            return rc;
    return rc;
}

int cv_aws_encode_target(struct cv_buf *out, const char *path, const struct cv_aws_param *query,
                         size_t nquery)
{
    int rc = cv_aws_uri_encode(out, path, strlen(path), true);
    if (rc == 0 && nquery > 0)
        rc = cv_buf_append_u8(out, '?');
    return rc == 0 ? cv_aws_canonical_query(out, query, nquery) : rc;
}
