/* SPDX-License-Identifier: Apache-2.0 */
#include "local/s3_store.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/hex.h"
#include "crypto/sha.h"
#include "json/json.h"

#define PATH 4096
#define VERSIONS_MAX 10000

bool cv_local_s3_bucket_valid(const char *b)
{
    size_t n = strlen(b);
    return n >= 3 && n <= 63 && strspn(b, "abcdefghijklmnopqrstuvwxyz0123456789.-") == n &&
           b[0] != '.' && b[0] != '-' && strstr(b, "..") == NULL;
}

bool cv_local_s3_bucket_exists(const char *dir, const char *bucket)
{
    char path[PATH];
    struct stat st;
    int n = snprintf(path, sizeof path, "%s/%s", dir, bucket);
    return n > 0 && n < PATH && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int cv_local_s3_bucket_make(const char *dir, const char *bucket, struct cv_error *err)
{
    char path[PATH];
    int n = snprintf(path, sizeof path, "%s/%s", dir, bucket);
    if (n < 0 || n >= PATH)
        return cv_error_set(err, CV_ERR_LIMIT, "the folder's name is too long");
    return cv_dir_make(path, 0700, err);
}

/* DIR/BUCKET/HASH.VERSION and SUFFIX. */
static bool name_of(char out[PATH], const char *dir, const char *bucket, const char *key,
                    unsigned version, const char *suffix)
{
    uint8_t h[CV_SHA256_LEN];
    char hex[2 * sizeof h + 1];
    cv_sha256(h, cv_bytes_str(key));
    cv_hex_encode(hex, h, sizeof h);
    int n = snprintf(out, PATH, "%s/%s/%s.%u%s", dir, bucket, hex, version, suffix);
    return n > 0 && n < PATH;
}

unsigned cv_local_s3_newest(const char *dir, const char *bucket, const char *key)
{
    char path[PATH];
    unsigned v = 0;
    while (v < VERSIONS_MAX && name_of(path, dir, bucket, key, v + 1, ".json") &&
           access(path, F_OK) == 0)
        v++;
    return v;
}

int cv_local_s3_put(unsigned *version, char etag[CV_LOCAL_S3_ETAG], const char *dir,
                    const char *bucket, const char *key, struct cv_bytes body, json_t *meta,
                    struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    uint8_t h[CV_SHA256_LEN];
    char body_path[PATH], meta_path[PATH];
    cv_buf_init(&text, 1u << 20);
    cv_sha256(h, body);
    cv_hex_encode(etag, h, (CV_LOCAL_S3_ETAG - 1) / 2);
    *version = cv_local_s3_newest(dir, bucket, key) + 1;
    CV_JSON_AUTO json_t *doc =
        json_pack("{s:s%, s:s, s:O}", "key", key, strlen(key), "etag", etag, "headers", meta);
    if (doc == NULL || cv_json_dump(&text, doc) != 0 ||
        !name_of(body_path, dir, bucket, key, *version, "") ||
        !name_of(meta_path, dir, bucket, key, *version, ".json"))
        return cv_error_set(err, CV_ERR_INVALID, "the object cannot be kept");
    int rc = cv_file_replace(body_path, body, 0600, err);
    return rc != 0 ? rc : cv_file_create(meta_path, cv_buf_view(&text), 0600, err);
}

int cv_local_s3_get(struct cv_buf *body, json_t **meta, const char *dir, const char *bucket,
                    const char *key, unsigned version, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    char path[PATH];
    cv_buf_init(&text, 1u << 20);
    *meta = NULL;
    if (!name_of(path, dir, bucket, key, version, ".json"))
        return cv_error_set(err, CV_ERR_LIMIT, "the folder's name is too long");
    int rc = cv_file_read(&text, path, err);
    if (rc == 0 && name_of(path, dir, bucket, key, version, ""))
        rc = cv_file_read(body, path, err);
    return rc != 0 ? rc : cv_json_parse_object(meta, cv_buf_view(&text), 1u << 20, path, err);
}

void cv_local_s3_delete(const char *dir, const char *bucket, const char *key)
{
    char path[PATH];
    for (unsigned v = cv_local_s3_newest(dir, bucket, key); v > 0; v--) {
        if (name_of(path, dir, bucket, key, v, ".json"))
            unlink(path);
        if (name_of(path, dir, bucket, key, v, ""))
            unlink(path);
    }
}
