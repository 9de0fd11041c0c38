/* SPDX-License-Identifier: Apache-2.0 */
/* Registers, randomness, and the answers to requests. Where AWS's texts leave
 * an error open, the answer is that of QEMU's virtio-nsm. */
#include "local/nsm_standin.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cbor/cbor.h"
#include "common/clock.h"
#include "common/hex.h"
#include "local/nsm_internal.h"

#define LOCKED_BY_PLATFORM 16 /* registers 0 … 15 */

static int64_t system_clock(void *ctx)
{
    (void)ctx;
    return cv_unix_ms();
}

/* An instance id that stays the same for a state directory. */
static void default_instance_id(char out[20], const struct cv_local_pki *pki)
{
    uint8_t digest[CV_LOCAL_PCR_BYTES];
    char hex[17];

    cv_local_sha384(digest, cv_local_pki_root(pki), (struct cv_bytes){NULL, 0});
    cv_hex_encode(hex, digest, 8);
    snprintf(out, 20, "i-0%s", hex);
}

static void default_module_id(struct cv_local_nsm *nsm, const char *instance_id)
{
    uint8_t random[8];
    char hex[17];

    RAND_bytes(random, sizeof random);
    cv_hex_encode(hex, random, sizeof random);
    snprintf(nsm->module_id, sizeof nsm->module_id, "%s-enc%s", instance_id, hex);
}

/* The registers as the platform leaves them: what is given, roles and
 * instance, and zeros in debug mode. */
static void start_registers(struct cv_local_nsm *nsm, const struct cv_local_nsm_config *config,
                            const char *instance_id)
{
    if (config->role_arn != NULL)
        cv_local_measure_text(nsm->pcr[3].data, config->role_arn);
    cv_local_measure_text(nsm->pcr[4].data, instance_id);
    for (unsigned i = 0; i < CV_LOCAL_PCRS; i++) {
        if (config->pcr_mask >> i & 1)
            memcpy(nsm->pcr[i].data, config->pcr[i], CV_LOCAL_PCR_BYTES);
        nsm->pcr[i].locked = i < LOCKED_BY_PLATFORM;
    }
    if (config->debug_mode) {
        static const unsigned image[] = {0, 1, 2, 8};
        for (size_t i = 0; i < sizeof image / sizeof image[0]; i++)
            memset(nsm->pcr[image[i]].data, 0, CV_LOCAL_PCR_BYTES);
    }
}

int cv_local_nsm_new(struct cv_local_nsm **out, const struct cv_local_nsm_config *config,
                     struct cv_local_pki *pki, struct cv_error *err)
{
    char made_id[20];
    const char *instance_id = config->instance_id;
    const char *region = config->region != NULL ? config->region : "local-1";

    *out = NULL;
    if (config->module_id != NULL && strlen(config->module_id) >= sizeof(*out)->module_id)
        return cv_error_set(err, CV_ERR_LIMIT, "the module id is too long");
    struct cv_local_nsm *nsm = calloc(1, sizeof *nsm);
    if (nsm == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory");
    pthread_mutex_init(&nsm->lock, NULL);
    if (instance_id == NULL) {
        default_instance_id(made_id, pki);
        instance_id = made_id;
    }
    if (config->module_id != NULL)
        memcpy(nsm->module_id, config->module_id, strlen(config->module_id) + 1);
    else
        default_module_id(nsm, instance_id);
    nsm->indefinite = config->indefinite;
    nsm->tagged = config->tagged;
    nsm->fault = config->fault;
    RAND_bytes(nsm->stuck, sizeof nsm->stuck);
    nsm->clock = config->clock != NULL ? config->clock : system_clock;
    nsm->clock_ctx = config->clock_ctx;
    start_registers(nsm, config, instance_id);
    int rc = cv_local_identity_new(&nsm->identity, pki, region, instance_id, nsm->module_id, err);
    if (rc != 0) {
        cv_local_nsm_free(nsm);
        return rc;
    }
    *out = nsm;
    return 0;
}

void cv_local_nsm_free(struct cv_local_nsm *nsm)
{
    if (nsm == NULL)
        return;
    cv_local_identity_free(nsm->identity);
    pthread_mutex_destroy(&nsm->lock);
    free(nsm);
}

const char *cv_local_nsm_module_id(const struct cv_local_nsm *nsm)
{
    return nsm->module_id;
}

void cv_local_nsm_pcr(struct cv_local_nsm *nsm, unsigned index, uint8_t out[CV_LOCAL_PCR_BYTES])
{
    pthread_mutex_lock(&nsm->lock);
    memcpy(out, nsm->pcr[index % CV_LOCAL_PCRS].data, CV_LOCAL_PCR_BYTES);
    pthread_mutex_unlock(&nsm->lock);
}

static const char *get_random(struct cv_local_nsm *nsm, struct cv_writer *w)
{
    uint8_t random[CV_LOCAL_NSM_RANDOM];

    if (RAND_bytes(random, sizeof random) != 1)
        return "InternalError";
    size_t n = cv_local_nsm_spoil(nsm, random);
    cv_cbor_write_map(w, 1);
    cv_cbor_write_tstr(w, "GetRandom");
    cv_cbor_write_map(w, 1);
    cv_cbor_write_tstr(w, "random");
    cv_cbor_write_bstr(w, CV_BYTES(random, n));
    cv_wipe(random, sizeof random);
    return NULL;
}

static const char *describe_nsm(struct cv_local_nsm *nsm, struct cv_writer *w)
{
    uint64_t locked = 0;

    for (unsigned i = 0; i < CV_LOCAL_PCRS; i++)
        locked += nsm->pcr[i].locked;
    cv_cbor_write_map(w, 1);
    cv_cbor_write_tstr(w, "DescribeNSM");
    cv_cbor_write_map(w, 7);
    cv_cbor_write_tstr(w, "version_major");
    cv_cbor_write_uint(w, 1);
    cv_cbor_write_tstr(w, "version_minor");
    cv_cbor_write_uint(w, 0);
    cv_cbor_write_tstr(w, "version_patch");
    cv_cbor_write_uint(w, 0);
    cv_cbor_write_tstr(w, "module_id");
    cv_cbor_write_tstr(w, nsm->module_id);
    cv_cbor_write_tstr(w, "max_pcrs");
    cv_cbor_write_uint(w, CV_LOCAL_PCRS);
    cv_cbor_write_tstr(w, "locked_pcrs");
    cv_cbor_write_array(w, locked);
    for (unsigned i = 0; i < CV_LOCAL_PCRS; i++) {
        if (nsm->pcr[i].locked)
            cv_cbor_write_uint(w, i);
    }
    cv_cbor_write_tstr(w, "digest");
    cv_cbor_write_tstr(w, "SHA384");
    return NULL;
}

static const char *describe_pcr(const struct cv_local_pcr *pcr, struct cv_writer *w)
{
    cv_cbor_write_map(w, 1);
    cv_cbor_write_tstr(w, "DescribePCR");
    cv_cbor_write_map(w, 2);
    cv_cbor_write_tstr(w, "lock");
    cv_cbor_write_bool(w, pcr->locked);
    cv_cbor_write_tstr(w, "data");
    cv_cbor_write_bstr(w, CV_BYTES(pcr->data, sizeof pcr->data));
    return NULL;
}

static const char *extend_pcr(struct cv_local_pcr *pcr, struct cv_bytes data, struct cv_writer *w)
{
    if (pcr->locked)
        return "ReadOnlyIndex";
    cv_local_sha384(pcr->data, CV_BYTES(pcr->data, sizeof pcr->data), data);
    cv_cbor_write_map(w, 1);
    cv_cbor_write_tstr(w, "ExtendPCR");
    cv_cbor_write_map(w, 1);
    cv_cbor_write_tstr(w, "data");
    cv_cbor_write_bstr(w, CV_BYTES(pcr->data, sizeof pcr->data));
    return NULL;
}

static const char *lock_pcr(struct cv_local_pcr *pcr, struct cv_writer *w)
{
    if (pcr->locked)
        return "ReadOnlyIndex";
    pcr->locked = true;
    cv_cbor_write_tstr(w, "LockPCR");
    return NULL;
}

static const char *lock_pcrs(struct cv_local_nsm *nsm, uint16_t range, struct cv_writer *w)
{
    if (range > CV_LOCAL_PCRS)
        return "InvalidIndex";
    for (unsigned i = 0; i < range; i++)
        nsm->pcr[i].locked = true;
    cv_cbor_write_tstr(w, "LockPCRs");
    return NULL;
}

static const char *attest(struct cv_local_nsm *nsm, const struct cv_local_nsm_request *req,
                          struct cv_writer *w)
{
    uint8_t bytes[CV_LOCAL_NSM_RESPONSE_MAX];
    struct cv_writer document;

    /* AWS's limits of the three fields; a public key, when there, is not empty. */
    if (req->user_data.n > CV_LOCAL_NSM_FIELD_MAX || req->nonce.n > CV_LOCAL_NSM_FIELD_MAX ||
        req->public_key.n > CV_LOCAL_NSM_FIELD_MAX)
        return "InputTooLarge";
    if (req->public_key.p != NULL && req->public_key.n == 0)
        return "InvalidArgument";
    cv_writer_init(&document, bytes, sizeof bytes);
    if (cv_local_nsm_document(nsm, req, &document, NULL) != 0)
        return "InternalError";
    cv_cbor_write_map(w, 1);
    cv_cbor_write_tstr(w, "Attestation");
    cv_cbor_write_map(w, 1);
    cv_cbor_write_tstr(w, "document");
    cv_cbor_write_bstr(w, cv_writer_view(&document));
    return NULL;
}

/* NULL, or the name of an error. */
static const char *answer(struct cv_local_nsm *nsm, struct cv_bytes in, struct cv_writer *w)
{
    struct cv_local_nsm_request req;

    if (in.n > CV_LOCAL_NSM_REQUEST_MAX)
        return "InputTooLarge";
    if (cv_local_nsm_request_read(&req, in) != 0)
        return "InvalidOperation";
    const char *refusal = cv_local_nsm_refusal(nsm, &req);
    if (refusal != NULL)
        return refusal;
    switch (req.op) {
    case CV_LOCAL_GET_RANDOM:
        return get_random(nsm, w);
    case CV_LOCAL_DESCRIBE_NSM:
        return describe_nsm(nsm, w);
    case CV_LOCAL_LOCK_PCRS:
        return lock_pcrs(nsm, req.index, w);
    case CV_LOCAL_ATTESTATION:
        return attest(nsm, &req, w);
    case CV_LOCAL_DESCRIBE_PCR:
    case CV_LOCAL_EXTEND_PCR:
    case CV_LOCAL_LOCK_PCR:
        break;
    }
    if (req.index >= CV_LOCAL_PCRS)
        return "InvalidIndex";
    struct cv_local_pcr *pcr = &nsm->pcr[req.index];
    if (req.op == CV_LOCAL_DESCRIBE_PCR)
        return describe_pcr(pcr, w);
    if (req.op == CV_LOCAL_EXTEND_PCR)
        return extend_pcr(pcr, req.data, w);
    return lock_pcr(pcr, w);
}

void cv_local_nsm_handle(struct cv_local_nsm *nsm, struct cv_bytes request, struct cv_buf *reply)
{
    uint8_t bytes[CV_LOCAL_NSM_RESPONSE_MAX];
    struct cv_writer w;

    cv_writer_init(&w, bytes, sizeof bytes);
    pthread_mutex_lock(&nsm->lock);
    const char *error = answer(nsm, request, &w);
    pthread_mutex_unlock(&nsm->lock);
    if (error == NULL && cv_writer_end(&w, NULL) != 0)
        error = "InternalError";
    if (error != NULL) {
        cv_writer_init(&w, bytes, sizeof bytes);
        cv_cbor_write_map(&w, 1);
        cv_cbor_write_tstr(&w, "Error");
        cv_cbor_write_tstr(&w, error);
    }
    if (nsm->fault == CV_LOCAL_NSM_GARBAGE)
        memset(bytes, 0xff, w.n);
    if (cv_buf_append(reply, bytes, w.n) != 0)
        cv_buf_reset(reply); /* an empty reply, which no client takes for an answer */
    cv_wipe(bytes, w.n);
}
