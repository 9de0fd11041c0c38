/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the NSM stand-in share. */
#ifndef CV_LOCAL_NSM_INTERNAL_H
#define CV_LOCAL_NSM_INTERNAL_H

#include <pthread.h>

#include "common/writer.h"
#include "local/nsm_standin.h"

#define CV_LOCAL_NSM_REQUEST_MAX 0x1000
#define CV_LOCAL_NSM_RESPONSE_MAX 0x3000
#define CV_LOCAL_NSM_FIELD_MAX 1024 /* bytes of user_data, nonce, public_key */
#define CV_LOCAL_NSM_RANDOM 256     /* bytes that GetRandom answers with */

enum cv_local_nsm_op {
    CV_LOCAL_GET_RANDOM,
    CV_LOCAL_DESCRIBE_NSM,
    CV_LOCAL_DESCRIBE_PCR,
    CV_LOCAL_EXTEND_PCR,
    CV_LOCAL_LOCK_PCR,
    CV_LOCAL_LOCK_PCRS,
    CV_LOCAL_ATTESTATION,
};

struct cv_local_nsm_request {
    enum cv_local_nsm_op op;
    uint16_t index; /* or range */
    struct cv_bytes data;
    struct cv_bytes user_data, nonce, public_key; /* p NULL = null or absent */
};
/* 0, or CV_ERR_INVALID for what the NSM answers with InvalidOperation. */
int cv_local_nsm_request_read(struct cv_local_nsm_request *req, struct cv_bytes in) CV_NODISCARD;

struct cv_local_pcr {
    bool locked;
    uint8_t data[CV_LOCAL_PCR_BYTES];
};

struct cv_local_nsm {
    pthread_mutex_t lock; /* over the registers and the identity */
    struct cv_local_identity *identity;
    char module_id[256];
    bool indefinite, tagged;
    enum cv_local_nsm_fault fault;
    uint8_t stuck[CV_LOCAL_NSM_RANDOM]; /* what a repeating one repeats */
    int64_t (*clock)(void *ctx);
    void *clock_ctx;
    struct cv_local_pcr pcr[CV_LOCAL_PCRS];
};

/* nsm_fault.c: spoils what GetRandom is about to give; returns how much of it
 * is given. */
size_t cv_local_nsm_spoil(const struct cv_local_nsm *nsm, uint8_t random[CV_LOCAL_NSM_RANDOM]);
/* The error that the fault answers REQ with, or NULL. */
const char *cv_local_nsm_refusal(const struct cv_local_nsm *nsm,
                                 const struct cv_local_nsm_request *req);

/* The signed document into W. The lock is held. */
int cv_local_nsm_document(struct cv_local_nsm *nsm, const struct cv_local_nsm_request *req,
                          struct cv_writer *w, struct cv_error *err) CV_NODISCARD;

/* out = SHA384(a || b), b may be empty. */
void cv_local_sha384(uint8_t out[CV_LOCAL_PCR_BYTES], struct cv_bytes a, struct cv_bytes b);

#endif
