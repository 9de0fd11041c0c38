/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWS credentials of a vault: found in a thread of their own, since that may
 * take a while (instance metadata, STS), handed to the enclave by Initialize,
 * and kept fresh there by Renew. Signing never waits for any of it.
 */
#include <string.h>

#include "common/log.h"
#include "signer/vault_impl.h"

#define FETCH_MS 20000
#define INITIALIZE_MS 10000
#define LOOK_LEAST_MS 1000
#define LOOK_MOST_MS 60000

#define VAULT_OF(member_ptr, member) \
    ((struct cv_vault *)(void *)((char *)(member_ptr)-offsetof(struct cv_vault, member)))

static void on_renew_due(struct cv_loop_timer *timer);
static void fetch_done(struct cv_job *job);

int cv_vault_credentials_open(struct cv_vault *v, struct cv_error *err)
{
    const struct cv_config_credentials *c = &v->config->credentials;
    CV_AWS_CREDENTIALS_AUTO struct cv_aws_credentials explicit = CV_AWS_CREDENTIALS_INIT;
    struct cv_aws_options o = {.region = v->config->region[0] != 0 ? v->config->region : NULL};
    int rc = 0;
    if (c->access_key_id != NULL && c->access_key_id[0] != 0) {
        rc = cv_aws_credentials_set(&explicit, cv_bytes_str(c->access_key_id),
                                    cv_secret_view(&c->secret_access_key),
                                    cv_secret_view(&c->session_token), 0, "configuration", err);
        o.credentials = &explicit;
    }
    if (rc == 0) {
        rc = cv_aws_config_load(&v->aws, &o, err);
    }
    if (rc == 0 && o.credentials == NULL) {
        rc = cv_aws_config_allow_programs(v->aws, err);
    }
    if (rc == 0) {
        rc = cv_pool_new(&v->pool, v->loop, 1, 4, err);
    }
    v->fetch.vault = v;
    cv_loop_timer_init(v->loop, &v->renew_due, on_renew_due);
    return rc;
}

void cv_vault_credentials_close(struct cv_vault *v)
{
    v->fetch.wanted = false;
    cv_pool_free(&v->pool);
    cv_loop_timer_off(&v->renew_due);
    cv_aws_config_free(&v->aws);
    cv_aws_credentials_free(&v->fetch.found);
    cv_aws_credentials_free(&v->sent);
}

/* In the pool's thread: touches nothing of the vault but the fetch and what
 * never changes. */
static void fetch_work(struct cv_job *job)
{
    struct cv_vault_fetch *f =
        (struct cv_vault_fetch *)(void *)((char *)job - offsetof(struct cv_vault_fetch, job));
    struct cv_vault *v = f->vault;
    struct cv_aws_provider *p = cv_aws_config_provider(v->aws);
    int64_t deadline = cv_deadline(FETCH_MS);
    cv_error_clear(&f->err);
    f->code = p->get(p, &f->found, false, deadline, &f->err);
    if (f->code == 0) {
        (void)snprintf(f->region, sizeof(f->region), "%s", v->config->region);
        if (f->region[0] == 0) {
            f->code = cv_aws_config_region(v->aws, f->region, deadline, &f->err);
        }
    } else {
        (void)cv_error_wrap(&f->err, "(Nitro): missing credentials");
    }
}

void cv_vault_fetch_credentials(struct cv_vault *v)
{
    struct cv_vault_fetch *f = &v->fetch;
    struct cv_error err;
    f->wanted = true;
    if (f->running) {
        return; /* its end sees to it */
    }
    f->job.work = fetch_work;
    f->job.done = fetch_done;
    f->wanted = false;
    f->running = cv_pool_submit(v->pool, &f->job) == 0;
    if (!f->running) {
        cv_error_clear(&err);
        (void)cv_error_set(&err, CV_ERR_BUSY, "credentials could not be asked for");
        cv_session_drop(v->session, &err);
    }
}

static bool same(const struct cv_aws_credentials *a, const struct cv_aws_credentials *b)
{
    return strcmp(a->access_key_id, b->access_key_id) == 0 &&
           cv_secret_equal(&a->secret_access_key, &b->secret_access_key) &&
           cv_secret_equal(&a->session_token, &b->session_token);
}

static void fill(struct cv_rpc_request *r, const struct cv_aws_credentials *c)
{
    r->credentials.access_key_id = cv_bytes_str(c->access_key_id);
    r->credentials.secret_access_key = cv_secret_view(&c->secret_access_key);
    r->credentials.session_token = cv_secret_view(&c->session_token);
}

/* When to look again whether there are newer ones: often enough that those in
 * the enclave do not run out. */
static void look_again(struct cv_vault *v)
{
    int64_t expires = v->fetch.found.expires_ms;
    if (expires == 0 || !v->watching) {
        return;
    }
    int64_t wait = (expires - cv_unix_ms()) / 8;
    wait = wait < LOOK_LEAST_MS ? LOOK_LEAST_MS : (wait > LOOK_MOST_MS ? LOOK_MOST_MS : wait);
    cv_loop_timer_set(&v->renew_due, cv_deadline(wait));
}

static void on_renew_due(struct cv_loop_timer *timer)
{
    struct cv_vault *v = VAULT_OF(timer, renew_due);
    if (v->initialized) {
        cv_vault_fetch_credentials(v);
    }
}

static void on_initialized(struct cv_call *call, int code, const struct cv_rpc_reply *reply,
                           const struct cv_error *err)
{
    struct cv_vault *v = VAULT_OF(call, initialize);
    (void)reply;
    if (code == CV_ERR_CLOSED || code == CV_ERR_CANCELLED) {
        return;
    }
    if (code != 0) {
        struct cv_error why = *err;
        (void)cv_error_wrap(&why, "initialising the enclave");
        cv_session_drop(v->session, &why);
        return;
    }
    v->initialized = true;
    look_again(v);
    cv_vault_initialized(v);
}

int cv_vault_send_initialize(struct cv_vault *v, struct cv_session *session, struct cv_call *call,
                             struct cv_error *err)
{
    struct cv_rpc_request request = {.op = CV_RPC_INITIALIZE};
    fill(&request, session == v->session ? &v->fetch.found : &v->sent);
    request.credentials.encryption_key_id = cv_bytes_str(v->config->encryption_key_id);
    request.credentials.region = cv_bytes_str(v->fetch.region);
    request.credentials.sealed_version =
        cv_session_has_ids(session) ? v->config->sealed_version : 0;
    return cv_session_call(session, call, &request, NULL, cv_deadline(INITIALIZE_MS), err);
}

static int initialize(struct cv_vault *v, struct cv_error *err)
{
    v->initialize.done = on_initialized;
    cv_log(CV_LOG_DEBUG, "credentials found", "vault", v->config->name, "source",
           v->fetch.found.source, NULL);
    return cv_vault_send_initialize(v, v->session, &v->initialize, err);
}

static void on_renewed(struct cv_call *call, int code, const struct cv_rpc_reply *reply,
                       const struct cv_error *err)
{
    struct cv_vault *v = VAULT_OF(call, renew);
    (void)reply;
    if (code == 0) {
        cv_log(CV_LOG_INFO, "credentials renewed in the enclave", "vault", v->config->name,
               "source", v->sent.source, NULL);
    } else if (code != CV_ERR_CLOSED && code != CV_ERR_CANCELLED) {
        cv_aws_credentials_free(&v->sent); /* so that they are sent again */
        cv_log_error(CV_LOG_WARN, "credentials were not renewed in the enclave", err);
    }
}

/* An original enclave has no Renew: a fresh connection takes the new
 * credentials with it (vault_beside.c). */
static int renew(struct cv_vault *v, struct cv_error *err)
{
    struct cv_rpc_request request = {.op = CV_RPC_RENEW};
    if (!cv_session_has_ids(v->session)) {
        v->stale = v->stale + 1 != 0 ? v->stale + 1 : 1;
        return 0;
    }
    if (v->renew.pending) {
        return 0;
    }
    fill(&request, &v->fetch.found);
    v->renew.done = on_renewed;
    return cv_session_call(v->session, &v->renew, &request, NULL, cv_deadline(INITIALIZE_MS), err);
}

static void use(struct cv_vault *v)
{
    struct cv_error err;
    cv_error_clear(&err);
    if (v->initialized && same(&v->fetch.found, &v->sent)) {
        look_again(v);
        return;
    }
    int rc = v->initialized ? renew(v, &err) : initialize(v, &err);
    if (rc == 0) {
        rc = cv_aws_credentials_copy(&v->sent, &v->fetch.found);
    }
    if (rc != 0 && v->initialized) {
        cv_log_error(CV_LOG_WARN, "credentials were not renewed in the enclave", &err);
    } else if (rc != 0) {
        cv_session_drop(v->session, &err);
        return;
    }
    look_again(v);
}

static void fetch_done(struct cv_job *job)
{
    struct cv_vault_fetch *f =
        (struct cv_vault_fetch *)(void *)((char *)job - offsetof(struct cv_vault_fetch, job));
    struct cv_vault *v = f->vault;
    f->running = false;
    if (f->wanted) {
        cv_vault_fetch_credentials(v); /* for a connection that came since */
        return;
    }
    if (!cv_session_is_up(v->session)) {
        return; /* the next connection asks anew */
    }
    if (f->code == 0) {
        use(v);
    } else if (v->initialized) {
        /* What the enclave has may still be good. */
        cv_log_error(CV_LOG_WARN, "no newer credentials were found", &f->err);
        cv_loop_timer_set(&v->renew_due, cv_deadline(LOOK_MOST_MS));
    } else {
        struct cv_error why = f->err;
        cv_session_drop(v->session, &why);
    }
}
