/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by who signs and who checks a signature; not for other modules. */
#ifndef CV_AWS_SIGV4_PRIVATE_H
#define CV_AWS_SIGV4_PRIVATE_H

#include "aws/sigv4.h"
#include "crypto/sha.h"

#define CV_AWS_MAX_QUERY 64
#define CV_AWS_CANONICAL_MAX 131072 /* bytes of a canonical request */

/* Encoded, sorted "a=1&b=". */
int cv_aws_canonical_query(struct cv_buf *out, const struct cv_aws_param *query,
                           size_t n) CV_NODISCARD;
/* A header's value with its inner white space collapsed to single spaces. */
int cv_aws_canonical_value(struct cv_buf *out, const char *value) CV_NODISCARD;
/* Hex of the signature over CANONICAL, the whole canonical request. */
int cv_sigv4_finish(char out[CV_SHA256_HEX], struct cv_bytes canonical, struct cv_bytes secret,
                    const char *region, const char *service, const char *amz_date,
                    struct cv_error *err) CV_NODISCARD;

#endif
