/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last records of the log, while nobody reads them (docs/protocol/parent.md,
 * 9002). Whole records are thrown away, the oldest first, and their content's
 * bytes are counted; the reader learns the count. Not thread-safe.
 */
#ifndef CV_INIT_LOGRING_H
#define CV_INIT_LOGRING_H

#include "common/bytes.h"

#define CV_LOGRING_SIZE (128u << 10)
#define CV_LOGRING_RECORD 8192u /* bytes of a record's content */
#define CV_LOGRING_HEAD 5u      /* u8 stream, u32 length */

enum cv_log_stream { CV_LOG_INIT, CV_LOG_STDOUT, CV_LOG_STDERR, CV_LOG_LOST };

struct cv_logring {
    uint8_t p[CV_LOGRING_SIZE];
    size_t start, used;
    uint64_t lost; /* bytes of content, not told yet */
};

void cv_logring_init(struct cv_logring *r);
/* Adds N bytes as one or more records, making room by dropping old ones. */
void cv_logring_put(struct cv_logring *r, enum cv_log_stream stream, const void *p, size_t n);
/* The oldest record, head and content, into OUT (CV_LOGRING_HEAD +
 * CV_LOGRING_RECORD bytes), and takes it away; a record of CV_LOG_LOST first
 * when something was lost. 0 when there is none. */
size_t cv_logring_take(struct cv_logring *r, uint8_t *out);
bool cv_logring_empty(const struct cv_logring *r);

#endif
