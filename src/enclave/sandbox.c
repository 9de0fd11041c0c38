/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/sandbox.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif
#ifndef UNDER_SANITIZER
#define UNDER_SANITIZER 0
#endif

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#else
#error "no list of system calls for this processor"
#endif

#define NSM_IOCTL_RAW 0xC0200A00u /* the one ioctl there is (linux/nsm.h) */
#define X32_BIT 0x40000000u       /* calls of another ABI under the same architecture */

/* Busiest first. */
static const int allowed[] = {
    SYS_recvfrom,
    SYS_sendto,
    SYS_futex,
    SYS_epoll_pwait,
#ifdef SYS_epoll_wait
    SYS_epoll_wait,
#endif
    SYS_epoll_ctl,
    SYS_read,
    SYS_write,
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_ppoll,
#ifdef SYS_poll
    SYS_poll,
#endif
    SYS_accept4,
    SYS_connect,
    SYS_shutdown,
    SYS_close,
    SYS_fcntl,
    SYS_getsockopt,
    SYS_setsockopt,
    SYS_getsockname,
    SYS_getpeername,
    SYS_readv,
    SYS_writev,
    /* memory, time, randomness */
    SYS_munmap,
    SYS_mremap,
    SYS_madvise,
    SYS_mlock,
    SYS_munlock,
    SYS_brk,
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_gettimeofday,
    SYS_getrandom,
    /* threads and the end */
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_rt_sigaction,
    SYS_restart_syscall,
    SYS_getpid,
    SYS_gettid,
    SYS_tgkill,
    SYS_exit,
    SYS_exit_group,
    SYS_rseq,
    SYS_set_robust_list,
};

/* Of a development build: the socket's file is looked at and removed at the end. */
static const int allowed_local[] = {
    SYS_newfstatat, SYS_unlinkat,
#ifdef SYS_unlink
    SYS_unlink,     SYS_stat,     SYS_lstat,
#endif
};

/* Refused with EACCES, not the end: the C library looks for files it can do without. */
static const int refused[] = {
    SYS_openat, SYS_readlinkat, SYS_newfstatat, SYS_faccessat,
#ifdef SYS_open
    SYS_open,   SYS_access,     SYS_readlink,   SYS_stat,
#endif
};

static const int families[] = {AF_VSOCK};
static const int families_local[] = {AF_UNIX, AF_INET, AF_INET6};

#define PROGRAM_MAX 256

struct program {
    struct sock_filter code[PROGRAM_MAX];
    unsigned short n;
};

static void add(struct program *p, struct sock_filter f)
{
    if (p->n < PROGRAM_MAX)
        p->code[p->n] = f;
    p->n++;
}

#define LOAD(field)      \
    (struct sock_filter) \
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
/* The low 32 bits of argument N; both processors are little-endian. */
#define LOAD_ARG(n)                                         \
    (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, \
                                  (uint32_t)(offsetof(struct seccomp_data, args) + 8 * (n)))
#define RETURN(what) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, (what))
#define ALLOW RETURN(SECCOMP_RET_ALLOW)
#define KILL RETURN(SECCOMP_RET_KILL_PROCESS)
#define JUMP_EQUAL(k, yes, no) \
    (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(k), (yes), (no))
#define JUMP_BITS(k, yes, no) \
    (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (uint32_t)(k), (yes), (no))

static void add_list(struct program *p, const int *list, size_t n, struct sock_filter verdict)
{
    for (size_t i = 0; i < n; i++) {
        add(p, JUMP_EQUAL(list[i], 0, 1));
        add(p, verdict);
    }
}

/* No memory that is executable, ever again. */
static void add_no_exec(struct program *p, int call)
{
    add(p, JUMP_EQUAL(call, 0, 4));
    add(p, LOAD_ARG(2));
    add(p, JUMP_BITS(PROT_EXEC, 0, 1));
    add(p, KILL);
    add(p, ALLOW);
}

static void add_ioctl(struct program *p)
{
    add(p, JUMP_EQUAL(SYS_ioctl, 0, 4));
    add(p, LOAD_ARG(1));
    add(p, JUMP_EQUAL(NSM_IOCTL_RAW, 0, 1));
    add(p, ALLOW);
    add(p, KILL);
}

static void add_socket(struct program *p, bool local)
{
    enum {
        N = sizeof families / sizeof families[0],
        M = sizeof families_local / sizeof families_local[0]
    };
    uint8_t length = (uint8_t)(2 + 2 * N + (local ? 2 * M : 0));
    add(p, JUMP_EQUAL(SYS_socket, 0, length));
    add(p, LOAD_ARG(0));
    add_list(p, families, N, ALLOW);
    if (local)
        add_list(p, families_local, M, ALLOW);
    add(p, KILL);
}

static void build(struct program *p, bool local)
{
    p->n = 0;
    add(p, LOAD(arch));
    add(p, JUMP_EQUAL(THIS_ARCH, 1, 0));
    add(p, KILL);
    add(p, LOAD(nr));
    add(p, JUMP_BITS(X32_BIT, 0, 1));
    add(p, KILL);
    add_list(p, allowed, sizeof allowed / sizeof allowed[0], ALLOW);
    /* Each of these looks at an argument and decides for good. */
    add_no_exec(p, SYS_mmap);
    add_no_exec(p, SYS_mprotect);
    add_ioctl(p);
    add_socket(p, local);
    if (local)
        add_list(p, allowed_local, sizeof allowed_local / sizeof allowed_local[0], ALLOW);
    add_list(p, refused, sizeof refused / sizeof refused[0], RETURN(SECCOMP_RET_ERRNO | EACCES));
    add(p, KILL);
}

int cv_sandbox_enter(bool local, struct cv_error *err)
{
    struct program p;
    if (UNDER_SANITIZER)
        return 0;
    build(&p, local);
    if (p.n > PROGRAM_MAX)
        return cv_error_set(err, CV_ERR_INTERNAL, "the seccomp filter is too long");
    const struct sock_fprog prog = {.len = p.n, .filter = p.code};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog) != 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "installing the seccomp filter");
    return 0;
}
