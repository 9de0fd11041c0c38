/* SPDX-License-Identifier: Apache-2.0 */
/* Time. Deadlines are absolute milliseconds of the monotonic clock. */
#ifndef CV_COMMON_CLOCK_H
#define CV_COMMON_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

#include "common/error.h"

#define CV_NO_DEADLINE INT64_MAX

int64_t cv_now_ms(void); /* CLOCK_MONOTONIC (BOOTTIME is not needed) */
int64_t cv_now_us(void);
int64_t cv_deadline(int64_t in_ms); /* now + in_ms, saturating */
/* Milliseconds for poll(2): 0 when past, -1 for CV_NO_DEADLINE. */
int cv_deadline_poll(int64_t deadline);
int64_t cv_unix_ms(void);     /* CLOCK_REALTIME */
void cv_sleep_ms(int64_t ms); /* goes on after EINTR */

#define CV_RFC3339_LEN 25 /* "2026-11-29T06:25:12.345Z" and a NUL */
/* UTC with milliseconds. */
void cv_rfc3339_format(char out[CV_RFC3339_LEN], int64_t unix_ms);
/* "2026-11-29T06:25:12Z", with optional fraction, Z or +hh:mm. */
int cv_rfc3339_parse(int64_t *unix_ms, const char *text) CV_NODISCARD;
/* AWS's "20261129T062512Z" (and its first 8 characters, the date). */
void cv_amz_date(char out[17], int64_t unix_ms);
#define CV_HTTP_DATE_LEN 30 /* "Sun, 06 Nov 1994 08:49:37 GMT" and a NUL */
/* As RFC 9110 section 5.6.7 wants it in headers. */
void cv_http_date_format(char out[CV_HTTP_DATE_LEN], int64_t unix_ms);

#endif
