/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One service's client: builds, signs, sends, and asks again when that can
 * help (by default the "standard" retry mode of the AWS SDKs: exponential back-off with full
 * jitter, a token bucket shared by all calls, clock-skew correction, one forced
 * renewal of credentials). Usable from several threads.
 */
#ifndef CV_AWS_CLIENT_H
#define CV_AWS_CLIENT_H

#include "aws/credentials.h"
#include "aws/error.h"
#include "aws/sigv4.h"
#include "aws/transport.h"

#define CV_AWS_MAX_ATTEMPTS 3   /* in all, by default */
#define CV_AWS_ATTEMPT_MS 10000 /* for one attempt, by default */
#define CV_AWS_REPLY_MAX \
    (4u << 20) /* bytes of a reply, by default; a page of DynamoDB has 1 MiB of data */

/* Slows requests down ("adaptive" retry mode, pacer.h). Usable from several threads. */
struct cv_aws_pacer {
    int64_t (*wait_ms)(struct cv_aws_pacer *p);            /* before the next attempt is sent */
    void (*heard)(struct cv_aws_pacer *p, bool throttled); /* the reply to an attempt */
    void (*free)(struct cv_aws_pacer *p);
};

struct cv_aws_client_config {
    const char *service; /* "kms": also what is signed for */
    const char *region;
    const struct cv_aws_endpoint *endpoint; /* NULL = computed from the region */
    struct cv_aws_transport *transport;     /* borrowed: outlives the client */
    struct cv_aws_provider *provider;       /* borrowed; NULL = requests go unsigned */
    unsigned max_attempts;                  /* 0 = default */
    int64_t attempt_ms;                     /* 0 = default */
    size_t reply_max;                       /* 0 = default */
    int64_t retry_base_ms;                  /* 0 = 1000; tests make it shorter */
    const char *user_agent;                 /* NULL = "claviger" */
    bool no_quota;                          /* "legacy" retry mode: no bucket that ends retries */
    struct cv_aws_pacer *pacer; /* NULL = none; the client's from now on, also when that fails */
};

struct cv_aws_client;
int cv_aws_client_new(struct cv_aws_client **out, const struct cv_aws_client_config *config,
                      struct cv_error *err) CV_NODISCARD;
void cv_aws_client_free(struct cv_aws_client **c);
const struct cv_aws_endpoint *cv_aws_client_endpoint(const struct cv_aws_client *c);
const char *cv_aws_client_region(const struct cv_aws_client *c);

/* A request before it is signed. Host, dates, token and signature are added. */
struct cv_aws_request {
    const char *method;
    const char *host; /* NULL = the endpoint's; S3's virtual hosts differ */
    const char *path; /* raw, not encoded; NULL = "/" */
    const struct cv_aws_param *query;
    size_t nquery;
    const struct cv_http_header *headers;
    size_t nheaders;
    /* Writes the body of attempt 0, 1 … into OUT (emptied before). NULL = no body. */
    int (*body)(void *ctx, struct cv_buf *out, unsigned attempt, struct cv_error *err);
    void *ctx;
    size_t body_limit; /* 0 = 1 MiB */
    /* Asked after each reply of status < 300; a negative code makes it an error
     * that is final, CV_ERR_THROTTLED or CV_ERR_TRUNCATED one that is tried
     * again. NULL = every such reply is good. */
    int (*check)(void *ctx, const struct cv_http_message *m, struct cv_error *err);
};

/* 0 with a reply of status < 300 in M (initialised here, freed by the caller in
 * any case). Otherwise a code, a sentence, and in *AWS (may be NULL) what AWS said. */
int cv_aws_call(struct cv_aws_client *c, const struct cv_aws_request *r, struct cv_http_message *m,
                struct cv_aws_error *aws, int64_t deadline, struct cv_error *err) CV_NODISCARD;

/* Counters since start, for metrics. */
struct cv_aws_stats {
    uint64_t calls, attempts, throttled, failed;
};
void cv_aws_client_stats(struct cv_aws_client *c, struct cv_aws_stats *out);

#endif
