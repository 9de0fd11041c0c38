/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the policy hook, in a thread of the pool. */
#include "signer/hook.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "common/hex.h"
#include "common/secret.h"
#include "json/json.h"

#define CALL_OF(job_ptr) \
    ((struct cv_hook_call *)(void *)((char *)(job_ptr)-offsetof(struct cv_hook_call, job)))

struct reply {
    struct cv_buf body;
    char reason[64]; /* of the status line */
    bool too_large;
};

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct reply *r = ctx;
    if (cv_buf_append(&r->body, p, size * n) != 0) {
        r->too_large = true;
        return 0;
    }
    return size * n;
}

/* "HTTP/1.1 403 Forbidden": what follows the number. */
static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
    struct reply *r = ctx;
    size_t total = size * n;
    if (total > 5 && memcmp(p, "HTTP/", 5) == 0) {
        const char *end = p + total;
        const char *code = memchr(p, ' ', total);
        const char *text = code != NULL ? memchr(code + 1, ' ', (size_t)(end - code - 1)) : NULL;
        size_t length = text != NULL ? (size_t)(end - text - 1) : 0;
        while (length > 0 && (text[length] == '\r' || text[length] == '\n')) {
            length--;
        }
        cv_error_quote(r->reason, sizeof(r->reason), text != NULL ? text + 1 : "", length);
    }
    return total;
}

static int question(struct cv_buf *out, const struct cv_hook_call *c)
{
    int rc = cv_buf_append_str(out, "{\"request\":\"");
    if (rc == 0) {
        rc = cv_base64_append(out, c->request.p, c->request.n);
    }
    if (rc == 0) {
        rc = cv_buf_append_str(out, "\",\"source\":");
    }
    if (rc == 0) {
        rc = cv_json_append_str(out, cv_bytes_str(c->source));
    }
    if (rc == 0 && c->client_key_hash != NULL) {
        rc = cv_buf_printf(out, ",\"client_key_hash\":\"%s\"", c->client_key_hash);
    }
    if (rc == 0) {
        rc = cv_buf_printf(out, ",\"public_key_hash\":\"%s\",\"nonce\":\"", c->public_key_hash);
    }
    if (rc == 0) {
        rc = cv_base64_append(out, c->nonce, sizeof(c->nonce));
    }
    return rc != 0 ? rc : cv_buf_append_str(out, "\"}");
}

static void fail(struct cv_hook_call *c, const char *text)
{
    c->status = 500;
    (void)snprintf(c->text, sizeof(c->text), "policy hook: %s", text);
}

static bool set_up(CURL *curl, const struct cv_config *config, struct cv_buf *body, struct reply *r,
                   struct curl_slist *headers)
{
    return curl_easy_setopt(curl, CURLOPT_URL, config->policy_hook) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)config->policy_hook_timeout_ms) ==
               CURLE_OK &&
           (config->policy_hook_ca == NULL ||
            curl_easy_setopt(curl, CURLOPT_CAINFO, config->policy_hook_ca) == CURLE_OK) &&
           curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->n) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_POSTFIELDS, (const char *)body->p) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, r) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HEADERDATA, r) == CURLE_OK;
}

static void ask(struct cv_hook_call *c, CURL *curl, struct cv_buf *body, struct reply *r,
                struct curl_slist *headers)
{
    const struct cv_config *config = c->config;
    char detail[CURL_ERROR_SIZE] = "";
    long status = 0;
    if (!set_up(curl, config, body, r, headers) ||
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail) != CURLE_OK) {
        fail(c, "the request could not be made");
        return;
    }
    CURLcode rc = curl_easy_perform(curl);
    if (rc != CURLE_OK) {
        fail(c, r->too_large ? "the reply is too large"
                             : (detail[0] != 0 ? detail : curl_easy_strerror(rc)));
        return;
    }
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    cv_hook_judge(c, &config->policy_hook_keys, status, r->reason, cv_buf_view(&r->body));
}

static void work(struct cv_job *job)
{
    struct cv_hook_call *c = CALL_OF(job);
    struct cv_buf body;
    struct reply r = {.reason = ""};
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    cv_buf_init(&body, 8u * 1024 * 1024);
    cv_buf_init(&r.body, CV_HOOK_REPLY_MAX);
    if (curl == NULL || headers == NULL || question(&body, c) != 0) {
        fail(c, "no memory");
    } else {
        ask(c, curl, &body, &r, headers);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    cv_buf_free(&r.body);
    cv_buf_free(&body);
}

static void done(struct cv_job *job)
{
    struct cv_hook_call *c = CALL_OF(job);
    c->done(c);
}

int cv_hook_ask(const struct cv_hook *hook, struct cv_hook_call *call)
{
    call->config = hook->config;
    call->status = 503; /* stays when the pool ends before the call was made */
    (void)snprintf(call->text, sizeof(call->text),
                   "policy hook: not asked, the signer is stopping");
    cv_random(call->nonce, sizeof(call->nonce));
    call->job.work = work;
    call->job.done = done;
    return cv_pool_submit(hook->pool, &call->job);
}
