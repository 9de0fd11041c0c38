/* SPDX-License-Identifier: Apache-2.0 */
/* claviger-local s3: objects with metadata and versions, signatures checked
 * (Amazon S3 API Reference: PutObject, GetObject, HeadObject, CreateBucket). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/file.h"
#include "common/log.h"
#include "json/json.h"
#include "local/local.h"
#include "local/s3_store.h"
#include "local/standin.h"

const char cv_local_s3_usage[] =
    "usage: claviger-local s3 --state FILE --dir DIR [OPTION]...\n"
    "\n"
    "Buckets and objects in a folder: GET, PUT (If-None-Match), HEAD, DELETE, user metadata,\n"
    "versions. Every request must be signed by a principal of the state or by a session;\n"
    "who may sign may read and write everything.\n"
    "\n"
    "  --state FILE      kms.json of claviger-local kms\n"
    "  --dir DIR         where objects lie; made when absent\n"
    "  --listen ADDRESS  default tcp:127.0.0.1:0\n"
    "  --ca FILE         serve over TLS, as claviger-local kms does; without it, plain HTTP\n"
    "\n"
    "Prints 'ready ADDRESS' on standard output. For AWS_ENDPOINT_URL_S3 (path style).\n"
    "example: claviger-local s3 --state kms.json --dir s3 --ca ca.pem\n";

#define KEY_MAX 1024

struct s3 {
    struct cv_local_standin_options o;
    pthread_mutex_t lock; /* of the folder */
};

struct place {
    char bucket[64];
    char key[KEY_MAX + 1]; /* "" = the bucket itself */
    unsigned version;      /* 0 = the newest */
};

static void refuse(struct cv_local_web_reply *r, int status, const char *code, const char *message,
                   const char *region)
{
    char id[CV_LOCAL_KMS_ID];
    cv_local_uuid(id);
    r->status = status;
    cv_buf_reset(&r->body);
    bool ok =
        cv_buf_printf(&r->body,
                      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>",
                      code) == 0 &&
        cv_local_xml_append(&r->body, message) == 0 &&
        cv_buf_append_str(&r->body, "</Message>") == 0 &&
        (region == NULL || cv_buf_printf(&r->body, "<Region>%s</Region>", region) == 0) &&
        cv_buf_printf(&r->body, "<RequestId>%s</RequestId></Error>", id) == 0;
    if (!ok)
        r->status = 500;
    (void)cv_local_web_header(r, "x-amz-request-id", id);
    (void)cv_local_web_header(r, "Content-Type", "application/xml");
}

/* What KMS calls otherwise. */
static void refuse_signature(struct cv_local_web_reply *r, const struct cv_local_kms_call *c)
{
    static const struct {
        const char *kms, *part, *code;
        int status;
    } table[] = {
        {"UnrecognizedClientException", "", "InvalidAccessKeyId", 403},
        {"ExpiredTokenException", "", "ExpiredToken", 400},
        {"MissingAuthenticationTokenException", "", "AccessDenied", 403},
        {"InvalidSignatureException", "valid region", "AuthorizationHeaderMalformed", 400},
        {"InvalidSignatureException", "Signature expired", "RequestTimeTooSkewed", 403},
        {"InvalidSignatureException", "Signature not yet", "RequestTimeTooSkewed", 403},
        {"InvalidSignatureException", "", "SignatureDoesNotMatch", 403},
        {"IncompleteSignatureException", "", "AuthorizationHeaderMalformed", 400},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(c->code, table[i].kms) == 0 && strstr(c->message, table[i].part) != NULL) {
            const char *region =
                strcmp(table[i].part, "valid region") == 0 ? c->kms->state.region : NULL;
            refuse(r, table[i].status, table[i].code, c->message, region);
            return;
        }
    refuse(r, 403, "AccessDenied", c->message, NULL);
}

static bool decode(char *out, size_t size, const char *in, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        char c = in[i];
        if (c == '%') {
            const char *hi =
                i + 2 < n && in[i + 1] != '\0' ? strchr(digits, in[i + 1] | 0x20) : NULL;
            const char *lo =
                i + 2 < n && in[i + 2] != '\0' ? strchr(digits, in[i + 2] | 0x20) : NULL;
            if (hi == NULL || lo == NULL)
                return false;
            c = (char)((hi - digits) * 16 + (lo - digits));
            i += 2;
        }
        if (c == '\0' || used + 1 >= size)
            return false;
        out[used++] = c;
    }
    out[used] = '\0';
    return true;
}

/* Path style, or BUCKET.s3.… in the Host. */
static bool find_place(struct place *p, const struct cv_http_message *q)
{
    const char *host = cv_http_header(q, "host"), *path = q->target, *s3 = strstr(host, ".s3.");
    size_t n = strcspn(path, "?");
    const char *query = path[n] == '?' ? path + n + 1 : "";
    memset(p, 0, sizeof *p);
    if (*path != '/')
        return false;
    path++;
    n--;
    if (s3 != NULL && s3 != host && (size_t)(s3 - host) < sizeof p->bucket) {
        memcpy(p->bucket, host, (size_t)(s3 - host));
    } else {
        size_t b = strcspn(path, "/?");
        if (b >= sizeof p->bucket)
            return false;
        memcpy(p->bucket, path, b);
        n -= b;
        path += b;
        if (n > 0) {
            path++;
            n--;
        }
    }
    if (strncmp(query, "versionId=", 10) == 0)
        p->version = (unsigned)strtoul(query + 10 + (query[10] == 'v'), NULL, 10);
    return cv_local_s3_bucket_valid(p->bucket) && decode(p->key, sizeof p->key, path, n);
}

/* The headers that are kept with an object. */
static json_t *kept_headers(const struct cv_http_message *q)
{
    json_t *o = json_object();
    for (size_t i = 0; o != NULL && i < q->nheaders; i++) {
        const char *n = q->headers[i].name;
        char lower[128];
        size_t len = strlen(n);
        if (len >= sizeof lower ||
            (strncasecmp(n, "x-amz-meta-", 11) != 0 && strcasecmp(n, "content-type") != 0))
            continue;
        for (size_t k = 0; k <= len; k++)
            lower[k] = (char)(n[k] >= 'A' && n[k] <= 'Z' ? n[k] | 0x20 : n[k]);
        json_object_set_new(o, lower, json_string(q->headers[i].value));
    }
    return o;
}

static void tell_version(struct cv_local_web_reply *r, unsigned version, const char *etag)
{
    char text[48];
    snprintf(text, sizeof text, "v%u", version);
    (void)cv_local_web_header(r, "x-amz-version-id", text);
    snprintf(text, sizeof text, "\"%s\"", etag);
    (void)cv_local_web_header(r, "ETag", text);
}

static void put(const struct s3 *s, const struct place *p, const struct cv_http_message *q,
                struct cv_local_web_reply *r)
{
    const char *none_match = cv_http_header(q, "if-none-match");
    char etag[CV_LOCAL_S3_ETAG];
    struct cv_error err;
    unsigned version;
    cv_error_clear(&err);
    if (none_match != NULL && strcmp(none_match, "*") == 0 &&
        cv_local_s3_newest(s->o.dir, p->bucket, p->key) != 0) {
        refuse(r, 412, "PreconditionFailed",
               "At least one of the pre-conditions you specified did not hold", NULL);
        return;
    }
    CV_JSON_AUTO json_t *headers = kept_headers(q);
    if (headers == NULL || cv_local_s3_put(&version, etag, s->o.dir, p->bucket, p->key,
                                           cv_buf_view(&q->body), headers, &err) != 0) {
        cv_log_error(CV_LOG_WARN, "S3", &err);
        refuse(r, 500, "InternalError", "the object could not be written", NULL);
        return;
    }
    r->status = 200;
    tell_version(r, version, etag);
}

static void get(const struct s3 *s, const struct place *p, struct cv_local_web_reply *r)
{
    CV_JSON_AUTO json_t *meta = NULL;
    const char *name;
    json_t *value;
    unsigned newest = cv_local_s3_newest(s->o.dir, p->bucket, p->key);
    unsigned version = p->version != 0 ? p->version : newest;
    if (newest == 0 || version > newest) {
        refuse(r, 404, version > newest && newest != 0 ? "NoSuchVersion" : "NoSuchKey",
               "The specified key does not exist.", NULL);
        return;
    }
    if (cv_local_s3_get(&r->body, &meta, s->o.dir, p->bucket, p->key, version, NULL) != 0) {
        refuse(r, 500, "InternalError", "the object could not be read", NULL);
        return;
    }
    r->status = 200;
    json_object_foreach (json_object_get(meta, "headers"), name, value)
        (void)cv_local_web_header(r, name, json_string_value(value));
    const char *etag = json_string_value(json_object_get(meta, "etag"));
    tell_version(r, version, etag != NULL ? etag : "");
}

static void act(struct s3 *s, const struct cv_http_message *q, struct cv_local_web_reply *r)
{
    struct place p;
    struct cv_error err;
    bool is_get = strcmp(q->method, "GET") == 0 || strcmp(q->method, "HEAD") == 0;
    cv_error_clear(&err);
    r->no_body = strcmp(q->method, "HEAD") == 0;
    if (!find_place(&p, q))
        refuse(r, 400, "InvalidURI", "Couldn't parse the specified URI.", NULL);
    else if (p.key[0] == '\0' && strcmp(q->method, "PUT") == 0)
        r->status = cv_local_s3_bucket_make(s->o.dir, p.bucket, &err) == 0 ? 200 : 500;
    else if (!cv_local_s3_bucket_exists(s->o.dir, p.bucket))
        refuse(r, 404, "NoSuchBucket", "The specified bucket does not exist", NULL);
    else if (p.key[0] == '\0')
        refuse(r, 501, "NotImplemented", "the local S3 lists nothing", NULL);
    else if (is_get)
        get(s, &p, r);
    else if (strcmp(q->method, "PUT") == 0)
        put(s, &p, q, r);
    else if (strcmp(q->method, "DELETE") == 0) {
        cv_local_s3_delete(s->o.dir, p.bucket, p.key);
        r->status = 204;
    } else
        refuse(r, 405, "MethodNotAllowed",
               "The specified method is not allowed against this resource.", NULL);
}

static void handle(void *ctx, const struct cv_http_message *q, struct cv_local_web_reply *r)
{
    struct s3 *s = ctx;
    struct cv_local_kms *kms;
    struct cv_local_kms_call *c = malloc(sizeof *c);
    if (c == NULL || cv_local_standin_state(&kms, s->o.state, NULL) != 0) {
        free(c);
        refuse(r, 500, "InternalError", "the state cannot be read", NULL);
        return;
    }
    cv_local_call_init(c, kms, "s3");
    if (cv_local_authenticate(c, q, &c->who) != 0) {
        refuse_signature(r, c);
    } else if (cv_http_header(q, "x-amz-content-sha256") == NULL) {
        refuse(r, 400, "InvalidRequest",
               "Missing required header for this request: x-amz-content-sha256", NULL);
    } else {
        pthread_mutex_lock(&s->lock);
        act(s, q, r);
        pthread_mutex_unlock(&s->lock);
    }
    if (strcmp(q->method, "HEAD") == 0)
        r->no_body = true;
    cv_local_call_free(c);
    cv_local_kms_free(kms);
    free(c);
}

int cv_local_cmd_s3(int argc, char **argv)
{
    static struct s3 s = {.o = {.listen = "tcp:127.0.0.1:0"}, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct cv_error err;
    cv_error_clear(&err);
    if (!cv_local_standin_read(&s.o, "s3", "state dir listen ca", argc, argv))
        return 2;
    struct cv_local_web web = {
        .name = "S3",
        .body_max = CV_LOCAL_S3_OBJECT_MAX,
        .handle = handle,
        .ctx = &s,
        .ca = s.o.ca,
        .host = "s3.amazonaws.com",
    };
    if (cv_dir_make(s.o.dir, 0700, &err) != 0 ||
        cv_addr_parse(&web.listen, s.o.listen, &err) != 0 || cv_local_web_run(&web, &err) != 0) {
        cv_log_error(CV_LOG_ERROR, "claviger-local s3 ends", &err);
        return 1;
    }
    return 0;
}
