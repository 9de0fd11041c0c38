/* SPDX-License-Identifier: Apache-2.0 */
/* Documents in which an enclave vouches for a key of a vault. */
#include <string.h>

#include "attest/statement.h"
#include "claviger/attest.h"
#include "signer/vault_impl.h"

#define ATTESTING_OF(call_ptr) \
    ((struct cv_attesting *)(void *)((char *)(call_ptr)-offsetof(struct cv_attesting, call)))

/* Whoever asked will verify the document; here only what would be a mix-up is
 * found, so that it is told apart from a bad document. */
static int look_at(const struct cv_attesting *a, struct cv_bytes document, struct cv_error *err)
{
    struct cv_attest_document doc;
    struct cv_attest_error bad;
    struct cv_key_statement st;
    if (cv_attest_parse_unverified(&doc, document.p, document.n, false, &bad) != CV_ATTEST_OK) {
        return cv_error_set(err, CV_ERR_PROTOCOL, "the enclave's document is none: %.200s",
                            bad.message);
    }
    if (!cv_bytes_equal(CV_BYTES(doc.nonce.p, doc.nonce.n), a->nonce)) {
        return cv_error_set(err, CV_ERR_PROTOCOL, "the enclave's document has another nonce");
    }
    int rc = cv_key_statement_read(&st, CV_BYTES(doc.user_data.p, doc.user_data.n), err);
    if (rc != 0) {
        return rc;
    }
    return cv_public_key_equal(&st.public_key, &a->key->public_key)
               ? 0
               : cv_error_set(err, CV_ERR_PROTOCOL, "the enclave's document is about another key");
}

static void on_document(struct cv_call *call, int code, const struct cv_rpc_reply *reply,
                        const struct cv_error *err)
{
    struct cv_attesting *a = ATTESTING_OF(call);
    struct cv_bytes document = {NULL, 0};
    struct cv_error own;
    cv_error_clear(&own);
    if (code == 0) {
        err = &own;
        code = cv_rpc_reply_read_bytes(&document, reply, &own);
    }
    if (code == 0) {
        code = look_at(a, document, &own);
    }
    a->done(a, code, document, code != 0 ? err : NULL);
}

static int prepare(struct cv_rpc_request *request, struct cv_vault_key *key, struct cv_bytes nonce,
                   struct cv_error *err)
{
    *request = (struct cv_rpc_request){.op = CV_RPC_ATTEST, .handle = key->handle, .nonce = nonce};
    int rc = cv_vault_key_usable(key, err);
    if (rc != 0) {
        return rc;
    }
    if (nonce.n > CV_VAULT_NONCE_MAX) {
        return cv_error_set(err, CV_ERR_LIMIT, "a nonce has at most %d bytes", CV_VAULT_NONCE_MAX);
    }
    if (!cv_session_has_ids(key->vault->session)) {
        return cv_error_set(
            err, CV_ERR_UNSUPPORTED,
            "the enclave of vault %.40s does not attest keys: it runs another signer",
            key->vault->config->name);
    }
    return 0;
}

int cv_vault_attest(struct cv_vault_key *key, struct cv_attesting *a, int64_t deadline,
                    struct cv_error *err)
{
    struct cv_rpc_request request;
    int rc = prepare(&request, key, a->nonce, err);
    if (rc != 0) {
        return rc;
    }
    a->key = key;
    a->call.done = on_document;
    return cv_session_call(key->vault->session, &a->call, &request, NULL, deadline, err);
}

/* ---- for commands ---- */

struct waiting {
    struct cv_call call;
    struct cv_buf *out;
    bool done;
    int code;
    struct cv_error *err;
};

static void on_bytes(struct cv_call *call, int code, const struct cv_rpc_reply *reply,
                     const struct cv_error *err)
{
    struct waiting *w = (struct waiting *)(void *)call;
    struct cv_bytes bytes = {NULL, 0};
    w->done = true;
    if (code != 0) {
        *w->err = *err;
    } else {
        code = cv_rpc_reply_read_bytes(&bytes, reply, w->err);
    }
    if (code == 0) {
        code = cv_buf_append(w->out, bytes.p, bytes.n);
        if (code != 0) {
            (void)cv_error_set(w->err, code, "no room for the enclave's answer");
        }
    }
    w->code = code;
}

int cv_vault_ask_bytes(struct cv_vault *v, struct cv_rpc_request *request, struct cv_buf *out,
                       int64_t deadline, struct cv_error *err)
{
    struct cv_error own;
    struct waiting w = {.call = {.done = on_bytes}, .out = out, .err = err != NULL ? err : &own};
    _Static_assert(offsetof(struct waiting, call) == 0, "the callback relies on it");
    cv_error_clear(w.err);
    int rc = cv_session_call(v->session, &w.call, request, NULL, deadline, w.err);
    if (rc != 0) {
        return rc;
    }
    while (!w.done) {
        if (cv_loop_once(v->loop, deadline) != 0) {
            /* The call must not outlive this frame: dropping ends it. */
            (void)cv_error_set(w.err, CV_ERR_IO, "waiting for the enclave failed");
            struct cv_error why = *w.err;
            cv_session_drop(v->session, &why);
        }
    }
    return w.code;
}

int cv_vault_attest_now(struct cv_vault_key *key, struct cv_bytes nonce, struct cv_buf *out,
                        int64_t deadline, struct cv_error *err)
{
    struct cv_rpc_request request;
    struct cv_error own;
    const struct cv_attesting a = {.nonce = nonce, .key = key};
    cv_error_clear(&own);
    err = err != NULL ? err : &own;
    int rc = prepare(&request, key, nonce, err);
    if (rc == 0) {
        rc = cv_vault_ask_bytes(key->vault, &request, out, deadline, err);
    }
    return rc != 0 ? rc : look_at(&a, cv_buf_view(out), err);
}
