/* SPDX-License-Identifier: Apache-2.0 */
#include "init/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "cbor/cbor.h"
#include "common/clock.h"
#include "common/log.h"

#define DOCUMENT_MAX 32768
#define EARLIEST_MS INT64_C(1577836800000) /* 2020-01-01: enclaves are younger */
#define LATEST_MS INT64_C(7258118400000)   /* 2200-01-01 */

struct cv_clock {
    struct cv_nsm *nsm;
    bool set;
    int64_t last;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
};

static int payload_time(int64_t *unix_ms, struct cv_bytes payload)
{
    struct cv_reader r;
    struct cv_cbor_iter it;
    struct cv_bytes key;
    uint64_t v = 0;
    bool found = false;
    cv_reader_init(&r, payload);
    if (cv_cbor_enter_map(&r, &it) != 0)
        return CV_ERR_INVALID;
    while (cv_cbor_next(&r, &it)) {
        if (cv_cbor_read_tstr(&r, &key) != 0)
            return CV_ERR_INVALID;
        if (!cv_bytes_equal_str(key, "timestamp")) {
            if (cv_cbor_skip(&r, 8, NULL) != 0)
                return CV_ERR_INVALID;
        } else if (found || cv_cbor_read_uint(&r, &v) != 0) {
            return CV_ERR_INVALID;
        } else {
            found = true;
        }
    }
    if (cv_reader_end(&r) != 0 || !found || v < EARLIEST_MS || v > LATEST_MS)
        return CV_ERR_INVALID;
    *unix_ms = (int64_t)v;
    return 0;
}

int cv_clock_document_time(int64_t *unix_ms, struct cv_bytes document)
{
    struct cv_reader r;
    struct cv_cbor_iter it;
    struct cv_cbor_head head;
    struct cv_bytes payload = {NULL, 0};
    cv_reader_init(&r, document);
    if (cv_cbor_peek(&r, &head) == 0 && head.major == CV_CBOR_TAG && head.value == 18)
        (void)cv_cbor_read_head(&r, &head);
    if (cv_cbor_enter_array(&r, &it) != 0)
        return CV_ERR_INVALID;
    for (int i = 0; cv_cbor_next(&r, &it); i++) {
        if (i >= 4 || (i == 2 ? cv_cbor_read_bstr(&r, &payload) : cv_cbor_skip(&r, 4, NULL)) != 0)
            return CV_ERR_INVALID;
    }
    if (cv_reader_end(&r) != 0 || payload.p == NULL)
        return CV_ERR_INVALID;
    return payload_time(unix_ms, payload);
}

int cv_clock_step(int64_t *last, int64_t document_ms, int64_t now_ms, int64_t *step,
                  struct cv_error *err)
{
    if (document_ms < *last)
        return cv_error_set(
            err, CV_ERR_DENIED,
            "the attestation document's time is %lld ms before that of the last one",
            (long long)(*last - document_ms));
    *last = document_ms;
    *step = document_ms - now_ms;
    return 0;
}

static int correct(struct cv_clock *c, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf document;
    const struct cv_nsm_attest nothing = {.nonce = {NULL, 0}};
    int64_t at, step;
    cv_buf_init(&document, DOCUMENT_MAX);
    int rc = cv_nsm_attest(c->nsm, &nothing, &document, err);
    if (rc != 0)
        return rc;
    if (cv_clock_document_time(&at, cv_buf_view(&document)) != 0)
        return cv_error_set(err, CV_ERR_PROTOCOL, "no time in the NSM's attestation document");
    rc = cv_clock_step(&c->last, at, cv_unix_ms(), &step, err);
    if (rc != 0)
        return rc;
    if (llabs(step) < CV_CLOCK_TOLERANCE_MS)
        return 0;
    const struct timespec t = {.tv_sec = at / 1000, .tv_nsec = at % 1000 * 1000000};
    if (c->set && clock_settime(CLOCK_REALTIME, &t) != 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "setting the clock");
    cv_log(CV_LOG_INFO, c->set ? "clock set" : "clock differs, left as it is", "by_ms",
           cv_logf("%lld", (long long)step), NULL);
    return 0;
}

static void *run(void *arg)
{
    struct cv_clock *c = arg;
    int64_t wait_ms = CV_CLOCK_PERIOD_MS;
    pthread_mutex_lock(&c->lock);
    while (!c->stopping) {
        int64_t at = cv_deadline(wait_ms);
        const struct timespec t = {.tv_sec = at / 1000, .tv_nsec = at % 1000 * 1000000};
        if (pthread_cond_timedwait(&c->changed, &c->lock, &t) != ETIMEDOUT)
            continue;
        struct cv_error err;
        cv_error_clear(&err);
        pthread_mutex_unlock(&c->lock);
        int rc = correct(c, &err);
        if (rc != 0)
            cv_log_error(CV_LOG_WARN, "the clock could not be corrected", &err);
        wait_ms = rc == 0 ? CV_CLOCK_PERIOD_MS : CV_CLOCK_RETRY_MS;
        pthread_mutex_lock(&c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

int cv_clock_start(struct cv_clock **out, struct cv_nsm *nsm, bool set, struct cv_error *err)
{
    struct cv_clock *c = calloc(1, sizeof *c);
    pthread_condattr_t attr;
    *out = NULL;
    if (c == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the clock");
    c->nsm = nsm;
    c->set = set;
    int rc = correct(c, err);
    if (rc != 0) {
        free(c);
        return rc;
    }
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->changed, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&c->thread, NULL, run, c) != 0) {
        pthread_cond_destroy(&c->changed);
        pthread_mutex_destroy(&c->lock);
        free(c);
        return cv_error_set(err, CV_ERR_IO, "starting the clock's thread");
    }
    *out = c;
    return 0;
}

void cv_clock_stop(struct cv_clock **pc)
{
    struct cv_clock *c = *pc;
    if (c == NULL)
        return;
    *pc = NULL;
    pthread_mutex_lock(&c->lock);
    c->stopping = true;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
