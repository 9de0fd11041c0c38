/* SPDX-License-Identifier: Apache-2.0 */
/* An NSM that is not sound, for tests of those who ask it. */
#include <string.h>

#include "local/nsm_internal.h"

static const char *const names[] = {
    [CV_LOCAL_NSM_NO_ENTROPY] = "no-entropy",
    [CV_LOCAL_NSM_SHORT_ENTROPY] = "short-entropy",
    [CV_LOCAL_NSM_CONSTANT_ENTROPY] = "constant-entropy",
    [CV_LOCAL_NSM_REPEATED_ENTROPY] = "repeated-entropy",
    [CV_LOCAL_NSM_NO_RANDOM] = "no-random",
    [CV_LOCAL_NSM_NO_DOCUMENTS] = "no-documents",
    [CV_LOCAL_NSM_NO_RECIPIENTS] = "no-recipients",
    [CV_LOCAL_NSM_REFUSES] = "refuses",
    [CV_LOCAL_NSM_GARBAGE] = "garbage",
};

bool cv_local_nsm_fault_find(enum cv_local_nsm_fault *out, const char *name)
{
    for (size_t i = 1; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], name) == 0) {
            *out = (enum cv_local_nsm_fault)i;
            return true;
        }
    }
    return false;
}

size_t cv_local_nsm_spoil(const struct cv_local_nsm *nsm, uint8_t random[CV_LOCAL_NSM_RANDOM])
{
    switch (nsm->fault) {
    case CV_LOCAL_NSM_NO_ENTROPY:
        return 0;
    case CV_LOCAL_NSM_SHORT_ENTROPY:
        return 1;
    case CV_LOCAL_NSM_CONSTANT_ENTROPY:
        memset(random, 0x5a, CV_LOCAL_NSM_RANDOM);
        break;
    case CV_LOCAL_NSM_REPEATED_ENTROPY:
        memcpy(random, nsm->stuck, CV_LOCAL_NSM_RANDOM);
        break;
    default:
        break;
    }
    return CV_LOCAL_NSM_RANDOM;
}

const char *cv_local_nsm_refusal(const struct cv_local_nsm *nsm,
                                 const struct cv_local_nsm_request *req)
{
    bool attestation = req->op == CV_LOCAL_ATTESTATION;
    if (nsm->fault == CV_LOCAL_NSM_REFUSES ||
        (nsm->fault == CV_LOCAL_NSM_NO_RANDOM && req->op == CV_LOCAL_GET_RANDOM) ||
        (nsm->fault == CV_LOCAL_NSM_NO_DOCUMENTS && attestation) ||
        (nsm->fault == CV_LOCAL_NSM_NO_RECIPIENTS && attestation && req->public_key.p != NULL))
        return "InternalError";
    return NULL;
}
