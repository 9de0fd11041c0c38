/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/client.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/retry.h"
#include "common/clock.h"

#define MAX_HEADERS 40
#define BODY_LIMIT (1u << 20)
#define RETRY_BASE_MS 1000

struct cv_aws_client {
    char service[32];
    char region[CV_AWS_REGION_MAX + 1];
    char user_agent[128];
    struct cv_aws_endpoint endpoint;
    struct cv_aws_transport *transport;
    struct cv_aws_provider *provider;
    unsigned max_attempts;
    int64_t attempt_ms;
    int64_t retry_base_ms;
    size_t reply_max;
    struct cv_aws_bucket bucket;
    bool no_quota;
    struct cv_aws_pacer *pacer; /* or NULL */
    _Atomic int64_t skew_ms;    /* AWS's clock minus ours */
    _Atomic uint64_t calls, attempts, throttled, failed;
};

int cv_aws_client_new(struct cv_aws_client **out, const struct cv_aws_client_config *config,
                      struct cv_error *err)
{
    bool region = cv_aws_region_valid(config->region);
    struct cv_aws_client *c = region ? calloc(1, sizeof *c) : NULL;
    *out = NULL;
    if (c == NULL) {
        if (config->pacer != NULL)
            config->pacer->free(config->pacer);
        return region ? cv_error_set(err, CV_ERR_NOMEM, "no memory for an AWS client")
                      : cv_error_set(err, CV_ERR_CONFIG,
                                     "this is no AWS region: it has lower-case letters, digits and "
                                     "hyphens");
    }
    c->no_quota = config->no_quota;
    c->pacer = config->pacer;
    snprintf(c->service, sizeof c->service, "%s", config->service);
    snprintf(c->region, sizeof c->region, "%s", config->region);
    snprintf(c->user_agent, sizeof c->user_agent, "%s",
             config->user_agent != NULL ? config->user_agent : "claviger");
    c->transport = config->transport;
    c->provider = config->provider;
    c->max_attempts = config->max_attempts != 0 ? config->max_attempts : CV_AWS_MAX_ATTEMPTS;
    c->attempt_ms = config->attempt_ms != 0 ? config->attempt_ms : CV_AWS_ATTEMPT_MS;
    c->retry_base_ms = config->retry_base_ms != 0 ? config->retry_base_ms : RETRY_BASE_MS;
    c->reply_max = config->reply_max != 0 ? config->reply_max : CV_AWS_REPLY_MAX;
    int rc = 0;
    if (config->endpoint != NULL)
        c->endpoint = *config->endpoint;
    else
        rc = cv_aws_endpoint_compute(&c->endpoint, c->service, c->region, 0, err);
    cv_aws_bucket_init(&c->bucket);
    if (rc != 0) {
        cv_aws_client_free(&c);
        return rc;
    }
    *out = c;
    return 0;
}

void cv_aws_client_free(struct cv_aws_client **c)
{
    if (c == NULL || *c == NULL)
        return;
    cv_aws_bucket_destroy(&(*c)->bucket);
    if ((*c)->pacer != NULL)
        (*c)->pacer->free((*c)->pacer);
    free(*c);
    *c = NULL;
}

const struct cv_aws_endpoint *cv_aws_client_endpoint(const struct cv_aws_client *c)
{
    return &c->endpoint;
}

const char *cv_aws_client_region(const struct cv_aws_client *c)
{
    return c->region;
}

void cv_aws_client_stats(struct cv_aws_client *c, struct cv_aws_stats *out)
{
    out->calls = c->calls;
    out->attempts = c->attempts;
    out->throttled = c->throttled;
    out->failed = c->failed;
}

/* Everything of one attempt that must live until it was sent. */
struct attempt {
    struct cv_aws_endpoint endpoint;
    struct cv_http_header headers[MAX_HEADERS];
    size_t nheaders;
    char host[CV_AWS_HOST_MAX];
    char date[17];
    char payload_hash[CV_SHA256_HEX];
    char token[CV_AWS_SESSION_TOKEN_MAX + 1];
    struct cv_buf path, target, authorization, body;
};

static void add_header(struct attempt *a, const char *name, const char *value)
{
    /* There is room: cv_aws_call() refuses requests with too many. */
    a->headers[a->nheaders++] = (struct cv_http_header){name, value};
}

static int sign(const struct cv_aws_client *c, struct attempt *a, const struct cv_aws_request *r,
                const struct cv_aws_credentials *creds, struct cv_error *err)
{
    struct cv_sigv4_request s = {
        .method = r->method,
        .path = (const char *)a->path.p,
        .query = r->query,
        .nquery = r->nquery,
        .headers = a->headers,
        .nheaders = a->nheaders,
        .body = cv_buf_view(&a->body),
        .payload_hash = a->payload_hash,
    };
    cv_amz_date(a->date, cv_unix_ms() + c->skew_ms);
    int rc = cv_sigv4_sign(&a->authorization, creds, c->region, c->service, a->date, &s, err);
    if (rc != 0)
        return rc;
    add_header(a, "X-Amz-Date", a->date);
    if (creds->session_token.n > 0) {
        memcpy(a->token, creds->session_token.p, creds->session_token.n);
        a->token[creds->session_token.n] = '\0';
        add_header(a, "X-Amz-Security-Token", a->token);
    }
    add_header(a, "Authorization", (const char *)a->authorization.p);
    return 0;
}

static int prepare(const struct cv_aws_client *c, struct attempt *a, const struct cv_aws_request *r,
                   const struct cv_aws_credentials *creds, unsigned number, struct cv_error *err)
{
    a->nheaders = 0;
    a->endpoint = c->endpoint;
    if (r->host != NULL)
        snprintf(a->endpoint.host, sizeof a->endpoint.host, "%s", r->host);
    cv_buf_reset(&a->path);
    cv_buf_reset(&a->target);
    cv_buf_reset(&a->authorization);
    cv_buf_reset(&a->body);
    if (r->body != NULL) {
        int rc = r->body(r->ctx, &a->body, number, err);
        if (rc != 0)
            return rc;
    }
    if (cv_buf_printf(&a->path, "%s%s", c->endpoint.prefix, r->path != NULL ? r->path : "/") != 0 ||
        cv_aws_encode_target(&a->target, (const char *)a->path.p, r->query, r->nquery) != 0)
        return cv_error_set(err, CV_ERR_LIMIT, "the request's path or query is too long");
    cv_aws_sha256_hex(a->payload_hash, cv_buf_view(&a->body));
    add_header(a, "Host", cv_aws_endpoint_host(a->host, &a->endpoint));
    for (size_t i = 0; i < r->nheaders; i++)
        add_header(a, r->headers[i].name, r->headers[i].value);
    if (strcmp(c->service, "s3") == 0)
        add_header(a, "X-Amz-Content-Sha256", a->payload_hash);
    if (creds != NULL) {
        int rc = sign(c, a, r, creds, err);
        if (rc != 0)
            return rc;
    }
    /* Not signed: what stands between may change them. */
    add_header(a, "User-Agent", c->user_agent);
    add_header(a, "Accept-Encoding", "identity");
    return 0;
}

static int exchange(struct cv_aws_client *c, struct attempt *a, const struct cv_aws_request *r,
                    struct cv_http_message *m, int64_t deadline, struct cv_error *err)
{
    struct cv_http_request req = {
        .method = r->method,
        .target = (const char *)a->target.p,
        .headers = a->headers,
        .nheaders = a->nheaders,
        .body = cv_buf_view(&a->body),
    };
    int64_t mine = cv_deadline(c->attempt_ms);
    cv_http_message_free(m);
    c->attempts++;
    return c->transport->ops->exchange(c->transport, &a->endpoint, &req, m,
                                       mine < deadline ? mine : deadline, err);
}

enum verdict { DONE, GIVE_UP, AGAIN };

struct call {
    struct cv_aws_client *c;
    const struct cv_aws_request *r;
    struct cv_http_message *m;
    struct cv_aws_error *aws;
    struct cv_error *err;
    int64_t deadline;
    unsigned number; /* attempts made */
    unsigned last_cost;
    bool skew_done, renew_done;
    bool renew;   /* ask the provider for new credentials */
    bool replied; /* the last attempt got a reply */
    int rc;
};

static enum verdict judge_reply(struct call *k)
{
    char text[CV_ERROR_TEXT];
    int64_t date;
    const char *header = cv_http_header(k->m, "date");
    if (k->m->status < 300) {
        memset(k->aws, 0, sizeof *k->aws);
        k->rc = k->r->check != NULL ? k->r->check(k->r->ctx, k->m, k->err) : 0;
        if (k->rc == 0)
            return DONE;
        return k->rc == CV_ERR_THROTTLED || k->rc == CV_ERR_TRUNCATED ? AGAIN : GIVE_UP;
    }
    cv_aws_error_decode(k->aws, k->m);
    k->rc = cv_error_set(k->err, cv_aws_error_code(k->aws), "%s",
                         cv_aws_error_format(text, sizeof text, k->aws));
    switch (cv_aws_error_classify(k->aws)) {
    case CV_AWS_THROTTLE:
        k->c->throttled++;
        return AGAIN;
    case CV_AWS_TRANSIENT:
        return AGAIN;
    case CV_AWS_CLOCK_SKEW:
        if (k->skew_done || header == NULL || cv_http_date_parse(&date, header) != 0)
            return GIVE_UP;
        k->skew_done = true;
        k->c->skew_ms = date - cv_unix_ms();
        return AGAIN;
    case CV_AWS_CREDENTIALS:
        if (k->renew_done || k->c->provider == NULL)
            return GIVE_UP;
        k->renew_done = k->renew = true;
        return AGAIN;
    case CV_AWS_FINAL:
        break;
    }
    return GIVE_UP;
}

static enum verdict judge_failure(struct call *k)
{
    memset(k->aws, 0, sizeof *k->aws);
    switch (k->rc) {
    case CV_ERR_TIMEOUT:
    case CV_ERR_CLOSED:
    case CV_ERR_TRUNCATED:
    case CV_ERR_IO:
    case CV_ERR_NOT_FOUND: /* a name that does not resolve, perhaps for now */
        return AGAIN;
    default:
        return GIVE_UP;
    }
}

/* True when another attempt is allowed, after waiting its turn. */
static bool wait_turn(struct call *k)
{
    unsigned cost = !k->replied ? CV_AWS_TIMEOUT_COST : CV_AWS_RETRY_COST;
    int64_t now = cv_now_ms();
    int64_t wait = cv_aws_backoff(k->number - 1, k->c->retry_base_ms, k->replied ? k->m : NULL);
    if (k->skew_done || k->renew)
        wait = 0;
    if (k->number >= k->c->max_attempts)
        return false;
    if (k->deadline != CV_NO_DEADLINE && k->deadline - now <= wait)
        return false;
    if (!k->c->no_quota && !cv_aws_bucket_take(&k->c->bucket, cost))
        return false;
    k->last_cost = cost;
    cv_sleep_ms(wait);
    return true;
}

/* True when OLD was refused and NEW is the same: asking again is in vain. */
static bool unchanged(const struct cv_aws_credentials *old, const struct cv_aws_credentials *new)
{
    return strcmp(old->access_key_id, new->access_key_id) == 0 &&
           cv_secret_equal(&old->session_token, &new->session_token) &&
           cv_secret_equal(&old->secret_access_key, &new->secret_access_key);
}

/* Credentials of the next attempt in CREDS. */
static enum verdict refresh(struct call *k, struct cv_aws_credentials *creds)
{
    CV_AWS_CREDENTIALS_AUTO struct cv_aws_credentials fresh = CV_AWS_CREDENTIALS_INIT;
    struct cv_error err;
    cv_error_clear(&err);
    int rc = k->c->provider->get(k->c->provider, &fresh, k->renew, k->deadline, &err);
    if (k->renew && (rc != 0 || unchanged(creds, &fresh)))
        return GIVE_UP; /* AWS's own refusal is the better sentence */
    k->renew = false;
    if (rc != 0) {
        if (k->err != NULL)
            *k->err = err;
        k->rc = rc;
        return GIVE_UP;
    }
    cv_aws_credentials_free(creds);
    *creds = fresh;
    fresh = (struct cv_aws_credentials)CV_AWS_CREDENTIALS_INIT; /* transferred */
    return AGAIN;
}

/* Waits as long as the pacer wants; false when the deadline comes before. */
static bool pace(struct call *k)
{
    int64_t wait = k->c->pacer != NULL ? k->c->pacer->wait_ms(k->c->pacer) : 0;
    if (wait <= 0)
        return true;
    if (k->deadline != CV_NO_DEADLINE && k->deadline - cv_now_ms() <= wait) {
        k->rc = cv_error_set(k->err, CV_ERR_THROTTLED,
                             "AWS throttles: the next request may leave in %lld ms, which is too "
                             "late (retry mode adaptive)",
                             (long long)wait);
        return false;
    }
    cv_sleep_ms(wait);
    return true;
}

static void run(struct call *k, struct attempt *a)
{
    CV_AWS_CREDENTIALS_AUTO struct cv_aws_credentials creds = CV_AWS_CREDENTIALS_INIT;
    for (;;) {
        if (k->c->provider != NULL && refresh(k, &creds) != AGAIN)
            return;
        if (!pace(k))
            return;
        k->rc = prepare(k->c, a, k->r, k->c->provider != NULL ? &creds : NULL, k->number, k->err);
        if (k->rc != 0)
            return;
        k->rc = exchange(k->c, a, k->r, k->m, k->deadline, k->err);
        k->number++;
        k->replied = k->rc == 0;
        enum verdict v = k->replied ? judge_reply(k) : judge_failure(k);
        if (k->c->pacer != NULL && k->replied)
            k->c->pacer->heard(k->c->pacer, k->rc == CV_ERR_THROTTLED);
        if (v == DONE) {
            cv_aws_bucket_give(&k->c->bucket, k->last_cost > 0 ? k->last_cost : 1);
            return;
        }
        if (v == GIVE_UP || !wait_turn(k))
            break;
    }
    if (k->number > 1)
        cv_error_wrap(k->err, "after %u attempts", k->number);
}

int cv_aws_call(struct cv_aws_client *c, const struct cv_aws_request *r, struct cv_http_message *m,
                struct cv_aws_error *aws, int64_t deadline, struct cv_error *err)
{
    struct cv_aws_error unused;
    cv_http_message_init(m, c->reply_max);
    if (aws == NULL)
        aws = &unused;
    memset(aws, 0, sizeof *aws);
    c->calls++;
    if (r->nheaders + 7 > MAX_HEADERS)
        return cv_error_set(err, CV_ERR_LIMIT, "a request with too many headers");
    struct attempt *a = calloc(1, sizeof *a);
    if (a == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a request");
    cv_buf_init(&a->path, 8192);
    cv_buf_init(&a->target, 24576);
    cv_buf_init(&a->authorization, 4096);
    cv_buf_init(&a->body, r->body_limit != 0 ? r->body_limit : BODY_LIMIT);
    struct call k = {.c = c, .r = r, .m = m, .aws = aws, .err = err, .deadline = deadline};
    run(&k, a);
    if (k.rc != 0)
        c->failed++;
    cv_buf_free(&a->path);
    cv_buf_free(&a->target);
    cv_buf_free(&a->authorization);
    cv_buf_free(&a->body);
    cv_wipe(a, sizeof *a);
    free(a);
    return k.rc;
}
