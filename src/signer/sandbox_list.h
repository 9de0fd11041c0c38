/* SPDX-License-Identifier: Apache-2.0 */
/* The lists of the daemon's filter, for sandbox.c. Calls are named, since not
 * every processor and not every libseccomp has each of them. */
#ifndef CV_SIGNER_SANDBOX_LIST_H
#define CV_SIGNER_SANDBOX_LIST_H

#include <stddef.h>
#include <stdint.h>

/* Let through whatever their arguments are; busiest first. */
extern const char *const cv_sandbox_calls[];
extern const size_t cv_sandbox_call_count;

/* What an intruder would want: EPERM. */
extern const char *const cv_sandbox_never[];
extern const size_t cv_sandbox_never_count;

/* Of ioctl, of prctl, families of socket. */
extern const uint64_t cv_sandbox_ioctls[];
extern const size_t cv_sandbox_ioctl_count;
extern const uint64_t cv_sandbox_prctls[];
extern const size_t cv_sandbox_prctl_count;
extern const uint64_t cv_sandbox_families[];
extern const size_t cv_sandbox_family_count;

#endif
