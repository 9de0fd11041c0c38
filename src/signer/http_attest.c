/* SPDX-License-Identifier: Apache-2.0 */
/* GET /keys/{pkh}/attestation?nonce=HEX: the enclave's document about a key,
 * made for this request. It is the client who verifies it. */
#include <string.h>

#include "common/hex.h"
#include "common/log.h"
#include "signer/server_impl.h"

#define HTTP_OF(member_ptr, member) \
    ((struct cv_http *)(void *)((char *)(member_ptr)-offsetof(struct cv_http, member)))

/* The nonce goes where the body of another request would be. */
static bool take_nonce(struct cv_http *h)
{
    const char *hex = MHD_lookup_connection_value(h->connection, MHD_GET_ARGUMENT_KIND, "nonce");
    uint8_t nonce[CV_VAULT_NONCE_MAX];
    size_t n = 0;
    cv_buf_reset(&h->body);
    if (hex != NULL && cv_hex_decode(nonce, sizeof(nonce), &n, cv_bytes_str(hex)) != 0) {
        cv_http_fail(h, 400, "nonce: wanted are at most 512 bytes as hexadecimal digits");
        return false;
    }
    if (cv_buf_append(&h->body, nonce, n) != 0) {
        cv_http_fail(h, 500, "no memory for the nonce");
        return false;
    }
    h->attesting.nonce = n > 0 ? cv_buf_view(&h->body) : CV_BYTES(NULL, 0);
    return true;
}

static int append_answer(struct cv_http *h, struct cv_bytes document)
{
    char hex[2 * CV_VAULT_NONCE_MAX + 1];
    struct cv_bytes nonce = h->attesting.nonce;
    cv_hex_encode(hex, nonce.p, nonce.n);
    cv_buf_reset(&h->reply);
    int rc = cv_buf_printf(&h->reply,
                           "{\"public_key_hash\":\"%s\",\"public_key\":\"%s\",\"nonce\":\"%s\","
                           "\"document\":\"",
                           h->key->pkh_text, h->key->public_key_text, hex);
    if (rc == 0) {
        rc = cv_base64_append(&h->reply, document.p, document.n);
    }
    return rc != 0 ? rc : cv_buf_append_str(&h->reply, "\"}\n");
}

static void on_document(struct cv_attesting *a, int code, struct cv_bytes document,
                        const struct cv_error *err)
{
    struct cv_http *h = HTTP_OF(a, attesting);
    if (code != 0) {
        cv_http_fail_error(h, code == CV_ERR_REMOTE ? "(Nitro): RPC Error: " : "(Nitro): ", code,
                           err);
    } else if (append_answer(h, document) != 0) {
        cv_http_fail(h, 500, "no memory for the document");
    } else {
        cv_log(CV_LOG_INFO, "key attested", "pkh", h->key->pkh_text, NULL);
        cv_http_answer(h, 200, "application/json; charset=utf-8");
    }
}

/* False when it was answered at once. */
static bool submit(struct cv_http *h)
{
    struct cv_error err;
    cv_error_clear(&err);
    h->attesting.done = on_document;
    int rc = cv_vault_attest(h->key, &h->attesting, cv_deadline(CV_SERVER_SIGN_MS), &err);
    if (rc == CV_ERR_UNSUPPORTED) {
        cv_http_fail(h, 501, cv_error_top(&err));
    } else if (rc != 0) {
        cv_http_fail_error(h, "(Nitro): ", rc, &err);
    }
    return rc == 0;
}

static void on_key_ready(struct cv_vault_wait *wait)
{
    (void)submit(HTTP_OF(wait, wait));
}

void cv_http_attestation(struct cv_http *h, const char *argument)
{
    struct cv_server *s = h->server;
    if (!cv_http_take_pkh(h, argument) || !take_nonce(h) || !cv_http_find_key(h)) {
        return;
    }
    if (s->draining || s->waiting >= CV_SERVER_WAITING) {
        cv_http_fail(h, 503,
                     s->draining ? "the signer is stopping" : "too many requests are waiting");
        return;
    }
    h->wait.ready = on_key_ready;
    if (cv_vault_wait(h->key, &h->wait, cv_deadline(CV_SERVER_SIGN_MS)) || submit(h)) {
        cv_http_wait(h);
    }
}
