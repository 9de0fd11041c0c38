/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many new keys at once: asked for together, stored by one durable change,
 * attested as generated, and announced only then.
 */
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "common/log.h"
#include "signer/vault_impl.h"

#define DOCUMENT_MAX 16384 /* bytes of an attestation document */

struct newcomer {
    struct cv_call call;
    struct cv_error *err;
    size_t *left;
    int code;
    struct cv_public_key public_key;
    char pkh[CV_PKH_TEXT_SIZE];
    uint64_t handle;
    struct cv_buf blob;
    json_t *birth; /* the document as base64, NULL without */
};

#define NEWCOMER_OF(call_ptr) \
    ((struct newcomer *)(void *)((char *)(call_ptr)-offsetof(struct newcomer, call)))

static void on_generated(struct cv_call *call, int code, const struct cv_rpc_reply *reply,
                         const struct cv_error *err)
{
    struct newcomer *n = NEWCOMER_OF(call);
    struct cv_rpc_key_result result;
    struct cv_error own;
    struct cv_pkh pkh;
    cv_error_clear(&own);
    if (code == 0) {
        code = cv_rpc_reply_read_key(&result, reply, &own);
        err = &own;
    }
    if (code == 0) {
        code = cv_vault_public_key(&n->public_key, &result.public_key, &own);
    }
    if (code == 0 && (result.blob.n == 0 || !result.has_handle)) {
        code = cv_error_set(&own, CV_ERR_PROTOCOL, "the enclave's reply has no sealed key");
    }
    if (code == 0 && cv_buf_append(&n->blob, result.blob.p, result.blob.n) != 0) {
        code = cv_error_set(&own, CV_ERR_NOMEM, "no memory for a sealed key");
    }
    if (code == 0) {
        cv_pkh_of(&pkh, &n->public_key);
        cv_pkh_format(n->pkh, &pkh);
        n->handle = result.handle;
    } else if (n->err->count == 0) {
        *n->err = *err; /* the first one is told */
    }
    n->code = code;
    *n->left -= 1;
}

/* Sends COUNT requests and waits for as many replies. */
static int ask(struct cv_vault *v, enum cv_scheme scheme, struct newcomer *list, size_t count,
               int64_t deadline, struct cv_error *err)
{
    size_t left = 0;
    int rc = 0;
    for (size_t i = 0; i < count; i++) {
        struct cv_rpc_request request = {.op = CV_RPC_GENERATE_AND_IMPORT, .scheme = scheme};
        list[i].call.done = on_generated;
        list[i].err = err;
        list[i].left = &left;
        list[i].code = CV_ERR_STATE;
        cv_buf_init(&list[i].blob, CV_KEYSTORE_BLOB_MAX);
        struct cv_error own;
        cv_error_clear(&own);
        int r = rc == 0 ? cv_session_call(v->session, &list[i].call, &request, NULL, deadline, &own)
                        : rc;
        if (r == 0) {
            left++;
        } else if (rc == 0) {
            rc = r;
            *err = own;
        }
    }
    while (left > 0) {
        if (cv_loop_once(v->loop, deadline) != 0) {
            /* The calls must not outlive this frame: dropping ends them. */
            struct cv_error why;
            cv_error_clear(&why);
            (void)cv_error_set(&why, CV_ERR_IO, "waiting for the enclave failed");
            cv_session_drop(v->session, &why);
        }
    }
    return rc;
}

/* Those that were made, by one change of the store. */
static int store(struct cv_vault *v, struct newcomer *list, size_t count, struct cv_error *err)
{
    CV_JSON_AUTO json_t *extra = json_pack("{s:b}", CV_KEYSTORE_NEW, 1);
    struct cv_keystore_change *changes = calloc(count, sizeof(*changes));
    struct cv_error own;
    size_t n = 0;
    int rc = 0;
    cv_error_clear(&own);
    if (extra == NULL || changes == NULL) {
        free(changes);
        return cv_error_set(err, CV_ERR_NOMEM, "no memory to store the keys");
    }
    for (size_t i = 0; i < count; i++) {
        if (list[i].code == 0) {
            changes[n++] = (struct cv_keystore_change){.op = CV_KEYSTORE_PUT,
                                                       .pkh = list[i].pkh,
                                                       .blob = cv_buf_view(&list[i].blob),
                                                       .members = extra};
        }
    }
    if (n > 0) {
        rc = cv_keystore_apply(v->store, changes, n, &own);
    }
    free(changes);
    if (rc != 0) {
        (void)cv_error_wrap(&own, "storing %zu new key%s in %.150s (they are not kept)", n,
                            n == 1 ? "" : "s", cv_keystore_name(v->store));
        *err = own;
    }
    return rc;
}

/* Only the session that made a key can have it attested as generated. The keys
 * are stored already, and good without it. */
static void keep_birth_documents(struct cv_vault *v, struct newcomer *list,
                                 struct cv_vault_key *const *keys, size_t count, int64_t deadline)
{
    struct cv_keystore_change *changes = calloc(count, sizeof(*changes));
    struct cv_error err;
    size_t n = 0, k = 0;
    int rc = changes != NULL ? 0 : CV_ERR_NOMEM;
    cv_error_clear(&err);
    for (size_t i = 0; rc == 0 && i < count && cv_session_has_ids(v->session); i++) {
        CV_CLEANUP(cv_buf_free) struct cv_buf document, text;
        cv_buf_init(&document, DOCUMENT_MAX);
        cv_buf_init(&text, 2 * DOCUMENT_MAX);
        if (list[i].code != 0) {
            continue;
        }
        rc = cv_vault_attest_now(keys[k++], CV_BYTES(NULL, 0), &document, deadline, &err);
        if (rc == 0) {
            rc = cv_base64_append(&text, document.p, document.n);
        }
        if (rc == 0 && (list[i].birth = json_stringn((const char *)text.p, text.n)) == NULL) {
            rc = cv_error_set(&err, CV_ERR_NOMEM, "no memory");
        }
        if (rc == 0) {
            changes[n++] = (struct cv_keystore_change){.op = CV_KEYSTORE_MEMBER,
                                                       .pkh = list[i].pkh,
                                                       .name = CV_KEYSTORE_BIRTH,
                                                       .value = list[i].birth};
        }
    }
    if (n > 0) {
        int r = cv_keystore_apply(v->store, changes, n, rc == 0 ? &err : NULL);
        rc = rc != 0 ? rc : r;
    }
    free(changes);
    if (rc != 0) {
        cv_log_error(CV_LOG_WARN, "keys are stored, but without documents of their birth", &err);
    }
}

static int announce(struct cv_vault *v, struct newcomer *list, size_t count,
                    struct cv_vault_key **keys, size_t *made, struct cv_error *err)
{
    for (size_t i = 0; i < count; i++) {
        struct cv_pkh pkh;
        if (list[i].code != 0) {
            continue;
        }
        cv_pkh_of(&pkh, &list[i].public_key);
        struct cv_vault_key *k = cv_vault_key_add(v, &pkh, cv_buf_view(&list[i].blob), true);
        if (k == NULL) {
            return cv_error_set(err, CV_ERR_NOMEM, "no memory; the key %s is stored", list[i].pkh);
        }
        cv_vault_key_activate(v, k, &list[i].public_key, list[i].handle);
        keys[(*made)++] = k;
    }
    return 0;
}

int cv_vault_generate(struct cv_vault *vault, enum cv_scheme scheme, size_t count,
                      struct cv_vault_key **keys, size_t *made, int64_t deadline,
                      struct cv_error *err)
{
    struct cv_error own;
    *made = 0;
    err = err != NULL ? err : &own;
    cv_error_clear(err);
    struct newcomer *list = calloc(count, sizeof(*list));
    if (list == NULL || count > CV_VAULT_GENERATE_MAX) {
        free(list);
        return cv_error_set(err, CV_ERR_LIMIT, "too many keys at once");
    }
    int asked = ask(vault, scheme, list, count, deadline, err);
    int rc = store(vault, list, count, err);
    if (rc == 0) {
        rc = announce(vault, list, count, keys, made, err);
    }
    if (rc == 0) {
        keep_birth_documents(vault, list, keys, count, deadline);
        rc = asked;
    }
    for (size_t i = 0; i < count; i++) {
        rc = rc == 0 ? list[i].code : rc;
        cv_buf_free(&list[i].blob);
        json_decref(list[i].birth);
    }
    free(list);
    return rc;
}
