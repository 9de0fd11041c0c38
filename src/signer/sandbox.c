/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/sandbox.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "signer/sandbox_list.h"

#define ABSENT SCMP_ACT_ERRNO(ENOSYS)
#define REFUSE SCMP_ACT_ERRNO(EPERM)
#define THREAD_FLAGS (CLONE_VM | CLONE_THREAD | CLONE_SIGHAND)

/* The filter while it is made; the first error stays. */
struct making {
    scmp_filter_ctx filter;
    uint32_t otherwise; /* what becomes of a call that is on no list */
    uint32_t never;     /* and of those of an intruder */
    int rc;
};

/* CALL with the condition, unless it is not known here, or would get what the
 * others get anyway. */
static void rule_if(struct making *m, uint32_t action, const char *call, unsigned count,
                    const struct scmp_arg_cmp *conditions)
{
    int number = seccomp_syscall_resolve_name(call);
    if (m->rc == 0 && action != m->otherwise && number != __NR_SCMP_ERROR && number >= 0) {
        m->rc = seccomp_rule_add_array(m->filter, action, number, count, conditions);
    }
}

static void rule(struct making *m, uint32_t action, const char *call)
{
    rule_if(m, action, call, 0, NULL);
}

/* CALL where its argument N is one of VALUES. */
static void rule_of(struct making *m, const char *call, unsigned n, const uint64_t *values,
                    size_t count)
{
    for (size_t i = 0; i < count; i++) {
        /* 32 bits count: the kernel looks at no more of these. */
        const struct scmp_arg_cmp is = SCMP_CMP(n, SCMP_CMP_MASKED_EQ, UINT32_MAX, values[i]);
        rule_if(m, SCMP_ACT_ALLOW, call, 1, &is);
    }
}

/* No memory is executable that was or can be written: files are mapped so
 * (libraries that name resolution loads), nothing else. */
static void rules_of_memory(struct making *m)
{
    const struct scmp_arg_cmp plain = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    const struct scmp_arg_cmp file[] = {
        SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC | PROT_WRITE, PROT_EXEC),
        SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, 0)};
    static const char *const maps[] = {"mmap", "mmap2"};
    for (size_t i = 0; i < 2; i++) {
        rule_if(m, SCMP_ACT_ALLOW, maps[i], 1, &plain);
        rule_if(m, SCMP_ACT_ALLOW, maps[i], 2, file);
    }
    rule_if(m, SCMP_ACT_ALLOW, "mprotect", 1, &plain);
}

/* Threads, but no processes; signals to ourselves, but to nobody else; limits
 * of this process. */
static void rules_of_processes(struct making *m)
{
    const struct scmp_arg_cmp thread = SCMP_A0(SCMP_CMP_MASKED_EQ, THREAD_FLAGS, THREAD_FLAGS);
    const struct scmp_arg_cmp self = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0);
    const struct scmp_arg_cmp own = SCMP_A0(SCMP_CMP_EQ, 0, 0);
    rule_if(m, SCMP_ACT_ALLOW, "clone", 1, &thread);
    rule_if(m, SCMP_ACT_ALLOW, "tgkill", 1, &self);
    rule_if(m, SCMP_ACT_ALLOW, "prlimit64", 1, &own);
    /* Its flags lie in memory, where no filter sees them; the C library takes
     * clone instead. */
    rule(m, ABSENT, "clone3");
}

static void add_rules(struct making *m)
{
    for (size_t i = 0; i < cv_sandbox_call_count; i++) {
        rule(m, SCMP_ACT_ALLOW, cv_sandbox_calls[i]);
    }
    for (size_t i = 0; i < cv_sandbox_never_count; i++) {
        rule(m, m->never, cv_sandbox_never[i]);
    }
    rules_of_memory(m);
    rules_of_processes(m);
    rule_of(m, "socket", 0, cv_sandbox_families, cv_sandbox_family_count);
    rule_of(m, "ioctl", 1, cv_sandbox_ioctls, cv_sandbox_ioctl_count);
    rule_of(m, "prctl", 0, cv_sandbox_prctls, cv_sandbox_prctl_count);
}

int cv_sandbox_enter(struct cv_error *err)
{
    const char *mode = getenv("CLAVIGER_SANDBOX");
    bool deadly = mode != NULL && strcmp(mode, "kill") == 0;
    if (!CV_SANDBOX_BUILT) {
        return 0;
    }
    struct making m = {.otherwise = deadly ? SCMP_ACT_KILL_PROCESS : ABSENT,
                       .never = deadly ? SCMP_ACT_KILL_PROCESS : REFUSE};
    m.filter = seccomp_init(m.otherwise);
    if (m.filter == NULL) {
        return cv_error_set(err, CV_ERR_UNSUPPORTED, "seccomp is not available");
    }
    m.rc = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : -errno;
    if (m.rc == 0) {
        /* For all threads that run already, too. */
        m.rc = seccomp_attr_set(m.filter, SCMP_FLTATR_CTL_TSYNC, 1);
    }
    if (m.rc == 0) {
        /* What was refused is told of in the kernel's audit log. Not essential. */
        (void)seccomp_attr_set(m.filter, SCMP_FLTATR_CTL_LOG, 1);
        /* A tree instead of a chain of comparisons: the list is long. */
        (void)seccomp_attr_set(m.filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    }
    add_rules(&m);
    if (m.rc == 0) {
        m.rc = seccomp_load(m.filter);
    }
    seccomp_release(m.filter);
    return m.rc == 0 ? 0 : cv_error_errno(err, CV_ERR_UNSUPPORTED, -m.rc, "closing the sandbox");
}
