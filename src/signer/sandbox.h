/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon gives up once it serves: a seccomp filter, for all its
 * threads and those it makes, that lets through the system calls of a signer
 * (sandbox_list.c) and nothing else. Running programs, looking into other
 * processes, new processes, memory that is executable and was written, mounts,
 * name spaces, other users: all that is not on the list. The systemd unit takes
 * more away; this holds wherever the daemon is started.
 *
 * A call that is not on the list fails, it does not end the daemon: that a
 * library tries something new must not stop a baker, and what failed did no
 * harm. It fails with ENOSYS, as on a kernel that does not have it, for which
 * the C library has another way (clone3 and clone, for instance); those that
 * only an intruder makes fail with EPERM. The kernel's audit log tells of each,
 * where it listens. With CLAVIGER_SANDBOX=kill in the environment the first
 * such call ends the daemon (SIGSYS): the tests run so, and would show what
 * the list lacks.
 */
#ifndef CV_SIGNER_SANDBOX_H
#define CV_SIGNER_SANDBOX_H

#include <stdbool.h>

#include "common/error.h"

/* Sanitizers need calls of their own: without a filter there. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CV_SANDBOX_BUILT false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define CV_SANDBOX_BUILT false
#endif
#endif
#ifndef CV_SANDBOX_BUILT
#define CV_SANDBOX_BUILT true
#endif

/* CV_ERR_UNSUPPORTED when the kernel has no seccomp. */
int cv_sandbox_enter(struct cv_error *err) CV_NODISCARD;

#endif
