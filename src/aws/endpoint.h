/* SPDX-License-Identifier: Apache-2.0 */
/* Where a service is: computed from region and partition, or given as a URL. */
#ifndef CV_AWS_ENDPOINT_H
#define CV_AWS_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/addr.h"

#define CV_AWS_PREFIX_MAX 256

struct cv_aws_endpoint {
    bool tls;
    char host[CV_ADDR_HOST]; /* no brackets */
    uint16_t port;
    char prefix[CV_AWS_PREFIX_MAX]; /* path before every request's, "" or "/x", no '/' at its end */
    bool custom;                    /* given, not computed */
};

enum { CV_AWS_FIPS = 1, CV_AWS_DUALSTACK = 2 };

/* "https://HOST[:PORT][/prefix]"; http only with ALLOW_HTTP. No user, query or
 * fragment. CV_ERR_INVALID with a sentence. */
int cv_aws_endpoint_parse(struct cv_aws_endpoint *out, const char *url, bool allow_http,
                          struct cv_error *err) CV_NODISCARD;
/* SERVICE "kms" "dynamodb" "s3" "sts" in REGION, FLAGS of CV_AWS_FIPS and
 * CV_AWS_DUALSTACK. CV_ERR_INVALID for a malformed region. */
int cv_aws_endpoint_compute(struct cv_aws_endpoint *out, const char *service, const char *region,
                            unsigned flags, struct cv_error *err) CV_NODISCARD;
/* Lower-case letters, digits and hyphens, e.g. "us-gov-west-1"; not more than 63. */
bool cv_aws_region_valid(const char *region);
/* "aws", "aws-cn", "aws-us-gov" …; unknown regions count as "aws". */
const char *cv_aws_partition(const char *region);
/* The value of the Host header: the port only where it is not the scheme's own. */
#define CV_AWS_HOST_MAX (CV_ADDR_HOST + 8)
char *cv_aws_endpoint_host(char out[CV_AWS_HOST_MAX], const struct cv_aws_endpoint *e);

#endif
