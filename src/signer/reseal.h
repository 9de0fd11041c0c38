/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves the sealed keys of a vault's store to one form: version 1, or version
 * 2 under one CMK with as few data keys as can be, so that many keys open with
 * one call to KMS.
 *
 * At any moment each key is in the store as its old blob or as its new one. A
 * new data key is opened once through KMS before the first blob under it
 * replaces another. What was done is noted in the store, so that the next run
 * goes on after one that was interrupted.
 */
#ifndef CV_SIGNER_RESEAL_H
#define CV_SIGNER_RESEAL_H

#include "sealed/key.h"
#include "signer/vault.h"

struct cv_reseal_options {
    unsigned version; /* 1 or 2 */
    const char *cmk;  /* ARN; NULL = the session's. Version 2 only */
    bool dry_run;     /* one key is sealed anew, to see whether it can be; nothing is stored */
    int64_t deadline; /* of everything; 0 = none, but each step has its own */
    bool afresh;      /* ignore what an interrupted run has done */
    /* Each may be NULL. */
    void (*progress)(void *ctx, size_t done, size_t total);
    void (*failed)(void *ctx, const char *pkh, const struct cv_error *err);
    void *ctx;
};

struct cv_reseal_report {
    size_t keys;                      /* in the store */
    size_t resealed;                  /* with DRY_RUN: would be */
    size_t kept;                      /* were in that form already */
    size_t failures;                  /* stay as they were; FAILED told each */
    char cmk[CV_SEALED_ARN_MAX + 1];  /* they lie under, for version 2 */
    size_t opens_before, opens_after; /* calls to KMS that open the whole store */
};

/* VAULT is open (cv_vault_open_now(), without keys). 0 also when single keys
 * failed; CV_ERR_UNSUPPORTED with an original enclave; else why it could not
 * begin, or had to stop: REPORT tells how far it came, and the same call goes
 * on from there. */
int cv_reseal_store(struct cv_vault *vault, const struct cv_reseal_options *options,
                    struct cv_reseal_report *report, struct cv_error *err) CV_NODISCARD;

#endif
