/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log: one JSON line a decision, each chained to the one before it.
 *
 *   {"seq":7,"time":"…","event":"sign",…,"prev":"<hex>","hash":"<hex>"}
 *
 * hash = BLAKE2b-256 of the line up to (not including) ,"hash":… — prev is in
 * it, so a line that is altered, removed or inserted breaks the chain there.
 * Lines are appended, never rewritten. Cutting lines off at the very end can
 * only be seen against a hash that was kept elsewhere: `audit verify` prints
 * the last one, and takes one that must still be there. docs/watermarks.md.
 */
#ifndef CV_AUDIT_AUDIT_H
#define CV_AUDIT_AUDIT_H

#include "common/bytes.h"

#define CV_AUDIT_HASH_LEN 32
#define CV_AUDIT_LINE_MAX 8192

struct cv_audit;

/* Opens PATH for appending (mode 0640), taking an advisory lock for its life
 * (CV_ERR_BUSY). The last line must be whole and right: CV_ERR_INVALID names
 * the command that looks for the fault. */
int cv_audit_open(struct cv_audit **out, const char *path, struct cv_error *err) CV_NODISCARD;
/* Writes what is buffered and closes. */
void cv_audit_close(struct cv_audit *audit);

/* Adds one line to the buffer: EVENT and pairs (name, value) of strings, ended
 * by NULL; pairs whose value is NULL are left out. CV_ERR_LIMIT: the line is
 * too long, or too much is waiting. */
int cv_audit_add(struct cv_audit *audit, const char *event, ...) CV_NODISCARD
    __attribute__((sentinel));
/* Writes what is buffered with one write(2); cheap when nothing is. After an
 * error every further call fails with the same: a log with a hole is none. */
int cv_audit_flush(struct cv_audit *audit, struct cv_error *err) CV_NODISCARD;

struct cv_audit_report {
    uint64_t lines;
    uint64_t bad_line;                         /* 1-based, 0 = none */
    char reason[128];                          /* of the first fault */
    char last_hash[2 * CV_AUDIT_HASH_LEN + 1]; /* "" for an empty log */
    uint64_t known_line;                       /* whose hash is KNOWN; 0 = none */
};
/* Reads a whole log from FD; it may be in use, so an end that is being written
 * is waited for. KNOWN (NULL = none): the hash of a line that must be there.
 * CV_OK with bad_line set or not; CV_ERR_IO. */
int cv_audit_verify(struct cv_audit_report *report, int fd, const char *known,
                    struct cv_error *err) CV_NODISCARD;
/* Checks one line (without its newline) against the hash before it; for the
 * verifier and the fuzzer. REASON is a fixed text. */
int cv_audit_check_line(struct cv_bytes line, uint64_t seq, char prev[2 * CV_AUDIT_HASH_LEN + 1],
                        const char **reason) CV_NODISCARD;

#endif
