/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs on standard error: one line an event, as text or as JSON, with a level
 * and key=value fields. Under systemd (JOURNAL_STREAM) text lines carry the
 * "<n>" priority. A line is never divided among two write(2). No secret is ever a
 * field, and no field is ever a format.
 *
 *   cv_log(CV_LOG_INFO, "key imported", "vault", vault, "pkh", pkh, NULL);
 */
#ifndef CV_COMMON_LOG_H
#define CV_COMMON_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

enum cv_log_level { CV_LOG_ERROR, CV_LOG_WARN, CV_LOG_INFO, CV_LOG_DEBUG, CV_LOG_TRACE };

/* Level and format for the whole process; info and text before the call. */
void cv_log_setup(enum cv_log_level level, bool json);
/* "error" "warn" "info" "debug" "trace"; CV_ERR_INVALID. */
int cv_log_level_parse(enum cv_log_level *level, const char *name) CV_NODISCARD;
bool cv_log_enabled(enum cv_log_level level);
/* MESSAGE and pairs of strings (key, value), ended by NULL. Control characters
 * and invalid UTF-8 in values are escaped. A pair whose value is NULL is left out. */
void cv_log(enum cv_log_level level, const char *message, ...) __attribute__((sentinel));
/* For a value made on the spot: cv_log(…, "n", cv_logf("%d", n), NULL). Uses
 * a ring of per-thread buffers: good for up to 8 uses in one statement. */
const char *cv_logf(const char *fmt, ...) CV_PRINTF(1, 2);
/* "error"=formatted chain as one more field of a line. */
void cv_log_error(enum cv_log_level level, const char *message, const struct cv_error *err);
/* Gathers this thread's lines, from information down, until cv_log_flush(): one
 * write for many. Warnings and errors are written at once, after what was
 * gathered. Turned off, it flushes. Without memory lines are written one by one. */
void cv_log_gather(bool on);
void cv_log_flush(void);
/* Receives every line instead of standard error (NULL = standard error):
 * for tests, and for programs that send their log elsewhere. */
void cv_log_sink(void (*sink)(void *ctx, const char *line, size_t n), void *ctx);

#endif
