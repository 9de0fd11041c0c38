/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of the S3 stand-in in a folder: BUCKET/HASH.N.json and BUCKET/HASH.N
 * for version N of the key with that SHA-256; each is written once.
 */
#ifndef CV_LOCAL_S3_STORE_H
#define CV_LOCAL_S3_STORE_H

#include <jansson.h>

#include "common/bytes.h"

#define CV_LOCAL_S3_OBJECT_MAX (64u << 20)
#define CV_LOCAL_S3_ETAG 33

bool cv_local_s3_bucket_valid(const char *bucket);
bool cv_local_s3_bucket_exists(const char *dir, const char *bucket);
int cv_local_s3_bucket_make(const char *dir, const char *bucket, struct cv_error *err) CV_NODISCARD;

/* The newest version of KEY; 0 when there is none. */
unsigned cv_local_s3_newest(const char *dir, const char *bucket, const char *key);
/* Adds a version; META is an object of header names to values. */
int cv_local_s3_put(unsigned *version, char etag[CV_LOCAL_S3_ETAG], const char *dir,
                    const char *bucket, const char *key, struct cv_bytes body, json_t *meta,
                    struct cv_error *err) CV_NODISCARD;
/* Version VERSION: *META is a new reference with "key", "etag" and "headers". */
int cv_local_s3_get(struct cv_buf *body, json_t **meta, const char *dir, const char *bucket,
                    const char *key, unsigned version, struct cv_error *err) CV_NODISCARD;
/* Removes every version; none is fine. */
void cv_local_s3_delete(const char *dir, const char *bucket, const char *key);

#endif
