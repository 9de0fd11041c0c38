/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/gate_remote.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "signer/aws_section.h"
#include "signer/pool.h"
#include "watermark/dynamodb.h"

#define THREADS 16
#define QUEUE 2048
#define WRITE_MS 8000

struct cv_gate_remote {
    struct cv_pool *pool;
    struct cv_wm_ddb *table;
    void (*on_done)(void *ctx);
    void *ctx;
};

struct write {
    struct cv_gate_write w; /* first: what the caller sees */
    struct cv_job job;
    struct cv_gate_remote *remote;
    struct cv_mark mark;
    bool released;                                       /* nobody waits for it any more */
    void (*stored)(void *ctx, const struct cv_pkh *pkh); /* of a first record */
    void *ctx;
};

#define WRITE_OF(job_ptr) ((struct write *)(void *)((char *)(job_ptr)-offsetof(struct write, job)))

int cv_gate_remote_open(struct cv_gate_remote **out, struct cv_loop *loop,
                        const struct cv_config *config, void (*on_done)(void *ctx), void *ctx,
                        struct cv_error *err)
{
    struct cv_aws_config *aws = NULL;
    struct cv_wm_ddb_options o = {.table = config->watermark_table, .create = true};
    *out = NULL;
    struct cv_gate_remote *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the watermarks");
    }
    r->on_done = on_done;
    r->ctx = ctx;
    int rc = cv_aws_section_load(&aws, &config->watermark_credentials, err);
    if (rc == 0) {
        rc = cv_wm_ddb_open(&r->table, &aws, &o, err);
    }
    if (rc == 0) {
        rc = cv_pool_new(&r->pool, loop, THREADS, QUEUE, err);
    }
    if (rc != 0) {
        cv_gate_remote_close(&r);
        return rc;
    }
    *out = r;
    return 0;
}

void cv_gate_remote_close(struct cv_gate_remote **remote)
{
    struct cv_gate_remote *r = *remote;
    if (r != NULL) {
        cv_pool_free(&r->pool);
        cv_wm_ddb_close(r->table);
        free(r);
        *remote = NULL;
    }
}

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

static void first_work(struct cv_job *job)
{
    struct write *w = WRITE_OF(job);
    cv_error_clear(&w->w.err);
    w->w.code = cv_wm_ddb_raise(w->remote->table, &w->mark, cv_deadline(WRITE_MS), &w->w.err);
}

static void first_done(struct cv_job *job)
{
    struct write *w = WRITE_OF(job);
    /* A mark that is there already is as good. */
    if (w->w.code == 0 || w->w.code == CV_ERR_DENIED) {
        w->stored(w->ctx, &w->mark.pkh);
    } else {
        cv_log_error(CV_LOG_ERROR, "a new key has no watermark record yet", &w->w.err);
    }
    free(w);
}

int cv_gate_remote_first(struct cv_gate_remote *remote, const struct cv_pkh *pkh,
                         void (*stored)(void *ctx, const struct cv_pkh *pkh), void *ctx)
{
    struct write *w = write_new(remote);
    if (w == NULL) {
        return CV_ERR_NOMEM;
    }
    w->mark = (struct cv_mark){.pkh = *pkh, .kind = CV_MARK_KNOWN};
    w->stored = stored;
    w->ctx = ctx;
    w->job.work = first_work;
    w->job.done = first_done;
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
