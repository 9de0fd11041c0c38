/* SPDX-License-Identifier: Apache-2.0 */
/* Signature Version 4 (AWS General Reference, "Signing AWS API requests"). */
#ifndef CV_AWS_SIGV4_H
#define CV_AWS_SIGV4_H

#include "aws/credentials.h"
#include "http/message.h"

#define CV_AWS_REGION_MAX 63
#define CV_SIGV4_MAX_HEADERS 48
#define CV_SHA256_HEX 65 /* with its NUL */

struct cv_aws_param {
    const char *name;
    const char *value; /* never NULL */
};

/* What is signed. PATH is raw, UTF-8, not encoded, and starts with '/'; QUERY
 * is raw too. HEADERS are all that will be sent and shall be signed, host among
 * them, without x-amz-date, x-amz-security-token and authorization. */
struct cv_sigv4_request {
    const char *method;
    const char *path;
    const struct cv_aws_param *query;
    size_t nquery;
    const struct cv_http_header *headers;
    size_t nheaders;
    struct cv_bytes body;
    const char *payload_hash; /* hex, or "UNSIGNED-PAYLOAD"; NULL = SHA-256 of body */
};

/* The target to send: path encoded once and "?" with the sorted, encoded query.
 * The path is sent and signed as it is, dot segments and double slashes kept. */
int cv_aws_encode_target(struct cv_buf *out, const char *path, const struct cv_aws_param *query,
                         size_t nquery) CV_NODISCARD;
/* Percent-encodes N bytes: all but A-Za-z0-9-._~ (and '/' when KEEP_SLASH). */
int cv_aws_uri_encode(struct cv_buf *out, const void *p, size_t n, bool keep_slash) CV_NODISCARD;

/* The value of the Authorization header, appended to OUT. AMZ_DATE is
 * "20261129T062512Z". SERVICE "s3" has its path encoded once in the canonical
 * request, every other twice. The session token is signed when there is one. */
int cv_sigv4_sign(struct cv_buf *out, const struct cv_aws_credentials *creds, const char *region,
                  const char *service, const char *amz_date, const struct cv_sigv4_request *r,
                  struct cv_error *err) CV_NODISCARD;

/* Hex of SHA-256. */
void cv_aws_sha256_hex(char out[CV_SHA256_HEX], struct cv_bytes b);

/* For the stand-ins that check a signature: the canonical request's hash chain
 * with SIGNED_HEADERS given ("host;x-amz-date"), as 64 hex digits. TARGET is as
 * received. */
int cv_sigv4_expected(char out[CV_SHA256_HEX], struct cv_bytes secret_access_key,
                      const char *region, const char *service, const char *amz_date,
                      const char *signed_headers, const struct cv_http_message *request,
                      struct cv_error *err) CV_NODISCARD;

#endif
