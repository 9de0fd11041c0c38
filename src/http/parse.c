/* SPDX-License-Identifier: Apache-2.0 */
#include "http/parse.h"

#include <string.h>
#include <strings.h>

static int bad(struct cv_error *err, const char *what)
{
    return cv_error_set(err, CV_ERR_PROTOCOL, "malformed HTTP: %s", what);
}

bool cv_http_is_token(const char *s, size_t n)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && (c == '\0' || strchr(others, c) == NULL))
            return false;
    }
    return n > 0;
}

bool cv_http_is_value(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* Cuts the next line, ended by CRLF, out of the head. NULL at its end. A bare
 * CR or LF cannot be in a line: both are control characters. */
static char *next_line(char **p, const char *end)
{
    char *line = *p;
    if (line >= end)
        return NULL;
    char *eol = memmem(line, (size_t)(end - line), "\r\n", 2);
    if (eol == NULL)
        return NULL;
    *eol = '\0';
    *p = eol + 2;
    return line;
}

static int parse_header(struct cv_http_message *m, char *line, size_t n, struct cv_error *err)
{
    char *colon = memchr(line, ':', n);
    if (colon == NULL || !cv_http_is_token(line, (size_t)(colon - line)))
        return bad(err, "a header line without a lawful name");
    char *value = colon + 1, *end = line + n;
    while (*value == ' ' || *value == '\t')
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (!cv_http_is_value(value, (size_t)(end - value)))
        return bad(err, "a control character in a header");
    if (m->nheaders == CV_HTTP_MAX_HEADERS)
        return cv_error_set(err, CV_ERR_LIMIT, "more than %d header lines", CV_HTTP_MAX_HEADERS);
    *colon = '\0';
    *end = '\0';
    m->headers[m->nheaders++] = (struct cv_http_header){line, value};
    return 0;
}

static int parse_headers(struct cv_http_message *m, char *p, const char *end, struct cv_error *err)
{
    char *line;
    while ((line = next_line(&p, end)) != NULL) {
        size_t n = (size_t)(p - 2 - line);
        if (n == 0)
            return p == end ? 0 : bad(err, "bytes after the head");
        int rc = parse_header(m, line, n, err);
        if (rc != 0)
            return rc;
    }
    return bad(err, "the head has no end");
}

/* "HTTP/1.x" */
static bool parse_version(int *minor, const char *s)
{
    if (strncmp(s, "HTTP/1.", 7) != 0 || s[7] < '0' || s[7] > '9')
        return false;
    *minor = s[7] - '0';
    return true;
}

static bool is_target(const char *s)
{
    for (const char *p = s; *p != '\0'; p++)
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f)
            return false;
    return *s != '\0';
}

int cv_http_parse_request_head(struct cv_http_message *m, struct cv_error *err)
{
    char *p = (char *)m->head.p;
    const char *end = p + m->head.n;
    char *line = next_line(&p, end);
    if (line == NULL || strlen(line) != (size_t)(p - 2 - line))
        return bad(err, "no request line");
    char *target = strchr(line, ' ');
    char *version = target != NULL ? strchr(target + 1, ' ') : NULL;
    if (version == NULL)
        return bad(err, "no request line");
    *target++ = '\0';
    *version++ = '\0';
    if (!cv_http_is_token(line, strlen(line)) || !is_target(target) ||
        !parse_version(&m->minor, version) || version[8] != '\0')
        return bad(err, "no request line of HTTP/1.x");
    m->method = line;
    m->target = target;
    int rc = parse_headers(m, p, end, err);
    if (rc != 0)
        return rc;
    unsigned hosts = 0;
    for (size_t i = 0; i < m->nheaders; i++)
        hosts += strcasecmp(m->headers[i].name, "host") == 0;
    if (hosts > 1 || (hosts == 0 && m->minor > 0))
        return bad(err, "a request has exactly one Host");
    return 0;
}

int cv_http_parse_response_head(struct cv_http_message *m, struct cv_error *err)
{
    char *p = (char *)m->head.p;
    const char *end = p + m->head.n;
    char *line = next_line(&p, end);
    if (line == NULL || strlen(line) != (size_t)(p - 2 - line) || !parse_version(&m->minor, line) ||
        line[8] != ' ')
        return bad(err, "no status line of HTTP/1.x");
    m->status = 0;
    for (int i = 9; i < 12; i++) {
        if (line[i] < '0' || line[i] > '9')
            return bad(err, "no status line of HTTP/1.x");
        m->status = m->status * 10 + (line[i] - '0');
    }
    if (m->status < 100 || (line[12] != '\0' && line[12] != ' '))
        return bad(err, "no status line of HTTP/1.x");
    m->reason = line[12] == ' ' ? line + 13 : line + 12;
    if (!cv_http_is_value(m->reason, strlen(m->reason)))
        return bad(err, "a control character in the status line");
    return parse_headers(m, p, end, err);
}

/* True when the comma-separated list of VALUE has TOKEN. */
static bool has_token(const char *value, const char *token)
{
    size_t n = strlen(token);
    while (*value != '\0') {
        value += strspn(value, " \t,");
        size_t len = strcspn(value, ",");
        size_t trimmed = len;
        while (trimmed > 0 && (value[trimmed - 1] == ' ' || value[trimmed - 1] == '\t'))
            trimmed--;
        if (trimmed == n && strncasecmp(value, token, n) == 0)
            return true;
        value += len;
    }
    return false;
}

static int parse_length(uint64_t *out, const char *s)
{
    uint64_t v = 0;
    size_t n = strlen(s);
    if (n == 0 || n > 18 || strspn(s, "0123456789") != n)
        return CV_ERR_PROTOCOL;
    for (; *s != '\0'; s++)
        v = v * 10 + (uint64_t)(*s - '0');
    *out = v;
    return 0;
}

int cv_http_framing(enum cv_http_framing *framing, uint64_t *length, struct cv_http_message *m,
                    const char *method, struct cv_error *err)
{
    bool response = m->status != 0, has_length = false, chunked = false;
    bool close = false, keep = false;
    *length = 0;
    for (size_t i = 0; i < m->nheaders; i++) {
        const char *name = m->headers[i].name, *value = m->headers[i].value;
        if (strcasecmp(name, "content-length") == 0) {
            uint64_t v;
            if (parse_length(&v, value) != 0 || (has_length && v != *length))
                return bad(err, "the Content-Length is no number, or there are two");
            has_length = true;
            *length = v;
        } else if (strcasecmp(name, "transfer-encoding") == 0) {
            if (chunked || m->minor == 0 || strcasecmp(value, "chunked") != 0)
                return bad(err, "a transfer coding other than chunked");
            chunked = true;
        } else if (strcasecmp(name, "connection") == 0) {
            close = close || has_token(value, "close");
            keep = keep || has_token(value, "keep-alive");
        }
    }
    if (chunked && has_length)
        return bad(err, "both Content-Length and Transfer-Encoding");
    m->keep_alive = !close && (m->minor > 0 || keep);
    if (response &&
        (strcmp(method, "HEAD") == 0 || m->status < 200 || m->status == 204 || m->status == 304))
        *framing = CV_HTTP_NO_BODY;
    else if (chunked)
        *framing = CV_HTTP_CHUNKED;
    else if (has_length)
        *framing = CV_HTTP_LENGTH;
    else if (response)
        *framing = CV_HTTP_UNTIL_CLOSE;
    else
        *framing = CV_HTTP_NO_BODY;
    if (*framing == CV_HTTP_UNTIL_CLOSE)
        m->keep_alive = false;
    return 0;
}
