/* SPDX-License-Identifier: Apache-2.0 */
/* The receiving side, for stand-ins that check signatures as AWS does. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "aws/sigv4_private.h"

/* Decodes %XX in place of TEXT's N bytes; false for a broken escape or a NUL. */
static bool decode(char *out, const char *text, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    while (n > 0) {
        if (*text != '%') {
            *out++ = *text++;
            n--;
            continue;
        }
        const char *hi = n >= 3 && text[1] != '\0' ? strchr(digits, text[1] | 0x20) : NULL;
        const char *lo = n >= 3 && text[2] != '\0' ? strchr(digits, text[2] | 0x20) : NULL;
        if (hi == NULL || lo == NULL || (hi == digits && lo == digits))
            return false;
        *out++ = (char)((hi - digits) * 16 + (lo - digits));
        text += 3;
        n -= 3;
    }
    *out = '\0';
    return true;
}

static int append_query(struct cv_buf *out, const char *query)
{
    struct cv_aws_param params[CV_AWS_MAX_QUERY];
    size_t n = 0;
    int rc = 0;
    /* Decoded halves are never longer than what they come from. */
    char *room = malloc(2 * strlen(query) + 2), *at = room;
    if (room == NULL)
        return CV_ERR_NOMEM;
    while (*query != '\0' && rc == 0) {
        size_t len = strcspn(query, "&");
        const char *eq = memchr(query, '=', len);
        size_t name = eq != NULL ? (size_t)(eq - query) : len;
        size_t value = eq != NULL ? len - name - 1 : 0;
        char *v = at + name + 1;
        if (n == CV_AWS_MAX_QUERY || !decode(at, query, name) ||
            !decode(v, query + len - value, value))
            rc = CV_ERR_INVALID;
        else
            params[n++] = (struct cv_aws_param){at, v};
        at = v + value + 1;
        query += len;
        query += *query == '&';
    }
    if (rc == 0)
        rc = cv_aws_canonical_query(out, params, n);
    free(room);
    return rc;
}

static int append_path(struct cv_buf *out, const char *path, size_t n, bool s3)
{
    if (!s3)
        return cv_aws_uri_encode(out, path, n, true);
    char *raw = malloc(n + 1);
    if (raw == NULL)
        return CV_ERR_NOMEM;
    int rc = decode(raw, path, n) ? cv_aws_uri_encode(out, raw, strlen(raw), true) : CV_ERR_INVALID;
    free(raw);
    return rc;
}

static bool is_signed(const char *names, size_t n, const char *header)
{
    return strlen(header) == n && strncasecmp(header, names, n) == 0;
}

/* The lines of every header that is named, in the order of the names. */
static int append_headers(struct cv_buf *out, const char *names, const struct cv_http_message *m)
{
    int rc = 0;
    bool host = false;
    for (const char *p = names; *p != '\0' && rc == 0;) {
        size_t n = strcspn(p, ";"), found = 0;
        host = host || is_signed(p, n, "host");
        if ((rc = cv_buf_append(out, p, n)) != 0 || (rc = cv_buf_append_u8(out, ':')) != 0)
            return rc;
        for (size_t i = 0; i < m->nheaders && rc == 0; i++) {
            if (!is_signed(p, n, m->headers[i].name))
                continue;
            if (found++ > 0)
                rc = cv_buf_append_u8(out, ',');
            if (rc == 0)
                rc = cv_aws_canonical_value(out, m->headers[i].value);
        }
        if (rc == 0)
            rc = found > 0 ? cv_buf_append_u8(out, '\n') : CV_ERR_INVALID;
        p += n;
        p += *p == ';';
    }
    return rc == 0 && !host ? CV_ERR_INVALID : rc;
}

int cv_sigv4_expected(char out[CV_SHA256_HEX], struct cv_bytes secret, const char *region,
                      const char *service, const char *amz_date, const char *signed_headers,
                      const struct cv_http_message *m, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    char body[CV_SHA256_HEX];
    bool s3 = strcmp(service, "s3") == 0;
    const char *declared = cv_http_header(m, "x-amz-content-sha256");
    size_t path = strcspn(m->target, "?");
    const char *query = m->target[path] == '?' ? m->target + path + 1 : "";
    int rc;
    cv_buf_init(&text, CV_AWS_CANONICAL_MAX);
    cv_aws_sha256_hex(body, cv_buf_view(&m->body));
    if (declared != NULL && strcmp(declared, "UNSIGNED-PAYLOAD") != 0 &&
        strcasecmp(declared, body) != 0)
        return cv_error_set(err, CV_ERR_CRYPTO, "x-amz-content-sha256 is not the hash of the body");
    if ((rc = cv_buf_printf(&text, "%s\n", m->method)) != 0 ||
        (rc = append_path(&text, m->target, path, s3)) != 0 ||
        (rc = cv_buf_append_u8(&text, '\n')) != 0 || (rc = append_query(&text, query)) != 0 ||
        (rc = cv_buf_append_u8(&text, '\n')) != 0 ||
        (rc = append_headers(&text, signed_headers, m)) != 0 ||
        (rc = cv_buf_printf(&text, "\n%s\n%s", signed_headers,
                            declared != NULL ? declared : body)) != 0)
        return cv_error_set(err, rc, "the request cannot have been signed like this");
    return cv_sigv4_finish(out, cv_buf_view(&text), secret, region, service, amz_date, err);
}
