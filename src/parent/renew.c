/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/renew.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

#define FETCH_MS 30000
#define LOOK_MS 30000    /* between looks at what the provider has: it renews by itself */
#define LOOK_MIN_MS 1000 /* with credentials that live for a short time only */
#define RETRY_MS 5000    /* after a failure */

struct cv_renewer {
    struct cv_aws_provider *provider;
    int notify;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool stop, wanted;
    /* To be taken: */
    bool news, renewed;
    int code;
    struct cv_error err;
    struct cv_aws_credentials credentials;
};

static void tell(const struct cv_renewer *r)
{
    (void)!write(r->notify, &(uint64_t){1}, sizeof(uint64_t));
}

static bool same(const struct cv_aws_credentials *a, const struct cv_aws_credentials *b)
{
    return strcmp(a->access_key_id, b->access_key_id) == 0 && a->expires_ms == b->expires_ms &&
           cv_secret_equal(&a->secret_access_key, &b->secret_access_key) &&
           cv_secret_equal(&a->session_token, &b->session_token);
}

/* With the lock held: CODE and FRESH are there to be taken, if that is news. */
static void publish(struct cv_renewer *r, int code, const struct cv_aws_credentials *fresh,
                    const struct cv_error *err, bool asked)
{
    bool other = false;
    if (code == 0)
        other = r->credentials.access_key_id[0] == 0 || !same(&r->credentials, fresh);
    if (code == 0 && other && cv_aws_credentials_copy(&r->credentials, fresh) != 0) {
        code = cv_error_set(&r->err, CV_ERR_NOMEM, "no memory for credentials");
    } else if (code != 0) {
        r->err = *err;
    }
    r->renewed = r->renewed || (code == 0 && other);
    if (asked || other || code != 0) {
        r->code = code;
        r->news = true;
        tell(r);
    }
}

static int64_t pause_ms(int code, const struct cv_aws_credentials *c)
{
    if (code != 0)
        return RETRY_MS;
    if (c->expires_ms == 0)
        return LOOK_MS;
    int64_t left = (c->expires_ms - cv_unix_ms()) / 10;
    return left < LOOK_MIN_MS ? LOOK_MIN_MS : left > LOOK_MS ? LOOK_MS : left;
}

/* With the lock held, until somebody wants something or MS have passed. */
static void pause_for(struct cv_renewer *r, int64_t ms)
{
    struct timespec until;
    int64_t at = cv_deadline(ms);
    until.tv_sec = at / 1000;
    until.tv_nsec = at % 1000 * 1000000;
    while (!r->stop && !r->wanted) {
        if (pthread_cond_timedwait(&r->cond, &r->lock, &until) == ETIMEDOUT)
            break;
    }
}

static void *run(void *arg)
{
    struct cv_renewer *r = arg;
    pthread_mutex_lock(&r->lock);
    while (!r->stop && !r->wanted) /* nothing before the first question */
        pthread_cond_wait(&r->cond, &r->lock);
    while (!r->stop) {
        CV_AWS_CREDENTIALS_AUTO struct cv_aws_credentials fresh = CV_AWS_CREDENTIALS_INIT;
        struct cv_error err;
        bool asked = r->wanted;
        r->wanted = false;
        pthread_mutex_unlock(&r->lock);
        cv_error_clear(&err);
        int code = r->provider->get(r->provider, &fresh, false, cv_deadline(FETCH_MS), &err);
        pthread_mutex_lock(&r->lock);
        publish(r, code, &fresh, &err, asked);
        pause_for(r, pause_ms(code, &fresh));
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

static int start_thread(struct cv_renewer *r)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&r->thread, NULL, run, r);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

int cv_renewer_start(struct cv_renewer **out, struct cv_aws_provider *provider, int notify,
                     struct cv_error *err)
{
    struct cv_renewer *r = calloc(1, sizeof *r);
    pthread_condattr_t attr;
    *out = NULL;
    if (r == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory");
    r->provider = provider;
    r->notify = notify;
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->cond, &attr);
    pthread_condattr_destroy(&attr);
    if (start_thread(r) != 0) {
        free(r);
        return cv_error_set(err, CV_ERR_NOMEM, "no thread for credentials");
    }
    *out = r;
    return 0;
}

void cv_renewer_want(struct cv_renewer *r)
{
    pthread_mutex_lock(&r->lock);
    r->wanted = true;
    pthread_cond_signal(&r->cond);
    pthread_mutex_unlock(&r->lock);
}

int cv_renewer_take(struct cv_renewer *r, struct cv_aws_credentials *out, bool *renewed,
                    struct cv_error *err)
{
    int rc = CV_ERR_NOT_FOUND;
    pthread_mutex_lock(&r->lock);
    if (r->news) {
        rc = r->code;
        if (rc == 0)
            rc = cv_aws_credentials_copy(out, &r->credentials);
        else if (err != NULL)
            *err = r->err;
        *renewed = r->renewed;
        r->news = r->renewed = false;
    }
    pthread_mutex_unlock(&r->lock);
    return rc;
}

void cv_renewer_stop(struct cv_renewer **rp)
{
    struct cv_renewer *r = *rp;
    if (r == NULL)
        return;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_signal(&r->cond);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    pthread_cond_destroy(&r->cond);
    pthread_mutex_destroy(&r->lock);
    cv_aws_credentials_free(&r->credentials);
    free(r);
    *rp = NULL;
}
