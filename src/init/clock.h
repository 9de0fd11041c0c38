/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The enclave's clock. Its parent could give any time; the timestamp in our
 * own attestation document comes from the hypervisor. The clock is set by it
 * before anything relies on it, and again each hour, in a thread of its own.
 * A document older than the one before is refused: time never goes back
 * past what was once attested.
 */
#ifndef CV_INIT_CLOCK_H
#define CV_INIT_CLOCK_H

#include "nsm/nsm.h"

#define CV_CLOCK_PERIOD_MS (60 * 60 * 1000)
#define CV_CLOCK_RETRY_MS (60 * 1000)
#define CV_CLOCK_TOLERANCE_MS 250 /* less is not worth a step */

/* The timestamp (Unix ms) of an attestation document: COSE_Sign1, tagged or
 * not, whose payload is a map with "timestamp". The signature is not looked at:
 * the document comes from our own device. CV_ERR_INVALID. */
int cv_clock_document_time(int64_t *unix_ms, struct cv_bytes document) CV_NODISCARD;

struct cv_clock;
/* SET: step the system's clock (else only compare and tell, in development
 * builds). The first document is read before this returns. */
int cv_clock_start(struct cv_clock **out, struct cv_nsm *nsm, bool set,
                   struct cv_error *err) CV_NODISCARD;
void cv_clock_stop(struct cv_clock **c);

/* One correction with a document's time; for cv_clock_start() and tests.
 * *LAST is the time of the document before, 0 for none. *STEP (ms) tells what
 * the clock was off by. CV_ERR_DENIED when it is older than *LAST. */
int cv_clock_step(int64_t *last, int64_t document_ms, int64_t now_ms, int64_t *step,
                  struct cv_error *err) CV_NODISCARD;

#endif
