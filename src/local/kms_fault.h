/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults on demand, for tests of clients. A text file, read again for each
 * request, one fault a line:
 *
 *   FAULT ACTION [TIMES [ARGUMENT]]     # Decrypt, GenerateDataKey … or *
 *   throttle Decrypt 2                  # the next two Decrypts
 *   stall * - 500                       # every request, half a second late
 *
 * TIMES counts from the moment that the file was last changed; "-" is always.
 * The first line that fits a request and is not used up acts.
 */
#ifndef CV_LOCAL_KMS_FAULT_H
#define CV_LOCAL_KMS_FAULT_H

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "common/error.h"
#include "local/kms_cms.h"

enum cv_local_fault_kind {
    CV_FAULT_NONE,
    CV_FAULT_ERROR, /* an AWS error of the table in kms_fault.c */
    CV_FAULT_HTML,  /* 503 with a body that is no JSON */
    CV_FAULT_STALL, /* ARGUMENT ms late */
    CV_FAULT_HANG,
    CV_FAULT_CLOSE,
    CV_FAULT_HALF,
    CV_FAULT_SLOW,
    CV_FAULT_CLOCK,     /* our clock is ARGUMENT seconds off */
    CV_FAULT_PLAINTEXT, /* Plaintext in the place of CiphertextForRecipient */
    CV_FAULT_BOTH,      /* Plaintext beside it */
    CV_FAULT_CMS,       /* a shape of kms_cms.h */
    CV_FAULT_KEY_ID,    /* KeyId of a key that was not asked for */
    CV_FAULT_NO_KEY_ID,
    CV_FAULT_GARBAGE,      /* 200 and random bytes */
    CV_FAULT_EMPTY,        /* 200 and no body */
    CV_FAULT_EMPTY_OBJECT, /* 200 and {} */
    CV_FAULT_TYPES,        /* members of wrong types */
    CV_FAULT_BASE64,       /* blobs that are no base64 */
    CV_FAULT_HUGE,         /* two megabytes of JSON */
    CV_FAULT_SHORT_KEY,    /* a secret one byte short */
    CV_FAULT_MADE_UP_KEY,  /* a data key that does not belong to the blob */
};

struct cv_local_fault {
    enum cv_local_fault_kind kind;
    enum cv_local_cms_shape shape;
    int status; /* of CV_FAULT_ERROR */
    const char *code;
    const char *message;
    int64_t argument;
};

#define CV_LOCAL_FAULT_LINES 64

struct cv_local_faults {
    char *path; /* NULL = no faults */
    ino_t ino;
    struct timespec changed;
    off_t size;
    unsigned used[CV_LOCAL_FAULT_LINES]; /* times that each line acted */
};

/* The fault for one request of ACTION; kind NONE mostly. A line that cannot be
 * understood is logged and skipped. */
void cv_local_fault_next(struct cv_local_faults *f, const char *action, struct cv_local_fault *out);
/* Names of all faults, one a line, for --help. */
const char *cv_local_fault_name(size_t i);

#endif
