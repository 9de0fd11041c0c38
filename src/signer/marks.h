/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watermark store of an installation: where it lies, what it takes over
 * from Signatory, and the first records of new keys. For the daemon and for
 * the watermark commands.
 */
#ifndef CV_SIGNER_MARKS_H
#define CV_SIGNER_MARKS_H

#include "signer/config.h"
#include "watermark/store.h"

#define CV_SIGNER_MARKS_DIR "watermark_store" /* under base_dir */

enum cv_marks_open {
    CV_MARKS_OPEN,    /* what is there; a first start makes it */
    CV_MARKS_REPLACE, /* a new store in the place of one that is gone or refused */
    CV_MARKS_ADOPT,   /* the store as it is, whatever the witness says */
};

/* Opens the store of CONFIG. Marks in Signatory's files that are greater than
 * ours are taken over each time, so that an installation may be switched back
 * and forth. At a first start every key that is stored and that Signatory's
 * files know gets its record. What was done is logged. Errors as
 * cv_wm_open(). */
int cv_signer_marks_open(struct cv_wm_store **out, const struct cv_config *config,
                         enum cv_marks_open how, struct cv_error *err) CV_NODISCARD;
/* DIRECTORY of the store into OUT. CV_ERR_LIMIT. */
int cv_signer_marks_directory(char *out, size_t size, const struct cv_config *config) CV_NODISCARD;

#endif
