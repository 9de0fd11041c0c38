/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/requests.h"

#include <stdlib.h>
#include <string.h>

#include "enclave/cmk.h"
#include "enclave/kmswork.h"
#include "enclave/server.h"
#include "enclave/session.h"
#include "enclave/signer.h"

#define SIGNER_ERROR "signer error"
#define ENCRYPTION_ERROR "encryption error"

/* ---- decoding ---- */

static bool names_a_handle(enum cv_rpc_op op)
{
    return op == CV_RPC_SIGN || op == CV_RPC_PUBLIC_KEY || op == CV_RPC_PROVE_POSSESSION ||
           op == CV_RPC_ATTEST;
}

void cv_request_decode(struct cv_job *job)
{
    struct cv_rpc_fault fault;
    int rc =
        cv_rpc_request_decode(&job->req, job->body, job->body_n, job->session->extended, &fault);
    if (rc != 0) {
        /* A decode error has one text, as long as it comes: kept in out. */
        job->rc = rc;
        if (cv_buf_append_str(&job->out, fault.text) != 0)
            cv_buf_reset(&job->out);
        job->echo.has_id = fault.has_id;
        job->echo.id = fault.id;
    } else if (job->req.has_id) {
        job->echo.has_id = true;
        job->echo.id = job->req.id;
        job->echo.has_handle = names_a_handle(job->req.op);
        job->echo.handle = job->req.handle;
        job->echo.has_digest = job->req.op == CV_RPC_SIGN;
    }
    job->barrier = !job->echo.has_id;
}

/* ---- answering ---- */

static int answer_key(struct cv_job *job)
{
    struct cv_rpc_key_result result = {.blob = cv_buf_view(&job->out)};
    cv_key_public(&result.public_key, job->key);
    result.has_handle = job->req.op != CV_RPC_GENERATE && job->req.op != CV_RPC_RESEAL;
    result.handle = job->req.handle;
    return cv_rpc_reply_ok_key(&job->session->out, &job->echo, &result);
}

static int answer_public_key(struct cv_job *job)
{
    struct cv_public_key pub;
    cv_key_public(&pub, job->key);
    return cv_rpc_reply_ok_public_key(&job->session->out, &job->echo, &pub);
}

static int answer(struct cv_job *job)
{
    struct cv_buf *out = &job->session->out;
    switch (job->req.op) {
    case CV_RPC_IMPORT:
    case CV_RPC_IMPORT_UNENCRYPTED:
    case CV_RPC_IMPORT_SEALED:
    case CV_RPC_GENERATE:
    case CV_RPC_GENERATE_AND_IMPORT:
    case CV_RPC_RESEAL:
        return answer_key(job);
    case CV_RPC_SIGN:
    case CV_RPC_SIGN_WITH:
        return cv_rpc_reply_ok_signature(out, &job->echo, &job->signature);
    case CV_RPC_PROVE_POSSESSION:
        return cv_rpc_reply_ok_proof(out, &job->echo, &job->signature);
    case CV_RPC_PUBLIC_KEY:
    case CV_RPC_PUBLIC_KEY_FROM:
        return answer_public_key(job);
    case CV_RPC_DESCRIBE:
        return cv_describe(out, &job->echo, job->session->enclave);
    case CV_RPC_ATTEST:
    case CV_RPC_IMPORT_OFFER:
        return cv_rpc_reply_ok_bytes(out, &job->echo, cv_buf_view(&job->out));
    case CV_RPC_INITIALIZE:
    case CV_RPC_RENEW:
    case CV_RPC_OP_COUNT:
    default:
        return cv_rpc_reply_ok_null(out, &job->echo);
    }
}

void cv_request_finish(struct cv_job *job)
{
    struct cv_session *s = job->session;
    int rc = 0;
    /* No digest of a message that was never hashed. */
    if (job->rc != 0)
        job->echo.has_digest = false;
    if (s->dead)
        rc = 0;
    else if (job->rc == 0)
        rc = answer(job);
    else if (job->err != NULL)
        rc = cv_rpc_reply_err(&s->out, &job->echo, job->err);
    else
        rc = cv_rpc_reply_err_text(&s->out, &job->echo,
                                   job->out.n > 0 ? (const char *)job->out.p : "out of memory");
    cv_session_answered(job, rc);
}

/* ---- steps ---- */

static void finish_with(struct cv_job *job, int code, const char *outer, const char *inner)
{
    cv_job_fail(job, code, outer, inner);
    cv_request_finish(job);
}

/* To the signers: short, never waits for anybody. */
static void to_signers(struct cv_job *job, void (*run)(struct cv_job *, struct cv_signer *),
                       void (*then)(struct cv_job *))
{
    job->run = run;
    job->then = then;
    cv_server_sign(job->session->server, job);
}

static void to_kms(struct cv_job *job, void (*run)(struct cv_job *, struct cv_signer *),
                   void (*then)(struct cv_job *))
{
    job->run = run;
    job->then = then;
    cv_server_kms(job->session->server, job);
}

/* Gives the job's key a handle. */
static bool keep_key(struct cv_job *job)
{
    struct cv_session *s = job->session;
    unsigned cmk = 0;
    while (cmk < s->cmk_count && strcmp(s->cmks[cmk], job->cmk) != 0)
        cmk++;
    if (cmk == s->cmk_count) {
        char *copy = cmk < CV_SESSION_CMKS ? strdup(job->cmk) : NULL;
        if (copy == NULL)
            return false;
        s->cmks[s->cmk_count++] = copy;
    }
    if (s->key_count == s->key_cap) {
        size_t cap = s->key_cap == 0 ? 64 : 2 * s->key_cap;
        struct cv_key **more = realloc(s->keys, cap * sizeof *more);
        if (more == NULL)
            return false;
        s->keys = more;
        s->key_cap = cap;
    }
    job->key->cmk = (uint8_t)cmk;
    job->req.handle = s->key_count;
    s->keys[s->key_count++] = job->key;
    job->key_owned = false;
    return true;
}

static void keep_and_finish(struct cv_job *job)
{
    if (job->rc == 0 && !job->session->dead && !keep_key(job))
        cv_job_fail(job, CV_ERR_LIMIT, SIGNER_ERROR, "the keychain is full");
    cv_request_finish(job);
}

/* ---- data keys ---- */

static void with_datakey(struct cv_job *job);

/* On the I/O thread again, with the data key or without. */
static void fetched(struct cv_job *fetch)
{
    struct cv_session *s = fetch->session;
    struct cv_datakey *entry = fetch->datakey;
    struct cv_job *waiting;
    if (fetch->rc == 0) {
        struct cv_wrapped wrapped;
        bool seals = fetch->out.n == sizeof wrapped;
        if (seals)
            memcpy(&wrapped, fetch->out.p, sizeof wrapped);
        waiting = cv_datakey_fetched(entry, fetch->key, seals ? &wrapped : NULL);
        fetch->key_owned = false;
    } else {
        waiting = cv_datakey_failed(&s->datakeys, entry);
    }
    fetch->datakey = NULL; /* an entry does not count its own fetching */
    while (waiting != NULL) {
        struct cv_job *job = waiting;
        waiting = job->next;
        if (fetch->rc != 0) {
            cv_job_fail_as(job, fetch);
            cv_request_finish(job);
        } else if (s->dead) {
            cv_request_finish(job);
        } else {
            with_datakey(job);
        }
    }
    cv_session_job_over(fetch);
}

static void fetch(struct cv_session *s, struct cv_datakey *entry)
{
    struct cv_job *job = cv_job_new(s, NULL, 0);
    if (job == NULL) {
        struct cv_job *waiting = cv_datakey_failed(&s->datakeys, entry);
        while (waiting != NULL) {
            struct cv_job *next = waiting->next;
            finish_with(waiting, CV_ERR_NOMEM, ENCRYPTION_ERROR, "no memory");
            waiting = next;
        }
        return;
    }
    s->jobs++;
    job->internal = true;
    job->datakey = entry;
    to_kms(job, cv_work_fetch, fetched);
}

static void need_datakey(struct cv_job *job, enum cv_datakey_state state, struct cv_datakey *entry)
{
    if (state == CV_DATAKEY_READY)
        with_datakey(job);
    else if (state == CV_DATAKEY_FETCH)
        fetch(job->session, entry);
    else if (state == CV_DATAKEY_NO_ROOM)
        finish_with(job, CV_ERR_LIMIT, ENCRYPTION_ERROR, "too many data keys are in use");
}

/* ---- opening a blob ---- */

static void begin_seal(struct cv_job *job);

/* The blob of the request is open: the job has its key. */
static void opened(struct cv_job *job)
{
    cv_datakey_release(job);
    if (job->rc != 0 || job->session->dead)
        cv_request_finish(job);
    else if (job->req.op == CV_RPC_IMPORT)
        keep_and_finish(job);
    else if (job->req.op == CV_RPC_SIGN_WITH)
        to_signers(job, cv_signer_sign, cv_request_finish);
    else if (job->req.op == CV_RPC_RESEAL)
        begin_seal(job);
    else
        cv_request_finish(job);
}

/* Under which CMK a version 2 blob says it lies: one that we serve, in the
 * region that we talk to. */
static bool cmk_allowed(struct cv_job *job, struct cv_bytes cmk)
{
    struct cv_session *s = job->session;
    char arn[CV_SEALED_ARN_MAX + 1], region[CV_AWS_REGION_MAX + 1];
    memcpy(arn, cmk.p, cmk.n);
    arn[cmk.n] = '\0';
    if (!cv_settings_allows_cmk(&s->enclave->settings, cmk))
        cv_job_fail(job, CV_ERR_DENIED, ENCRYPTION_ERROR,
                    "the blob lies under a CMK that this image is not pinned to");
    else if (cv_kms_arn_region(region, arn) != 0 || strcmp(region, s->region) != 0)
        cv_job_fail(job, CV_ERR_DENIED, ENCRYPTION_ERROR,
                    "the blob lies under a CMK of another region than the session's");
    return job->rc == 0;
}

static void begin_open(struct cv_job *job)
{
    struct cv_session *s = job->session;
    struct cv_sealed_header h;
    struct cv_datakey *entry = NULL;
    if (job->req.blob.n == 0 || job->req.blob.n > CV_RPC_BLOB_MAX) {
        finish_with(job, CV_ERR_INVALID, ENCRYPTION_ERROR, "a sealed key has 1 to 6144 bytes");
        return;
    }
    if (cv_sealed_key_version(job->req.blob) == 1) {
        to_kms(job, cv_work_open_v1, opened);
        return;
    }
    int rc = cv_sealed_key_parse(&h, job->req.blob, cv_job_error(job));
    if (rc != 0) {
        job->rc = rc;
        (void)cv_error_wrap(cv_job_error(job), ENCRYPTION_ERROR);
    }
    if (rc != 0 || !cmk_allowed(job, h.cmk)) {
        cv_request_finish(job);
        return;
    }
    enum cv_datakey_state state =
        cv_datakey_for_opening(&entry, &s->datakeys, job, s->number, h.cmk, h.wrapped);
    need_datakey(job, state, entry);
}

/* ---- sealing a key ---- */

static void sealed(struct cv_job *job)
{
    cv_datakey_release(job);
    if (job->req.op == CV_RPC_GENERATE || job->req.op == CV_RPC_RESEAL)
        cv_request_finish(job);
    else
        keep_and_finish(job);
}

static void begin_seal(struct cv_job *job)
{
    struct cv_session *s = job->session;
    const struct cv_settings *settings = &s->enclave->settings;
    struct cv_datakey *entry = NULL;
    struct cv_bytes id = job->req.key_id.n > 0 ? job->req.key_id : cv_bytes_str(s->key_id);
    char name[CV_KMS_KEY_ID_MAX + 1];
    job->sealed_version =
        job->req.sealed_version != 0 ? job->req.sealed_version : s->sealed_version;
    if (job->sealed_version == 1 && !settings->seal_v1) {
        finish_with(job, CV_ERR_DENIED, ENCRYPTION_ERROR,
                    "this image does not write version 1 (seal_v1=off in its settings)");
        return;
    }
    int rc = cv_cmk_name(name, sizeof name, settings, id, cv_job_error(job));
    /* Elsewhere than to the session's CMK only when the image says so. */
    if (rc == 0 && strcmp(name, s->key_id) != 0 && settings->cmk_count == 0)
        rc = cv_error_set(cv_job_error(job), CV_ERR_DENIED,
                          "without a pinned list a key is only resealed under the session's CMK");
    if (rc != 0) {
        job->rc = rc;
        (void)cv_error_wrap(cv_job_error(job), ENCRYPTION_ERROR);
        cv_request_finish(job);
        return;
    }
    if (job->sealed_version == 1) {
        if (strlen(name) >= sizeof job->cmk) {
            finish_with(job, CV_ERR_LIMIT, ENCRYPTION_ERROR, "the name of the CMK is too long");
            return;
        }
        memcpy(job->cmk, name, strlen(name) + 1);
        to_kms(job, cv_work_seal, sealed);
        return;
    }
    enum cv_datakey_state state =
        cv_datakey_for_sealing(&entry, &s->datakeys, job, s->number, name);
    need_datakey(job, state, entry);
}

/* The data key that the job waited for is there: it opens, or it seals. */
static void with_datakey(struct cv_job *job)
{
    if (cv_datakey_seals(job->datakey))
        to_kms(job, cv_work_seal, sealed);
    else
        to_signers(job, cv_signer_open, opened);
}

/* ---- the requests ---- */

static struct cv_key *key_of(struct cv_job *job)
{
    struct cv_session *s = job->session;
    if (job->req.handle >= s->key_count) {
        cv_job_fail(job, CV_ERR_NOT_FOUND, SIGNER_ERROR, "invalid handle");
        return NULL;
    }
    job->key = s->keys[job->req.handle];
    return job->key;
}

static void begin_with_key(struct cv_job *job)
{
    struct cv_key *key = key_of(job);
    if (key == NULL || job->req.op == CV_RPC_PUBLIC_KEY) {
        cv_request_finish(job);
    } else if (job->req.op == CV_RPC_SIGN) {
        to_signers(job, cv_signer_sign, cv_request_finish);
    } else if (job->req.op == CV_RPC_PROVE_POSSESSION) {
        to_signers(job, cv_signer_prove, cv_request_finish);
    } else {
        memcpy(job->cmk, job->session->cmks[key->cmk], strlen(job->session->cmks[key->cmk]) + 1);
        to_kms(job, cv_work_attest, cv_request_finish);
    }
}

static void begin_plain_import(struct cv_job *job)
{
    if (job->session->enclave->settings.plain_import)
        begin_seal(job);
    else
        finish_with(job, CV_ERR_DENIED, SIGNER_ERROR,
                    "this image takes no key in clear (plain_import=off in its settings)");
}

/* The offer takes the place of an older one. */
static void offered(struct cv_job *job)
{
    struct cv_session *s = job->session;
    if (job->rc == 0 && !s->dead) {
        cv_key_free(s->offer);
        s->offer = job->key;
        s->offer_until = cv_deadline(CV_SESSION_OFFER_MS);
        job->key_owned = false;
    }
    cv_request_finish(job);
}

/* An offer is used up by the first import that names it, whatever comes of it. */
static void begin_sealed_import(struct cv_job *job)
{
    struct cv_session *s = job->session;
    if (s->offer == NULL || cv_now_ms() > s->offer_until ||
        !cv_equal_ct(s->offer->public_key, job->req.offer.p, CV_RPC_OFFER_KEY_LEN)) {
        finish_with(
            job, CV_ERR_STATE, SIGNER_ERROR,
            "there is no such offer (one that is used, replaced or five minutes old is gone)");
        return;
    }
    job->offer = s->offer;
    s->offer = NULL;
    begin_seal(job);
}

static void begin_initialised(struct cv_job *job)
{
    switch (job->req.op) {
    case CV_RPC_IMPORT:
    case CV_RPC_SIGN_WITH:
    case CV_RPC_PUBLIC_KEY_FROM:
    case CV_RPC_RESEAL:
        begin_open(job);
        break;
    case CV_RPC_IMPORT_UNENCRYPTED:
        begin_plain_import(job);
        break;
    case CV_RPC_IMPORT_OFFER:
        to_kms(job, cv_work_offer, offered);
        break;
    case CV_RPC_IMPORT_SEALED:
        begin_sealed_import(job);
        break;
    case CV_RPC_GENERATE:
    case CV_RPC_GENERATE_AND_IMPORT:
        begin_seal(job);
        break;
    case CV_RPC_SIGN:
    case CV_RPC_PUBLIC_KEY:
    case CV_RPC_PROVE_POSSESSION:
    case CV_RPC_ATTEST:
        begin_with_key(job);
        break;
    case CV_RPC_INITIALIZE:
        cv_job_fail(job, CV_ERR_STATE, "already initialized", NULL);
        cv_request_finish(job);
        break;
    case CV_RPC_RENEW:
        cv_renew(job);
        cv_request_finish(job);
        break;
    case CV_RPC_DESCRIBE:
    case CV_RPC_OP_COUNT:
    default:
        cv_request_finish(job);
        break;
    }
}

void cv_request_begin(struct cv_job *job)
{
    struct cv_session *s = job->session;
    if (job->rc != 0) {
        cv_request_finish(job); /* it could not be decoded */
    } else if (job->req.op == CV_RPC_DESCRIBE) {
        s->extended = true;
        cv_request_finish(job);
    } else if (s->initialised) {
        begin_initialised(job);
    } else if (job->req.op == CV_RPC_INITIALIZE) {
        cv_initialize(job);
        cv_request_finish(job);
    } else {
        cv_job_fail(job, CV_ERR_STATE, "uninitialized", NULL);
        cv_request_finish(job);
    }
}
