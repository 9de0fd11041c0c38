/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/signer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/secret.h"
#include "crypto/blake2b.h"
#include "enclave/datakey.h"

#define CACHE 256 /* keys made ready, by the low bits of their number */
#define SIGNER_ERROR "signer error"

struct slot {
    uint64_t key_id; /* 0 = empty */
    uint32_t session;
    struct cv_signing_key key;
};

struct cv_signer {
    pthread_mutex_t lock; /* held while a key of the cache is in use */
    struct cv_secret memory;
    struct slot *slots;
    bool self_check;
};

int cv_signer_new(struct cv_signer **out, bool self_check)
{
    struct cv_signer *s = calloc(1, sizeof *s);
    *out = NULL;
    if (s == NULL)
        return CV_ERR_NOMEM;
    if (cv_secret_alloc(&s->memory, CACHE * sizeof *s->slots) != 0) {
        free(s);
        return CV_ERR_NOMEM;
    }
    s->slots = (struct slot *)(void *)s->memory.p;
    s->self_check = self_check;
    pthread_mutex_init(&s->lock, NULL);
    *out = s;
    return 0;
}

static void empty(struct slot *slot)
{
    cv_signing_key_free(&slot->key);
    cv_wipe(slot, sizeof *slot);
}

void cv_signer_free(struct cv_signer *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < CACHE; i++)
        empty(&s->slots[i]);
    cv_secret_free(&s->memory);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void cv_signer_purge(struct cv_signer *s, uint32_t session)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < CACHE; i++)
        if (s->slots[i].key_id != 0 && s->slots[i].session == session)
            empty(&s->slots[i]);
    pthread_mutex_unlock(&s->lock);
}

bool cv_key_ready(struct cv_signing_key *ready, const struct cv_key *key, struct cv_job *job)
{
    struct cv_public_key told;
    cv_key_public(&told, key);
    memset(ready, 0, sizeof *ready);
    int rc = cv_signing_key_init(ready, told.scheme, key->private_key);
    if (rc != 0) {
        cv_job_fail(job, rc, SIGNER_ERROR,
                    rc == CV_ERR_INVALID ? "the sealed bytes are no private key" : cv_strerror(rc));
        return false;
    }
    if (cv_public_key_equal(&ready->public_key, &told))
        return true;
    cv_signing_key_free(ready);
    cv_job_fail(job, CV_ERR_CRYPTO, SIGNER_ERROR,
                "the blob names a public key that is not its private key's");
    return false;
}

/* The job's key, ready; from the cache when it belongs to a keychain. */
static const struct cv_signing_key *ready_key(struct cv_signer *s, struct cv_job *job,
                                              struct cv_signing_key *own)
{
    if (job->key_owned)
        return cv_key_ready(own, job->key, job) ? own : NULL;
    struct slot *slot = &s->slots[job->key->id % CACHE];
    if (slot->key_id == job->key->id)
        return &slot->key;
    empty(slot);
    if (!cv_key_ready(&slot->key, job->key, job))
        return NULL;
    slot->key_id = job->key->id;
    slot->session = job->key->session;
    return &slot->key;
}

static int sign_once(const struct cv_signing_key *key, struct cv_job *job, bool prove,
                     const uint8_t *digest, struct cv_signature *out)
{
    if (prove)
        return cv_prove_possession(key, out);
    enum cv_sign_version version = (enum cv_sign_version)job->req.version;
    if (digest != NULL)
        return cv_sign_digest(key, version, job->req.message, digest, out);
    return cv_sign(key, version, job->req.message, out);
}

/* A fault in the processor or in memory during a deterministic signature can
 * give the key away: what two computations do not agree on never leaves. */
static int sign_checked(struct cv_signer *s, const struct cv_signing_key *key, struct cv_job *job,
                        bool prove)
{
    const uint8_t *digest = job->echo.has_digest ? job->echo.digest : NULL;
    struct cv_signature again;
    int rc = sign_once(key, job, prove, digest, &job->signature);
    if (rc != 0 || !s->self_check)
        return rc;
    /* The second time the message is hashed anew. */
    rc = sign_once(key, job, prove, NULL, &again);
    if (rc == 0 &&
        (again.n != job->signature.n || !cv_equal_ct(again.p, job->signature.p, again.n)))
        rc = CV_ERR_INTERNAL;
    if (rc == CV_ERR_INTERNAL)
        cv_log(CV_LOG_ERROR, "two computations of one signature differ: it was withheld", "scheme",
               cv_scheme_name(key->public_key.scheme), NULL);
    return rc;
}

static void sign_or_prove(struct cv_job *job, struct cv_signer *s, bool prove)
{
    struct cv_signing_key own = {.ready = false};
    memset(&job->signature, 0, sizeof job->signature);
    if (job->echo.has_digest)
        cv_blake2b_256(job->echo.digest, job->req.message);
    pthread_mutex_lock(&s->lock);
    const struct cv_signing_key *key = ready_key(s, job, &own);
    int rc = key == NULL ? 0 : sign_checked(s, key, job, prove);
    pthread_mutex_unlock(&s->lock);
    cv_signing_key_free(&own);
    cv_wipe(&own, sizeof own);
    if (rc == 0)
        return;
    cv_wipe(&job->signature, sizeof job->signature);
    if (rc == CV_ERR_UNSUPPORTED)
        cv_job_fail(job, rc, SIGNER_ERROR,
                    prove ? "Proof of possession is not supported" : "Invalid signing version");
    else
        cv_job_fail(job, rc, SIGNER_ERROR,
                    rc == CV_ERR_INTERNAL ? "two computations of the signature differ"
                                          : "signature error");
}

void cv_signer_sign(struct cv_job *job, struct cv_signer *signer)
{
    sign_or_prove(job, signer, false);
}

void cv_signer_prove(struct cv_job *job, struct cv_signer *signer)
{
    sign_or_prove(job, signer, true);
}

void cv_signer_open(struct cv_job *job, struct cv_signer *signer)
{
    (void)signer;
    struct cv_sealed_header h;
    struct cv_error *err = cv_job_error(job);
    struct cv_key *key = cv_key_new(cv_datakey_session(job->datakey));
    if (key == NULL) {
        cv_job_fail(job, CV_ERR_LIMIT, SIGNER_ERROR, "the keychain is full");
        return;
    }
    job->key = key;
    job->key_owned = true;
    job->rc = cv_sealed_key_parse(&h, job->req.blob, err);
    if (job->rc == 0)
        job->rc = cv_sealed_key_open(key->private_key, job->req.blob,
                                     cv_datakey_bytes(job->datakey), err);
    if (job->rc != 0) {
        (void)cv_error_wrap(err, "encryption error");
        return;
    }
    key->scheme = (uint8_t)h.scheme;
    key->origin = CV_ORIGIN_SEALED;
    memcpy(key->public_key, h.public_key.p, h.public_key.n);
    memcpy(job->cmk, h.cmk.p, h.cmk.n);
    job->cmk[h.cmk.n] = '\0';
}

void cv_signer_seal(struct cv_job *job, struct cv_signer *signer)
{
    (void)signer;
    struct cv_error *err = cv_job_error(job);
    struct cv_public_key pub;
    cv_key_public(&pub, job->key);
    const struct cv_sealed_header h = {
        .scheme = pub.scheme,
        .public_key = CV_BYTES(pub.p, pub.n),
        .cmk = cv_bytes_str(cv_datakey_cmk(job->datakey)),
        .wrapped = cv_datakey_wrapped(job->datakey),
    };
    cv_buf_reset(&job->out);
    job->rc = cv_sealed_key_seal(&job->out, &h, job->key->private_key,
                                 cv_datakey_bytes(job->datakey), err);
    if (job->rc != 0)
        (void)cv_error_wrap(err, "encryption error");
    memcpy(job->cmk, h.cmk.p, h.cmk.n);
    job->cmk[h.cmk.n] = '\0';
}
