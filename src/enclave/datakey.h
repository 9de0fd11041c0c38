/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data keys of a session. Two kinds that never mix: those unwrapped from
 * blobs, which only open, and those that the session itself got from
 * GenerateDataKey, which only seal. (A parent that may call kms:Encrypt could
 * otherwise hand in a data key it knows, and have new keys sealed under it.)
 *
 * Concurrent users of one wrapped key share one KMS call: the first makes the
 * entry and fetches, the others wait in it. All of this belongs to the I/O
 * thread; workers only read the accessors of an entry that their job counts.
 */
#ifndef CV_ENCLAVE_DATAKEY_H
#define CV_ENCLAVE_DATAKEY_H

#include "enclave/job.h"

#define CV_DATAKEYS_MAX 256             /* of one session; the oldest unused one goes */
#define CV_DATAKEY_SEALS_MAX (1u << 20) /* then a new one is fetched */

struct cv_datakeys {
    struct cv_datakey *first;
    unsigned count;
    uint64_t clock;
};

/* A wrapped data key as KMS gave it: filled in by a fetching job. */
struct cv_wrapped {
    char cmk[CV_SEALED_ARN_MAX + 1];
    size_t n;
    uint8_t p[CV_SEALED_WRAPPED_MAX];
};

/* What is to be done by the caller of the two functions below. */
enum cv_datakey_state {
    CV_DATAKEY_READY,   /* job->datakey is counted and may be used */
    CV_DATAKEY_WAIT,    /* the job was put in the entry's list */
    CV_DATAKEY_FETCH,   /* the same, and the caller starts the fetching of *ENTRY */
    CV_DATAKEY_NO_ROOM, /* no memory, or too many in use */
};
enum cv_datakey_state cv_datakey_for_opening(struct cv_datakey **entry, struct cv_datakeys *keys,
                                             struct cv_job *job, uint32_t session,
                                             struct cv_bytes cmk, struct cv_bytes wrapped);
/* KEY_ID: what GenerateDataKey is asked for. */
enum cv_datakey_state cv_datakey_for_sealing(struct cv_datakey **entry, struct cv_datakeys *keys,
                                             struct cv_job *job, uint32_t session,
                                             const char *key_id);

/* The fetching of ENTRY ended well: SECRET (owned from now on) is the key.
 * WRAPPED is NULL for a key that opens. Returns the jobs that waited, each of
 * which now counts the entry. */
struct cv_job *cv_datakey_fetched(struct cv_datakey *entry, struct cv_key *secret,
                                  const struct cv_wrapped *wrapped);
/* It failed: the entry is gone; returns the jobs that waited. */
struct cv_job *cv_datakey_failed(struct cv_datakeys *keys, struct cv_datakey *entry);
/* The job no longer uses its entry. */
void cv_datakey_release(struct cv_job *job);
/* Everything of a session that has no jobs any more. */
void cv_datakeys_free(struct cv_datakeys *keys);

/* ---- read-only, any thread ---- */
const uint8_t *cv_datakey_bytes(const struct cv_datakey *entry);
/* ARN of the CMK; while a sealing key is being fetched: what was asked for. */
const char *cv_datakey_cmk(const struct cv_datakey *entry);
struct cv_bytes cv_datakey_wrapped(const struct cv_datakey *entry);
uint32_t cv_datakey_session(const struct cv_datakey *entry);
bool cv_datakey_seals(const struct cv_datakey *entry);

#endif
