/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our S3 client, driven by tests: s3_tool get URI | head URI | put URI [create]
 * [NAME=VALUE]… With S3_STREAM=ADDRESS it goes by the enclave's transport.
 * AWS's variables of the environment say where and who; "put" reads the object
 * from standard input, "get" writes it to standard output and its metadata and
 * version to standard error.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "aws/config.h"
#include "aws/s3.h"
#include "common/clock.h"
#include "common/file.h"

static int get(struct cv_aws_client *s3, const char *what, const struct cv_s3_uri *uri,
               struct cv_error *err)
{
    struct cv_http_message m;
    int rc = *what == 'h' ? cv_s3_head(s3, uri, &m, NULL, cv_deadline(20000), err)
                          : cv_s3_get(s3, uri, &m, NULL, cv_deadline(20000), err);
    if (rc == 0)
        fwrite(m.body.p, 1, m.body.n, stdout);
    for (size_t i = 0; rc == 0 && i < m.nheaders; i++)
        if (strncasecmp(m.headers[i].name, "x-amz-", 6) == 0 ||
            strcasecmp(m.headers[i].name, "content-length") == 0)
            fprintf(stderr, "%s: %s\n", m.headers[i].name, m.headers[i].value);
    cv_http_message_free(&m);
    return rc;
}

static int put(struct cv_aws_client *s3, const struct cv_s3_uri *uri, int argc, char **argv,
               struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf body;
    struct cv_aws_param meta[20];
    char version[CV_S3_VERSION_MAX + 1];
    size_t n = 0;
    bool create = false;
    cv_buf_init(&body, 1u << 20);
    for (int i = 0; i < argc && n < 20; i++) {
        char *eq = strchr(argv[i], '=');
        if (eq == NULL) {
            create = true;
            continue;
        }
        *eq = '\0';
        meta[n++] = (struct cv_aws_param){argv[i], eq + 1};
    }
    int rc = cv_fd_read_all(&body, 0, "standard input", err);
    if (rc == 0)
        rc = cv_s3_put(s3, uri, cv_buf_view(&body), meta, n, create, version, NULL,
                       cv_deadline(20000), err);
    if (rc == 0)
        printf("%s\n", version);
    return rc;
}

/* The same client over a stream to ADDRESS, as in an enclave. */
static int by_stream(struct cv_aws_client **s3, struct cv_aws_transport **t,
                     struct cv_aws_config *c, const char *address, struct cv_error *err)
{
    struct cv_addr addr;
    int rc = cv_addr_parse(&addr, address, err);
    if (rc == 0)
        rc = cv_aws_stream_new(t, &addr, getenv("AWS_CA_BUNDLE"), err);
    struct cv_aws_client_config cc = {
        .service = "s3",
        .region = cv_aws_client_region(*s3),
        .endpoint = cv_aws_client_endpoint(*s3),
        .transport = *t,
        .provider = cv_aws_config_provider(c),
    };
    struct cv_aws_client *other = NULL;
    if (rc == 0)
        rc = cv_aws_client_new(&other, &cc, err);
    cv_aws_client_free(s3);
    *s3 = other;
    return rc;
}

int main(int argc, char **argv)
{
    struct cv_aws_config *c = NULL;
    struct cv_aws_client *s3 = NULL;
    struct cv_aws_transport *stream = NULL;
    struct cv_s3_uri uri;
    struct cv_error err;
    char text[2048];
    cv_error_clear(&err);
    if (argc < 3)
        return 2;
    int rc = cv_s3_uri_parse(&uri, argv[2], &err);
    if (rc == 0)
        rc = cv_aws_config_load(&c, NULL, &err);
    if (rc == 0)
        rc = cv_aws_config_client(c, &s3, "s3", NULL, NULL, cv_deadline(5000), &err);
    if (rc == 0 && getenv("S3_STREAM") != NULL)
        rc = by_stream(&s3, &stream, c, getenv("S3_STREAM"), &err);
    if (rc == 0)
        rc = strcmp(argv[1], "put") != 0 ? get(s3, argv[1], &uri, &err)
                                         : put(s3, &uri, argc - 3, argv + 3, &err);
    if (rc != 0)
        fprintf(stderr, "%s: %s\n", cv_strerror(rc), cv_error_format(text, sizeof text, &err));
    cv_aws_client_free(&s3);
    cv_aws_transport_free(&stream);
    cv_aws_config_free(&c);
    return rc != 0;
}
