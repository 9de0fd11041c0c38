/* SPDX-License-Identifier: Apache-2.0 */
/* The chain's credentials, kept and renewed. */
#include <stdlib.h>
#include <string.h>

#include "aws/config_private.h"
#include "common/clock.h"
#include "common/log.h"

/* Milliseconds before expiry: from ADVISORY on they are renewed in the
 * background, from MANDATORY on whoever asks waits for it (botocore's numbers);
 * short-lived ones at three quarters and half of what was left of them. */
#define ADVISORY_MS (15 * 60 * 1000)
#define MANDATORY_MS (10 * 60 * 1000)
#define FETCH_MS 30000             /* a fetch in the background may take this long */
#define RETRY_MS 30000             /* between renewals that fail */
#define EXTEND_MS (10 * 60 * 1000) /* static stability: used on for 10 to 15 minutes */
#define STAMP_MS 1000              /* how often files are looked at */

struct cache {
    struct cv_aws_provider base;
    struct cv_aws_config *config;
    pthread_mutex_t lock;
    pthread_cond_t done;
    struct cv_aws_credentials c; /* empty before the first fetch */
    int64_t fetched_ms;          /* Unix ms */
    int64_t expires_ms;          /* as extended; 0 = never */
    bool fetching;
    uint64_t fetches; /* that have ended */
    int last_rc;
    struct cv_error last_err;
    int64_t next_try; /* monotonic: no renewal in the background before */
    struct cv_aws_stamp stamps[2];
    int64_t next_stamp;
    pthread_t thread; /* of the last fetch in the background */
    bool thread_started;
};

static bool have(const struct cache *c)
{
    return c->c.access_key_id[0] != '\0';
}

static int64_t window(const struct cache *c, int64_t most, int64_t quarters)
{
    int64_t life = c->expires_ms - c->fetched_ms;
    return life / 4 * quarters < most ? life / 4 * quarters : most;
}

/* Takes over what was fetched; with the lock held. */
static void finish(struct cache *c, int rc, struct cv_aws_credentials *fresh,
                   const struct cv_error *err)
{
    int64_t now = cv_unix_ms();
    c->last_rc = rc;
    c->last_err = *err;
    if (rc == 0) {
        cv_aws_credentials_free(&c->c);
        c->c = *fresh;
        *fresh = (struct cv_aws_credentials)CV_AWS_CREDENTIALS_INIT; /* transferred */
        c->fetched_ms = now;
        c->expires_ms = c->c.expires_ms;
    }
    if (have(c) && (rc != 0 || (c->expires_ms != 0 && c->expires_ms <= now))) {
        /* Static stability: AWS decides whether they are still good. */
        uint32_t r;
        cv_random(&r, sizeof r);
        if (c->expires_ms != 0 && c->expires_ms - now < MANDATORY_MS)
            c->expires_ms = now + EXTEND_MS + (int64_t)(r % (5 * 60 * 1000));
        c->fetched_ms = now;
        c->next_try = cv_deadline(RETRY_MS);
        if (rc != 0)
            cv_log_error(CV_LOG_WARN,
                         "AWS credentials could not be renewed, the old ones are used on", err);
        else
            cv_log(CV_LOG_WARN, "AWS credentials came expired, they are used all the same",
                   "source", c->c.source, NULL);
    }
    c->fetching = false;
    c->fetches++;
    pthread_cond_broadcast(&c->done);
}

/* Fetches with the lock released; single-flight is the caller's matter. */
static void fetch(struct cache *c, int64_t deadline)
{
    CV_AWS_CREDENTIALS_AUTO struct cv_aws_credentials fresh = CV_AWS_CREDENTIALS_INIT;
    struct cv_error err;
    struct cv_aws_stamp stamps[2];
    cv_error_clear(&err);
    cv_aws_files_stamp(stamps, c->config);
    int rc = cv_aws_chain(c->config, &fresh, deadline, &err);
    pthread_mutex_lock(&c->lock);
    memcpy(c->stamps, stamps, sizeof stamps);
    finish(c, rc, &fresh, &err);
    pthread_mutex_unlock(&c->lock);
}

static void *background(void *arg)
{
    fetch(arg, cv_deadline(FETCH_MS));
    return NULL;
}

/* With the lock held. */
static void fetch_in_background(struct cache *c)
{
    if (c->fetching || cv_now_ms() < c->next_try)
        return;
    if (c->thread_started)
        pthread_join(c->thread, NULL); /* it has ended: fetching is false */
    c->fetching = true;
    c->thread_started = pthread_create(&c->thread, NULL, background, c) == 0;
    if (!c->thread_started)
        c->fetching = false;
}

/* Waits for a fetch, its own or another's; with the lock held. */
static int fetch_and_wait(struct cache *c, int64_t deadline, struct cv_error *err)
{
    if (!c->fetching) {
        c->fetching = true;
        pthread_mutex_unlock(&c->lock);
        fetch(c, deadline);
        pthread_mutex_lock(&c->lock);
    } else {
        uint64_t before = c->fetches;
        struct timespec ts = {.tv_sec = (time_t)(deadline / 1000),
                              .tv_nsec = (long)(deadline % 1000) * 1000000};
        int rc = 0;
        while (c->fetches == before && rc == 0)
            rc = deadline == CV_NO_DEADLINE ? pthread_cond_wait(&c->done, &c->lock)
                                            : pthread_cond_timedwait(&c->done, &c->lock, &ts);
        if (c->fetches == before)
            return cv_error_set(err, CV_ERR_TIMEOUT, "AWS credentials: no answer in time");
    }
    if (c->last_rc != 0 && err != NULL)
        *err = c->last_err;
    return c->last_rc;
}

static bool files_changed(struct cache *c)
{
    struct cv_aws_stamp now[2];
    if (cv_now_ms() < c->next_stamp)
        return false;
    c->next_stamp = cv_deadline(STAMP_MS);
    cv_aws_files_stamp(now, c->config);
    return !cv_aws_stamp_equal(now, c->stamps);
}

static int cache_get(struct cv_aws_provider *base, struct cv_aws_credentials *out, bool force,
                     int64_t deadline, struct cv_error *err)
{
    struct cache *c = (struct cache *)base;
    int rc = 0;
    pthread_mutex_lock(&c->lock);
    int64_t left = c->expires_ms != 0 ? c->expires_ms - cv_unix_ms() : INT64_MAX;
    if (!have(c) || force || files_changed(c) || left < window(c, MANDATORY_MS, 2))
        rc = fetch_and_wait(c, deadline, err);
    else if (left < window(c, ADVISORY_MS, 3))
        fetch_in_background(c);
    /* What is at hand is better than nothing. */
    if (have(c) && !(rc != 0 && force))
        rc = cv_aws_credentials_copy(out, &c->c) == 0
                 ? 0
                 : cv_error_set(err, CV_ERR_NOMEM, "no memory for AWS credentials");
    pthread_mutex_unlock(&c->lock);
    return rc;
}

static void cache_free(struct cv_aws_provider *base)
{
    struct cache *c = (struct cache *)base;
    if (c->thread_started)
        pthread_join(c->thread, NULL);
    cv_aws_credentials_free(&c->c);
    pthread_cond_destroy(&c->done);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

int cv_aws_cache_new(struct cv_aws_provider **out, struct cv_aws_config *config,
                     struct cv_error *err)
{
    struct cache *c = calloc(1, sizeof *c);
    pthread_condattr_t attr;
    *out = NULL;
    if (c == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for AWS credentials");
    c->base.get = cache_get;
    c->base.free = cache_free;
    c->config = config;
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->done, &attr);
    pthread_condattr_destroy(&attr);
    *out = &c->base;
    return 0;
}
