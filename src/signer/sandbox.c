/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/sandbox.h"

#include <errno.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

/* The leak checker of a sanitized build looks into its own process. */
#if defined(__SANITIZE_ADDRESS__)
#define TRACING
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TRACING
#endif
#endif
#ifndef TRACING
#define TRACING "ptrace", "process_vm_readv",
#endif

/* By name, since not every processor has each of them. */
static const char *const never[] = {
    TRACING "process_vm_writev",
    "kcmp",
    "pidfd_getfd",
    "process_madvise",
    "mount",
    "umount",
    "umount2",
    "pivot_root",
    "chroot",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsmount",
    "fsconfig",
    "mount_setattr",
    "setns",
    "unshare",
    "open_by_handle_at",
    "name_to_handle_at",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "keyctl",
    "add_key",
    "request_key",
    "reboot",
    "swapon",
    "swapoff",
    "acct",
    "quotactl",
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "stime",
    "iopl",
    "ioperm",
    "modify_ldt",
    "personality",
    "vm86",
    "vm86old",
    "uselib",
    "nfsservctl",
    "lookup_dcookie",
    "syslog",
    "vhangup",
    "sethostname",
    "setdomainname",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "mknod",
    "mknodat",
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setgroups",
    "setfsuid",
    "setfsgid",
    "capset",
};
static const char *const programs[] = {"execve", "execveat"};

static int refuse(scmp_filter_ctx filter, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int number = seccomp_syscall_resolve_name(names[i]);
        if (number == __NR_SCMP_ERROR || number < 0) {
            continue; /* not known here, or not on this processor */
        }
        int rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

int cv_sandbox_enter(bool allow_exec, struct cv_error *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == NULL) {
        return cv_error_set(err, CV_ERR_UNSUPPORTED, "seccomp is not available");
    }
    int rc = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : -errno;
    if (rc == 0) {
        /* For all threads that run already, too. */
        rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    }
    if (rc == 0) {
        rc = refuse(filter, never, sizeof(never) / sizeof(never[0]));
    }
    if (rc == 0 && !allow_exec) {
        rc = refuse(filter, programs, sizeof(programs) / sizeof(programs[0]));
    }
    if (rc == 0) {
        rc = seccomp_load(filter);
    }
    seccomp_release(filter);
    return rc == 0 ? 0 : cv_error_errno(err, CV_ERR_UNSUPPORTED, -rc, "closing the sandbox");
}
