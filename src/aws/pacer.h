/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The "adaptive" retry mode: a client that is throttled sends more slowly, and
 * finds by a cubic curve how fast it may go again (library cv_aws_credentials,
 * programs of the parent only). AWS SDKs and Tools Reference Guide, "Retry
 * behavior"; the constants are those of the SDKs.
 */
#ifndef CV_AWS_PACER_H
#define CV_AWS_PACER_H

#include "aws/client.h"

/* CV_ERR_NOMEM. */
int cv_aws_pacer_new(struct cv_aws_pacer **out) CV_NODISCARD;

/* The same with a clock of the caller's (seconds, monotonic), for tests: waits
 * are not slept but added to *SLEPT. */
int cv_aws_pacer_new_at(struct cv_aws_pacer **out, double (*clock)(void *ctx), void *ctx,
                        double *slept) CV_NODISCARD;

#endif
