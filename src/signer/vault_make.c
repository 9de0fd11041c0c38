/* SPDX-License-Identifier: Apache-2.0 */
/* New keys, one by one: those that are handed in. */
#include <string.h>

#include "signer/vault_impl.h"

/* Waits for one reply that holds a key with its blob; what is needed of it is
 * stored while its views are good. */
struct making {
    struct cv_call call;
    struct cv_vault *vault;
    struct cv_vault_key **out;
    bool done;
    int code;
    struct cv_error *err;
};

#define MAKING_OF(call_ptr) \
    ((struct making *)(void *)((char *)(call_ptr)-offsetof(struct making, call)))

/* The blob goes into the store before anybody hears of the key. */
static int store(struct making *m, const struct cv_rpc_key_result *result,
                 const struct cv_public_key *pk)
{
    struct cv_vault *v = m->vault;
    struct cv_pkh pkh;
    char text[CV_PKH_TEXT_SIZE];
    cv_pkh_of(&pkh, pk);
    cv_pkh_format(text, &pkh);
    CV_JSON_AUTO json_t *extra = json_pack("{s:b}", CV_KEYSTORE_NEW, 1);
    if (extra == NULL) {
        return cv_error_set(m->err, CV_ERR_NOMEM, "no memory to store the key");
    }
    int rc = cv_keystore_put(v->store, text, result->blob, extra, m->err);
    if (rc == CV_ERR_EXISTS) {
        cv_error_clear(m->err);
        rc = 0; /* the same key under its older blob */
    }
    if (rc != 0) {
        (void)cv_error_wrap(m->err, "storing the key %s in %.150s (the key is not kept)", text,
                            cv_keystore_name(v->store));
        return rc;
    }
    struct cv_vault_key *k = cv_vault_key_find(v, &pkh);
    if (k == NULL) {
        k = cv_vault_key_add(v, &pkh, result->blob, true);
    }
    if (k == NULL) {
        return cv_error_set(m->err, CV_ERR_NOMEM, "no memory; the key %s is stored", text);
    }
    cv_vault_key_activate(v, k, pk, result->handle);
    *m->out = k;
    return 0;
}

static void on_made(struct cv_call *call, int code, const struct cv_rpc_reply *reply,
                    const struct cv_error *err)
{
    struct making *m = MAKING_OF(call);
    struct cv_rpc_key_result result;
    struct cv_public_key pk;
    m->done = true;
    m->code = code;
    if (code != 0) {
        *m->err = *err;
        return;
    }
    m->code = cv_rpc_reply_read_key(&result, reply, m->err);
    if (m->code == 0) {
        m->code = cv_vault_public_key(&pk, &result.public_key, m->err);
    }
    if (m->code == 0 && (result.blob.n == 0 || !result.has_handle)) {
        m->code = cv_error_set(m->err, CV_ERR_PROTOCOL, "the enclave's reply has no sealed key");
    }
    if (m->code == 0) {
        m->code = store(m, &result, &pk);
    }
}

int cv_vault_make(struct cv_vault *v, struct cv_rpc_request *request, struct cv_vault_key **out,
                  int64_t deadline, struct cv_error *err)
{
    struct cv_error own;
    struct making m = {
        .call = {.done = on_made},
        .vault = v,
        .out = out,
        .err = err != NULL ? err : &own,
    };
    *out = NULL;
    cv_error_clear(m.err);
    int rc = cv_session_call(v->session, &m.call, request, NULL, deadline, m.err);
    if (rc != 0) {
        return rc;
    }
    while (!m.done) {
        if (cv_loop_once(v->loop, deadline) != 0) {
            /* The call must not outlive this frame: dropping ends it. */
            (void)cv_error_set(m.err, CV_ERR_IO, "waiting for the enclave failed");
            struct cv_error why = *m.err;
            cv_session_drop(v->session, &why);
        }
    }
    return m.code;
}

int cv_vault_import(struct cv_vault *vault, enum cv_scheme scheme, const struct cv_secret *key,
                    struct cv_vault_key **out, int64_t deadline, struct cv_error *err)
{
    struct cv_rpc_request request = {
        .op = CV_RPC_IMPORT_UNENCRYPTED, .scheme = scheme, .private_key = cv_secret_view(key)};
    return cv_vault_make(vault, &request, out, deadline, err);
}
