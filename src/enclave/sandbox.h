/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the process may still ask of the kernel once it serves: a seccomp
 * filter, an allow-list. Anything else ends the process; opening a file is
 * refused with an error (the allocator tries to).
 */
#ifndef CV_ENCLAVE_SANDBOX_H
#define CV_ENCLAVE_SANDBOX_H

#include <stdbool.h>

#include "common/error.h"

/* For all threads of the process, for good. LOCAL: a development build, which
 * talks over UNIX and TCP sockets too and removes the file of its own. Needs
 * no_new_privs (cv_process_harden()). Under a sanitizer it does nothing. */
int cv_sandbox_enter(bool local, struct cv_error *err) CV_NODISCARD;

#endif
