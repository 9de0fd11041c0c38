/* SPDX-License-Identifier: Apache-2.0 */
#include "init/httpproxy.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define TARGET_MAX 8192

size_t cv_httpproxy_head(struct cv_bytes in)
{
    const uint8_t *end = in.n >= 4 ? memmem(in.p, in.n, "\r\n\r\n", 4) : NULL;
    return end != NULL ? (size_t)(end - in.p) + 4 : 0;
}

static int bad(struct cv_error *err, const char *what)
{
    return cv_error_set(err, CV_ERR_INVALID, "not a request that a proxy takes: %s", what);
}

/* The next line without its CRLF. */
static struct cv_bytes next_line(struct cv_bytes *head)
{
    const uint8_t *end = memmem(head->p, head->n, "\r\n", 2);
    size_t n = end != NULL ? (size_t)(end - head->p) : head->n;
    struct cv_bytes line = CV_BYTES(head->p, n);
    size_t skip = end != NULL ? n + 2 : n;
    head->p += skip;
    head->n -= skip;
    return line;
}

static bool hop_by_hop(struct cv_bytes line)
{
    static const char *const names[] = {
        "proxy-connection:", "proxy-authorization:", "connection:", "keep-alive:"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t n = strlen(names[i]);
        if (line.n >= n && strncasecmp((const char *)line.p, names[i], n) == 0)
            return true;
    }
    return false;
}

/* "http://host[:port]/path" to host, port, and where the path begins. */
static int absolute(struct cv_httpproxy_request *r, const char *url, const char **path,
                    struct cv_error *err)
{
    char authority[TARGET_MAX];
    if (strncasecmp(url, "http://", 7) != 0)
        return bad(err, "neither CONNECT nor an http URL");
    size_t n = strcspn(url + 7, "/?#");
    if (n == 0 || memchr(url + 7, '@', n) != NULL)
        return bad(err, "its URL");
    memcpy(authority, url + 7, n);
    authority[n] = '\0';
    *path = url + 7 + n;
    return cv_hostport_parse(r->host, &r->port, authority, 80, err);
}

static int rewrite(struct cv_buf *out, const char *method, size_t method_n, const char *path,
                   struct cv_bytes lines)
{
    size_t n = strcspn(path, "#");
    int rc = cv_buf_append(out, method, method_n);
    if (rc == 0)
        rc = cv_buf_append_str(out, *path == '/' ? " " : " /");
    if (rc == 0)
        rc = cv_buf_append(out, path, n);
    if (rc == 0)
        rc = cv_buf_append_str(out, " HTTP/1.1\r\nConnection: close\r\n");
    while (rc == 0 && lines.n != 0) {
        struct cv_bytes line = next_line(&lines);
        if (line.n == 0 || hop_by_hop(line))
            continue;
        rc = cv_buf_append(out, line.p, line.n);
        if (rc == 0)
            rc = cv_buf_append_str(out, "\r\n");
    }
    return rc != 0 ? rc : cv_buf_append_str(out, "\r\n");
}

int cv_httpproxy_parse(struct cv_httpproxy_request *r, struct cv_buf *out, struct cv_bytes head,
                       struct cv_error *err)
{
    char target[TARGET_MAX];
    const char *path;
    *r = (struct cv_httpproxy_request){.port = 0};
    if (head.n > CV_HTTPPROXY_HEAD || (head.n != 0 && memchr(head.p, 0, head.n) != NULL))
        return bad(err, "its head");
    struct cv_bytes line = next_line(&head);
    const uint8_t *space = line.n != 0 ? memchr(line.p, ' ', line.n) : NULL;
    if (space == NULL || space == line.p)
        return bad(err, "its first line");
    size_t method_n = (size_t)(space - line.p), rest = line.n - method_n - 1;
    const uint8_t *end = rest != 0 ? memchr(space + 1, ' ', rest) : NULL;
    if (end == NULL)
        return bad(err, "its first line");
    size_t n = (size_t)(end - space) - 1;
    struct cv_bytes version = CV_BYTES(end + 1, line.n - method_n - n - 2);
    if (n == 0 || n >= sizeof target ||
        (!cv_bytes_equal_str(version, "HTTP/1.1") && !cv_bytes_equal_str(version, "HTTP/1.0")))
        return bad(err, "its first line");
    memcpy(target, space + 1, n);
    target[n] = '\0';
    r->connect = cv_bytes_equal_str(CV_BYTES(line.p, method_n), "CONNECT");
    if (r->connect)
        return cv_hostport_parse(r->host, &r->port, target, 0, err);
    int rc = absolute(r, target, &path, err);
    return rc != 0 ? rc : rewrite(out, (const char *)line.p, method_n, path, head);
}
