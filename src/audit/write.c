/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/line.h"
#include "common/clock.h"
#include "common/file.h"
#include "json/json.h"

#define BUFFER_MAX ((size_t)1 << 20)

struct cv_audit {
    int fd;
    uint64_t seq; /* of the last line */
    char prev[CV_AUDIT_HEX_LEN + 1];
    struct cv_buf buffer;
    struct cv_buf line;
    int failed;
};

/* The last line decides where the chain goes on: the whole log is read by
 * `audit verify`, not at every start. */
static int resume(struct cv_audit *a, const char *path, struct cv_error *err)
{
    struct stat st;
    char tail[CV_AUDIT_LINE_MAX + 2];
    if (fstat(a->fd, &st) != 0) {
        return cv_error_errno(err, CV_ERR_IO, errno, "%s", path);
    }
    if (st.st_size == 0) {
        return CV_OK;
    }
    off_t at = st.st_size > (off_t)sizeof tail ? st.st_size - (off_t)sizeof tail : 0;
    ssize_t got = pread(a->fd, tail, sizeof tail, at);
    if (got <= 0) {
        return cv_error_errno(err, CV_ERR_IO, errno, "reading %s", path);
    }
    size_t n = (size_t)got;
    if (tail[n - 1] != '\n') {
        return cv_error_set(
            err, CV_ERR_INVALID,
            "the last line of %s has no end: writing it was cut off; see `claviger audit verify`, then "
            "move the file away to start a new one",
            path);
    }
    const char *start = n > 1 ? memrchr(tail, '\n', n - 1) : NULL;
    start = start != NULL ? start + 1 : tail;
    struct cv_bytes line = CV_BYTES(start, (size_t)(tail + n - 1 - start));
    CV_JSON_AUTO json_t *doc = NULL;
    const char *prev = NULL;
    const char *reason = NULL;
    int64_t seq = 0;
    int r = cv_json_parse_object(&doc, line, CV_AUDIT_LINE_MAX, path, NULL);
    if (r == CV_OK && (r = cv_json_get_int(doc, "seq", 1, INT64_MAX, &seq, NULL)) == CV_OK &&
        (r = cv_json_get_str(doc, "prev", &prev, NULL)) == CV_OK &&
        strlen(prev) == CV_AUDIT_HEX_LEN) {
        memcpy(a->prev, prev, sizeof a->prev);
        a->seq = (uint64_t)seq;
        r = cv_audit_check_line(line, a->seq, a->prev, &reason);
    }
    return r == CV_OK && reason != NULL
               ? CV_OK
               : cv_error_set(
                     err, CV_ERR_INVALID,
                     "the last line of %s is damaged: see `claviger audit verify`, then move the file away to "
                     "start a new one",
                     path);
}

int cv_audit_open(struct cv_audit **out, const char *path, struct cv_error *err)
{
    struct cv_audit *a = calloc(1, sizeof *a);
    if (a == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the audit log");
    }
    memcpy(a->prev, CV_AUDIT_ZERO, sizeof a->prev);
    cv_buf_init(&a->buffer, BUFFER_MAX);
    cv_buf_init(&a->line, CV_AUDIT_LINE_MAX);
    int r = CV_OK;
    a->fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (a->fd < 0) {
        r = cv_error_errno(err, CV_ERR_IO, errno, "opening %s", path);
    } else if (flock(a->fd, LOCK_EX | LOCK_NB) != 0) {
        r = cv_error_set(err, CV_ERR_BUSY, "another process writes the audit log %s", path);
    } else {
        r = resume(a, path, err);
    }
    if (r != CV_OK) {
        cv_audit_close(a);
        return r;
    }
    *out = a;
    return CV_OK;
}

void cv_audit_close(struct cv_audit *audit)
{
    if (audit == NULL) {
        return;
    }
    if (audit->fd >= 0) {
        int r = cv_audit_flush(audit, NULL);
        (void)r; /* it was reported when it first failed */
        close(audit->fd);
    }
    cv_buf_free(&audit->buffer);
    cv_buf_free(&audit->line);
    free(audit);
}

/* ,"NAME": where NAME is one of ours, and needs no escapes. */
static int add_name(struct cv_buf *line, const char *name)
{
    size_t n = strlen(name);
    uint8_t *p = cv_buf_reserve(line, n + 4);
    if (p == NULL) {
        return CV_ERR_LIMIT;
    }
    memcpy(p, ",\"", 2);
    memcpy(p + 2, name, n);
    memcpy(p + 2 + n, "\":", 2);
    cv_buf_commit(line, n + 4);
    return CV_OK;
}

static int add_pair(struct cv_buf *line, const char *name, const char *value)
{
    int r = add_name(line, name);
    return r == CV_OK ? cv_json_append_str(line, cv_bytes_str(value)) : r;
}

/* {"seq":N */
static int begin(struct cv_buf *line, uint64_t seq)
{
    char digits[24];
    char *p = digits + sizeof digits;
    do {
        *--p = (char)('0' + seq % 10);
        seq /= 10;
    } while (seq > 0);
    int r = cv_buf_append_str(line, "{\"seq\":");
    return r == CV_OK ? cv_buf_append(line, p, (size_t)(digits + sizeof digits - p)) : r;
}

/* ,"hash":"…"} and the end of the line. */
static int finish(struct cv_buf *line, const char hash[CV_AUDIT_HEX_LEN + 1])
{
    int r = cv_buf_append_str(line, CV_AUDIT_HASH_KEY);
    if (r == CV_OK) {
        r = cv_buf_append(line, hash, CV_AUDIT_HEX_LEN);
    }
    return r == CV_OK ? cv_buf_append_str(line, "\"}\n") : r;
}

int cv_audit_add(struct cv_audit *audit, const char *event, ...)
{
    if (audit->failed != CV_OK) {
        return audit->failed;
    }
    char now[CV_RFC3339_LEN];
    char hash[CV_AUDIT_HEX_LEN + 1];
    struct cv_buf *line = &audit->line;
    cv_rfc3339_format(now, cv_unix_ms());
    cv_buf_reset(line);
    int r = begin(line, audit->seq + 1);
    if (r == CV_OK) {
        r = add_pair(line, "time", now);
    }
    if (r == CV_OK) {
        r = add_pair(line, "event", event);
    }
    va_list ap;
    va_start(ap, event);
    for (const char *name; r == CV_OK && (name = va_arg(ap, const char *)) != NULL;) {
        const char *value = va_arg(ap, const char *);
        r = value != NULL ? add_pair(line, name, value) : CV_OK;
    }
    va_end(ap);
    if (r == CV_OK) {
        r = add_pair(line, "prev", audit->prev);
    }
    if (r == CV_OK) {
        cv_audit_hash(hash, cv_buf_view(line));
        r = finish(line, hash);
    }
    if (r == CV_OK) {
        r = cv_buf_append(&audit->buffer, line->p, line->n);
    }
    if (r == CV_OK) {
        memcpy(audit->prev, hash, sizeof hash);
        audit->seq++;
    }
    return r;
}

int cv_audit_flush(struct cv_audit *audit, struct cv_error *err)
{
    if (audit->failed != CV_OK) {
        return cv_error_set(err, audit->failed, "the audit log failed before");
    }
    if (audit->buffer.n == 0) {
        return CV_OK;
    }
    if (cv_fd_write_all(audit->fd, audit->buffer.p, audit->buffer.n) != CV_OK) {
        audit->failed = CV_ERR_IO;
        return cv_error_errno(err, CV_ERR_IO, errno, "writing the audit log");
    }
    cv_buf_reset(&audit->buffer);
    return CV_OK;
}
