/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stand-in for the Nitro Security Module: registers, randomness and signed
 * attestation documents, under a local root that no verifier trusts unless it
 * is told to. Behaves as the real one does, refusals included.
 */
#ifndef CV_LOCAL_NSM_STANDIN_H
#define CV_LOCAL_NSM_STANDIN_H

#include "common/bytes.h"
#include "local/pki.h"

#define CV_LOCAL_PCRS 32
#define CV_LOCAL_PCR_BYTES 48

/* How an NSM may be unsound, for tests of those who ask it. */
enum cv_local_nsm_fault {
    CV_LOCAL_NSM_SOUND,
    CV_LOCAL_NSM_NO_ENTROPY,       /* GetRandom answers with no bytes */
    CV_LOCAL_NSM_SHORT_ENTROPY,    /* … with one byte at a time, which is lawful */
    CV_LOCAL_NSM_CONSTANT_ENTROPY, /* … with bytes that are all the same */
    CV_LOCAL_NSM_REPEATED_ENTROPY, /* … with the same bytes each time */
    CV_LOCAL_NSM_NO_RANDOM,        /* … with an error */
    CV_LOCAL_NSM_NO_DOCUMENTS,     /* Attestation answers with an error */
    CV_LOCAL_NSM_NO_RECIPIENTS,    /* … when a public key is to be attested */
    CV_LOCAL_NSM_REFUSES,          /* everything is answered with an error */
    CV_LOCAL_NSM_GARBAGE,          /* … with what is no CBOR */
};
/* False when no fault has that NAME ("no-entropy" …). */
bool cv_local_nsm_fault_find(enum cv_local_nsm_fault *out, const char *name);

struct cv_local_nsm_config {
    const char *region;      /* NULL = "local-1" */
    const char *instance_id; /* NULL = "i-0" + digits made from the state directory's root */
    const char *module_id;   /* NULL = "<instance id>-enc<16 hex>", made at start */
    const char *role_arn;    /* PCR3 = SHA384(0^48 || role ARN); NULL = zeros */
    uint32_t pcr_mask;       /* registers given; they beat what is computed */
    uint8_t pcr[CV_LOCAL_PCRS][CV_LOCAL_PCR_BYTES];
    bool debug_mode; /* PCR0, 1, 2 and 8 read as zeros, as AWS has it */
    bool indefinite; /* payload as an indefinite-length map, as newer NSMs write */
    bool tagged;     /* COSE tag 18 before the document */
    enum cv_local_nsm_fault fault;
    int64_t (*clock)(void *ctx); /* unix ms; NULL = the system's clock */
    void *clock_ctx;
};

struct cv_local_nsm;

/* PKI stays the caller's and must outlive it. */
int cv_local_nsm_new(struct cv_local_nsm **out, const struct cv_local_nsm_config *config,
                     struct cv_local_pki *pki, struct cv_error *err) CV_NODISCARD;
void cv_local_nsm_free(struct cv_local_nsm *nsm);
/* Answers one request (CBOR) with one reply (CBOR), appended to REPLY, which
 * has room for CV_NSM_RESPONSE_MAX bytes. Never fails: a bad request gets
 * {"Error": …}. May be called from several threads. */
void cv_local_nsm_handle(struct cv_local_nsm *nsm, struct cv_bytes request, struct cv_buf *reply);
/* Value of a register as it is now. */
void cv_local_nsm_pcr(struct cv_local_nsm *nsm, unsigned index, uint8_t out[CV_LOCAL_PCR_BYTES]);
const char *cv_local_nsm_module_id(const struct cv_local_nsm *nsm);

/* PCR of an image made of files: SHA384(0^48 || SHA384(file 1 || file 2 …)), as
 * AWS measures the sections of an enclave image. For `claviger-local up`:
 * PCR0 = program, settings; PCR1 = program; PCR2 = settings. */
int cv_local_measure(uint8_t out[CV_LOCAL_PCR_BYTES], const char *const *paths, size_t count,
                     struct cv_error *err) CV_NODISCARD;
/* SHA384(0^48 || text): PCR3 of a role ARN, PCR4 of an instance id. */
void cv_local_measure_text(uint8_t out[CV_LOCAL_PCR_BYTES], const char *text);

/* Serves NSM on the UNIX socket PATH (an old socket file is replaced) until
 * STOP_FD becomes readable. Frames: u32 big-endian length + CBOR. Returns 0
 * after a stop. READY (may be NULL) is called once it listens. */
int cv_local_nsm_serve(struct cv_local_nsm *nsm, const char *path, int stop_fd,
                       void (*ready)(void *ctx), void *ready_ctx,
                       struct cv_error *err) CV_NODISCARD;

#endif
