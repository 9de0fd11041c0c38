/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/line.h"
#include "common/clock.h"
#include "common/hex.h"
#include "crypto/blake2b.h"
#include "json/json.h"

#define END_TRIES 20
#define END_WAIT_MS 25

void cv_audit_hash(char out[CV_AUDIT_HEX_LEN + 1], struct cv_bytes head)
{
    uint8_t hash[CV_AUDIT_HASH_LEN];
    cv_blake2b_256(hash, head);
    cv_hex_encode(out, hash, sizeof hash);
}

int cv_audit_check_line(struct cv_bytes line, uint64_t seq, char prev[CV_AUDIT_HEX_LEN + 1],
                        const char **reason)
{
    CV_JSON_AUTO json_t *doc = NULL;
    *reason = "it is not a line of an audit log";
    if (line.n <= CV_AUDIT_HASH_TAIL || line.n > CV_AUDIT_LINE_MAX) {
        return CV_ERR_INVALID;
    }
    char want[CV_AUDIT_HEX_LEN + 1];
    size_t head = line.n - CV_AUDIT_HASH_TAIL;
    cv_audit_hash(want, CV_BYTES(line.p, head));
    const uint8_t *tail = line.p + head;
    const uint8_t *hash = tail + sizeof CV_AUDIT_HASH_KEY - 1;
    if (memcmp(tail, CV_AUDIT_HASH_KEY, sizeof CV_AUDIT_HASH_KEY - 1) != 0 ||
        memcmp(hash + CV_AUDIT_HEX_LEN, "\"}", 2) != 0 ||
        cv_json_parse_object(&doc, line, CV_AUDIT_LINE_MAX, "line", NULL) != CV_OK) {
        return CV_ERR_INVALID;
    }
    if (memcmp(hash, want, CV_AUDIT_HEX_LEN) != 0) {
        *reason = "its hash does not fit its content: it was altered";
        return CV_ERR_INVALID;
    }
    int64_t n = 0;
    const char *before = NULL;
    if (cv_json_get_int(doc, "seq", 1, INT64_MAX, &n, NULL) != CV_OK || (uint64_t)n != seq) {
        *reason = "its number does not follow on: lines are missing or were inserted before it";
        return CV_ERR_INVALID;
    }
    if (cv_json_get_str(doc, "prev", &before, NULL) != CV_OK || strcmp(before, prev) != 0) {
        *reason = "it does not follow on the line before it: that one was replaced";
        return CV_ERR_INVALID;
    }
    memcpy(prev, want, sizeof want);
    return CV_OK;
}

/* The next line with its newline into LINE. The daemon may be writing the last
 * one: an end without a newline is read again for a while. */
static bool next_line(char *line, size_t size, FILE *f)
{
    off_t start = ftello(f);
    if (fgets(line, (int)size, f) == NULL) {
        return false;
    }
    for (int i = 0; i < END_TRIES && feof(f) && start >= 0; i++) {
        size_t n = strlen(line);
        if (n > 0 && line[n - 1] == '\n') {
            break;
        }
        cv_sleep_ms(END_WAIT_MS);
        clearerr(f);
        if (fseeko(f, start, SEEK_SET) != 0 || fgets(line, (int)size, f) == NULL) {
            break;
        }
    }
    return true;
}

int cv_audit_verify(struct cv_audit_report *report, int fd, const char *known, struct cv_error *err)
{
    memset(report, 0, sizeof *report);
    int copy = dup(fd);
    FILE *f = copy >= 0 ? fdopen(copy, "r") : NULL;
    if (f == NULL) {
        if (copy >= 0) {
            close(copy);
        }
        return cv_error_errno(err, CV_ERR_IO, errno, "reading the audit log");
    }
    char prev[CV_AUDIT_HEX_LEN + 1] = CV_AUDIT_ZERO;
    char line[CV_AUDIT_LINE_MAX + 2];
    int r = CV_OK;
    while (next_line(line, sizeof line, f)) {
        size_t n = strlen(line);
        const char *reason = "it has no end: writing it was cut off";
        bool whole = n > 0 && line[n - 1] == '\n';
        report->lines++;
        if (!whole ||
            cv_audit_check_line(CV_BYTES(line, n - 1), report->lines, prev, &reason) != CV_OK) {
            report->bad_line = report->lines;
            snprintf(report->reason, sizeof report->reason, "%s", reason);
            break;
        }
        if (known != NULL && strcmp(known, prev) == 0) {
            report->known_line = report->lines;
        }
    }
    if (ferror(f)) {
        r = cv_error_errno(err, CV_ERR_IO, errno, "reading the audit log");
    }
    fclose(f);
    if (report->lines > 0) {
        memcpy(report->last_hash, prev, sizeof prev);
    }
    return r;
}
