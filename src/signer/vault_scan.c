/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the store of a vault and importing its blobs into the enclave. */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "signer/vault_impl.h"

#define IMPORT_WINDOW 64 /* imports in flight */
#define HOPELESS 8       /* when the first ones all fail, the rest is not tried */
#define RETRY_FIRST_MS 5000
#define RETRY_LAST_MS 300000

#define KEY_OF(call_ptr) \
    ((struct cv_vault_key *)(void *)((char *)(call_ptr)-offsetof(struct cv_vault_key, call)))

static void import_more(struct cv_vault *v);

struct cv_vault_key *cv_vault_key_find(const struct cv_vault *v, const struct cv_pkh *pkh)
{
    for (size_t i = 0; i < v->key_count; i++) {
        if (cv_pkh_equal(&v->keys[i]->pkh, pkh)) {
            return v->keys[i];
        }
    }
    return NULL;
}

struct cv_vault_key *cv_vault_key_add(struct cv_vault *v, const struct cv_pkh *pkh,
                                      struct cv_bytes blob, bool is_new)
{
    if (v->key_count == v->key_room) {
        size_t room = v->key_room == 0 ? 16 : v->key_room * 2;
        struct cv_vault_key **more = reallocarray(v->keys, room, sizeof(struct cv_vault_key *));
        if (more == NULL) {
            return NULL;
        }
        v->keys = more;
        v->key_room = room;
    }
    struct cv_vault_key *k = calloc(1, sizeof(*k));
    if (k == NULL) {
        return NULL;
    }
    k->vault = v;
    k->pkh = *pkh;
    k->is_new = is_new;
    cv_pkh_format(k->pkh_text, pkh);
    cv_buf_init(&k->blob, CV_KEYSTORE_BLOB_MAX);
    if (cv_buf_append(&k->blob, blob.p, blob.n) != 0 ||
        (v->ring != NULL && cv_keyring_add(v->ring, k) != 0)) {
        cv_buf_free(&k->blob);
        free(k);
        return NULL;
    }
    v->keys[v->key_count++] = k;
    return k;
}

int cv_vault_public_key(struct cv_public_key *out, const struct cv_public_key *value,
                        struct cv_error *err)
{
    if (cv_public_key_parse(out, value->scheme, CV_BYTES(value->p, value->n)) != 0) {
        return cv_error_set(err, CV_ERR_PROTOCOL, "the enclave's public key is no point of %s",
                            cv_scheme_name(value->scheme));
    }
    return 0;
}

void cv_vault_key_activate(struct cv_vault *v, struct cv_vault_key *key,
                           const struct cv_public_key *public_key, uint64_t handle)
{
    key->public_key = *public_key;
    cv_public_key_format(key->public_key_text, public_key);
    key->handle = handle;
    key->known = true;
    key->active = true;
    key->failures = 0;
    key->fault[0] = 0;
    /* The owner first: it writes the first watermark record of a new key, which
     * the requests that waited for the key want to find. */
    if (v->events.key != NULL) {
        v->events.key(v->events.ctx, v, key);
    }
    cv_vault_wake(v, key, true);
}

static void key_failed(struct cv_vault *v, struct cv_vault_key *key, const struct cv_error *err)
{
    char text[CV_ERROR_SENTENCE];
    struct cv_error chain = *err;
    int64_t wait = RETRY_FIRST_MS;
    for (unsigned i = 0; i < key->failures && wait < RETRY_LAST_MS; i++) {
        wait *= 2;
    }
    key->failures++;
    key->retry_at = cv_now_ms() + (wait < RETRY_LAST_MS ? wait : RETRY_LAST_MS);
    v->round_failed++;
    (void)cv_error_format(text, sizeof(text), &chain);
    (void)snprintf(key->fault, sizeof(key->fault), "%.*s", (int)sizeof(key->fault) - 1, text);
    (void)cv_error_wrap(&chain, "loading vault %.40s: importing %s", v->config->name,
                        key->pkh_text);
    cv_vault_wake(v, key, true);
    /* The first time loudly; then it is known. */
    cv_log_error(key->failures == 1 ? CV_LOG_ERROR : CV_LOG_DEBUG, "a key is not usable", &chain);
}

/* The reply of an Import: the blob must be the key that it is stored as. */
static int take_key(struct cv_vault *v, struct cv_vault_key *key, const struct cv_rpc_reply *reply,
                    struct cv_error *err)
{
    struct cv_rpc_key_result result;
    struct cv_public_key pk;
    struct cv_pkh pkh;
    char text[CV_PKH_TEXT_SIZE];
    int rc = cv_rpc_reply_read_key(&result, reply, err);
    if (rc == 0) {
        rc = cv_vault_public_key(&pk, &result.public_key, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (!result.has_handle) {
        return cv_error_set(err, CV_ERR_PROTOCOL, "the enclave's reply names no handle");
    }
    cv_pkh_of(&pkh, &pk);
    if (!cv_pkh_equal(&pkh, &key->pkh)) {
        cv_pkh_format(text, &pkh);
        return cv_error_set(err, CV_ERR_CRYPTO,
                            "the blob stored under this name in %.120s is the key %s: the store "
                            "was altered, put back the right blob",
                            cv_keystore_name(v->store), text);
    }
    cv_vault_key_activate(v, key, &pk, result.handle);
    v->round_ok++;
    return 0;
}

static void on_imported(struct cv_call *call, int code, const struct cv_rpc_reply *reply,
                        const struct cv_error *err)
{
    struct cv_vault_key *key = KEY_OF(call);
    struct cv_vault *v = key->vault;
    struct cv_error own;
    key->importing = false;
    if (code == CV_ERR_CLOSED || code == CV_ERR_CANCELLED || code == CV_ERR_PROTOCOL) {
        return; /* the session is going down, and begins anew */
    }
    v->importing--;
    if (code == 0) {
        cv_error_clear(&own);
        code = take_key(v, key, reply, &own);
        err = &own;
    }
    if (code != 0) {
        key_failed(v, key, err);
    }
    import_more(v);
}

static void finish_round(struct cv_vault *v)
{
    v->scanning = false;
    if (v->round_ok + v->round_failed > 0) {
        cv_log(v->round_failed > 0 ? CV_LOG_WARN : CV_LOG_INFO, "keys imported into the enclave",
               "vault", v->config->name, "imported", cv_logf("%zu", v->round_ok), "failed",
               cv_logf("%zu", v->round_failed), NULL);
    }
    cv_vault_set_state(v, CV_VAULT_UP);
}

/* Keeps the window full; the round ends when the last reply is in. */
static void import_more(struct cv_vault *v)
{
    int64_t now = cv_now_ms();
    struct cv_error err;
    if (!v->scanning) {
        return;
    }
    bool hopeless = v->round_ok == 0 && v->round_failed >= HOPELESS;
    size_t window = v->round_ok == 0 ? HOPELESS : IMPORT_WINDOW;
    while (v->next_import < v->key_count && v->importing < window) {
        struct cv_vault_key *k = v->keys[v->next_import++];
        if (k->active || k->importing || k->retry_at > now) {
            continue;
        }
        if (hopeless) { /* said loudly by the first ones */
            k->retry_at = now + RETRY_FIRST_MS;
            (void)snprintf(k->fault, sizeof(k->fault),
                           "not tried, since the keys before it failed");
            continue;
        }
        struct cv_rpc_request request = {.op = CV_RPC_IMPORT, .blob = cv_buf_view(&k->blob)};
        k->call.done = on_imported;
        cv_error_clear(&err);
        if (cv_session_call(v->session, &k->call, &request, NULL, cv_deadline(CV_VAULT_KMS_MS),
                            &err) != 0) {
            key_failed(v, k, &err);
            continue;
        }
        k->importing = true;
        v->importing++;
    }
    if (v->next_import >= v->key_count && v->importing == 0) {
        finish_round(v);
    }
}

/* By the ring, so that a large store is compared in linear time; the list is
 * for a key that another vault has too. */
static struct cv_vault_key *lookup(const struct cv_vault *v, const struct cv_pkh *pkh)
{
    struct cv_vault_key *k = v->ring != NULL ? cv_keyring_find(v->ring, pkh) : NULL;
    if (v->ring != NULL && k == NULL) {
        return NULL;
    }
    return k != NULL && k->vault == v ? k : cv_vault_key_find(v, pkh);
}

static void take_entry(struct cv_vault *v, const struct cv_keystore_entry *e)
{
    struct cv_pkh pkh;
    char quoted[80];
    if (cv_pkh_parse(&pkh, cv_bytes_str(e->pkh)) != 0) {
        cv_error_quote(quoted, sizeof(quoted), e->pkh, strlen(e->pkh));
        cv_log(CV_LOG_ERROR, "the key store has an entry whose name is no public key hash", "vault",
               v->config->name, "store", cv_keystore_name(v->store), "name", quoted, NULL);
        return;
    }
    bool is_new = json_is_true(json_object_get(e->members, CV_KEYSTORE_NEW));
    struct cv_vault_key *k = lookup(v, &pkh);
    if (k == NULL) {
        if (cv_vault_key_add(v, &pkh, cv_buf_view(&e->blob), is_new) == NULL) {
            cv_log(CV_LOG_ERROR, "no memory for a key", "pkh", e->pkh, NULL);
        }
        return;
    }
    k->is_new = is_new;
    /* A resealed blob counts at the next import; one that failed, at once. */
    if (!k->importing && !cv_bytes_equal(cv_buf_view(&k->blob), cv_buf_view(&e->blob)) &&
        (!k->active || k->blob.n == 0)) {
        cv_buf_reset(&k->blob);
        if (cv_buf_append(&k->blob, e->blob.p, e->blob.n) == 0) {
            k->retry_at = 0;
        }
    }
}

static void take_list(struct cv_vault *v, struct cv_keystore_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        take_entry(v, &list->entries[i]);
    }
    cv_keystore_list_free(list);
    v->listed = true;
}

int cv_vault_list(struct cv_vault *v, struct cv_error *err)
{
    struct cv_keystore_list list = {0};
    int rc = cv_keystore_list(v->store, &list, err);
    if (rc == 0) {
        take_list(v, &list);
    }
    return rc;
}

static void list_failed(struct cv_vault *v, struct cv_error *err)
{
    v->scanning = false;
    (void)cv_error_wrap(err, "reading the key store");
    if (v->state == CV_VAULT_OPENING) {
        cv_session_drop(v->session, err);
    } else {
        cv_log_error(CV_LOG_ERROR, "the key store cannot be read", err);
    }
}

static void begin_round(struct cv_vault *v)
{
    v->scanning = true;
    v->next_import = 0;
    v->round_ok = v->round_failed = 0;
    import_more(v);
}

static struct cv_vault_listing *listing_of(struct cv_job *job)
{
    return (struct cv_vault_listing *)(void *)((char *)job -
                                               offsetof(struct cv_vault_listing, job));
}

static void list_work(struct cv_job *job)
{
    struct cv_vault_listing *l = listing_of(job);
    cv_error_clear(&l->err);
    memset(&l->list, 0, sizeof(l->list));
    l->code = cv_keystore_list(l->vault->store, &l->list, &l->err);
}

static void list_done(struct cv_job *job)
{
    struct cv_vault_listing *l = listing_of(job);
    struct cv_vault *v = l->vault;
    l->running = false;
    if (l->code == 0) {
        take_list(v, &l->list);
    }
    if (!v->initialized) {
        v->scanning = false; /* the connection was lost since: the next one begins anew */
    } else if (l->code != 0) {
        list_failed(v, &l->err);
    } else {
        begin_round(v);
    }
}

/* A store that others wait for is read in the pool's thread. */
static void list_later(struct cv_vault *v)
{
    struct cv_vault_listing *l = &v->listing;
    v->scanning = true;
    if (l->running) {
        return;
    }
    l->vault = v;
    l->job.work = list_work;
    l->job.done = list_done;
    l->code = CV_ERR_CANCELLED;
    l->running = cv_pool_submit(v->pool, &l->job) == 0;
    if (!l->running) {
        (void)cv_error_set(&l->err, CV_ERR_BUSY, "too much is waiting");
        list_failed(v, &l->err);
    }
}

void cv_vault_scan(struct cv_vault *v)
{
    struct cv_error err;
    if (v->config->storage != CV_CONFIG_STORAGE_FILE) {
        list_later(v);
        return;
    }
    cv_error_clear(&err);
    if (cv_vault_list(v, &err) != 0) {
        list_failed(v, &err);
        return;
    }
    begin_round(v);
}
