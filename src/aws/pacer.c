/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/pacer.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/clock.h"

#define MIN_RATE 0.5 /* requests a second */
#define MIN_CAPACITY 1.0
#define SMOOTH 0.8
#define BETA 0.7 /* of the rate that was too fast */
#define SCALE 0.4

struct pacer {
    struct cv_aws_pacer base;
    pthread_mutex_t lock;
    double (*clock)(void *ctx);
    void *ctx;
    double *slept;
    bool throttled_once; /* until then nothing is held back */
    double rate, capacity, tokens, filled_at;
    double measured, bucket, requests; /* of half a second each */
    double last_max, throttled_at, window;
};

static double now_seconds(void *ctx)
{
    (void)ctx;
    return (double)cv_now_ms() / 1000.0;
}

static void refill(struct pacer *p, double now)
{
    double more = (now - p->filled_at) * p->rate;
    p->tokens = p->tokens + more < p->capacity ? p->tokens + more : p->capacity;
    p->filled_at = now;
}

static int64_t wait_ms(struct cv_aws_pacer *base)
{
    struct pacer *p = (struct pacer *)base;
    double wait = 0;
    pthread_mutex_lock(&p->lock);
    if (p->throttled_once) {
        refill(p, p->clock(p->ctx));
        /* The token is taken in advance, so that the next caller waits longer. */
        if (p->tokens < 1)
            wait = (1 - p->tokens) / p->rate;
        p->tokens -= 1;
    }
    if (p->slept != NULL) {
        *p->slept += wait;
        wait = 0;
    }
    pthread_mutex_unlock(&p->lock);
    return (int64_t)(wait * 1000);
}

static void measure(struct pacer *p, double now)
{
    double bucket = floor(now * 2) / 2;
    p->requests += 1;
    if (bucket > p->bucket) {
        double current = p->requests / (bucket - p->bucket);
        p->measured = current * SMOOTH + p->measured * (1 - SMOOTH);
        p->requests = 0;
        p->bucket = bucket;
    }
}

static void find_window(struct pacer *p)
{
    p->window = cbrt(p->last_max * (1 - BETA) / SCALE);
}

static double throttle(struct pacer *p, double now)
{
    double used = p->throttled_once && p->rate < p->measured ? p->rate : p->measured;
    p->last_max = used;
    find_window(p);
    p->throttled_at = now;
    if (!p->throttled_once) {
        p->throttled_once = true;
        p->filled_at = now;
    }
    return used * BETA;
}

static double recover(struct pacer *p, double now)
{
    find_window(p);
    double since = now - p->throttled_at - p->window;
    return SCALE * since * since * since + p->last_max;
}

static void heard(struct cv_aws_pacer *base, bool throttled)
{
    struct pacer *p = (struct pacer *)base;
    pthread_mutex_lock(&p->lock);
    double now = p->clock(p->ctx);
    measure(p, now);
    if (throttled || p->throttled_once) {
        double rate = throttled ? throttle(p, now) : recover(p, now);
        rate = rate < 2 * p->measured ? rate : 2 * p->measured;
        refill(p, now);
        p->rate = rate > MIN_RATE ? rate : MIN_RATE;
        p->capacity = rate > MIN_CAPACITY ? rate : MIN_CAPACITY;
        p->tokens = p->tokens < p->capacity ? p->tokens : p->capacity;
    }
    pthread_mutex_unlock(&p->lock);
}

static void free_pacer(struct cv_aws_pacer *base)
{
    struct pacer *p = (struct pacer *)base;
    pthread_mutex_destroy(&p->lock);
    free(p);
}

int cv_aws_pacer_new_at(struct cv_aws_pacer **out, double (*clock)(void *ctx), void *ctx,
                        double *slept)
{
    struct pacer *p = calloc(1, sizeof *p);
    *out = NULL;
    if (p == NULL)
        return CV_ERR_NOMEM;
    p->base = (struct cv_aws_pacer){wait_ms, heard, free_pacer};
    p->clock = clock;
    p->ctx = ctx;
    p->slept = slept;
    p->rate = MIN_RATE;
    p->capacity = MIN_CAPACITY;
    p->filled_at = p->throttled_at = clock(ctx);
    p->bucket = floor(p->filled_at * 2) / 2;
    pthread_mutex_init(&p->lock, NULL);
    *out = &p->base;
    return 0;
}

int cv_aws_pacer_new(struct cv_aws_pacer **out)
{
    return cv_aws_pacer_new_at(out, now_seconds, NULL, NULL);
}
