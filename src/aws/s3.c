/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/s3.h"

#include <stdio.h>
#include <string.h>

#define MAX_METADATA 30
#define PREFIX "x-amz-meta-"

/* ---- addresses ---- */

/* Bucket naming rules of the user guide: 3..63 of a-z 0-9 . -, begin and end
 * with a letter or digit, no two dots in a row. */
static bool bucket_valid(const char *p, size_t n)
{
    if (n < 3 || n > CV_S3_BUCKET_MAX) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        bool alnum = (p[i] >= 'a' && p[i] <= 'z') || (p[i] >= '0' && p[i] <= '9');
        bool inner = i != 0 && i + 1 != n && (p[i] == '-' || (p[i] == '.' && p[i - 1] != '.'));
        if (!alnum && !inner) {
            return false;
        }
    }
    return true;
}

int cv_s3_uri_parse(struct cv_s3_uri *out, const char *text, struct cv_error *err)
{
    static const char version[] = "?versionId=";
    memset(out, 0, sizeof *out);
    const char *bucket = text + 5;
    size_t n = strncmp(text, "s3://", 5) == 0 ? strcspn(bucket, "/") : 0;
    if (!bucket_valid(bucket, n) || bucket[n] != '/' || bucket[n + 1] == 0) {
        return cv_error_set(err, CV_ERR_INVALID, "not an address like s3://bucket/key");
    }
    memcpy(out->bucket, bucket, n);
    const char *key = bucket + n + 1, *end = key + strlen(key), *id = strstr(key, version);
    if (id != NULL) {
        const char *value = id + sizeof version - 1;
        if (strlen(value) > CV_S3_VERSION_MAX || value[0] == 0) {
            return cv_error_set(err, CV_ERR_INVALID,
                                "the version in the S3 address is empty or "
                                "too long");
        }
        memcpy(out->version, value, strlen(value));
        end = id;
    }
    if (end == key || (size_t)(end - key) > CV_S3_KEY_MAX) {
        return cv_error_set(err, CV_ERR_INVALID,
                            "the key in the S3 address is empty or longer "
                            "than %d bytes",
                            CV_S3_KEY_MAX);
    }
    memcpy(out->key, key, (size_t)(end - key));
    return 0;
}

struct where {
    char host[CV_ADDR_HOST + CV_S3_BUCKET_MAX + 1];
    char path[CV_S3_KEY_MAX + CV_S3_BUCKET_MAX + 3];
    bool virtual_host;
};

static int locate(struct where *w, const struct cv_aws_client *s3, const struct cv_s3_uri *uri,
                  struct cv_error *err)
{
    const struct cv_aws_endpoint *e = cv_aws_client_endpoint(s3);
    w->virtual_host = !e->custom && strchr(uri->bucket, '.') == NULL;
    int n = w->virtual_host ? snprintf(w->path, sizeof w->path, "/%s", uri->key)
                            : snprintf(w->path, sizeof w->path, "/%s/%s", uri->bucket, uri->key);
    int h = snprintf(w->host, sizeof w->host, "%s.%s", uri->bucket, e->host);
    if (n < 0 || (size_t)n >= sizeof w->path || h < 0 || h >= CV_ADDR_HOST) {
        return cv_error_set(err, CV_ERR_LIMIT, "the S3 address is too long");
    }
    return 0;
}

/* Adds what helps to what S3 said. */
static int explain(int rc, const char *what, const struct cv_s3_uri *uri, struct cv_aws_client *s3,
                   const struct cv_aws_error *aws, struct cv_error *err)
{
    char key[160];
    if (rc == 0) {
        return 0;
    }
    if (aws->region[0] != 0 && strcmp(aws->region, cv_aws_client_region(s3)) != 0) {
        cv_error_wrap(err, "the bucket is in %.60s, and was asked for in %.60s", aws->region,
                      cv_aws_client_region(s3));
    }
    cv_error_wrap(err, "S3 %s of s3://%s/%s", what, uri->bucket,
                  cv_error_quote(key, sizeof key, uri->key, strlen(uri->key)));
    return rc;
}

/* ---- objects ---- */

static int read_object(struct cv_aws_client *s3, const char *method, const char *what,
                       const struct cv_s3_uri *uri, struct cv_http_message *m,
                       struct cv_aws_error *aws, int64_t deadline, struct cv_error *err)
{
    struct cv_aws_error own;
    struct where w;
    aws = aws != NULL ? aws : &own;
    memset(aws, 0, sizeof *aws);
    int rc = locate(&w, s3, uri, err);
    if (rc != 0) {
        cv_http_message_init(m, 0);
        return rc;
    }
    const struct cv_aws_param version = {"versionId", uri->version};
    const struct cv_aws_request r = {
        .method = method,
        .host = w.virtual_host ? w.host : NULL,
        .path = w.path,
        .query = &version,
        .nquery = uri->version[0] != 0 ? 1 : 0,
    };
    rc = cv_aws_call(s3, &r, m, aws, deadline, err);
    return explain(rc, what, uri, s3, aws, err);
}

int cv_s3_get(struct cv_aws_client *s3, const struct cv_s3_uri *uri, struct cv_http_message *m,
              struct cv_aws_error *aws, int64_t deadline, struct cv_error *err)
{
    return read_object(s3, "GET", "GetObject", uri, m, aws, deadline, err);
}

int cv_s3_head(struct cv_aws_client *s3, const struct cv_s3_uri *uri, struct cv_http_message *m,
               struct cv_aws_error *aws, int64_t deadline, struct cv_error *err)
{
    return read_object(s3, "HEAD", "HeadObject", uri, m, aws, deadline, err);
}

static int copy_body(void *ctx, struct cv_buf *out, unsigned attempt, struct cv_error *err)
{
    const struct cv_bytes *body = ctx;
    (void)attempt;
    int rc = cv_buf_append(out, body->p, body->n);
    return rc == 0 ? 0 : cv_error_set(err, rc, "the object does not fit into a request");
}

int cv_s3_put(struct cv_aws_client *s3, const struct cv_s3_uri *uri, struct cv_bytes body,
              const struct cv_aws_param *metadata, size_t count, bool create,
              char version[CV_S3_VERSION_MAX + 1], struct cv_aws_error *aws, int64_t deadline,
              struct cv_error *err)
{
    struct cv_aws_error own;
    struct where w;
    struct cv_http_header headers[MAX_METADATA + 2];
    char names[MAX_METADATA][64];
    size_t n = 0;
    aws = aws != NULL ? aws : &own;
    memset(aws, 0, sizeof *aws);
    int rc = locate(&w, s3, uri, err);
    if (rc == 0 && (count > MAX_METADATA || uri->version[0] != 0)) {
        rc = cv_error_set(err, CV_ERR_INVALID,
                          "too many metadata, or a version that is to be "
                          "written");
    }
    if (rc != 0) {
        return rc;
    }
    headers[n++] = (struct cv_http_header){"Content-Type", "application/octet-stream"};
    if (create) {
        headers[n++] = (struct cv_http_header){"If-None-Match", "*"};
    }
    for (size_t i = 0; i < count; i++) {
        if ((size_t)snprintf(names[i], sizeof names[i], PREFIX "%s", metadata[i].name) >=
            sizeof names[i]) {
            return cv_error_set(err, CV_ERR_LIMIT, "the name of a metadatum is too long");
        }
        headers[n++] = (struct cv_http_header){names[i], metadata[i].value};
    }
    const struct cv_aws_request r = {
        .method = "PUT",
        .host = w.virtual_host ? w.host : NULL,
        .path = w.path,
        .headers = headers,
        .nheaders = n,
        .body = copy_body,
        .ctx = &body,
        .body_limit = body.n + 1,
    };
    struct cv_http_message m;
    rc = cv_aws_call(s3, &r, &m, aws, deadline, err);
    if (rc == 0 && version != NULL) {
        const char *id = cv_http_header(&m, "x-amz-version-id");
        snprintf(version, CV_S3_VERSION_MAX + 1, "%s", id != NULL ? id : "");
    }
    cv_http_message_free(&m);
    if (create && aws->status == 412) {
        return cv_error_set(err, CV_ERR_EXISTS, "s3://%s holds an object of that name already",
                            uri->bucket);
    }
    return explain(rc, "PutObject", uri, s3, aws, err);
}
