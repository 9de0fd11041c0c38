/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Newer credentials for an original enclave, which has no Renew: a second
 * connection is made beside the one in use, initialised with them, and every
 * key imported on it. Then the vault goes over to it between two requests, and
 * the old one ends when its last reply is in. Nobody waits for any of it.
 */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "signer/vault_impl.h"

#define WINDOW 64      /* imports in flight */
#define RETRY_MS 30000 /* between attempts that fail */

struct item {
    struct cv_call call;
    struct cv_vault_beside *beside;
    struct cv_vault_key *key;
    bool good;
    struct cv_public_key public_key;
    uint64_t handle;
};

struct cv_vault_beside {
    struct cv_vault *vault;
    struct cv_session *session; /* the new one, until the vault has it */
    struct cv_session *old;     /* the old one from then on, until its last reply */
    struct cv_call initialize;
    unsigned serial; /* of the credentials */
    struct item *items;
    size_t count, next, waiting;
    bool ready; /* every key was tried */
    bool over;  /* to be freed at the next tick */
};

static void fail(struct cv_vault_beside *b, const struct cv_error *why)
{
    struct cv_vault *v = b->vault;
    struct cv_error chain = *why;
    if (b->over) {
        return;
    }
    b->over = true;
    v->beside_failed = true;
    v->beside_retry_at = cv_deadline(RETRY_MS);
    (void)cv_error_wrap(&chain, "renewing the credentials of vault %.60s by a second connection",
                        v->config->name);
    cv_log_error(CV_LOG_WARN, "the connection in use goes on with the older ones", &chain);
}

/* ---- the keys ---- */

static void import_more(struct cv_vault_beside *b);

static void on_imported(struct cv_call *call, int code, const struct cv_rpc_reply *reply,
                        const struct cv_error *err)
{
    struct item *it = (struct item *)(void *)((char *)call - offsetof(struct item, call));
    struct cv_vault_beside *b = it->beside;
    struct cv_rpc_key_result result;
    struct cv_pkh pkh;
    struct cv_error own;
    (void)err;
    cv_error_clear(&own);
    if (b->over) {
        return;
    }
    b->waiting--;
    if (code == 0 && cv_rpc_reply_read_key(&result, reply, &own) == 0 && result.has_handle &&
        cv_vault_public_key(&it->public_key, &result.public_key, &own) == 0) {
        cv_pkh_of(&pkh, &it->public_key);
        it->handle = result.handle;
        it->good = cv_pkh_equal(&pkh, &it->key->pkh);
    }
    import_more(b);
}

static void import_more(struct cv_vault_beside *b)
{
    struct cv_error err;
    cv_error_clear(&err);
    while (b->next < b->count && b->waiting < WINDOW) {
        struct item *it = &b->items[b->next++];
        struct cv_rpc_request request = {.op = CV_RPC_IMPORT, .blob = cv_buf_view(&it->key->blob)};
        it->call.done = on_imported;
        if (cv_session_call(b->session, &it->call, &request, NULL, cv_deadline(CV_VAULT_KMS_MS),
                            &err) != 0) {
            fail(b, &err);
            return;
        }
        b->waiting++;
    }
    b->ready = b->next == b->count && b->waiting == 0;
}

static int take_keys(struct cv_vault_beside *b)
{
    const struct cv_vault *v = b->vault;
    b->items = calloc(v->key_count + 1, sizeof(*b->items));
    if (b->items == NULL) {
        return CV_ERR_NOMEM;
    }
    for (size_t i = 0; i < v->key_count; i++) {
        if (v->keys[i]->active) {
            b->items[b->count].beside = b;
            b->items[b->count++].key = v->keys[i];
        }
    }
    return 0;
}

/* ---- the connection ---- */

static void on_initialized(struct cv_call *call, int code, const struct cv_rpc_reply *reply,
                           const struct cv_error *err)
{
    struct cv_vault_beside *b =
        (struct cv_vault_beside *)(void *)((char *)call -
                                           offsetof(struct cv_vault_beside, initialize));
    struct cv_error own;
    (void)reply;
    cv_error_clear(&own);
    if (b->over) {
        return;
    }
    if (code != 0) {
        fail(b, err);
    } else if (take_keys(b) != 0) {
        (void)cv_error_set(&own, CV_ERR_NOMEM, "no memory for the keys");
        fail(b, &own);
    } else {
        import_more(b);
    }
}

static void on_up(void *ctx, const struct cv_rpc_description *d)
{
    struct cv_vault_beside *b = ctx;
    struct cv_error err;
    int rc;
    cv_error_clear(&err);
    rc = d != NULL ? cv_error_set(&err, CV_ERR_STATE, "another enclave answers")
                   : cv_vault_send_initialize(b->vault, b->session, &b->initialize, &err);
    if (rc != 0) {
        fail(b, &err);
    }
}

static void on_down(void *ctx, const struct cv_error *why)
{
    fail(ctx, why);
}

static void ignore(void *ctx, const struct cv_error *why)
{
    (void)ctx;
    (void)why;
}

void cv_vault_beside_start(struct cv_vault *v)
{
    struct cv_error err;
    struct cv_vault_beside *b = calloc(1, sizeof(*b));
    cv_error_clear(&err);
    if (b == NULL) {
        return; /* at the next tick again */
    }
    struct cv_session_events e = {.up = on_up, .down = on_down, .ctx = b};
    b->vault = v;
    b->serial = v->stale;
    b->initialize.done = on_initialized;
    v->beside = b;
    if (cv_session_new(&b->session, v->loop, &v->config->enclave, &e, &err) != 0) {
        fail(b, &err);
        return;
    }
    cv_session_follow(b->session, v->session); /* the same CID */
    cv_log(CV_LOG_INFO, "connecting a second time, with newer credentials", "vault",
           v->config->name, NULL);
    cv_session_connect(b->session);
}

/* ---- going over ---- */

static void go_over(struct cv_vault_beside *b)
{
    struct cv_vault *v = b->vault;
    static const struct cv_session_events retired = {.down = ignore};
    size_t lost = 0;
    b->old = v->session;
    v->session = b->session;
    b->session = NULL;
    cv_session_set_events(b->old, &retired);
    cv_vault_take_events(v);
    for (size_t i = 0; i < v->key_count; i++) {
        v->keys[i]->active = false;
        v->keys[i]->proven = false;
    }
    for (size_t i = 0; i < b->count; i++) {
        struct item *it = &b->items[i];
        it->key->active = it->good;
        it->key->handle = it->handle;
        lost += it->good ? 0 : 1;
    }
    v->stale = v->stale == b->serial ? 0 : v->stale;
    v->beside_failed = false;
    cv_log(lost == 0 ? CV_LOG_INFO : CV_LOG_WARN, "credentials renewed by a new connection",
           "vault", v->config->name, "keys", cv_logf("%zu", b->count - lost), "lost",
           cv_logf("%zu", lost), NULL);
    cv_vault_scan(v); /* what is new, and what was lost */
}

static void finish(struct cv_vault *v)
{
    struct cv_vault_beside *b = v->beside;
    v->beside = NULL;
    b->over = true; /* what is told now is of no interest */
    cv_session_free(&b->session);
    cv_session_free(&b->old);
    free(b->items);
    free(b);
}

void cv_vault_beside_tick(struct cv_vault *v)
{
    struct cv_vault_beside *b = v->beside;
    if (b == NULL) {
        return;
    }
    if (b->old != NULL) {
        if (cv_session_in_flight(b->old) == 0) {
            finish(v);
        }
    } else if (b->over) {
        finish(v);
    } else if (b->ready && v->state == CV_VAULT_UP && !v->scanning && v->importing == 0) {
        go_over(b);
    }
}

void cv_vault_beside_cancel(struct cv_vault *v)
{
    if (v->beside != NULL && v->beside->old == NULL) {
        v->beside->over = true;
    }
}

void cv_vault_beside_end(struct cv_vault *v)
{
    if (v->beside != NULL) {
        finish(v);
    }
}
