/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/sigv4.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "aws/sigv4_private.h"
#include "common/hex.h"

void cv_aws_sha256_hex(char out[CV_SHA256_HEX], struct cv_bytes b)
{
    uint8_t h[CV_SHA256_LEN];
    cv_sha256(h, b);
    cv_hex_encode(out, h, sizeof h);
}

int cv_aws_canonical_value(struct cv_buf *out, const char *v)
{
    int rc = 0;
    v += strspn(v, " \t");
    while (*v != '\0' && rc == 0) {
        size_t word = strcspn(v, " \t");
        rc = cv_buf_append(out, v, word);
        v += word;
        v += strspn(v, " \t");
        if (rc == 0 && *v != '\0')
            rc = cv_buf_append_u8(out, ' ');
    }
    return rc;
}

/* Signing key and signature ("Calculate the signature"). */
int cv_sigv4_finish(char out[CV_SHA256_HEX], struct cv_bytes canonical, struct cv_bytes secret,
                    const char *region, const char *service, const char *amz_date,
                    struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    char hash[CV_SHA256_HEX];
    uint8_t key[CV_SHA256_LEN], first[4 + CV_AWS_SECRET_MAX];
    cv_buf_init(&text, 1024);
    if (secret.n == 0 || secret.n > CV_AWS_SECRET_MAX || strlen(amz_date) != 16)
        return cv_error_set(err, CV_ERR_INTERNAL, "signing with a malformed key or date");
    cv_aws_sha256_hex(hash, canonical);
    if (cv_buf_printf(&text, "AWS4-HMAC-SHA256\n%s\n%.8s/%s/%s/aws4_request\n%s", amz_date,
                      amz_date, region, service, hash) != 0)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a signature");
    memcpy(first, "AWS4", 4);
    memcpy(first + 4, secret.p, secret.n);
    cv_hmac_sha256(key, CV_BYTES(first, 4 + secret.n), CV_BYTES(amz_date, 8));
    cv_wipe(first, sizeof first);
    cv_hmac_sha256(key, CV_BYTES(key, sizeof key), cv_bytes_str(region));
    cv_hmac_sha256(key, CV_BYTES(key, sizeof key), cv_bytes_str(service));
    cv_hmac_sha256(key, CV_BYTES(key, sizeof key), CV_BYTES_LIT("aws4_request"));
    cv_hmac_sha256(key, CV_BYTES(key, sizeof key), cv_buf_view(&text));
    cv_hex_encode(out, key, sizeof key);
    cv_wipe(key, sizeof key);
    return 0;
}

struct signing {
    const struct cv_sigv4_request *r;
    struct cv_http_header headers[CV_SIGV4_MAX_HEADERS]; /* sorted by name */
    size_t n;
    char token[CV_AWS_SESSION_TOKEN_MAX + 1];
};

static int by_name(const void *a, const void *b)
{
    return strcasecmp(((const struct cv_http_header *)a)->name,
                      ((const struct cv_http_header *)b)->name);
}

static int collect(struct signing *s, const struct cv_aws_credentials *creds, const char *amz_date)
{
    s->n = 0;
    if (s->r->nheaders + 2 > CV_SIGV4_MAX_HEADERS)
        return CV_ERR_LIMIT;
    for (size_t i = 0; i < s->r->nheaders; i++)
        s->headers[s->n++] = s->r->headers[i];
    s->headers[s->n++] = (struct cv_http_header){"x-amz-date", amz_date};
    if (creds->session_token.n > 0) {
        memcpy(s->token, creds->session_token.p, creds->session_token.n);
        s->token[creds->session_token.n] = '\0';
        s->headers[s->n++] = (struct cv_http_header){"x-amz-security-token", s->token};
    }
    qsort(s->headers, s->n, sizeof *s->headers, by_name);
    for (size_t i = 1; i < s->n; i++)
        if (strcasecmp(s->headers[i].name, s->headers[i - 1].name) == 0)
            return CV_ERR_INVALID;
    return 0;
}

static int append_lower(struct cv_buf *out, const char *s)
{
    int rc = 0;
    for (; *s != '\0' && rc == 0; s++)
        rc = cv_buf_append_u8(out, (uint8_t)(*s >= 'A' && *s <= 'Z' ? *s | 0x20 : *s));
    return rc;
}

static int append_signed_names(struct cv_buf *out, const struct signing *s)
{
    int rc = 0;
    for (size_t i = 0; i < s->n && rc == 0; i++)
        if (i == 0 || (rc = cv_buf_append_u8(out, ';')) == 0)
            rc = append_lower(out, s->headers[i].name);
    return rc;
}

static int append_path(struct cv_buf *out, const char *path, bool twice)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf once;
    cv_buf_init(&once, CV_AWS_CANONICAL_MAX);
    if (!twice)
        return cv_aws_uri_encode(out, path, strlen(path), true);
    int rc = cv_aws_uri_encode(&once, path, strlen(path), true);
    return rc == 0 ? cv_aws_uri_encode(out, once.p, once.n, true) : rc;
}

/* "Create a canonical request". */
static int canonical(struct cv_buf *out, const struct signing *s, bool s3)
{
    const struct cv_sigv4_request *r = s->r;
    char hash[CV_SHA256_HEX];
    int rc;
    if ((rc = cv_buf_append_str(out, r->method)) != 0 || (rc = cv_buf_append_u8(out, '\n')) != 0 ||
        (rc = append_path(out, r->path, !s3)) != 0 || (rc = cv_buf_append_u8(out, '\n')) != 0 ||
        (rc = cv_aws_canonical_query(out, r->query, r->nquery)) != 0 ||
        (rc = cv_buf_append_u8(out, '\n')) != 0)
        return rc;
    for (size_t i = 0; i < s->n; i++)
        if ((rc = append_lower(out, s->headers[i].name)) != 0 ||
            (rc = cv_buf_append_u8(out, ':')) != 0 ||
            (rc = cv_aws_canonical_value(out, s->headers[i].value)) != 0 ||
            (rc = cv_buf_append_u8(out, '\n')) != 0)
            return rc;
    if ((rc = cv_buf_append_u8(out, '\n')) != 0 || (rc = append_signed_names(out, s)) != 0 ||
        (rc = cv_buf_append_u8(out, '\n')) != 0)
        return rc;
    if (r->payload_hash != NULL)
        return cv_buf_append_str(out, r->payload_hash);
    cv_aws_sha256_hex(hash, r->body);
    return cv_buf_append_str(out, hash);
}

int cv_sigv4_sign(struct cv_buf *out, const struct cv_aws_credentials *creds, const char *region,
                  const char *service, const char *amz_date, const struct cv_sigv4_request *r,
                  struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    char signature[CV_SHA256_HEX];
    struct signing *s = malloc(sizeof *s);
    cv_buf_init(&text, CV_AWS_CANONICAL_MAX);
    if (s == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a signature");
    s->r = r;
    int rc = collect(s, creds, amz_date);
    if (rc == 0)
        rc = canonical(&text, s, strcmp(service, "s3") == 0);
    if (rc != 0) {
        cv_error_set(err, rc, "a request that cannot be signed: %s", cv_strerror(rc));
        goto out;
    }
    rc = cv_sigv4_finish(signature, cv_buf_view(&text), cv_secret_view(&creds->secret_access_key),
                         region, service, amz_date, err);
    if (rc != 0)
        goto out;
    if ((rc = cv_buf_printf(
             out, "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/%s/aws4_request, SignedHeaders=",
             creds->access_key_id, amz_date, region, service)) != 0 ||
        (rc = append_signed_names(out, s)) != 0 ||
        (rc = cv_buf_printf(out, ", Signature=%s", signature)) != 0)
        cv_error_set(err, rc, "no memory for a signature");
out:
    cv_wipe(s, sizeof *s);
    free(s);
    return rc;
}
