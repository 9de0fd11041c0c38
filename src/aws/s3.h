/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Amazon S3 as far as encrypted configurations need it: one object read, one
 * object written, with its user metadata (Amazon S3 API Reference, GetObject
 * and PutObject). The client is one of service "s3".
 *
 * Virtual-hosted addresses (BUCKET.s3.REGION.amazonaws.com); path style for a
 * bucket with dots, which no wildcard certificate covers, and for an endpoint
 * that was given.
 */
#ifndef CV_AWS_S3_H
#define CV_AWS_S3_H

#include "aws/client.h"

#define CV_S3_BUCKET_MAX 63
#define CV_S3_KEY_MAX 1024
#define CV_S3_VERSION_MAX 256

/* s3://BUCKET/KEY[?versionId=ID] */
struct cv_s3_uri {
    char bucket[CV_S3_BUCKET_MAX + 1];
    char key[CV_S3_KEY_MAX + 1];         /* as it is, not encoded */
    char version[CV_S3_VERSION_MAX + 1]; /* "" = the newest */
};
/* CV_ERR_INVALID with a sentence. */
int cv_s3_uri_parse(struct cv_s3_uri *out, const char *text, struct cv_error *err) CV_NODISCARD;

/* The object at URI: its body is M's, its metadata are M's headers that begin
 * with "x-amz-meta-". The client's reply_max limits the body. M is initialised
 * here and freed by the caller in any case. CV_ERR_NOT_FOUND when there is no
 * such object (S3 says so only to who may list the bucket, else CV_ERR_DENIED). */
int cv_s3_get(struct cv_aws_client *s3, const struct cv_s3_uri *uri, struct cv_http_message *m,
              struct cv_aws_error *aws, int64_t deadline, struct cv_error *err) CV_NODISCARD;

/* The same without the body: HeadObject. S3 sends no error document then, so of
 * what it says only the status is known. */
int cv_s3_head(struct cv_aws_client *s3, const struct cv_s3_uri *uri, struct cv_http_message *m,
               struct cv_aws_error *aws, int64_t deadline, struct cv_error *err) CV_NODISCARD;

/* Writes BODY with METADATA (names without the prefix). CREATE: only when there
 * is no such object yet (CV_ERR_EXISTS). VERSION, when not NULL, gets the
 * version id that S3 gave, or "". */
int cv_s3_put(struct cv_aws_client *s3, const struct cv_s3_uri *uri, struct cv_bytes body,
              const struct cv_aws_param *metadata, size_t count, bool create,
              char version[CV_S3_VERSION_MAX + 1], struct cv_aws_error *aws, int64_t deadline,
              struct cv_error *err) CV_NODISCARD;

#endif
