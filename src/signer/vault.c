/* SPDX-License-Identifier: Apache-2.0 */
/* A vault's life: connecting, initialising, coming back after a loss. */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/secret.h"
#include "keystore/dynamodb.h"
#include "signer/aws_section.h"
#include "signer/nitro_cli.h"
#include "signer/vault_impl.h"

#define BACKOFF_FIRST_MS 100
#define BACKOFF_LAST_MS 5000  /* when the enclave is there, and something else is wrong */
#define BACKOFF_AUTO_MS 500   /* the same, when nitro-cli must be run for it */
#define BACKOFF_ABSENT_MS 200 /* when it is not: asking is cheap, and it is wanted back at once */
#define WATCH_MS 1000
#define GRACE_MS 2000 /* shorter than what clients wait for an answer */

#define VAULT_OF(member_ptr, member) \
    ((struct cv_vault *)(void *)((char *)(member_ptr)-offsetof(struct cv_vault, member)))

static void on_up(void *ctx, const struct cv_rpc_description *d);
static void on_down(void *ctx, const struct cv_error *why);
static void on_reconnect(struct cv_loop_timer *timer);
static void on_watch(struct cv_loop_timer *timer);

static int open_store(struct cv_vault *v, struct cv_error *err)
{
    struct cv_keystore_dynamodb o = {.table = v->config->storage_table, .later = v->events.patient};
    struct cv_aws_config *aws = NULL;
    if (v->config->storage == CV_CONFIG_STORAGE_FILE) {
        return cv_keystore_open_file(&v->store, v->config->storage_path, err);
    }
    int rc = cv_aws_section_load(&aws, &v->config->storage_credentials, err);
    return rc != 0 ? rc : cv_keystore_open_dynamodb(&v->store, &aws, &o, err);
}

static void on_kms(void *ctx, enum cv_rpc_op op, bool good);

void cv_vault_take_events(struct cv_vault *v)
{
    const struct cv_session_events e = {.up = on_up, .down = on_down, .ctx = v, .kms = on_kms};
    cv_session_set_events(v->session, &e);
}

static void on_kms(void *ctx, enum cv_rpc_op op, bool good)
{
    const struct cv_vault *v = ctx;
    if (v->events.kms != NULL) {
        v->events.kms(v->events.ctx, v, cv_rpc_op_name(op), good);
    }
}

int cv_vault_new(struct cv_vault **out, struct cv_loop *loop, const struct cv_config_vault *config,
                 struct cv_keyring *ring, const struct cv_vault_events *events,
                 struct cv_error *err)
{
    *out = NULL;
    struct cv_vault *v = calloc(1, sizeof(*v));
    if (v == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a vault");
    }
    v->loop = loop;
    v->config = config;
    v->ring = ring;
    v->events = *events;
    v->watching = true;
    cv_loop_timer_init(loop, &v->reconnect, on_reconnect);
    cv_loop_timer_init(loop, &v->watch, on_watch);
    struct cv_session_events e = {.up = on_up, .down = on_down, .ctx = v, .kms = on_kms};
    int rc = cv_vault_expect_open(v, err);
    if (rc == 0) {
        rc = open_store(v, err);
    }
    if (rc == 0) {
        rc = cv_session_new(&v->session, loop, &config->enclave, &e, err);
    }
    if (rc == 0) {
        rc = cv_vault_credentials_open(v, err);
    }
    if (rc == 0 && config->cid_auto) {
        rc = cv_nitro_cli_allow(err);
    }
    /* A file is read at once, so that its keys are known though the enclave may
     * be absent; a table of AWS's in the pool's thread, later. */
    if (rc == 0 && v->config->storage == CV_CONFIG_STORAGE_FILE) {
        rc = cv_vault_list(v, err);
    }
    if (rc != 0) {
        cv_vault_free(&v);
        return rc;
    }
    *out = v;
    return 0;
}

void cv_vault_free(struct cv_vault **vault)
{
    struct cv_vault *v = *vault;
    *vault = NULL;
    if (v == NULL) {
        return;
    }
    cv_vault_credentials_close(v);
    cv_vault_beside_end(v);
    cv_session_free(&v->session);
    v->state = CV_VAULT_DOWN;
    for (size_t i = 0; i < v->key_count; i++) {
        v->keys[i]->active = false;
    }
    cv_vault_wake(v, NULL, true);
    cv_loop_timer_off(&v->reconnect);
    cv_loop_timer_off(&v->watch);
    for (size_t i = 0; i < v->key_count; i++) {
        cv_buf_free(&v->keys[i]->blob);
        free(v->keys[i]);
    }
    free(v->keys);
    cv_vault_expect_close(v);
    cv_keystore_close(v->store);
    free(v);
}

void cv_vault_set_state(struct cv_vault *v, enum cv_vault_state state)
{
    if (state != CV_VAULT_DOWN) {
        cv_error_clear(&v->why);
    }
    if (v->state == state && state != CV_VAULT_DOWN) {
        return;
    }
    v->state = state;
    if (state == CV_VAULT_UP) {
        v->attempts = 0;
    }
    if (state == CV_VAULT_UP || (state == CV_VAULT_DOWN && !cv_vault_in_grace(v))) {
        cv_vault_wake(v, NULL, true);
    }
    if (v->events.state != NULL) {
        v->events.state(v->events.ctx, v);
    }
}

#define LOOK_MS 10000

static void look_work(struct cv_job *job)
{
    struct cv_vault_looking *l =
        (struct cv_vault_looking *)(void *)((char *)job - offsetof(struct cv_vault_looking, job));
    cv_error_clear(&l->err);
    l->code =
        cv_nitro_cli_cid(&l->cid, l->vault->config->enclave_name, cv_deadline(LOOK_MS), &l->err);
}

static void look_done(struct cv_job *job)
{
    struct cv_vault_looking *l =
        (struct cv_vault_looking *)(void *)((char *)job - offsetof(struct cv_vault_looking, job));
    l->running = false;
    if (l->code != 0) {
        on_down(l->vault, &l->err);
        return;
    }
    cv_session_set_cid(l->vault->session, l->cid);
    cv_session_connect(l->vault->session);
}

/* Connects; with `enclave_cid: auto`, to where the enclave is now. */
static void find_and_connect(struct cv_vault *v)
{
    struct cv_vault_looking *l = &v->looking;
    if (!v->config->cid_auto) {
        cv_session_connect(v->session);
        return;
    }
    if (l->running) {
        return;
    }
    l->vault = v;
    l->code = CV_ERR_CANCELLED;
    (void)cv_error_set(&l->err, CV_ERR_CANCELLED, "the signer is stopping");
    l->job.work = look_work;
    l->job.done = look_done;
    l->running = cv_pool_submit(v->pool, &l->job) == 0;
    if (!l->running) {
        (void)cv_error_set(&l->err, CV_ERR_BUSY, "too much is waiting");
        on_down(v, &l->err);
    }
}

void cv_vault_start(struct cv_vault *vault)
{
    vault->started = true;
    cv_vault_set_state(vault, CV_VAULT_OPENING);
    find_and_connect(vault);
    if (vault->watching) {
        cv_loop_timer_set(&vault->watch, cv_deadline(WATCH_MS));
    }
}

static void on_reconnect(struct cv_loop_timer *timer)
{
    struct cv_vault *v = VAULT_OF(timer, reconnect);
    find_and_connect(v);
}

/* Down with WHY; tries again after a while that doubles, with jitter. */
static void on_down(void *ctx, const struct cv_error *why)
{
    struct cv_vault *v = ctx;
    uint32_t jitter;
    int64_t wait = BACKOFF_FIRST_MS;
    bool absent = v->state == CV_VAULT_DOWN;
    int64_t most = !absent               ? BACKOFF_LAST_MS
                   : v->config->cid_auto ? BACKOFF_AUTO_MS
                                         : BACKOFF_ABSENT_MS;
    if (absent != v->absent) {
        v->absent = absent;
        v->attempts = 0; /* that it was absent for long does not make it wrong for long */
    }
    for (unsigned i = 0; i < v->attempts && wait < most; i++) {
        wait *= 2;
    }
    wait = wait < most ? wait : most;
    cv_random(&jitter, sizeof(jitter));
    wait += jitter % (unsigned)(wait / 2 + 1);
    v->attempts++;
    for (size_t i = 0; i < v->key_count; i++) {
        v->keys[i]->active = false;
        v->keys[i]->proven = false;
        v->keys[i]->retry_at = 0;
        v->keys[i]->failures = 0;
    }
    v->importing = 0;
    v->scanning = false;
    v->initialized = false;
    v->stale = 0;
    cv_vault_beside_cancel(v);
    cv_loop_timer_off(&v->renew_due);
    v->description[0] = 0;
    v->why = *why;
    if (v->state == CV_VAULT_UP && v->watching) {
        v->grace_until = cv_deadline(GRACE_MS);
    }
    cv_vault_set_state(v, CV_VAULT_DOWN);
    if (v->watching) {
        cv_loop_timer_set(&v->reconnect, cv_deadline(wait));
    }
}

void cv_vault_initialized(struct cv_vault *v)
{
    cv_vault_expect_check(v);
}

void cv_vault_verified(struct cv_vault *v)
{
    if (v->without_keys) {
        cv_vault_set_state(v, CV_VAULT_UP);
    } else {
        cv_vault_scan(v);
    }
}

static void describe(struct cv_vault *v, const struct cv_rpc_description *d)
{
    char version[48], build[32];
    v->sealed_import = d != NULL && d->sealed_import;
    if (d == NULL) {
        v->description[0] = 0;
        cv_log(CV_LOG_INFO, "the enclave is of the original kind: requests go one after another",
               "vault", v->config->name, NULL);
        return;
    }
    cv_error_quote(version, sizeof(version), d->version.p, d->version.n);
    cv_error_quote(build, sizeof(build), d->build.p, d->build.n);
    (void)snprintf(v->description, sizeof(v->description), "claviger-enclave %s, %s build%s%s",
                   version, build, d->pinned ? ", pinned to its CMKs" : "",
                   d->debug ? ", DEBUG MODE" : "");
    bool alarming = d->debug || !cv_bytes_equal_str(d->build, "release");
    cv_log(alarming ? CV_LOG_WARN : CV_LOG_INFO,
           d->debug ? "the enclave runs in debug mode: its keys are not protected"
                    : (alarming ? "the enclave is a development build: its keys are not protected"
                                : "enclave connected"),
           "vault", v->config->name, "enclave", v->description, NULL);
}

static void on_up(void *ctx, const struct cv_rpc_description *d)
{
    struct cv_vault *v = ctx;
    cv_vault_set_state(v, CV_VAULT_OPENING);
    describe(v, d);
    cv_vault_fetch_credentials(v);
}

/* Once a second: are there keys that the command line added, or that want to
 * be tried again? */
static void on_watch(struct cv_loop_timer *timer)
{
    struct cv_vault *v = VAULT_OF(timer, watch);
    int64_t now = cv_now_ms();
    cv_loop_timer_set(timer, now + WATCH_MS);
    cv_vault_wake(v, NULL, v->state == CV_VAULT_DOWN && !cv_vault_in_grace(v));
    cv_vault_beside_tick(v);
    if (v->state != CV_VAULT_UP || v->scanning) {
        return;
    }
    if (v->stale != 0 && v->beside == NULL && now >= v->beside_retry_at) {
        cv_vault_beside_start(v);
    }
    bool due = cv_keystore_changed(v->store);
    for (size_t i = 0; i < v->key_count && !due; i++) {
        due = !v->keys[i]->active && v->keys[i]->retry_at <= now;
    }
    if (due && v->stale != 0 && !v->beside_failed) {
        return; /* the other connection is on its way */
    }
    if (due && v->stale != 0) {
        struct cv_error why;
        cv_error_clear(&why);
        (void)cv_error_set(&why, CV_ERR_STATE,
                           "KMS is needed, with newer credentials than this connection has");
        cv_session_drop(v->session, &why);
    } else if (due) {
        cv_vault_scan(v);
    }
}

int cv_vault_open_now(struct cv_vault *vault, bool keys, int64_t deadline, struct cv_error *err)
{
    vault->watching = false;
    vault->without_keys = !keys;
    if (!vault->started) {
        cv_vault_start(vault);
    }
    while (vault->state == CV_VAULT_OPENING) {
        if (cv_now_ms() >= deadline) {
            return cv_error_set(err, CV_ERR_TIMEOUT, "vault %s was not ready in time",
                                vault->config->name);
        }
        if (cv_loop_once(vault->loop, deadline) != 0) {
            return cv_error_set(err, CV_ERR_IO, "waiting for the enclave failed");
        }
    }
    if (vault->state == CV_VAULT_DOWN) {
        int code = vault->why.code;
        if (err != NULL) {
            *err = vault->why;
        }
        return code != 0 ? code : CV_ERR_IO;
    }
    return 0;
}

/* ---- questions ---- */

bool cv_vault_listed(const struct cv_vault *vault)
{
    return vault->listed;
}

const char *cv_vault_name(const struct cv_vault *vault)
{
    return vault->config->name;
}

const struct cv_config_vault *cv_vault_config(const struct cv_vault *vault)
{
    return vault->config;
}

struct cv_keystore *cv_vault_store(struct cv_vault *vault)
{
    return vault->store;
}

enum cv_vault_state cv_vault_state(const struct cv_vault *vault)
{
    return vault->state;
}

unsigned cv_vault_attempts(const struct cv_vault *vault)
{
    return vault->attempts;
}

const struct cv_error *cv_vault_why(const struct cv_vault *vault)
{
    return &vault->why;
}

size_t cv_vault_key_count(const struct cv_vault *vault)
{
    return vault->key_count;
}

struct cv_vault_key *cv_vault_key_at(const struct cv_vault *vault, size_t i)
{
    return vault->keys[i];
}

const char *cv_vault_description(const struct cv_vault *vault)
{
    return vault->description;
}

struct cv_session *cv_vault_session(struct cv_vault *vault)
{
    return vault->session;
}
