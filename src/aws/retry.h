/* SPDX-License-Identifier: Apache-2.0 */
/* When to ask again, and after how long: the "standard" mode of the AWS SDKs. */
#ifndef CV_AWS_RETRY_H
#define CV_AWS_RETRY_H

#include <pthread.h>

#include "http/message.h"

#define CV_AWS_TOKENS 500        /* capacity of the bucket, and its first content */
#define CV_AWS_RETRY_COST 5      /* of one more attempt */
#define CV_AWS_TIMEOUT_COST 10   /* of one after a time-out or a failed connection */
#define CV_AWS_BACKOFF_MAX 20000 /* ms */
#define CV_AWS_HINT_MAX 5000     /* ms that a server may ask us to wait */

/* Shared by all calls of a client: a service in trouble is not asked ever more. */
struct cv_aws_bucket {
    pthread_mutex_t lock;
    unsigned tokens;
};

void cv_aws_bucket_init(struct cv_aws_bucket *b);
void cv_aws_bucket_destroy(struct cv_aws_bucket *b);
/* Takes COST; false when there is not enough. */
bool cv_aws_bucket_take(struct cv_aws_bucket *b, unsigned cost);
/* A call went well: gives back what its last retry cost, or 1. */
void cv_aws_bucket_give(struct cv_aws_bucket *b, unsigned amount);

/* Milliseconds before retry RETRY (0, 1, …): random in [0, min(base·2^RETRY, max)),
 * and not less than the reply M (may be NULL) asks for. */
int64_t cv_aws_backoff(unsigned retry, int64_t base_ms, const struct cv_http_message *m);

/* Unix ms of a Date header ("Sun, 06 Nov 1994 08:49:37 GMT", RFC 9110 section
 * 5.6.7); CV_ERR_INVALID. */
int cv_http_date_parse(int64_t *unix_ms, const char *text) CV_NODISCARD;

#endif
