/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed keys sealed anew by the enclave, many requests at a time. */
#include <string.h>

#include "signer/vault_impl.h"

#define ITEM_OF(call_ptr) \
    ((struct cv_reseal *)(void *)((char *)(call_ptr)-offsetof(struct cv_reseal, call)))

static int take(struct cv_reseal *item, const struct cv_rpc_reply *reply)
{
    struct cv_rpc_key_result result;
    int rc = cv_rpc_reply_read_key(&result, reply, &item->err);
    if (rc == 0) {
        rc = cv_vault_public_key(&item->public_key, &result.public_key, &item->err);
    }
    if (rc == 0 && result.blob.n == 0) {
        rc = cv_error_set(&item->err, CV_ERR_PROTOCOL, "the enclave's reply has no sealed key");
    }
    if (rc == 0 && cv_buf_append(&item->sealed, result.blob.p, result.blob.n) != 0) {
        rc = cv_error_set(&item->err, CV_ERR_NOMEM, "no memory for a sealed key");
    }
    return rc;
}

static void on_resealed(struct cv_call *call, int code, const struct cv_rpc_reply *reply,
                        const struct cv_error *err)
{
    struct cv_reseal *item = ITEM_OF(call);
    (*item->waiting)--;
    item->code = code;
    if (code != 0) {
        item->err = *err;
    } else {
        item->code = take(item, reply);
    }
}

static void on_public_key(struct cv_call *call, int code, const struct cv_rpc_reply *reply,
                          const struct cv_error *err)
{
    struct cv_reseal *item = ITEM_OF(call);
    struct cv_public_key value;
    (*item->waiting)--;
    item->code = code;
    if (code != 0) {
        item->err = *err;
        return;
    }
    item->code = cv_rpc_reply_read_public_key(&value, reply, &item->err);
    if (item->code == 0) {
        item->code = cv_vault_public_key(&item->public_key, &value, &item->err);
    }
}

/* Every call ends before its item does. */
static void wait_for(struct cv_vault *v, const size_t *waiting, int64_t deadline)
{
    while (*waiting > 0) {
        if (cv_loop_once(v->loop, deadline) != 0) {
            struct cv_error why;
            cv_error_clear(&why);
            (void)cv_error_set(&why, CV_ERR_IO, "waiting for the enclave failed");
            cv_session_drop(v->session, &why);
        }
    }
}

void cv_vault_reseal(struct cv_vault *vault, struct cv_reseal *items, size_t n, const char *cmk,
                     unsigned version, int64_t deadline)
{
    size_t waiting = 0;
    for (size_t i = 0; i < n; i++) {
        struct cv_rpc_request request = {
            .op = CV_RPC_RESEAL, .blob = items[i].blob, .sealed_version = version};
        if (cmk != NULL) {
            request.key_id = cv_bytes_str(cmk);
        }
        cv_error_clear(&items[i].err);
        cv_buf_reset(&items[i].sealed);
        items[i].waiting = &waiting;
        items[i].call.done = on_resealed;
        items[i].code = cv_session_call(vault->session, &items[i].call, &request, NULL, deadline,
                                        &items[i].err);
        waiting += items[i].code == 0;
    }
    wait_for(vault, &waiting, deadline);
}

int cv_vault_public_key_of(struct cv_vault *vault, struct cv_bytes blob, struct cv_public_key *out,
                           int64_t deadline, struct cv_error *err)
{
    size_t waiting = 1;
    struct cv_rpc_request request = {.op = CV_RPC_PUBLIC_KEY_FROM, .blob = blob};
    struct cv_reseal item = {.call = {.done = on_public_key}, .waiting = &waiting};
    cv_error_clear(&item.err);
    item.code = cv_session_call(vault->session, &item.call, &request, NULL, deadline, &item.err);
    if (item.code == 0) {
        wait_for(vault, &waiting, deadline);
    }
    if (item.code != 0 && err != NULL) {
        *err = item.err;
    }
    *out = item.public_key;
    return item.code;
}
