/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon gives up once it serves: a seccomp filter that refuses, for
 * this thread and those it makes, what a signer never needs: running programs,
 * looking into other processes, changing mounts, name spaces, the clock, the
 * kernel. The systemd unit takes more away; this holds wherever it is started.
 */
#ifndef CV_SIGNER_SANDBOX_H
#define CV_SIGNER_SANDBOX_H

#include <stdbool.h>

#include "common/error.h"

/* ALLOW_EXEC: a credential_process is configured. A refused call fails with
 * EPERM. CV_ERR_UNSUPPORTED when the kernel has no seccomp. */
int cv_sandbox_enter(bool allow_exec, struct cv_error *err) CV_NODISCARD;

#endif
