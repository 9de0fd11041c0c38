/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/gate_remote.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/secret.h"
#include "signer/aws_section.h"
#include "signer/pool.h"
#include "watermark/dynamodb.h"

#define THREADS 16
#define QUEUE 2048
#define WRITE_MS 8000
#define OPEN_MS 15000 /* one attempt: also what a stop may have to wait for */
#define RETRY_FIRST_MS 500
#define RETRY_LAST_MS 15000

struct write {
    struct cv_gate_write w; /* first: what the caller sees */
    struct cv_job job;
    struct cv_gate_remote *remote;
    struct cv_mark mark;
    bool released;             /* nobody waits for it any more */
    struct cv_keystore *store; /* of a first record */
    bool mark_ends;            /* in STORE, still to be done in the loop */
    struct write *next;        /* of those that wait for the table */
};

struct cv_gate_remote {
    struct cv_loop *loop;
    const struct cv_config *config;
    struct cv_pool *pool;
    struct cv_wm_ddb *table; /* NULL until it is open */
    void (*on_done)(void *ctx);
    void *ctx;
    /* Opening. */
    struct cv_job open;
    struct cv_loop_timer retry;
    struct cv_wm_ddb *opened; /* of the job */
    struct cv_error open_err;
    int open_code;
    unsigned attempts;
    struct cv_error why; /* the table is not open */
    bool closing;
    struct write *waiting; /* first records, until the table is open */
};

#define WRITE_OF(job_ptr) ((struct write *)(void *)((char *)(job_ptr)-offsetof(struct write, job)))
#define REMOTE_OF(ptr, member) \
    ((struct cv_gate_remote *)(void *)((char *)(ptr)-offsetof(struct cv_gate_remote, member)))

/* ---- opening ---- */

static void open_work(struct cv_job *job)
{
    struct cv_gate_remote *r = REMOTE_OF(job, open);
    struct cv_aws_config *aws = NULL;
    struct cv_wm_ddb_options o = {
        .table = r->config->watermark_table, .create = true, .table_ms = OPEN_MS};
    cv_error_clear(&r->open_err);
    r->open_code = cv_aws_section_load(&aws, &r->config->watermark_credentials, &r->open_err);
    if (r->open_code == 0) {
        r->open_code = cv_wm_ddb_open(&r->opened, &aws, &o, &r->open_err);
    }
}

static void submit_first(struct cv_gate_remote *r, struct write *w)
{
    if (cv_pool_submit(r->pool, &w->job) != 0) {
        cv_log(CV_LOG_ERROR, "a new key has no watermark record yet: too much is waiting", NULL);
        free(w);
    }
}

static void take_table(struct cv_gate_remote *r)
{
    struct write *w = r->waiting;
    r->table = r->opened;
    r->opened = NULL;
    r->waiting = NULL;
    cv_error_clear(&r->why);
    cv_log(CV_LOG_INFO, "watermark table open", "table", r->config->watermark_table, "attempts",
           cv_logf("%u", r->attempts + 1), NULL);
    while (w != NULL) {
        struct write *next = w->next;
        submit_first(r, w);
        w = next;
    }
}

static void open_done(struct cv_job *job)
{
    struct cv_gate_remote *r = REMOTE_OF(job, open);
    uint32_t jitter;
    int64_t wait = RETRY_FIRST_MS;
    if (r->closing) {
        return;
    }
    if (r->open_code == 0) {
        take_table(r);
        return;
    }
    r->why = r->open_err;
    (void)cv_error_wrap(&r->why, "opening the watermark table");
    for (unsigned i = 0; i < r->attempts && wait < RETRY_LAST_MS; i++) {
        wait *= 2;
    }
    wait = wait < RETRY_LAST_MS ? wait : RETRY_LAST_MS;
    cv_random(&jitter, sizeof(jitter));
    cv_log_error(r->attempts % 20 == 0 ? CV_LOG_ERROR : CV_LOG_DEBUG,
                 "nothing that needs a watermark is signed; trying again", &r->why);
    r->attempts++;
    cv_loop_timer_set(&r->retry, cv_deadline(wait + (int64_t)(jitter % 500)));
}

static void begin_open(struct cv_gate_remote *r)
{
    r->open.work = open_work;
    r->open.done = open_done;
    r->open_code = CV_ERR_CANCELLED; /* stays when the pool ends before it ran */
    if (cv_pool_submit(r->pool, &r->open) != 0) {
        cv_loop_timer_set(&r->retry, cv_deadline(RETRY_FIRST_MS));
    }
}

static void on_retry(struct cv_loop_timer *timer)
{
    begin_open(REMOTE_OF(timer, retry));
}

int cv_gate_remote_open(struct cv_gate_remote **out, struct cv_loop *loop,
                        const struct cv_config *config, void (*on_done)(void *ctx), void *ctx,
                        struct cv_error *err)
{
    struct cv_aws_config *aws = NULL;
    *out = NULL;
    /* A broken file or half a key is said at once, not for ever. */
    int rc = cv_aws_section_load(&aws, &config->watermark_credentials, err);
    cv_aws_config_free(&aws);
    if (rc != 0) {
        return rc;
    }
    struct cv_gate_remote *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the watermarks");
    }
    r->loop = loop;
    r->config = config;
    r->on_done = on_done;
    r->ctx = ctx;
    (void)cv_error_set(&r->why, CV_ERR_STATE, "the watermark table is being opened");
    cv_loop_timer_init(loop, &r->retry, on_retry);
    rc = cv_pool_new(&r->pool, loop, THREADS, QUEUE, err);
    if (rc != 0) {
        cv_gate_remote_close(&r);
        return rc;
    }
    begin_open(r);
    *out = r;
    return 0;
}

void cv_gate_remote_close(struct cv_gate_remote **remote)
{
    struct cv_gate_remote *r = *remote;
    if (r == NULL) {
        return;
    }
    r->closing = true;
    cv_loop_timer_off(&r->retry);
    cv_pool_free(&r->pool);
    while (r->waiting != NULL) {
        struct write *w = r->waiting;
        r->waiting = w->next;
        free(w);
    }
    cv_wm_ddb_close(r->opened);
    cv_wm_ddb_close(r->table);
    free(r);
    *remote = NULL;
}

bool cv_gate_remote_tried(const struct cv_gate_remote *remote)
{
    return remote->table != NULL || remote->attempts > 0;
}

bool cv_gate_remote_ready(const struct cv_gate_remote *remote, struct cv_error *why)
{
    if (remote->table == NULL && why != NULL) {
        *why = remote->why;
    }
    return remote->table != NULL;
}

/* ---- marks of requests ---- */

static void advance_work(struct cv_job *job)
{
    struct write *w = WRITE_OF(job);
    cv_error_clear(&w->w.err);
    w->w.code = cv_wm_ddb_advance(w->remote->table, &w->mark, cv_deadline(WRITE_MS), &w->w.err);
}

static void advance_done(struct cv_job *job)
{
    struct write *w = WRITE_OF(job);
    struct cv_gate_remote *r = w->remote;
    w->w.done = true;
    if (w->released) {
        free(w);
    }
    r->on_done(r->ctx);
}

static struct write *write_new(struct cv_gate_remote *remote)
{
    struct write *w = calloc(1, sizeof(*w));
    if (w != NULL) {
        w->remote = remote;
        w->w.code = CV_ERR_CANCELLED; /* stays when the pool ends before it ran */
        (void)cv_error_set(&w->w.err, CV_ERR_CANCELLED, "the signer is stopping");
    }
    return w;
}

int cv_gate_remote_advance(struct cv_gate_remote *remote, const struct cv_mark *mark,
                           struct cv_gate_write **write)
{
    *write = NULL;
    if (remote->table == NULL) {
        return CV_ERR_STATE;
    }
    struct write *w = write_new(remote);
    if (w == NULL) {
        return CV_ERR_NOMEM;
    }
    w->mark = *mark;
    w->job.work = advance_work;
    w->job.done = advance_done;
    int rc = cv_pool_submit(remote->pool, &w->job);
    if (rc != 0) {
        free(w);
        return rc;
    }
    *write = &w->w;
    return 0;
}

/* ---- first records ---- */

static void end_mark(struct write *w)
{
    char text[CV_PKH_TEXT_SIZE];
    struct cv_error err;
    cv_error_clear(&err);
    cv_pkh_format(text, &w->mark.pkh);
    if (cv_keystore_set_member(w->store, text, CV_KEYSTORE_NEW, NULL, &err) != 0) {
        cv_log_error(CV_LOG_WARN, "a key stays marked as new", &err);
    }
}

static void first_work(struct cv_job *job)
{
    struct write *w = WRITE_OF(job);
    cv_error_clear(&w->w.err);
    w->w.code = cv_wm_ddb_raise(w->remote->table, &w->mark, cv_deadline(WRITE_MS), &w->w.err);
    /* A mark that is there already is as good. */
    w->mark_ends = w->w.code == 0 || w->w.code == CV_ERR_DENIED;
    if (w->mark_ends && cv_keystore_remote(w->store)) {
        end_mark(w);
        w->mark_ends = false;
    }
}

static void first_done(struct cv_job *job)
{
    struct write *w = WRITE_OF(job);
    if (w->mark_ends) {
        end_mark(w);
    } else if (w->w.code != 0 && w->w.code != CV_ERR_DENIED) {
        cv_log_error(CV_LOG_ERROR, "a new key has no watermark record yet", &w->w.err);
    }
    free(w);
}

int cv_gate_remote_first(struct cv_gate_remote *remote, struct cv_keystore *store,
                         const struct cv_pkh *pkh)
{
    for (const struct write *w = remote->waiting; w != NULL; w = w->next) {
        if (cv_pkh_equal(&w->mark.pkh, pkh)) {
            return 0; /* its vault came back while the table did not */
        }
    }
    struct write *w = write_new(remote);
    if (w == NULL) {
        return CV_ERR_NOMEM;
    }
    w->mark = (struct cv_mark){.pkh = *pkh, .kind = CV_MARK_KNOWN};
    w->store = store;
    w->job.work = first_work;
    w->job.done = first_done;
    if (remote->table == NULL) {
        w->next = remote->waiting;
        remote->waiting = w;
        return 0;
    }
    int rc = cv_pool_submit(remote->pool, &w->job);
    if (rc != 0) {
        free(w);
    }
    return rc;
}

void cv_gate_remote_release(struct cv_gate_write **write)
{
    struct write *w = (struct write *)(void *)*write;
    *write = NULL;
    if (w == NULL) {
        return;
    }
    if (w->w.done) {
        free(w);
    } else {
        w->released = true;
    }
}
