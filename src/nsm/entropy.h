/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CV_NSM_ENTROPY_H
#define CV_NSM_ENTROPY_H

#include "common/bytes.h"
#include "common/error.h"

/* Judges bytes that are said to be random: CV_ERR_CRYPTO when at least 16 of
 * them are made of at most one distinct value in sixteen, or are those that
 * *LAST remembers (0 at first, ours to keep; it tells nothing of them). */
int cv_nsm_entropy_check(uint64_t *last, struct cv_bytes reply, struct cv_error *err) CV_NODISCARD;

#endif
