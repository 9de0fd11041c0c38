/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/kmswork.h"

#include <string.h>

#include "aws/kms.h"
#include "common/clock.h"
#include "crypto/hpke.h"
#include "enclave/cmk.h"
#include "enclave/datakey.h"
#include "enclave/kmserror.h"
#include "enclave/session.h"
#include "enclave/signer.h"

#define KMS_DEADLINE_MS 30000 /* one request with all its attempts */
#define ENCRYPTION_ERROR "encryption error"
#define SIGNER_ERROR "signer error"
#define WRONG_KEY_ID "KMS answered with another key than the one that was named"

/* ---- the attested receiver ---- */

static int document(void *ctx, struct cv_buf *out, struct cv_error *err)
{
    struct cv_receiver *receiver = ctx;
    const struct cv_nsm_attest fields = {.public_key = cv_rsa_spki(receiver->enclave->rsa)};
    int rc = cv_nsm_attest(receiver->enclave->nsm, &fields, out, err);
    cv_receiver_failed(receiver, rc, true, err);
    return rc;
}

static int unwrap(void *ctx, struct cv_secret *out, struct cv_bytes cms, struct cv_error *err)
{
    struct cv_receiver *receiver = ctx;
    int rc = cv_cms_unwrap(out, receiver->enclave->rsa, cms, err);
    cv_receiver_failed(receiver, rc, false, err);
    return rc;
}

static struct cv_kms_recipient recipient(struct cv_receiver *receiver, struct cv_job *job)
{
    memset(receiver, 0, sizeof *receiver);
    receiver->enclave = job->session->enclave;
    return (struct cv_kms_recipient){.ctx = receiver, .document = document, .unwrap = unwrap};
}

static const struct cv_aws_param context_pairs[] = {
    {CV_SEALED_CONTEXT_PURPOSE_KEY, CV_SEALED_CONTEXT_PURPOSE},
    {CV_SEALED_CONTEXT_FORMAT_KEY, CV_SEALED_CONTEXT_FORMAT},
};
static const struct cv_kms_context context = {context_pairs, 2};

static int64_t deadline(void)
{
    return cv_deadline(KMS_DEADLINE_MS);
}

/* The ARN that KMS named into job->cmk; false (and the job failed) when it is
 * not what ASKED names, or not one that this image may use. */
static bool take_arn(struct cv_job *job, const char *arn, const char *asked)
{
    size_t n = strlen(arn);
    if (n <= CV_SEALED_ARN_MAX && cv_cmk_is(&job->session->enclave->settings, arn, asked)) {
        memmove(job->cmk, arn, n + 1);
        return true;
    }
    cv_job_fail(job, CV_ERR_PROTOCOL, ENCRYPTION_ERROR, WRONG_KEY_ID);
    return false;
}

/* ---- keys ---- */

static struct cv_key *new_key(struct cv_job *job)
{
    job->key = cv_key_new(job->session->number);
    job->key_owned = job->key != NULL;
    if (job->key == NULL)
        cv_job_fail(job, CV_ERR_LIMIT, SIGNER_ERROR, "the keychain is full");
    return job->key;
}

/* Scheme and public key of the job's private key. */
static bool complete(struct cv_job *job, enum cv_scheme scheme, enum cv_origin origin)
{
    struct cv_signing_key ready = {.ready = false};
    int rc = cv_signing_key_init(&ready, scheme, job->key->private_key);
    if (rc == 0) {
        job->key->scheme = (uint8_t)scheme;
        job->key->origin = (uint8_t)origin;
        memcpy(job->key->public_key, ready.public_key.p, ready.public_key.n);
    } else {
        cv_job_fail(job, rc, SIGNER_ERROR, cv_strerror(rc));
    }
    cv_signing_key_free(&ready);
    cv_wipe(&ready, sizeof ready);
    return rc == 0;
}

/* The plaintext of a version 1 blob is the CBOR of a private key; it is read
 * in place, in secret memory. */
static void take_plaintext(struct cv_job *job, struct cv_secret *plaintext)
{
    struct cv_rpc_fault fault;
    enum cv_scheme scheme;
    struct cv_bytes private_key;
    if (cv_rpc_private_key_decode(&scheme, &private_key, plaintext->p, plaintext->n, &fault) != 0) {
        cv_job_fail(job, CV_ERR_INVALID, "deserialization error", fault.text);
        return;
    }
    if (new_key(job) == NULL)
        return;
    memcpy(job->key->private_key, private_key.p, CV_PRIVATE_KEY_LEN);
    (void)complete(job, scheme, CV_ORIGIN_SEALED);
}

void cv_work_open_v1(struct cv_job *job, struct cv_signer *unused)
{
    (void)unused;
    struct cv_receiver receiver;
    const struct cv_kms_recipient to = recipient(&receiver, job);
    struct cv_kms_result result;
    char asked[sizeof job->session->key_id];
    memcpy(asked, job->session->key_id, sizeof asked);
    cv_kms_result_init(&result);
    int rc = cv_kms_decrypt(job->session->kms, asked, job->req.blob, NULL, &to, &result, deadline(),
                            cv_job_error(job));
    if (rc != 0)
        cv_kms_failed(job, rc, &result, &receiver, NULL);
    else if (take_arn(job, result.key_id, asked))
        take_plaintext(job, &result.plaintext);
    cv_kms_result_free(&result);
}

/* ---- import under an offer ---- */

#define OFFER_TAG "claviger.import.1"

/* What an offer says, in its document and as HPKE's info. */
static int offer_statement(struct cv_writer *w, const struct cv_job *job,
                           const struct cv_key *offer)
{
    cv_cbor_write_array(w, 4);
    cv_cbor_write_tstr(w, OFFER_TAG);
    cv_cbor_write_bstr(w, CV_BYTES(offer->public_key, CV_HPKE_KEY_LEN));
    cv_cbor_write_tstr(w, job->session->key_id);
    cv_cbor_write_bool(w, job->session->enclave->settings.cmk_count > 0);
    return cv_writer_end(w, NULL);
}

/* Opens what was sealed to the offer: the CBOR of a private key. */
static bool open_import(struct cv_job *job)
{
    uint8_t info[1024], plain[CV_RPC_SEALED_IMPORT_MAX];
    struct cv_rpc_fault fault;
    struct cv_writer w;
    enum cv_scheme scheme;
    struct cv_bytes key, sealed = job->req.ciphertext;
    bool good = false;
    cv_writer_init(&w, info, sizeof info);
    int rc = offer_statement(&w, job, job->offer);
    if (rc == 0)
        rc = cv_hpke_open(plain, job->offer->private_key, job->req.enc.p, cv_writer_view(&w),
                          CV_BYTES(NULL, 0), sealed);
    if (rc != 0)
        cv_job_fail(job, CV_ERR_CRYPTO, "encryption error", "the sealed key does not open");
    else if (cv_rpc_private_key_decode(&scheme, &key, plain, sealed.n - CV_HPKE_TAG_LEN, &fault) !=
             0)
        cv_job_fail(job, CV_ERR_INVALID, "deserialization error", fault.text);
    else if (new_key(job) != NULL) {
        memcpy(job->key->private_key, key.p, CV_PRIVATE_KEY_LEN);
        good = complete(job, scheme, CV_ORIGIN_IMPORTED);
    }
    cv_wipe(plain, sizeof plain);
    return good;
}

void cv_work_offer(struct cv_job *job, struct cv_signer *unused)
{
    (void)unused;
    uint8_t data[1024];
    struct cv_writer w;
    if (new_key(job) == NULL)
        return;
    int rc = cv_hpke_keypair(job->key->private_key, job->key->public_key,
                             &job->session->enclave->random);
    if (rc != 0) {
        cv_job_fail(job, rc, SIGNER_ERROR, "the NSM gave no randomness for a new key");
        return;
    }
    cv_writer_init(&w, data, sizeof data);
    if (offer_statement(&w, job, job->key) != 0) {
        cv_job_fail(job, CV_ERR_INTERNAL, "attestation error", "the statement is too long");
        return;
    }
    /* No public_key, as in every document but those for KMS. */
    const struct cv_nsm_attest fields = {.user_data = cv_writer_view(&w), .nonce = job->req.nonce};
    cv_buf_reset(&job->out);
    job->rc = cv_nsm_attest(job->session->enclave->nsm, &fields, &job->out, cv_job_error(job));
    if (job->rc != 0)
        (void)cv_error_wrap(cv_job_error(job), "attestation error");
}

/* ---- sealing ---- */

static bool make_key(struct cv_job *job)
{
    if (job->req.op == CV_RPC_IMPORT_SEALED)
        return open_import(job);
    if (new_key(job) == NULL)
        return false;
    if (job->req.op == CV_RPC_IMPORT_UNENCRYPTED) {
        memcpy(job->key->private_key, job->req.private_key.p, CV_PRIVATE_KEY_LEN);
        return complete(job, job->req.scheme, CV_ORIGIN_PLAIN);
    }
    int rc = cv_private_key_generate(job->req.scheme, job->key->private_key,
                                     &job->session->enclave->random);
    if (rc != 0) {
        cv_job_fail(job, rc, SIGNER_ERROR, "the NSM gave no randomness for a new key");
        return false;
    }
    return complete(job, job->req.scheme, CV_ORIGIN_GENERATED);
}

/* The ARN behind an alias, before anything is encrypted under it: with pinned
 * keys nothing goes to a key that is not on the list. */
static bool resolve_alias(struct cv_job *job)
{
    struct cv_kms_result result;
    if (job->session->enclave->settings.cmk_count == 0 || !cv_cmk_is_alias(job->cmk))
        return true;
    cv_kms_result_init(&result);
    int rc =
        cv_kms_describe_key(job->session->kms, job->cmk, &result, deadline(), cv_job_error(job));
    bool good = false;
    if (rc != 0)
        cv_kms_failed(
            job, rc, &result, NULL,
            "an image with pinned CMKs has to look an alias up: allow kms:DescribeKey, or "
            "configure the key's ARN");
    else
        good = take_arn(job, result.key_id, job->cmk);
    cv_kms_result_free(&result);
    return good;
}

static void seal_v1(struct cv_job *job)
{
    CV_SECRET_AUTO struct cv_secret plain = CV_SECRET_INIT;
    struct cv_kms_result result;
    struct cv_writer w;
    if (!resolve_alias(job))
        return;
    if (cv_secret_alloc(&plain, CV_RPC_PRIVATE_KEY_CBOR) != 0) {
        cv_job_fail(job, CV_ERR_NOMEM, ENCRYPTION_ERROR, "no memory that can be locked");
        return;
    }
    cv_writer_init(&w, plain.p, plain.n);
    int rc = cv_rpc_private_key_encode(&w, (enum cv_scheme)job->key->scheme, job->key->private_key);
    cv_kms_result_init(&result);
    if (rc == 0)
        rc = cv_kms_encrypt(job->session->kms, job->cmk, cv_writer_view(&w), NULL, &result,
                            deadline(), cv_job_error(job));
    if (rc != 0) {
        cv_kms_failed(job, rc, &result, NULL, NULL);
    } else if (take_arn(job, result.key_id, job->cmk)) {
        cv_buf_reset(&job->out);
        if (cv_buf_append(&job->out, result.ciphertext.p, result.ciphertext.n) != 0)
            cv_job_fail(job, CV_ERR_NOMEM, ENCRYPTION_ERROR, "no memory");
    }
    cv_kms_result_free(&result);
}

/* A blob's public key is only believed after it was derived once. */
static bool believe(struct cv_job *job)
{
    struct cv_signing_key ready;
    if (!cv_key_ready(&ready, job->key, job))
        return false;
    cv_signing_key_free(&ready);
    cv_wipe(&ready, sizeof ready);
    return true;
}

void cv_work_seal(struct cv_job *job, struct cv_signer *unused)
{
    if (job->key == NULL ? !make_key(job) : !believe(job))
        return;
    if (job->sealed_version == 1)
        seal_v1(job);
    else
        cv_signer_seal(job, unused);
}

/* ---- data keys ---- */

static void take_datakey(struct cv_job *job, struct cv_kms_result *result)
{
    if (result->plaintext.n != CV_SEALED_DATA_KEY_LEN) {
        cv_job_fail(job, CV_ERR_PROTOCOL, ENCRYPTION_ERROR, "the data key has not 32 bytes");
        return;
    }
    if (new_key(job) == NULL)
        return;
    memcpy(job->key->private_key, result->plaintext.p, CV_SEALED_DATA_KEY_LEN);
}

static void fetch_opening(struct cv_job *job, struct cv_receiver *receiver,
                          const struct cv_kms_recipient *to, struct cv_kms_result *result)
{
    const char *cmk = cv_datakey_cmk(job->datakey);
    int rc = cv_kms_decrypt(job->session->kms, cmk, cv_datakey_wrapped(job->datakey), &context, to,
                            result, deadline(), cv_job_error(job));
    if (rc != 0)
        cv_kms_failed(job, rc, result, receiver, NULL);
    else if (take_arn(job, result->key_id, cmk))
        take_datakey(job, result);
}

static void fetch_sealing(struct cv_job *job, struct cv_receiver *receiver,
                          const struct cv_kms_recipient *to, struct cv_kms_result *result)
{
    const char *asked = cv_datakey_cmk(job->datakey);
    struct cv_wrapped wrapped = {.n = 0};
    int rc = cv_kms_generate_data_key(job->session->kms, asked, CV_SEALED_DATA_KEY_LEN, &context,
                                      to, result, deadline(), cv_job_error(job));
    if (rc != 0) {
        cv_kms_failed(job, rc, result, receiver,
                      "the key policy has to allow kms:GenerateDataKey to this image as it allows "
                      "kms:Decrypt (a statement with the same principal and the same "
                      "kms:RecipientAttestation conditions), or configure sealed_version: 1");
        return;
    }
    if (!take_arn(job, result->key_id, asked))
        return;
    if (result->ciphertext.n == 0 || result->ciphertext.n > sizeof wrapped.p) {
        cv_job_fail(job, CV_ERR_PROTOCOL, ENCRYPTION_ERROR,
                    "the wrapped data key has an odd length");
        return;
    }
    memcpy(wrapped.cmk, job->cmk, sizeof wrapped.cmk);
    memcpy(wrapped.p, result->ciphertext.p, result->ciphertext.n);
    wrapped.n = result->ciphertext.n;
    cv_buf_reset(&job->out);
    if (cv_buf_append(&job->out, &wrapped, sizeof wrapped) != 0)
        cv_job_fail(job, CV_ERR_NOMEM, ENCRYPTION_ERROR, "no memory");
    else
        take_datakey(job, result);
}

void cv_work_fetch(struct cv_job *job, struct cv_signer *unused)
{
    (void)unused;
    struct cv_receiver receiver;
    const struct cv_kms_recipient to = recipient(&receiver, job);
    struct cv_kms_result result;
    cv_kms_result_init(&result);
    if (cv_datakey_seals(job->datakey))
        fetch_sealing(job, &receiver, &to, &result);
    else
        fetch_opening(job, &receiver, &to, &result);
    cv_kms_result_free(&result);
}

/* ---- attestation ---- */

#define USER_DATA_TAG "claviger.key.1"

static const char *origin_name(uint8_t origin)
{
    return origin == CV_ORIGIN_GENERATED  ? "generated"
           : origin == CV_ORIGIN_SEALED   ? "sealed"
           : origin == CV_ORIGIN_IMPORTED ? "imported"
                                          : "plain";
}

/* What the document says of the key. Nothing in it comes from the request: a
 * parent cannot have bytes of its choice attested, but for the nonce. */
static int user_data(struct cv_writer *w, const struct cv_job *job)
{
    struct cv_public_key pub;
    cv_key_public(&pub, job->key);
    cv_cbor_write_array(w, 6);
    cv_cbor_write_tstr(w, USER_DATA_TAG);
    cv_cbor_write_tstr(w, cv_scheme_rpc_name(pub.scheme));
    cv_cbor_write_bstr(w, CV_BYTES(pub.p, pub.n));
    cv_cbor_write_tstr(w, origin_name(job->key->origin));
    cv_cbor_write_tstr(w, job->cmk);
    cv_cbor_write_bool(w, job->session->enclave->settings.cmk_count > 0);
    return cv_writer_end(w, NULL);
}

void cv_work_attest(struct cv_job *job, struct cv_signer *unused)
{
    (void)unused;
    uint8_t data[1024];
    struct cv_writer w;
    if (!believe(job))
        return;
    cv_writer_init(&w, data, sizeof data);
    if (user_data(&w, job) != 0) {
        cv_job_fail(job, CV_ERR_INTERNAL, "attestation error", "the statement is too long");
        return;
    }
    /* No public_key: such a document can never serve as a KMS Recipient. */
    const struct cv_nsm_attest fields = {.user_data = cv_writer_view(&w), .nonce = job->req.nonce};
    cv_buf_reset(&job->out);
    job->rc = cv_nsm_attest(job->session->enclave->nsm, &fields, &job->out, cv_job_error(job));
    if (job->rc != 0)
        (void)cv_error_wrap(cv_job_error(job), "attestation error");
}
