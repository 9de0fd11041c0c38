/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The NSM's messages as the client sees them (aws-nitro-enclaves-nsm-api,
 * src/api: externally tagged enums). Replies are read whatever lengths they
 * use, definite or not, also in strings, and fields that we do not know are
 * skipped; a field twice, or bytes after the reply, are refused.
 */
#ifndef CV_NSM_MESSAGE_H
#define CV_NSM_MESSAGE_H

#include "common/bytes.h"
#include "common/writer.h"
#include "nsm/nsm.h"

enum cv_nsm_op {
    CV_NSM_GET_RANDOM,
    CV_NSM_DESCRIBE_NSM,
    CV_NSM_DESCRIBE_PCR,
    CV_NSM_EXTEND_PCR,
    CV_NSM_LOCK_PCR,
    CV_NSM_LOCK_PCRS,
    CV_NSM_ATTESTATION,
};

struct cv_nsm_request {
    enum cv_nsm_op op;
    uint16_t index; /* or range, for LockPCRs */
    struct cv_bytes data;
    struct cv_nsm_attest attest;
};

/* One reply, of the kind OP. Bytes go into DATA (CAP bytes, N used), which the
 * caller sets before. */
struct cv_nsm_reply {
    uint8_t *data;
    size_t cap;
    size_t n;
    bool locked;
    struct cv_nsm_description description;
};

/* CV_ERR_LIMIT when the whole is longer than CV_NSM_REQUEST_MAX. */
int cv_nsm_request_write(struct cv_writer *w, const struct cv_nsm_request *req) CV_NODISCARD;
/* CV_ERR_REMOTE for {"Error": …}, CV_ERR_PROTOCOL for anything that is not a
 * reply to OP. */
int cv_nsm_reply_read(struct cv_nsm_reply *reply, enum cv_nsm_op op, struct cv_bytes in,
                      struct cv_error *err) CV_NODISCARD;

#endif
